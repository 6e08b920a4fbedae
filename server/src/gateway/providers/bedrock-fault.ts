/** What Bedrock's exceptions mean
 *  (https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html), whether they are the
 *  answer or come in a stream. */

import type { Fault } from '../hub.ts'
import { faultOf, retryAfterOf, tooLong } from './faults.ts'
import { objectOf, parsed, textOf } from './read.ts'

/** By names in lower case, without `exception`. 424, which they have for a model's own failure, is no client's word. */
const statuses: Record<string, number> = {
  validation: 400,
  accessdenied: 403,
  unrecognizedclient: 401,
  invalidsignature: 401,
  incompletesignature: 401,
  expiredtoken: 401,
  missingauthenticationtoken: 401,
  resourcenotfound: 404,
  modeltimeout: 408,
  conflict: 409,
  throttling: 429,
  servicequotaexceeded: 429,
  modelerror: 502,
  modelstreamerror: 502,
  internalserver: 500,
  internalfailure: 500,
  serviceunavailable: 503,
  modelnotready: 503,
}

export function fault(status: number, headers: Record<string, string | undefined>, text: string): Fault {
  const body = objectOf(parsed(text))
  const message = textOf(body.message) ?? textOf(body.Message) ?? ''
  const type = headers['x-amzn-errortype'] ?? textOf(body.__type) ?? ''
  return faultNamed(nameIn(type), message || `Bedrock answered with status ${status}.`, status, retryAfterOf(headers))
}

/** `com.amazon.coral#ThrottlingException:http://…` */
const nameIn = (type: string) => /([A-Za-z]+)(?::.*)?$/.exec(type.split('#').at(-1) ?? '')?.[1] ?? ''

export function faultNamed(name: string, message: string, status: number, wait?: number): Fault {
  const known = statuses[name.toLowerCase().replace(/exception$/, '')] ?? (status === 424 ? 502 : status)
  const retry_after_seconds = wait === undefined ? {} : { retry_after_seconds: wait }
  if (known === 400 && isTooLong(message)) return tooLong(message)
  if (known === 400 && /security token|bearer token|api key/i.test(message)) return faultOf(401, message)
  if (known === 403 && /signature|security token|bearer token|api key/i.test(message)) return faultOf(401, message)
  // For today: it does not come back in a while.
  if (known === 429 && /per day/i.test(message)) {
    return faultOf(429, message, { type: 'insufficient_quota', code: 'insufficient_quota', is_retryable: false })
  }
  return faultOf(known, message, retry_after_seconds)
}

const isTooLong = (message: string) =>
  /too long|too many (input )?tokens|maximum context|context (window|length)|exceeds? the (maximum|model)/i.test(
    message,
  ) && /token|context|input|prompt/i.test(message)

/** Whether an event of a stream says that it failed. */
export const isFailure = (event: string | null): event is string =>
  event !== null && /(exception|error|failure|fault)$/i.test(event)
