/** Reads a chat completion's request, as OpenAI's reference describes it, into the hub. */

import type { ChatRequest, Json, JsonObject, ResponseFormat, Tool, ToolChoice } from '../hub.ts'
import { messagesOf } from './chat-messages.ts'
import {
  arrayAt,
  decimalAt,
  flagAt,
  integerAt,
  isObject,
  metadataAt,
  notTranslated,
  objectAt,
  othersOf,
  requiredText,
  seedAt,
  textAt,
  textsAt,
  tooLong,
  toolNameAt,
  wordAt,
} from './checks.ts'
import { CHOICES_MAX } from './outline.ts'
import { markOf } from './parts.ts'
import { missing, refuse, wrongType, wrongValue } from './refuse.ts'

const KNOWN = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_completion_tokens',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'n',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'response_format',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_effort',
  'user',
  'metadata',
  'modalities',
])
export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
export const TOOLS_MAX = 128
const STOPS_MAX = 4

export function readChat(body: JsonObject): ChatRequest {
  refuseUntranslated(body)
  const request: ChatRequest = { model: requiredText(body, 'model'), messages: messagesOf(body), mouth: 'chat' }

  put(request, 'stream', flagAt(body, 'stream'))
  put(request, 'stream_options', streamOptionsOf(body))
  put(request, 'max_completion_tokens', integerAt(body, 'max_completion_tokens', 1) ?? integerAt(body, 'max_tokens', 1))
  put(request, 'n', integerAt(body, 'n', 1, CHOICES_MAX))
  readSampling(body, request)
  put(request, 'stop', textsAt(body, 'stop', STOPS_MAX))
  put(request, 'seed', seedAt(body))
  put(request, 'logit_bias', biasOf(body))
  put(request, 'response_format', formatOf(body))
  readTools(body, request)
  put(request, 'reasoning_effort', wordAt(body, 'reasoning_effort', EFFORTS))
  put(request, 'user', textAt(body, 'user'))
  put(request, 'metadata', metadataAt(body))
  put(request, 'others', othersOf(body, KNOWN))

  return request
}

/** Missing fields stay missing: adapters look at what is there. */
export function put<Name extends keyof ChatRequest>(request: ChatRequest, name: Name, value: ChatRequest[Name]): void {
  if (value !== undefined) request[name] = value
}

function refuseUntranslated(body: JsonObject): void {
  if (body.functions !== undefined && body.functions !== null) throw notTranslated('functions', "Use 'tools'.")
  if (body.function_call !== undefined && body.function_call !== null) {
    throw notTranslated('function_call', "Use 'tool_choice'.")
  }
  if (body.audio !== undefined && body.audio !== null) throw notTranslated('audio', 'Ask for text.')
  if (Array.isArray(body.modalities) && body.modalities.some((each) => each !== 'text')) {
    throw notTranslated('modalities', 'Ask for text.')
  }
}

export function streamOptionsOf(body: JsonObject): ChatRequest['stream_options'] {
  const options = objectAt(body, 'stream_options')
  if (options === undefined) return undefined
  if (body.stream !== true) {
    throw refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options')
  }

  return { include_usage: flagAt(options, 'include_usage', 'stream_options') === true }
}

/** What is common to all of OpenAI's formats. */
export function readSampling(body: JsonObject, request: ChatRequest): void {
  put(request, 'temperature', decimalAt(body, 'temperature', 0, 2))
  put(request, 'top_p', decimalAt(body, 'top_p', 0, 1))
  put(request, 'presence_penalty', decimalAt(body, 'presence_penalty', -2, 2))
  put(request, 'frequency_penalty', decimalAt(body, 'frequency_penalty', -2, 2))
  if (request.mouth !== 'chat') return

  put(request, 'top_k', integerAt(body, 'top_k', 1))
  put(request, 'logprobs', flagAt(body, 'logprobs'))
  put(request, 'top_logprobs', integerAt(body, 'top_logprobs', 0, 20))
  if (request.top_logprobs !== undefined && request.logprobs !== true) {
    throw refuse("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", 'top_logprobs')
  }
}

export function biasOf(body: JsonObject): Record<string, number> | undefined {
  const bias = objectAt(body, 'logit_bias')
  if (bias === undefined) return undefined
  const read: Record<string, number> = {}
  for (const token in bias) {
    const value = decimalAt(bias, token, -100, 100, 'logit_bias')
    if (value !== undefined) read[token] = value
  }

  return read
}

const FORMATS = ['text', 'json_object', 'json_schema'] as const
const FORMAT_NAME = /^[a-zA-Z0-9_-]{1,64}$/

