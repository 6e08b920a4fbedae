/** The faults of a call that are ours to tell. */

import { DatabaseUnavailable } from '../db/faults.ts'
import type { Fault } from './hub.ts'
import { Refusal } from './mouths/mouth.ts'
import { ProviderFault } from './providers/provider.ts'

/** What was thrown to be told, or because the database is away; undefined: a fault of our own, which is for the log. */
export function toldBy(thrown: unknown): Fault | undefined {
  if (thrown instanceof Refusal || thrown instanceof ProviderFault) return thrown.fault
  return thrown instanceof DatabaseUnavailable ? away : undefined
}

export const away: Fault = {
  status: 503,
  type: 'server_error',
  code: 'UNAVAILABLE',
  message: 'The database does not answer. Try again shortly.',
  retry_after_seconds: 5,
}

export const internal: Fault = {
  status: 500,
  type: 'server_error',
  code: 'INTERNAL',
  message: 'Something went wrong on our side. The request id finds it in the log.',
}

export const stopping: Fault = {
  status: 503,
  type: 'server_error',
  code: 'UNAVAILABLE',
  message: 'This server is stopping. Ask again: another one, or the same one when it is back, will answer.',
  retry_after_seconds: 1,
}

export const uncovered: Fault = {
  status: 402,
  type: 'insufficient_quota',
  code: 'BUDGET_EXCEEDED',
  message: 'The budget is used up: the answer ends here.',
  is_retryable: false,
}

/** Every target is left alone for now. */
export function resting(wait_ms: number): Fault {
  const message =
    'No provider for this model can be asked just now: they fail, or asked for a pause. Try again shortly.'
  const retry_after_seconds = Number.isFinite(wait_ms) ? Math.max(1, Math.ceil(wait_ms / 1000)) : undefined
  return { status: 503, type: 'server_error', code: 'UNAVAILABLE', message, retry_after_seconds }
}
