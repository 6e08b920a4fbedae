/** What a fault means for the next attempt: again at the same target and when, elsewhere, or not at all. */

import type { Fault } from '../hub.ts'

const AGAIN = new Set([408, 409, 425, 429])
/** Refused by this target for what it is; another may do it. */
const ELSEWHERE = new Set([401, 402, 403, 404])
const ELSEWHERE_CODES = new Set(['context_length_exceeded', 'unsupported', 'unsupported_value'])
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 4_000
/** For so long a client rather waits than learns of it. */
const WAIT_MAX_MS = 10_000
/** If another target can be asked, nobody waits longer than this. */
const LONG_MS = 1_000

export type Retry = {
  wait_ms: number
  /** Another target had better be asked, if there is one: this one has had its time, or wants a pause. */
  isLong: boolean
  /** The client had better come again. */
  isTooLong: boolean
}

/** When the same target may be asked again, after so many tries; undefined: it will say the same. */
export function retryOf(fault: Fault, tries: number, chance: number): Retry | undefined {
  const isWorth = AGAIN.has(fault.status) || fault.status >= 500
  if (!isWorth || fault.is_retryable === false) return undefined
  const told = fault.retry_after_seconds
  const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (tries - 1)) * (0.5 + chance / 2)
  const wait_ms = told === undefined ? backoff : told * 1000
  const hasWaited = fault.code === 'upstream_timeout'
  return { wait_ms, isLong: hasWaited || wait_ms > LONG_MS, isTooLong: wait_ms > WAIT_MAX_MS }
}

/** Whether another target may do what this one did not. */
export const isElsewhere = (fault: Fault): boolean =>
  fault.status >= 500 || AGAIN.has(fault.status) || ELSEWHERE.has(fault.status) || ELSEWHERE_CODES.has(fault.code ?? '')

/** Whether it says that the provider is not well. */
export const isTrouble = (fault: Fault): boolean => fault.status >= 500 || fault.status === 408

/** What the provider says of our key is no word about the client's. */
export function toldToClient(fault: Fault, provider: string): Fault {
  if (![401, 402, 403].includes(fault.status)) return fault
  const message = `The provider "${provider}" refuses Flow's call: ${fault.message}`
  return { status: 502, type: 'api_error', code: 'upstream_refused', message, is_retryable: false }
}