function formatOf(body: JsonObject): ResponseFormat | undefined {
  const format = objectAt(body, 'response_format')
  if (format === undefined) return undefined
  const type = wordAt(format, 'type', FORMATS, 'response_format')
  if (type === undefined) throw missing('response_format.type')
  if (type !== 'json_schema') return { type }
  const schema = objectAt(format, 'json_schema', 'response_format')
  if (schema === undefined) throw missing('response_format.json_schema')

  return { type, json_schema: schemaOf(schema, 'response_format.json_schema') }
}

/** A named schema, as `response_format` and the `text.format` of responses have it. */
export function schemaOf(given: JsonObject, at: string) {
  const name = requiredText(given, 'name', at)
  if (!FORMAT_NAME.test(name)) {
    throw refuse(
      `Invalid '${at}.name': use 1 to 64 letters, digits, underscores and hyphens.`,
      `${at}.name`,
      'invalid_value',
    )
  }
  const description = textAt(given, 'description', at)
  const schema = objectAt(given, 'schema', at)
  const strict = flagAt(given, 'strict', at)

  return {
    name,
    ...(description !== undefined && { description }),
    ...(schema !== undefined && { schema }),
    ...(strict !== undefined && { strict }),
  }
}

function readTools(body: JsonObject, request: ChatRequest): void {
  const given = arrayAt(body, 'tools')
  put(request, 'parallel_tool_calls', flagAt(body, 'parallel_tool_calls'))
  if (given === undefined || given.length === 0) {
    refuseChoiceWithoutTools(body)
    return
  }
  if (given.length > TOOLS_MAX) throw tooLong('tools', given.length, TOOLS_MAX)

  request.tools = given.map((tool, i) => toolOf(tool, `tools[${i}]`))
  readChoice(body, request)
}

export function refuseChoiceWithoutTools(body: JsonObject): void {
  const { tool_choice } = body
  if (tool_choice === undefined || tool_choice === null || tool_choice === 'none' || tool_choice === 'auto') return
  throw refuse("'tool_choice' is only allowed when 'tools' are specified.", 'tool_choice')
}

function toolOf(given: Json, at: string): Tool {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  if (given.type === undefined || given.type === null) throw missing(`${at}.type`)
  if (given.type === 'custom') throw notTranslated(`${at}.type`, "Use tools of the type 'function'.")
  wordAt(given, 'type', ['function'], at)
  const called = objectAt(given, 'function', at)
  if (called === undefined) throw missing(`${at}.function`)

  return { type: 'function', function: functionOf(called, `${at}.function`), ...markOf(given, at) }
}

export function functionOf(given: JsonObject, at: string): Tool['function'] {
  const name = toolNameAt(given, at)
  const description = textAt(given, 'description', at)
  const parameters = objectAt(given, 'parameters', at)
  const strict = flagAt(given, 'strict', at)

  return {
    name,
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  }
}

const CHOICES = ['none', 'auto', 'required'] as const

function readChoice(body: JsonObject, request: ChatRequest): void {
  const { tool_choice: given } = body
  if (given === undefined || given === null) return
  if (!isObject(given)) {
    request.tool_choice = wordAt(body, 'tool_choice', CHOICES)
    return
  }
  if (given.type === 'allowed_tools') {
    allowOnly(objectAt(given, 'allowed_tools', 'tool_choice') ?? {}, request, 'tool_choice.allowed_tools')
    return
  }
  if (given.type === 'custom') throw notTranslated('tool_choice.type', "Use tools of the type 'function'.")
  wordAt(given, 'type', ['function', 'allowed_tools'], 'tool_choice')
  const called = objectAt(given, 'function', 'tool_choice')
  if (called === undefined) throw missing('tool_choice.function')
  request.tool_choice = chosen(requiredText(called, 'name', 'tool_choice.function'), request, 'tool_choice.function')
}

export function chosen(name: string, request: ChatRequest, at: string): ToolChoice {
  const names = request.tools?.map((tool) => tool.function.name) ?? []
  if (!names.includes(name)) throw wrongValue(`${at}.name`, name, names)

  return { type: 'function', function: { name } }
}

/** Of the tools only those remain that may be called: other formats have no word for it. */
export function allowOnly(given: JsonObject, request: ChatRequest, at: string): void {
  const mode = wordAt(given, 'mode', ['auto', 'required'], at)
  const allowed = arrayAt(given, 'tools', at)
  if (mode === undefined) throw missing(`${at}.mode`)
  if (allowed === undefined) throw missing(`${at}.tools`)
  const names = allowed.map((tool, i) => {
    if (!isObject(tool)) throw wrongType(`${at}.tools[${i}]`, 'an object', tool)
    const inner = isObject(tool.function) ? tool.function : tool
    return requiredText(inner, 'name', `${at}.tools[${i}]`)
  })
  request.tools = request.tools?.filter((tool) => names.includes(tool.function.name))
  request.tool_choice = mode
}
