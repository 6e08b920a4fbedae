/** Whether a call fits into everything that it is subject to, and what is set aside for it. All from memory: where
 *  something is missing that could be fetched, that is the answer.
 *
 *  Where a budget is hard, the dearest target that may be asked is paid for in full before it is asked: the whole prompt,
 *  and as much output as the provider is allowed. An answer that does not fit is bounded, not refused, as long as some
 *  fits. Without a hard budget only about what it will cost is set aside, so that a crash does not lose it. */

import type { Fault } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Estimate } from '../policies/policy.ts'
import type { Account } from './account.ts'
import { ANSWER_TOKENS_MAX, BOUND_TOKENS, mostOf, SENSIBLE_TOKENS, tokensFor, usualOf } from './cost.ts'
import type { Meters, ModelPlan, Plan } from './plan.ts'
import type { Rate } from './rate.ts'
import { overBudget, overRate, overSlots } from './refusing.ts'
import type { Slots } from './slots.ts'
import type { Taker } from './takes.ts'

/** What is set aside. */
export type Held = {
  /** Those of the estimates that may be asked. */
  allowed: Estimate[]
  /** The provider is told; null: not at all. */
  bound: number | null
  /** The output that is paid for. */
  outputs: number
  accounts: { account: Account; nanocredits: number; model: string | undefined }[]
  /** A request, a place and so many tokens of each. */
  meters: { rates: Rate[]; slots: Slots[]; tokens: number }[]
  reserved_ms: number
}
export type Lacking = { lacking: Taker[] }

/** Nobody asks more often for one call. */
const ROUNDS_MAX = 8
/** So many answers of the greatest length must fit before one may be so long. */
const AMPLE = 4

type Question = { plan: Plan; estimates: Estimate[]; asked: number | null; answers: number; now_ms: number }
type Source = Taker & { isDry(): boolean; lack(amount: number): void }

/** Throws a `Refusal`. */
export function reserve(plan: Plan, estimates: Estimate[], now_ms: number, rounds: number): Held | Lacking {
  const { output_tokens_max: asked = 0, answers = 1 } = estimates[0] ?? {}
  const question: Question = { plan, estimates, asked, answers, now_ms }
  const lacking = rounds < ROUNDS_MAX ? lackingOf(question) : []
  return lacking.length > 0 ? { lacking } : held(question)
}

function lackingOf(question: Question): Taker[] {
  const lacking: Taker[] = []
  const { plan, estimates } = question
  lookAtMeters(plan, estimates, question, lacking)
  lookAtMoney(plan.account, estimates, question, lacking)
  if (!plan.hasModels) return lacking
  for (const estimate of estimates) {
    const model = plan.modelOf(estimate.model)
    lookAtMeters(model, [estimate], question, lacking)
    if (model.account) lookAtMoney(model.account, [estimate], question, lacking)
  }
  return lacking
}

function lookAtMeters({ rates, slots }: Meters, estimates: Estimate[], question: Question, lacking: Taker[]): void {
  const tokens = tokensOf(estimates, wantedOf(question))
  for (const rate of rates) lookAt(rate, rate.freeAt(question.now_ms), rate.unit === 'requests' ? 1 : tokens, lacking)
  for (const slot of slots) lookAt(slot, slot.free, 1, lacking)
}

function lookAtMoney(account: Account, estimates: Estimate[], question: Question, lacking: Taker[]): void {
  lookAt(account, account.free, needOf(account, estimates, question), lacking)
}

function lookAt(source: Source, free: number, amount: number, lacking: Taker[]): void {
  if (amount <= 0 || free >= amount || source.isDry()) return
  source.lack(amount - Math.max(0, free))
  lacking.push(source)
}

function needOf(account: Account, estimates: Estimate[], question: Question): number {
  if (!account.isHard) return most(estimates, usualOf)
  const outputs = isAmple(account, estimates, question) ? ANSWER_TOKENS_MAX * question.answers : wantedOf(question)
  return most(estimates, (estimate) => mostOf(estimate, outputs))
}

/** What an answer may have where nobody has said how long it may be. */
const wantedOf = ({ asked, answers }: Question): number => asked ?? BOUND_TOKENS * answers

/** Whether an answer may be as long as the model likes. */
function isAmple(account: Account, estimates: Estimate[], { asked, answers }: Question): boolean {
  if (asked !== null) return false
  if (!account.isHard) return true
  const longest = most(estimates, (estimate) => mostOf(estimate, ANSWER_TOKENS_MAX * answers))
  return (account.rest ?? Number.POSITIVE_INFINITY) + account.free >= AMPLE * longest
}

function most(estimates: Estimate[], of: (estimate: Estimate) => number): number {
  let sum = 0
  for (const estimate of estimates) sum = Math.max(sum, of(estimate))
  return sum
}

