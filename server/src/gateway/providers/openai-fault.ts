/** What the errors of OpenAI's API mean, and of those that speak it: each server has an idea of its own of where the
 *  message stands. */

import type { Fault, Json, JsonObject } from '../hub.ts'
import { faultOf, retryAfterOf, tooLong } from './faults.ts'
import { listOf, numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

const types = new Set([
  'invalid_request_error',
  'authentication_error',
  'permission_error',
  'not_found_error',
  'rate_limit_error',
  'insufficient_quota',
  'server_error',
  'api_error',
])
/** "maximum context length" of OpenAI, vLLM and Mistral; "exceeds the available context size" of llama.cpp. */
const TOO_LONG =
  /maximum context length|context window|available context size|context length of only|prompt is too long/i
const NO_QUOTA = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active'])

export function fault(status: number, headers: Record<string, string | undefined>, text: string): Fault {
  const body = parsed(text)
  const error = errorIn(Array.isArray(body) ? listOf(body)[0] : body) ?? {}
  const wait = retryAfterOf(headers)
  return {
    ...read(status, error, `The provider answered with status ${status}.`),
    ...(wait === undefined ? {} : { retry_after_seconds: wait }),
    ...(headers['x-should-retry'] === 'false' ? { is_retryable: false } : {}),
  }
}

/** Why a stream broke off, or a whole answer is none, where it says so. */
export function faultIn(body: JsonObject): Fault | undefined {
  if (body.error === undefined || body.error === null) {
    if (body.object !== 'error') return undefined
  }
  const error = errorIn(body) ?? {}
  const told = numberOf(error.code) ?? numberOf(error.status) ?? 0
  return read(told >= 400 && told <= 599 ? told : statusOf(error), error, 'The provider broke off.')
}

function statusOf({ type, code }: JsonObject): number {
  if (code === 'rate_limit_exceeded' || type === 'rate_limit_error' || NO_QUOTA.has(String(code))) return 429
  return type === 'invalid_request_error' ? 400 : 502
}

function read(status: number, error: JsonObject, otherwise: string): Fault {
  const message = messageOf(error) ?? otherwise
  const type = textOf(error.type)
  const code = codeOf(error)
  const param = textOf(error.param)
  const more: Partial<Fault> = {
    ...(type !== undefined && types.has(type) ? { type } : {}),
    ...(code === undefined ? {} : { code }),
    ...(param ? { param } : {}),
  }
  const isTooLong = code === 'context_length_exceeded' || type === 'exceed_context_size_error' || TOO_LONG.test(message)
  if ((status === 400 || status === 413 || status === 422) && isTooLong)
    return { ...tooLong(message), ...(param ? { param } : {}) }
  if (NO_QUOTA.has(code ?? '') || type === 'insufficient_quota') {
    return faultOf(status, message, {
      type: 'insufficient_quota',
      code: code ?? 'insufficient_quota',
      is_retryable: false,
    })
  }
  // An address that is not there is no model that is not there.
  if (status === 404 && code === undefined && !/model|deployment/i.test(message))
    return faultOf(404, message, { code: null })
  return faultOf(status, message, more)
}

/** A word of OpenAI's; numbers and Azure's own names are left to the message. */
function codeOf(error: JsonObject): string | undefined {
  const code = textOf(error.code)
  if (code === 'DeploymentNotFound') return 'model_not_found'
  return code !== undefined && /^[a-z][a-z_]*$/.test(code) ? code : undefined
}

function errorIn(body: Json | undefined): JsonObject | undefined {
  const { error, detail, message } = objectOf(body)
  if (typeof error === 'string') return { message: error }
  if (typeof error === 'object' && error !== null) return objectOf(error)
  if (detail !== undefined && message === undefined) return { message: { detail } }
  return message === undefined ? undefined : objectOf(body)
}

function messageOf({ message, metadata }: JsonObject): string | undefined {
  if (typeof message === 'string') {
    // OpenRouter's message says only that somebody else failed; here is what that one said.
    const raw = textOf(objectOf(metadata).raw)
    return raw ? `${message}: ${raw}` : message || undefined
  }
  const { detail } = objectOf(message)
  if (typeof detail === 'string') return detail
  const said = objectsOf(detail).map(({ loc, msg }) => {
    const where = listOf(loc)
      .filter((part) => part !== 'body')
      .join('.')
    return where ? `${where}: ${textOf(msg) ?? ''}` : (textOf(msg) ?? '')
  })
  return said.length > 0 ? said.join('; ') : undefined
}
