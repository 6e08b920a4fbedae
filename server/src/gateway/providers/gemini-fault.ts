/** What Google's errors mean (https://ai.google.dev/gemini-api/docs/troubleshooting): a wrong key is a 400 there, and
 *  the time to wait stands in the body. */

import type { Fault, JsonObject } from '../hub.ts'
import { faultOf, retryAfterOf, tooLong } from './faults.ts'
import { listOf, numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

const statuses: Record<string, number> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
}

export function fault(status: number, headers: Record<string, string | undefined>, text: string): Fault {
  const body = parsed(text)
  const error = objectOf(objectOf(Array.isArray(body) ? listOf(body)[0] : body).error)
  if (textOf(error.message) === undefined)
    return faultOf(status, `Gemini answered with status ${status}.`, { retry_after_seconds: retryAfterOf(headers) })
  return faultOfError({ ...error, code: status }, retryAfterOf(headers))
}

export function faultOfError(error: JsonObject, wait?: number): Fault {
  const message = textOf(error.message) ?? 'Gemini failed.'
  const status = numberOf(error.code) ?? statuses[textOf(error.status) ?? ''] ?? 500
  const details = objectsOf(error.details)
  const detail = (type: string) => details.find((one) => textOf(one['@type'])?.endsWith(type)) ?? {}
  const reason = textOf(detail('ErrorInfo').reason)

  if (reason === 'API_KEY_INVALID' || /api key (not valid|not found|expired)/i.test(message))
    return faultOf(401, message)
  if (status === 400 && /input token count|exceeds the maximum number of tokens/i.test(message)) return tooLong(message)
  if (status !== 429) return faultOf(status, message, { retry_after_seconds: wait })
  const told = Number.parseFloat(textOf(detail('RetryInfo').retryDelay) ?? '')
  const isForToday = objectsOf(detail('QuotaFailure').violations).some((one) =>
    /PerDay/i.test(textOf(one.quotaId) ?? ''),
  )
  const seconds = Number.isNaN(told) ? wait : Math.ceil(told)
  if (!isForToday) return faultOf(429, message, { retry_after_seconds: seconds })
  return faultOf(429, message, { type: 'insufficient_quota', code: 'insufficient_quota', is_retryable: false })
}
