/** Reads the request of a response, as OpenAI's reference describes it, into the hub. Responses are not kept: whatever
 *  needs a stored one is refused, and `store: true` is named among what could not be done. */

import type { ChatRequest, Json, JsonObject, ResponseFormat, Tool } from '../hub.ts'
import {
  allowOnly,
  chosen,
  EFFORTS,
  functionOf,
  put,
  readSampling,
  refuseChoiceWithoutTools,
  schemaOf,
  TOOLS_MAX,
} from './chat-read.ts'
import {
  arrayAt,
  flagAt,
  integerAt,
  isObject,
  metadataAt,
  notTranslated,
  objectAt,
  othersOf,
  requiredText,
  textAt,
  tooLong,
  wordAt,
} from './checks.ts'
import { missing, refuse, wrongType, wrongValue } from './refuse.ts'
import { messagesOf, notStored } from './responses-input.ts'

const KNOWN = new Set([
  'model',
  'input',
  'instructions',
  'stream',
  'stream_options',
  'max_output_tokens',
  'max_tool_calls',
  'temperature',
  'top_p',
  'presence_penalty',
  'frequency_penalty',
  'top_logprobs',
  'text',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning',
  'include',
  'user',
  'safety_identifier',
  'metadata',
  'store',
  'truncation',
  'background',
  'conversation',
  'previous_response_id',
  'prompt',
])

export function readResponse(body: JsonObject): ChatRequest {
  refuseStored(body)
  const request: ChatRequest = { model: requiredText(body, 'model'), messages: messagesOf(body), mouth: 'responses' }

  put(request, 'stream', flagAt(body, 'stream'))
  put(request, 'max_completion_tokens', integerAt(body, 'max_output_tokens', 1))
  readSampling(body, request)
  readLogprobs(body, request)
  put(request, 'response_format', formatOf(body))
  readTools(body, request)
  put(request, 'reasoning_effort', wordAt(objectAt(body, 'reasoning') ?? {}, 'effort', EFFORTS, 'reasoning'))
  put(request, 'user', textAt(body, 'user') ?? textAt(body, 'safety_identifier'))
  put(request, 'metadata', metadataAt(body))
  put(request, 'others', othersOf(body, KNOWN))
  checkUnmet(body)
  request.echo = echoOf(body, request)

  return request
}

const AGAIN = "Send what was said before in 'input' again: the items of your input and of the responses' output."

function refuseStored(body: JsonObject): void {
  if (textAt(body, 'previous_response_id') !== undefined) throw notStored('previous_response_id', AGAIN)
  if (body.conversation !== undefined && body.conversation !== null) throw notStored('conversation', AGAIN)
  if (body.prompt !== undefined && body.prompt !== null) {
    throw notTranslated('prompt', "Prompts are kept by OpenAI: send the text itself in 'instructions' and 'input'.")
  }
}

const TRUNCATIONS = ['auto', 'disabled'] as const
const VERBOSITIES = ['low', 'medium', 'high'] as const

/** What can be asked for and is not done (unmet.ts names it), or is of no effect. */
function checkUnmet(body: JsonObject): void {
  flagAt(body, 'store')
  wordAt(body, 'truncation', TRUNCATIONS)
  wordAt(objectAt(body, 'text') ?? {}, 'verbosity', VERBOSITIES, 'text')
  const reasoning = objectAt(body, 'reasoning') ?? {}
  textAt(reasoning, 'context', 'reasoning')
  textAt(reasoning, 'mode', 'reasoning')
  wordAt(reasoning, 'summary', SUMMARIES, 'reasoning')
  const options = objectAt(body, 'stream_options')
  if (options && body.stream !== true) {
    throw refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
  }
}

const SUMMARIES = ['auto', 'concise', 'detailed'] as const
/** What can be asked for besides. That of tools which are never run here is of no effect. */
const INCLUDES = [
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
  'reasoning.encrypted_content',
  'message.output_text.logprobs',
] as const

