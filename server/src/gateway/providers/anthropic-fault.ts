/** What Anthropic's errors mean (https://platform.claude.com/docs/en/api/errors). */

import type { Fault, JsonObject } from '../hub.ts'
import { faultOf, retryAfterOf, tooLong } from './faults.ts'
import { objectOf, parsed, textOf } from './read.ts'

/** In a stream an error comes without a status. */
const statuses: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

export function fault(status: number, headers: Record<string, string | undefined>, text: string): Fault {
  const error = objectOf(objectOf(parsed(text)).error)
  const retry_after_seconds = retryAfterOf(headers)
  const more: Partial<Fault> = {
    ...(retry_after_seconds === undefined ? {} : { retry_after_seconds }),
    ...(headers['x-should-retry'] === 'false' ? { is_retryable: false } : {}),
  }
  if (textOf(error.message) === undefined) return faultOf(status, `Anthropic answered with status ${status}.`, more)
  return faultOfError(error, status, more)
}

export function faultOfError(error: JsonObject, known?: number, more: Partial<Fault> = {}): Fault {
  const message = textOf(error.message) || 'Anthropic failed.'
  const type = textOf(error.type) ?? ''
  const status = known ?? statuses[type] ?? 500

  if (status === 400 && /prompt is too long|exceeds? the context window|input length and `?max_tokens/i.test(message)) {
    return { ...tooLong(message), ...more }
  }
  // A 400 in Anthropic's words, and a matter of money all the same: another provider may do.
  if (type === 'billing_error' || (status === 400 && /credit balance is too low/i.test(message))) {
    return faultOf(402, message, { ...more, is_retryable: false })
  }
  if (status === 529) return faultOf(529, message, { ...more, type: 'server_error', code: 'overloaded' })
  return faultOf(status, message, more)
}
