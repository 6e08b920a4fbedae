/** How a refusal or a failure is told in the words of each mouth: OpenAI's clients read `error`, Anthropic's `type` and
 *  `error`, and a stream that breaks ends with an event that both throw for. */

import type { Fault, JsonObject, MouthName } from '../hub.ts'
import { faultInAnthropic } from '../mouths/anthropic.ts'
import { eventOf, faultInOpenai } from '../mouths/openai.ts'
import type { Headers } from './exchange.ts'

export function faultBody(mouth: MouthName, fault: Fault, request_id: string): JsonObject {
  return mouth === 'messages' ? faultInAnthropic(fault, request_id) : faultInOpenai(fault)
}

/** Adds the request's id. Anthropic's clients read it by a name of their own. */
export function withId(headers: Headers, mouth: MouthName, request_id: string): Headers {
  headers['x-request-id'] = request_id
  if (mouth === 'messages') headers['request-id'] = request_id
  return headers
}

export function faultHeaders(fault: Fault): Headers {
  const headers: Headers = { 'content-type': 'application/json', ...fault.headers }
  if (fault.retry_after_seconds !== undefined) headers['retry-after'] = String(Math.ceil(fault.retry_after_seconds))
  if (fault.is_retryable === false) headers['x-should-retry'] = 'false'
  if (fault.status === 401) headers['www-authenticate'] = 'Bearer realm="flow"'
  return headers
}

/** The last event of a stream that broke; `number` is its own, where events have one. */
export function failEvent(mouth: MouthName, fault: Fault, request_id: string, number: number): string {
  const told = faultBody(mouth, fault, request_id)
  if (mouth === 'messages') return `event: error\n${eventOf(told)}`
  if (mouth !== 'responses') return eventOf(told)
  const { code, message, param } = fault
  const error = { type: 'error', sequence_number: number, code, message, param: param ?? null }
  return `event: error\n${eventOf(error)}`
}
