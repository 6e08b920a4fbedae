/** What a call may cost and what it did, and when periods begin. Without I/O; amounts are whole nanocredits. */

import type { Budget, CallRecord, Estimate, Price } from '../policies/policy.ts'

/** No model writes more in one answer. */
export const ANSWER_TOKENS_MAX = 131_072
/** What every model takes as a bound of its answer. A larger one may be refused by the provider. */
export const BOUND_TOKENS = 4_096
/** Fewer tokens are no answer. */
export const SENSIBLE_TOKENS = 16
/** What is set aside for an answer without a bound where nothing is limited: for a crash only. */
const USUAL_TOKENS = 1_024

/** No call costs more, whatever its provider says: sums stay whole numbers, and fit into a row. */
export const CALL_NANOCREDITS_MAX = 1e15

export const costOf = (price: Price, { input, cached, cache_written, output }: CallRecord['usage']): number =>
  Math.min(
    CALL_NANOCREDITS_MAX,
    price.call +
      Math.max(0, input - cached - cache_written) * price.input +
      cached * price.cached +
      cache_written * price.cache_written +
      output * price.output,
  )

/** The most that the prompt costs, however much of it the provider has cached. */
export const promptMost = ({ price, input_tokens_max }: Estimate): number =>
  price.call + input_tokens_max * Math.max(price.input, price.cached, price.cache_written)

export const mostOf = (estimate: Estimate, output_tokens: number): number =>
  Math.min(CALL_NANOCREDITS_MAX, promptMost(estimate) + output_tokens * estimate.price.output)

/** How many tokens may be written for this much; below zero: not even the prompt may be read. */
export function tokensFor(estimate: Estimate, nanocredits: number): number {
  const rest = nanocredits - promptMost(estimate)
  if (rest < 0) return -1
  return estimate.price.output === 0 ? Number.POSITIVE_INFINITY : Math.floor(rest / estimate.price.output)
}

/** What a call costs about: four bytes are a token. */
export const usualOf = ({ price, input_tokens_max, output_tokens_max, answers }: Estimate): number => {
  const output = Math.min(output_tokens_max ?? USUAL_TOKENS * answers, BOUND_TOKENS * answers)
  return price.call + Math.ceil(input_tokens_max / 4) * price.input + output * price.output
}

const DAY_MS = 86_400_000

/** The first day of the period, as `YYYY-MM-DD`, UTC. */
export function firstDayOf(period: Budget['period'], now_ms: number): string {
  const now = new Date(now_ms)
  if (period === 'month') return `${now.toISOString().slice(0, 7)}-01`
  // Sunday is 0; weeks begin on Monday.
  const back = period === 'week' ? (now.getUTCDay() + 6) % 7 : 0
  return new Date(now_ms - back * DAY_MS).toISOString().slice(0, 10)
}

/** When the period that began on this day is over. */
export function endOf(period: Budget['period'], first_day: string): Date {
  const first = new Date(`${first_day}T00:00:00.000Z`)
  if (period === 'month') return new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 1))
  return new Date(first.getTime() + (period === 'week' ? 7 : 1) * DAY_MS)
}
