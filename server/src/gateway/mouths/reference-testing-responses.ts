/** OpenAI's reference: responses, and each event of their streams. Of the output items those that a model makes by
 *  itself; what OpenAI's built-in tools make comes only from OpenAI. */

import {
  anyObject,
  anyOf,
  byType,
  count,
  decimal,
  exactly,
  fields,
  filled,
  flag,
  listOf,
  mapOf,
  oneOf,
  orNull,
  type Shape,
  text,
} from './reference-testing-shapes.ts'

const status = oneOf('in_progress', 'completed', 'incomplete')

const topLogprob = fields({ token: text, logprob: decimal }, { bytes: listOf(count) })
const logprob = fields({ token: text, logprob: decimal, top_logprobs: listOf(topLogprob) }, { bytes: listOf(count) })

const outputText = fields(
  { type: exactly('output_text'), text, annotations: listOf(anyObject) },
  { logprobs: listOf(logprob) },
)
const refusal = fields({ type: exactly('refusal'), refusal: text })
const part = byType({ output_text: outputText, refusal, reasoning_text: fields({ type: text, text }) })
const summary = fields({ type: exactly('summary_text'), text })

const item = byType({
  message: fields(
    {
      id: filled,
      type: text,
      role: exactly('assistant'),
      status,
      content: listOf(byType({ output_text: outputText, refusal })),
    },
    { phase: oneOf('commentary', 'final_answer', null) },
  ),
  function_call: fields({ id: filled, type: text, call_id: filled, name: filled, arguments: text, status }),
  reasoning: fields(
    { id: filled, type: text, summary: listOf(summary) },
    { content: listOf(fields({ type: exactly('reasoning_text'), text })), encrypted_content: orNull(filled), status },
  ),
})

const format = byType({
  text: fields({ type: text }),
  json_object: fields({ type: text }),
  json_schema: fields({ type: text, name: filled, schema: anyObject }, { description: text, strict: orNull(flag) }),
})

const tool = fields(
  { type: exactly('function'), name: filled, parameters: orNull(anyObject), strict: orNull(flag) },
  { description: orNull(text) },
)

const usage = fields({
  input_tokens: count,
  input_tokens_details: fields({ cached_tokens: count, cache_write_tokens: count }),
  output_tokens: count,
  output_tokens_details: fields({ reasoning_tokens: count }),
  total_tokens: count,
})

const effort = oneOf('none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', null)
const detail = oneOf('auto', 'concise', 'detailed', null)

const error = fields({ code: oneOf('server_error', 'rate_limit_exceeded', 'invalid_prompt'), message: filled })

const response = fields(
  {
    id: filled,
    object: exactly('response'),
    created_at: count,
    status: oneOf('completed', 'failed', 'in_progress', 'incomplete'),
    access_programs: orNull(anyObject),
    error: orNull(error),
    incomplete_details: orNull(fields({}, { reason: oneOf('max_output_tokens', 'content_filter') })),
    instructions: orNull(text),
    metadata: orNull(mapOf(text)),
    model: filled,
    output: listOf(item),
    parallel_tool_calls: flag,
    temperature: orNull(decimal),
    tool_choice: anyOf(
      oneOf('none', 'auto', 'required'),
      fields({ type: exactly('function'), name: filled }),
      fields({ type: exactly('allowed_tools'), mode: oneOf('auto', 'required'), tools: listOf(anyObject) }),
    ),
    tools: listOf(tool),
    top_p: orNull(decimal),
  },
  {
    background: orNull(flag),
    completed_at: orNull(count),
    max_output_tokens: orNull(count),
    max_tool_calls: orNull(count),
    previous_response_id: orNull(text),
    reasoning: orNull(fields({}, { effort, summary: detail })),
    safety_identifier: orNull(text),
    service_tier: orNull(text),
    // Of the API, though its reference does not list it among what is answered.
    store: flag,
    text: fields({}, { format, verbosity: oneOf('low', 'medium', 'high', null) }),
    top_logprobs: orNull(count),
    truncation: oneOf('auto', 'disabled', null),
    usage,
    user: text,
  },
)

const event = (more: Record<string, Shape>) => fields({ type: text, sequence_number: count, ...more })
const inOutput = (more: Record<string, Shape>) => event({ output_index: count, ...more })
const inItem = (more: Record<string, Shape>) => inOutput({ item_id: filled, ...more })
const inPart = (more: Record<string, Shape>) => inItem({ content_index: count, ...more })
const inSummary = (more: Record<string, Shape>) => inItem({ summary_index: count, ...more })

const streamLogprob = fields(
  { token: text, logprob: decimal },
  { top_logprobs: listOf(fields({}, { token: text, logprob: decimal, bytes: listOf(count) })), bytes: listOf(count) },
)

const events = byType({
  'response.created': event({ response }),
  'response.in_progress': event({ response }),
  'response.completed': event({ response }),
  'response.incomplete': event({ response }),
  'response.failed': event({ response }),
  'response.output_item.added': inOutput({ item }),
  'response.output_item.done': inOutput({ item }),
  'response.content_part.added': inPart({ part }),
  'response.content_part.done': inPart({ part }),
  'response.output_text.delta': inPart({ delta: filled, logprobs: listOf(streamLogprob) }),
  'response.output_text.done': inPart({ text, logprobs: listOf(streamLogprob) }),
  'response.refusal.delta': inPart({ delta: filled }),
  'response.refusal.done': inPart({ refusal: text }),
  'response.function_call_arguments.delta': inItem({ delta: filled }),
  'response.function_call_arguments.done': inItem({ arguments: text }),
  'response.reasoning_summary_part.added': inSummary({ part: summary }),
  'response.reasoning_summary_part.done': inSummary({ part: summary }),
  'response.reasoning_summary_text.delta': inSummary({ delta: filled }),
  'response.reasoning_summary_text.done': inSummary({ text }),
  error: event({ code: orNull(text), message: filled, param: orNull(text) }),
})

export const responsesShapes = { 'responses.answer': response, 'responses.event': events }
