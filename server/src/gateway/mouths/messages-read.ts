/** Reads a request in Anthropic's format, as its reference describes it (https://platform.claude.com/docs/en/api/messages),
 *  into the hub. Tools and blocks that only Anthropic's own servers can run are refused by name. */

import type { ChatRequest, Json, JsonObject, ReasoningEffort, Tool } from '../hub.ts'
import { NO_THREADS } from './anthropic.ts'
import { put } from './chat-read.ts'
import {
  arrayAt,
  decimalAt,
  flagAt,
  integerAt,
  isObject,
  notTranslated,
  objectAt,
  othersOf,
  requiredText,
  textAt,
  textsAt,
  tooLong,
  toolNameAt,
  wordAt,
} from './checks.ts'
import { markIn, messagesIn, systemOf } from './messages-blocks.ts'
import { missing, outOfRange, refuse, wrongType, wrongValue } from './refuse.ts'

const KNOWN = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'stream',
  'stop_sequences',
  'temperature',
  'top_p',
  'top_k',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
  'metadata',
])
const STOPS_MAX = 8_191
const TOOLS_MAX = 10_000

export function readMessages(body: JsonObject): ChatRequest {
  if (body.mcp_servers !== undefined && body.mcp_servers !== null) {
    throw notTranslated('mcp_servers', 'Give its tools in tools, and call them yourself.')
  }
  if (body.thread !== undefined && body.thread !== null) {
    throw refuse(
      "Threads are kept by Anthropic only. Send the whole conversation, without 'thread'.",
      'thread',
      NO_THREADS,
    )
  }
  const request: ChatRequest = {
    model: requiredText(body, 'model'),
    messages: [...systemOf(body), ...messagesIn(body)],
    mouth: 'messages',
  }
  const max_tokens = integerAt(body, 'max_tokens', 1)
  if (max_tokens === undefined) throw missing('max_tokens')

  put(request, 'max_completion_tokens', max_tokens)
  put(request, 'stream', flagAt(body, 'stream'))
  put(request, 'stop', textsAt(body, 'stop_sequences', STOPS_MAX))
  put(request, 'temperature', decimalAt(body, 'temperature', 0, 1))
  put(request, 'top_p', decimalAt(body, 'top_p', 0, 1))
  put(request, 'top_k', integerAt(body, 'top_k', 0))
  readTools(body, request)
  readThinking(body, request, max_tokens)
  readFormat(body, request)
  put(request, 'user', textAt(objectAt(body, 'metadata') ?? {}, 'user_id', 'metadata'))
  put(request, 'others', othersOf(body, KNOWN))

  return request
}

function readTools(body: JsonObject, request: ChatRequest): void {
  const given = arrayAt(body, 'tools')
  const choice = objectAt(body, 'tool_choice')
  if (given === undefined || given.length === 0) {
    if (choice === undefined || choice.type === 'auto' || choice.type === 'none') return
    throw refuse("'tool_choice' is only allowed when 'tools' are specified.", 'tool_choice')
  }
  if (given.length > TOOLS_MAX) throw tooLong('tools', given.length, TOOLS_MAX)
  request.tools = given.map((tool, i) => toolOf(tool, `tools[${i}]`))
  const names = request.tools.map((tool) => tool.function.name)
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i)
  if (twice >= 0)
    throw refuse(`Each tool needs a name of its own: "${names[twice]}" comes twice.`, `tools[${twice}].name`)
  if (choice !== undefined) readChoice(choice, request, names)
}

function toolOf(given: Json, at: string): Tool {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const type = textAt(given, 'type', at)
  if (type !== undefined && type !== 'custom') {
    throw notTranslated(`${at}.type`, "Use tools of the type 'custom', with an input_schema.")
  }
  const name = toolNameAt(given, at)
  const parameters = objectAt(given, 'input_schema', at)
  if (parameters === undefined) throw missing(`${at}.input_schema`)
  const description = textAt(given, 'description', at)
  const strict = flagAt(given, 'strict', at)
  const called = {
    name,
    parameters,
    ...(description !== undefined && { description }),
    ...(strict !== undefined && { strict }),
  }
  return { type: 'function', function: called, ...markIn(given, at) }
}

function readChoice(choice: JsonObject, request: ChatRequest, names: string[]): void {
  const type = wordAt(choice, 'type', ['auto', 'any', 'tool', 'none'], 'tool_choice')
  if (type === undefined) throw missing('tool_choice.type')
  if (flagAt(choice, 'disable_parallel_tool_use', 'tool_choice') === true) request.parallel_tool_calls = false
  if (type !== 'tool') {
    request.tool_choice = type === 'any' ? 'required' : type
    return
  }
  const name = requiredText(choice, 'name', 'tool_choice')
  if (!names.includes(name)) throw wrongValue('tool_choice.name', name, names)
  request.tool_choice = { type: 'function', function: { name } }
}

const EFFORTS: readonly ReasoningEffort[] = ['low', 'medium', 'high', 'xhigh', 'max']
const THINKING = ['enabled', 'disabled', 'adaptive', 'between_tools'] as const
const BUDGET_MIN = 1_024

/** Anthropic's effort is about all that is written; what other formats know of it is the effort of thinking. */
function readThinking(body: JsonObject, request: ChatRequest, max_tokens: number): void {
  const effort = wordAt(objectAt(body, 'output_config') ?? {}, 'effort', EFFORTS, 'output_config')
  const thinking = objectAt(body, 'thinking')
  if (thinking === undefined) {
    put(request, 'reasoning_effort', effort)
    return
  }
  switch (wordAt(thinking, 'type', THINKING, 'thinking')) {
    case undefined:
      throw missing('thinking.type')
    case 'disabled':
      request.reasoning_effort = 'none'
      return
    case 'between_tools':
      request.reasoning_effort = 'minimal'
      return
    case 'adaptive':
      request.reasoning_effort = effort ?? 'high'
      return
    case 'enabled': {
      const budget = integerAt(thinking, 'budget_tokens', BUDGET_MIN, undefined, 'thinking')
      if (budget === undefined) throw missing('thinking.budget_tokens')
      if (budget >= max_tokens) throw outOfRange('thinking.budget_tokens', 'integer', budget, max_tokens - 1)
      request.reasoning_tokens = budget
    }
  }
}

function readFormat(body: JsonObject, request: ChatRequest): void {
  const config = objectAt(body, 'output_config')
  const at = config?.format === undefined ? 'output_format' : 'output_config.format'
  const format = objectAt(config ?? {}, 'format', 'output_config') ?? objectAt(body, 'output_format')
  if (format === undefined) return
  if (wordAt(format, 'type', ['json_schema'], at) === undefined) throw missing(`${at}.type`)
  const schema = objectAt(format, 'schema', at)
  if (schema === undefined) throw missing(`${at}.schema`)
  const strict = isStrict(schema)
  request.response_format = { type: 'json_schema', json_schema: { name: 'answer', schema, strict } }
}

/** Whether a schema is what OpenAI's format calls strict: every object is closed, and has all of its properties. */
function isStrict(schema: Json | undefined): boolean {
  if (Array.isArray(schema)) return schema.every(isStrict)
  if (!isObject(schema)) return true
  const { properties, required } = schema
  if (isObject(properties)) {
    const names = Array.isArray(required) ? required : []
    if (schema.additionalProperties !== false) return false
    if (!Object.keys(properties).every((name) => names.includes(name))) return false
    return Object.values(properties).every(isStrict) && isStrict(schema.$defs)
  }
  if (schema.type === 'object') return schema.additionalProperties === false
  return Object.values(schema).every((inner) => typeof inner !== 'object' || isStrict(inner))
}