function readLogprobs(body: JsonObject, request: ChatRequest): void {
  const include = arrayAt(body, 'include') ?? []
  for (const [i, word] of include.entries()) {
    if (!INCLUDES.some((each) => each === word)) throw wrongValue(`include[${i}]`, word, INCLUDES)
  }
  const top = integerAt(body, 'top_logprobs', 0, 20)
  if (!include.includes('message.output_text.logprobs')) return
  request.logprobs = true
  put(request, 'top_logprobs', top)
}

const FORMATS = ['text', 'json_object', 'json_schema'] as const

function formatOf(body: JsonObject): ResponseFormat | undefined {
  const format = objectAt(objectAt(body, 'text') ?? {}, 'format', 'text')
  if (format === undefined) return undefined
  const type = wordAt(format, 'type', FORMATS, 'text.format')
  if (type === undefined) throw missing('text.format.type')
  if (type !== 'json_schema') return { type }
  if (objectAt(format, 'schema', 'text.format') === undefined) throw missing('text.format.schema')

  return { type, json_schema: schemaOf(format, 'text.format') }
}

function readTools(body: JsonObject, request: ChatRequest): void {
  const given = arrayAt(body, 'tools')
  put(request, 'parallel_tool_calls', flagAt(body, 'parallel_tool_calls'))
  integerAt(body, 'max_tool_calls', 1)
  if (given === undefined || given.length === 0) {
    refuseChoiceWithoutTools(body)
    return
  }
  if (given.length > TOOLS_MAX) throw tooLong('tools', given.length, TOOLS_MAX)

  request.tools = given.map((tool, i) => toolOf(tool, `tools[${i}]`))
  readChoice(body, request)
}

function toolOf(given: Json, at: string): Tool {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const type = requiredText(given, 'type', at)
  if (type === 'function') return { type, function: functionOf(given, at) }
  throw refuse(
    `The tool '${type.slice(0, 64)}' is OpenAI's own, and is not available for this model, because its provider speaks ` +
      "another format. Use tools of the type 'function'.",
    `${at}.type`,
    'unsupported_parameter',
  )
}

const CHOICES = ['none', 'auto', 'required'] as const

function readChoice(body: JsonObject, request: ChatRequest): void {
  const { tool_choice: given } = body
  if (given === undefined || given === null) return
  if (!isObject(given)) {
    request.tool_choice = wordAt(body, 'tool_choice', CHOICES)
    return
  }
  const type = requiredText(given, 'type', 'tool_choice')
  if (type === 'allowed_tools') {
    allowOnly(given, request, 'tool_choice')
    return
  }
  if (type !== 'function') throw notTranslated('tool_choice.type', "Use tools of the type 'function'.")
  request.tool_choice = chosen(requiredText(given, 'name', 'tool_choice'), request, 'tool_choice')
}

/** What the answer says again of the request, and that nothing is kept of it. */
function echoOf(body: JsonObject, request: ChatRequest): JsonObject {
  const reasoning = objectAt(body, 'reasoning') ?? {}
  return {
    background: false,
    instructions: body.instructions ?? null,
    max_output_tokens: request.max_completion_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: request.metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: request.reasoning_effort ?? null, summary: reasoning.summary ?? null },
    store: false,
    temperature: request.temperature ?? null,
    text: { format: objectAt(body, 'text')?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: (arrayAt(body, 'tools') ?? []).map(toldTool),
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? null,
    truncation: 'disabled',
    ...(typeof body.user === 'string' && { user: body.user }),
    ...(typeof body.safety_identifier === 'string' && { safety_identifier: body.safety_identifier }),
  }
}

function toldTool(given: Json): JsonObject {
  const tool = isObject(given) ? given : {}
  const { type = 'function', name = '', description, parameters = null, strict = null } = tool
  return { type, name, parameters, strict, ...(description !== undefined && { description }) }
}
