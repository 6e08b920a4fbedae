/** Why a call is not admitted, as its client is told. */

import type { Fault } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Limit } from '../policies/policy.ts'
import type { Purse } from './account.ts'
import { endOf, firstDayOf } from './cost.ts'
import { MINUTE_MS, type Rate, tellRate } from './rate.ts'

const limited = (message: string, retry_after_seconds: number): Fault => ({
  status: 429,
  type: 'rate_limit_error',
  code: 'RATE_LIMITED',
  message,
  retry_after_seconds,
})

const whose = ({ subject }: Limit): string =>
  subject.kind === 'model' && subject.id !== null ? `the model "${subject.id}"` : `this ${subject.kind}`

/** `amount`: what the call needs of it at least. */
export function overRate(rate: Rate, amount: number, now_ms: number): Fault {
  const { limit, unit, most } = rate
  const headers: Record<string, string> = {}
  tellRate(headers, rate, now_ms)
  if (amount > most) return { ...never(`${amount} ${unit}`, `${most} ${unit} a minute`, limit), headers }
  const seconds = Math.max(1, Math.ceil((MINUTE_MS - (now_ms % MINUTE_MS)) / 1000))
  const message = `The limit of ${most} ${unit} a minute for ${whose(limit)} is used up (limit ${limit.id}).`
  return { ...limited(message, seconds), headers }
}

export function overSlots(limit: Limit): Fault {
  const most = `${limit.concurrent} calls at the same time`
  if (limit.concurrent === 0) return never('1', most, limit)
  return limited(`The limit of ${most} for ${whose(limit)} is used up (limit ${limit.id}).`, 1)
}

/** No waiting helps. */
function never(needed: string, most: string, limit: Limit): Fault {
  const message =
    `This call needs ${needed} at least, and the limit for ${whose(limit)} is ${most} (limit ${limit.id}). ` +
    'Ask for less, or raise the limit.'
  return { status: 429, type: 'rate_limit_error', code: 'RATE_LIMITED', message, is_retryable: false }
}

/** The one that has least left is told. `cost`: what the call may cost, with the shortest answer that is of use. */
export function overBudget(purses: Purse[], cost: number, now_ms: number): Fault {
  const [first] = purses
    .filter(({ budget }) => budget.mode === 'hard')
    .toSorted((a, b) => a.budget.nanocredits - a.used - (b.budget.nanocredits - b.used))
  const fault = { status: 402, type: 'insufficient_quota', code: 'BUDGET_EXCEEDED', is_retryable: false }
  if (!first) return { ...fault, message: 'The budget is used up.' }
  const { budget, kind } = first
  const credits = budget.nanocredits / 1e9
  const again = endOf(budget.period, firstDayOf(budget.period, now_ms)).toISOString().slice(0, 10)
  const name = kind === 'billing' ? 'the organization, for everything,' : whoseBudget(first)
  const left = Math.max(0, budget.nanocredits - first.used) / 1e9
  const message =
    `The budget of ${credits} credits a ${budget.period} for ${name} does not hold this call, which may cost ` +
    `${cost / 1e9}: ${left} are left, and some of that may be kept for calls under way. Ask for less, raise the budget, ` +
    `or wait until ${again} (UTC).`
  return { ...fault, message }
}

const whoseBudget = ({ kind, subject_id, budget }: Purse): string =>
  kind === 'model' ? `the model "${subject_id}" (budget ${budget.id})` : `this ${kind} (budget ${budget.id})`

const unavailable = (message: string): Refusal =>
  new Refusal({ status: 503, type: 'server_error', code: 'UNAVAILABLE', message, retry_after_seconds: 5 })

export const away = (): Refusal =>
  unavailable('What was set aside for calls is used up, and the database does not answer. Try again shortly.')

export const full = (): Refusal =>
  unavailable('So many calls are over that are not written down yet that no more can be made. Try again shortly.')
