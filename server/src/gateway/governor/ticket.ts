/** The leave to make a call: what is set aside for it, until it is settled. */

import { written } from '../../context.ts'
import type { CallRecord, Settled, Ticket } from '../policies/policy.ts'
import { costOf, mostOf } from './cost.ts'
import type { Plan } from './plan.ts'
import { type Rate, tellRate } from './rate.ts'
import type { Held } from './reserving.ts'
import type { Era, Settling } from './till.ts'

/** A stream that comes to the end of what is paid for gets so much more at a time, where there is more. */
const MORE_TOKENS = 1_024
/** In a stream four bytes are a token, which is more tokens than there are by up to so much. */
const SLACK = 1.25

export class LeaseTicket implements Ticket {
  readonly output_tokens_max: number | null
  readonly headers: Record<string, string>
  readonly #plan: Plan
  readonly #held: Held
  readonly #era: Era
  readonly #write: (settling: Settling) => void
  readonly #now: () => number
  readonly #isHard: boolean
  #outputs: number

  constructor(plan: Plan, held: Held, era: Era, now: () => number, write: (settling: Settling) => void) {
    this.#plan = plan
    this.#era = era
    this.#held = held
    this.#now = now
    this.#write = write
    this.#outputs = held.outputs
    this.#isHard = plan.hasModels ? held.accounts.some(({ account }) => account.isHard) : plan.account.isHard
    this.output_tokens_max = held.bound
    this.headers = headersOf(plan, held)
  }

  allows(model: string): boolean {
    return this.#held.allowed.some((estimate) => estimate.model === model)
  }

  covers(output_tokens: number): boolean {
    if (!this.#isHard || output_tokens <= this.#outputs * SLACK) return true
    return this.#extend(output_tokens)
  }

  settle(record: CallRecord, noted?: Promise<void>): Settled {
    const model = record.provider === null ? null : `${record.provider}/${record.provider_model}`
    const now = this.#now()
    const cost = this.#costOf(record, model)
    const accounts = []
    for (const part of this.#held.accounts) {
      const share = part.model === undefined || part.model === model ? cost : 0
      part.account.settle(part.nanocredits, share)
      if (share > 0) accounts.push(part.account)
    }
    const tokens = record.cache === 'hit' ? 0 : record.usage.input + record.usage.output
    for (const { rates, slots, tokens: reserved } of this.#held.meters) {
      for (const rate of rates) if (rate.unit === 'tokens') rate.settle(this.#held.reserved_ms, reserved, tokens, now)
      for (const slot of slots) slot.settle()
    }
    const settled_at = written(new Date(now))
    const settling: Settling = { record, model, nanocredits: cost, accounts, settled_at, era: this.#era }
    if (noted) void noted.then(() => this.#write(settling))
    else this.#write(settling)
    return { nanocredits: cost }
  }

  /** At most what was set aside, where a budget is hard: a provider that tells more than it was allowed is not paid for it
   *  out of what belongs to others. */
  #costOf({ cache, usage, provider, provider_model }: CallRecord, model: string | null): number {
    if (cache === 'hit' || provider === null || provider_model === null) return 0
    const estimate = this.#held.allowed.find((one) => one.model === model)
    const price = estimate?.price ?? this.#plan.policy.priceOf(provider, provider_model)
    let cost = costOf(price, usage)
    for (const { account, nanocredits, model: whose } of this.#held.accounts) {
      if (account.isHard && (whose === undefined || whose === model)) cost = Math.min(cost, nanocredits)
    }
    return cost
  }

  /** More is paid for as long as there is more in memory. */
  #extend(output_tokens: number): boolean {
    const { allowed, accounts } = this.#held
    const outputs = Math.ceil(output_tokens / SLACK) + MORE_TOKENS
    const parts = accounts.map((part) => {
      const estimates = allowed.filter(({ model }) => part.model === undefined || part.model === model)
      const wanted = Math.max(0, ...estimates.map((estimate) => mostOf(estimate, outputs)))
      return { part, more: part.account.isHard ? Math.max(0, wanted - part.nanocredits) : 0 }
    })
    if (parts.some(({ part, more }) => more > part.account.free)) return false
    for (const { part, more } of parts) {
      part.account.reserve(more)
      part.nanocredits += more
    }
    this.#outputs = outputs
    return true
  }
}

function headersOf(plan: Plan, { meters, reserved_ms }: Held): Record<string, string> {
  const headers: Record<string, string> = {}
  const requests = tightest(meters, 'requests')
  if (requests) tellRate(headers, requests, reserved_ms)
  const tokens = tightest(meters, 'tokens')
  if (tokens) tellRate(headers, tokens, reserved_ms)
  for (const purse of plan.warnings) {
    const used = plan.account.usedOf(purse)
    if (used < purse.budget.nanocredits) continue
    const { subject, period, nanocredits } = purse.budget
    headers['x-flow-budget-warning'] =
      `${used / 1e9} of the ${nanocredits / 1e9} credits a ${period} for this ${subject.kind} are used`
  }
  return headers
}

function tightest(meters: Held['meters'], unit: Rate['unit']): Rate | undefined {
  let found: Rate | undefined
  for (const { rates } of meters) {
    for (const rate of rates) if (rate.unit === unit && (!found || rate.remaining < found.remaining)) found = rate
  }
  return found
}
