/** What Anthropic's format says of every answer alike: how a fault is told, and how usage is. */

import type { Fault, JsonObject, Usage } from '../hub.ts'

const types: Record<number, string> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

/** By this code Anthropic's client knows to send the whole conversation instead. */
export const NO_THREADS = 'thread_unsupported_request'

/** The body of a refusal, and of the event that ends a stream in its middle. */
export function faultInAnthropic({ status, message, code }: Fault, request_id: string | null): JsonObject {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error')
  const details: JsonObject = code === NO_THREADS ? { details: { error_code: code } } : {}
  return { type: 'error', error: { type, message, ...details }, request_id }
}

/** What was read from the cache and what was written there is no part of the input here. */
export function usageInMessages(usage: Usage): JsonObject {
  return {
    input_tokens: Math.max(0, usage.input - usage.cached - usage.cache_written),
    cache_creation_input_tokens: usage.cache_written,
    cache_read_input_tokens: usage.cached,
    output_tokens: usage.output,
    output_tokens_details: { thinking_tokens: usage.reasoning },
    server_tool_use: null,
  }
}

/** One event of a stream, which bears its name. */
export const eventNamed = (name: string, content: JsonObject): string =>
  `event: ${name}\ndata: ${JSON.stringify({ type: name, ...content })}\n\n`
