/** The messages of a chat completion, checked and brought into the hub's shape: contents by part, each tool's answer
 *  after the call it belongs to. */

import type { ImagePart, Json, JsonObject, Message, Reasoning, TextPart, ToolCall, UserPart } from '../hub.ts'
import {
  arrayAt,
  emptyArray,
  flagAt,
  isObject,
  notTranslated,
  objectAt,
  requiredText,
  textAt,
  wordAt,
} from './checks.ts'
import { audioPartOf, filePartOf, imagePartOf, markOf, typeAmong } from './parts.ts'
import { missing, refuse, wrongType } from './refuse.ts'

const ROLES = ['system', 'assistant', 'user', 'function', 'tool', 'developer'] as const

export function messagesOf(body: JsonObject): Message[] {
  const given = arrayAt(body, 'messages')
  if (given === undefined) throw missing('messages')
  if (given.length === 0) throw emptyArray('messages')

  const messages: Message[] = []
  let unanswered: Set<string> | null = null
  for (let i = 0; i < given.length; i++) {
    const message = messageOf(given[i], `messages[${i}]`)
    unanswered = follow(message, unanswered, `messages[${i}]`)
    messages.push(message)
  }
  refuseUnanswered(unanswered)

  return messages
}

/** The calls that still wait for an answer after this message. */
function follow(message: Message, unanswered: Set<string> | null, at: string): Set<string> | null {
  if (message.role === 'tool') {
    if (unanswered === null) {
      throw refuse(
        "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
        `${at}.role`,
      )
    }
    if (!unanswered.delete(message.tool_call_id)) {
      throw refuse(
        `Invalid parameter: 'tool_call_id' of '${message.tool_call_id}' not found in 'tool_calls' of previous message.`,
        `${at}.tool_call_id`,
      )
    }
    return unanswered
  }
  refuseUnanswered(unanswered)
  if (message.role !== 'assistant' || !message.tool_calls) return null

  return new Set(message.tool_calls.map((call) => call.id))
}

function refuseUnanswered(unanswered: Set<string> | null): void {
  if (unanswered === null || unanswered.size === 0) return
  throw refuse(
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The " +
      `following tool_call_ids did not have response messages: ${[...unanswered].join(', ')}`,
    'messages',
  )
}

function messageOf(given: Json | undefined, at: string): Message {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const role = wordAt(given, 'role', ROLES, at)
  switch (role) {
    case undefined:
      throw missing(`${at}.role`)
    case 'user':
      return withName({ role, content: contentOf(given, at, userPartOf) }, given, at)
    case 'system':
    case 'developer':
      return withName({ role, content: contentOf(given, at, textPartOf) }, given, at)
    case 'assistant':
      return withName(assistantOf(given, at), given, at)
    case 'tool':
      return toolAnswerOf(given, at)
    case 'function':
      throw notTranslated(`${at}.role`, "Use the role 'tool' instead of 'function'.")
  }
}

function withName<M extends Message & { name?: string }>(message: M, given: JsonObject, at: string): M {
  const name = textAt(given, 'name', at)
  if (name !== undefined) message.name = name

  return message
}

function contentOf<Part>(given: JsonObject, at: string, partOf: (part: Json, at: string) => Part): string | Part[] {
  const { content } = given
  if (typeof content === 'string') return content
  if (content === undefined || content === null) throw missing(`${at}.content`)
  if (!Array.isArray(content)) throw wrongType(`${at}.content`, 'one of a string or array of objects', content)
  if (content.length === 0) throw emptyArray(`${at}.content`)

  return content.map((part, i) => partOf(part, `${at}.content[${i}]`))
}

function assistantOf(given: JsonObject, at: string): Extract<Message, { role: 'assistant' }> {
  const message: Extract<Message, { role: 'assistant' }> = { role: 'assistant' }
  if (given.content !== undefined && given.content !== null) message.content = contentOf(given, at, assistantPartOf)
  const refusal = textAt(given, 'refusal', at)
  if (refusal !== undefined) message.refusal = refusal
  const calls = arrayAt(given, 'tool_calls', at)
  if (calls !== undefined) {
    if (calls.length === 0) throw emptyArray(`${at}.tool_calls`)
    message.tool_calls = calls.map((call, i) => toolCallOf(call, `${at}.tool_calls[${i}]`))
  }
  const reasoning = reasoningOf(given, at)
  if (reasoning !== undefined) message.reasoning = reasoning
  if (given.function_call !== undefined && given.function_call !== null) {
    throw notTranslated(`${at}.function_call`, "Use 'tool_calls'.")
  }
  if (message.content === undefined && refusal === undefined && calls === undefined) throw missing(`${at}.content`)

  return message
}

