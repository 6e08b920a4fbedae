/** Decisions about webhooks, without I/O: which addresses are taken, what an answer means, and when it is tried again. */

import type { Config } from '../config.ts'
import { addressFault } from '../fetch.ts'

/** Seconds between an attempt that failed and the next one, the schedule that Standard Webhooks recommends: ten attempts
 *  within about three days. */
const pauses = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
/** A subscription whose every attempt has failed for so long is disabled. */
const FAILING_DAYS_MAX = 5
const DAY_MS = 86_400_000

/** What came of an attempt; `status_code` is null when there was no answer. */
export type Attempt = {
  at: string
  duration_ms: number
  status_code: number | null
  answer: string | null
  error: string | null
  retry_after: string | null
}

/** What becomes of the delivery, and of its subscription. */
export type Verdict = {
  status: 'pending' | 'delivered' | 'failed'
  failures: number
  next_attempt_at: string | null
  disabled_reason: string | null
}

export const isTaken = (status_code: number): boolean => status_code >= 200 && status_code < 300

type Delivering = { failures: number; failing_since: string | null }

/** `chance` is between 0 and 1. */
export function verdictOf(attempt: Attempt, before: Delivering, now: string, chance: number): Verdict {
  const { status_code, error } = attempt
  const { failures } = before
  if (error === null) return { status: 'delivered', failures, next_attempt_at: null, disabled_reason: null }
  const next = nextAttempt(failures, attempt.retry_after, now, chance)
  const failed = {
    status: next ? ('pending' as const) : ('failed' as const),
    failures: failures + 1,
    next_attempt_at: next ?? null,
    disabled_reason: null,
  }
  if (status_code === 410) {
    const disabled_reason = 'The receiver answered 410 Gone: it wants no more.'
    return { ...failed, status: 'failed', next_attempt_at: null, disabled_reason }
  }
  const { failing_since } = before
  if (failing_since === null || Date.parse(now) - Date.parse(failing_since) < FAILING_DAYS_MAX * DAY_MS) return failed
  return { ...failed, disabled_reason: `Every attempt has failed for ${FAILING_DAYS_MAX} days.` }
}

/** When it is tried again after one more failure; undefined when it has been tried often enough. The pauses vary by a
 *  tenth, so that what failed together does not come back together. A receiver that asks for more patience is given it,
 *  up to the pause that would be next. */
function nextAttempt(failures: number, retry_after: string | null, now: string, chance: number): string | undefined {
  const pause = pauses[failures]
  if (pause === undefined) return undefined
  const varied = pause * (0.9 + 0.2 * chance)
  const asked = Math.min(secondsOf(retry_after, now), pauses[failures + 1] ?? pause)
  return new Date(Date.parse(now) + Math.max(varied, asked) * 1000).toISOString()
}

/** `Retry-After` (RFC 9110): seconds, or a date. */
function secondsOf(retry_after: string | null, now: string): number {
  if (retry_after === null) return 0
  if (/^\d{1,9}$/.test(retry_after)) return Number(retry_after)
  const until = Date.parse(retry_after)
  return Number.isNaN(until) ? 0 : Math.max(0, (until - Date.parse(now)) / 1000)
}

/** What is wrong with an address, as far as it shows without asking a resolver; the rest shows with each call. */
export function urlFault(config: Pick<Config, 'allowed_hosts'>, text: string): string | undefined {
  const url = new URL(text)
  if (url.username || url.password) return 'It holds credentials. Deliveries are signed instead: verify the signature.'
  return addressFault(config, url)
}