const promptTokens = ({ input_tokens_max }: Estimate): number => Math.ceil(input_tokens_max / 4)
const tokensOf = (estimates: Estimate[], outputs: number): number => most(estimates, promptTokens) + outputs

/** How much output fits, or why nothing does. */
type Fit = { money: number; tokens: number; fault: Fault | undefined }

function held(question: Question): Held {
  const { plan, estimates, asked, answers } = question
  const least = Math.min(SENSIBLE_TOKENS * answers, asked ?? Number.POSITIVE_INFINITY)
  const allowed: Estimate[] = []
  let refused: Fault | undefined
  let money = Number.POSITIVE_INFINITY
  let tokens = Number.POSITIVE_INFINITY
  for (const estimate of estimates) {
    const fit = fitOf(question, estimate, least)
    refused ??= fit.fault
    if (fit.fault) continue
    allowed.push(estimate)
    money = Math.min(money, fit.money)
    tokens = Math.min(tokens, fit.tokens)
  }
  if (refused && allowed.length === 0) throw new Refusal(refused)

  const wanted = wantedOf(question)
  const isFree = asked === null && money >= ANSWER_TOKENS_MAX * answers && areAmple(question, allowed)
  const bounded = Math.min(wanted, money, tokens)
  const isBound = asked === null ? !isFree || tokens < wanted : bounded < asked
  const outputs = isFree && !isBound ? ANSWER_TOKENS_MAX * answers : bounded
  return takeAll(plan, allowed, { bound: isBound ? bounded : null, outputs, bounded, now_ms: question.now_ms })
}

const areAmple = (question: Question, allowed: Estimate[]): boolean => {
  const { plan } = question
  if (!isAmple(plan.account, allowed, question)) return false
  if (!plan.hasModels) return true
  return allowed.every((estimate) => {
    const { account } = plan.modelOf(estimate.model)
    return !account || isAmple(account, [estimate], question)
  })
}

function fitOf({ plan, now_ms }: Question, estimate: Estimate, least: number): Fit {
  const fit: Fit = { money: Number.POSITIVE_INFINITY, tokens: Number.POSITIVE_INFINITY, fault: undefined }
  fitInto(fit, estimate, plan, plan.account, least, now_ms)
  if (!plan.hasModels || fit.fault) return fit
  const model = plan.modelOf(estimate.model)
  fitInto(fit, estimate, model, model.account, least, now_ms)
  return fit
}

function fitInto(
  fit: Fit,
  estimate: Estimate,
  { rates, slots }: Meters,
  account: Account | undefined,
  least: number,
  now_ms: number,
): void {
  // What was answered before needs none.
  const needsTokens = estimate.input_tokens_max + least > 0
  for (const rate of rates) {
    if (rate.unit === 'tokens' && !needsTokens) continue
    const free = rate.freeAt(now_ms)
    if (rate.unit === 'tokens') fit.tokens = Math.min(fit.tokens, free - promptTokens(estimate))
    const isOver = rate.unit === 'requests' ? free < 1 : fit.tokens < least
    if (isOver) fit.fault ??= overRate(rate, rate.unit === 'requests' ? 1 : promptTokens(estimate) + least, now_ms)
  }
  for (const slot of slots) if (slot.free < 1) fit.fault ??= overSlots(slot.limit)
  if (!account?.isHard) return
  // What costs nothing is refused by no budget.
  if (mostOf(estimate, least) === 0 && estimate.price.output === 0) return
  fit.money = Math.min(fit.money, tokensFor(estimate, account.free))
  if (fit.money < least) fit.fault ??= overBudget(account.purses, mostOf(estimate, least), now_ms)
}

type Taking = { bound: number | null; outputs: number; bounded: number; now_ms: number }

function takeAll(plan: Plan, allowed: Estimate[], { bound, outputs, bounded, now_ms }: Taking): Held {
  const all: Held = { allowed, bound, outputs, accounts: [], meters: [], reserved_ms: now_ms }
  takeInto(all, plan, plan.account, allowed, bounded, undefined)
  if (!plan.hasModels) return all
  for (const estimate of allowed) {
    const model: ModelPlan = plan.modelOf(estimate.model)
    takeInto(all, model, model.account, [estimate], bounded, estimate.model)
  }
  return all
}

function takeInto(
  all: Held,
  { rates, slots }: Meters,
  account: Account | undefined,
  estimates: Estimate[],
  outputs: number,
  model: string | undefined,
): void {
  if (account) {
    const nanocredits = account.isHard ? most(estimates, (one) => mostOf(one, all.outputs)) : most(estimates, usualOf)
    account.reserve(nanocredits)
    all.accounts.push({ account, nanocredits, model })
  }
  const tokens = tokensOf(estimates, outputs)
  for (const rate of rates) rate.use(rate.unit === 'requests' ? 1 : tokens)
  for (const slot of slots) slot.use()
  all.meters.push({ rates, slots, tokens })
}