function toolCallOf(given: Json, at: string): ToolCall {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  if (given.type === 'custom') throw notTranslated(`${at}.type`, "Use calls of the type 'function'.")
  wordAt(given, 'type', ['function'], at)
  const called = objectAt(given, 'function', at)
  if (called === undefined) throw missing(`${at}.function`)

  return {
    id: requiredText(given, 'id', at),
    type: 'function',
    function: {
      name: requiredText(called, 'name', `${at}.function`),
      arguments: requiredText(called, 'arguments', `${at}.function`),
    },
  }
}

/** As the answers of this mouth tell it, and as clients hand it back: whole in `reasoning_details`, or only its text. */
function reasoningOf(given: JsonObject, at: string): Reasoning[] | undefined {
  const details = arrayAt(given, 'reasoning_details', at)
  if (details !== undefined)
    return details.map((detail, i) => reasoningDetailOf(detail, `${at}.reasoning_details[${i}]`))
  const text = textAt(given, 'reasoning_content', at)

  return text ? [{ text }] : undefined
}

function reasoningDetailOf(given: Json, at: string): Reasoning {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const reasoning: Reasoning = { text: textAt(given, 'text', at) ?? textAt(given, 'summary', at) ?? '' }
  const signature = textAt(given, 'signature', at)
  if (signature !== undefined) reasoning.signature = signature
  const sealed = textAt(given, 'data', at)
  if (sealed !== undefined) reasoning.data = sealed
  const id = textAt(given, 'id', at)
  if (id !== undefined) reasoning.id = id

  return reasoning
}

function toolAnswerOf(given: JsonObject, at: string): Message {
  const answer: Message = {
    role: 'tool',
    tool_call_id: requiredText(given, 'tool_call_id', at),
    content: contentOf(given, at, toolPartOf),
  }
  const isError = flagAt(given, 'is_error', at)
  if (isError !== undefined) answer.is_error = isError

  return answer
}

function textPartOf(given: Json, at: string): TextPart {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  typeAmong(given, ['text'], at)

  return { type: 'text', text: requiredText(given, 'text', at), ...markOf(given, at) }
}

function assistantPartOf(given: Json, at: string): TextPart | { type: 'refusal'; refusal: string } {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  if (typeAmong(given, ['text', 'refusal'], at) === 'text') return textPartOf(given, at)

  return { type: 'refusal', refusal: requiredText(given, 'refusal', at) }
}

function toolPartOf(given: Json, at: string) {
  if (!isObject(given)) throw wrongType(at, 'an object', given)

  return typeAmong(given, ['text', 'image_url'], at) === 'text' ? textPartOf(given, at) : imageOf(given, at)
}

const USER_PARTS = ['text', 'image_url', 'input_audio', 'file'] as const

function userPartOf(given: Json, at: string): UserPart {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  switch (typeAmong(given, USER_PARTS, at)) {
    case 'text':
      return textPartOf(given, at)
    case 'image_url':
      return imageOf(given, at)
    case 'input_audio':
      return audioPartOf(given, at)
    case 'file':
      return fileOf(given, at)
  }
}

function imageOf(given: JsonObject, at: string): ImagePart {
  const inner = objectAt(given, 'image_url', at)
  if (inner === undefined) throw missing(`${at}.image_url`)

  return imagePartOf(inner, 'url', `${at}.image_url`, markOf(given, at))
}

function fileOf(given: JsonObject, at: string): UserPart {
  const inner = objectAt(given, 'file', at)
  if (inner === undefined) throw missing(`${at}.file`)

  return filePartOf(inner, textAt(inner, 'file_data', `${at}.file`), `${at}.file`, markOf(given, at))
}
