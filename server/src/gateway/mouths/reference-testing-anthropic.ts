/** Anthropic's reference: messages, the events of their streams, errors. Of the blocks those that a model makes by
 *  itself. */

import {
  anyObject,
  byType,
  count,
  exactly,
  fields,
  filled,
  listOf,
  nothing,
  oneOf,
  orNull,
  text,
} from './reference-testing-shapes.ts'

const caller = fields({ type: exactly('direct') })

const blocks = {
  text: fields({ type: text, text, citations: orNull(listOf(anyObject)) }),
  thinking: fields({ type: text, thinking: text, signature: text }),
  redacted_thinking: fields({ type: text, data: filled }),
  tool_use: fields({ type: text, id: filled, name: filled, input: anyObject, caller }),
}

const stop = ['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'pause_turn', 'refusal']
const stopDetails = orNull(fields({ type: exactly('refusal'), category: orNull(text), explanation: orNull(text) }))
const details = orNull(fields({ thinking_tokens: count }))
const tokens = orNull(count)

const usage = fields({
  input_tokens: count,
  cache_creation_input_tokens: tokens,
  cache_read_input_tokens: tokens,
  cache_creation: orNull(fields({ ephemeral_5m_input_tokens: count, ephemeral_1h_input_tokens: count })),
  output_tokens: count,
  output_tokens_details: details,
  server_tool_use: orNull(fields({ web_fetch_requests: count, web_search_requests: count })),
  service_tier: oneOf('standard', 'priority', 'batch', null),
  inference_geo: orNull(text),
  speed: oneOf('standard', 'fast', null),
})

const message = (reasons: (string | null)[]) =>
  fields({
    id: filled,
    type: exactly('message'),
    role: exactly('assistant'),
    model: filled,
    content: listOf(byType(blocks)),
    container: nothing,
    diagnostics: nothing,
    stop_reason: oneOf(...reasons),
    stop_sequence: orNull(text),
    stop_details: stopDetails,
    usage,
  })

const error = fields(
  {
    type: oneOf(
      'invalid_request_error',
      'authentication_error',
      'billing_error',
      'permission_error',
      'not_found_error',
      'request_too_large',
      'rate_limit_error',
      'timeout_error',
      'api_error',
      'overloaded_error',
    ),
    message: filled,
  },
  { details: fields({ error_code: filled }) },
)

const deltas = byType({
  text_delta: fields({ type: text, text: filled }),
  thinking_delta: fields({ type: text, thinking: filled }),
  signature_delta: fields({ type: text, signature: filled }),
  input_json_delta: fields({ type: text, partial_json: text }),
})

const events = byType({
  message_start: fields({ type: text, message: message([null]) }),
  content_block_start: fields({ type: text, index: count, content_block: byType(blocks) }),
  content_block_delta: fields({ type: text, index: count, delta: deltas }),
  content_block_stop: fields({ type: text, index: count }),
  message_delta: fields({
    type: text,
    delta: fields({
      stop_reason: oneOf(...stop),
      stop_sequence: orNull(text),
      stop_details: stopDetails,
      container: nothing,
    }),
    usage: fields({
      input_tokens: tokens,
      cache_creation_input_tokens: tokens,
      cache_read_input_tokens: tokens,
      output_tokens: count,
      output_tokens_details: details,
      server_tool_use: orNull(anyObject),
    }),
  }),
  message_stop: fields({ type: text }),
  ping: fields({ type: text }),
  error: fields({ type: text, error }, { request_id: orNull(text) }),
})

export const anthropicShapes = {
  'messages.answer': message(stop),
  'messages.event': events,
  'messages.error': fields({ type: exactly('error'), error }, { request_id: orNull(text) }),
}
