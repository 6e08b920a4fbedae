/** The turns of a conversation in Anthropic's format, checked and brought into the hub's shape: a tool's results, which
 *  stand in the user's turn there, are messages of their own. */

import type {
  CacheMark,
  ImagePart,
  Json,
  JsonObject,
  Message,
  Reasoning,
  TextPart,
  ToolCall,
  UserPart,
} from '../hub.ts'
import { unpacked } from './anthropic-thoughts.ts'
import {
  addressAt,
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
import { missing, refuse, wrongType } from './refuse.ts'

const ROLES = ['user', 'assistant', 'system'] as const

export function systemOf(body: JsonObject): Message[] {
  const { system } = body
  if (system === undefined || system === null || system === '') return []
  if (typeof system === 'string') return [{ role: 'system', content: system }]
  if (!Array.isArray(system)) throw wrongType('system', 'one of a string or array of objects', system)
  const content = system.map((block, i) => textOf(blockOf(block, `system[${i}]`, ['text']), `system[${i}]`))

  return content.length === 0 ? [] : [{ role: 'system', content }]
}

export function messagesIn(body: JsonObject): Message[] {
  const given = arrayAt(body, 'messages')
  if (given === undefined) throw missing('messages')
  if (given.length === 0) throw emptyArray('messages')

  const messages: Message[] = []
  let waiting: Waiting = { calls: new Set(), at: '' }
  for (const [i, turn] of given.entries()) {
    const at = `messages[${i}]`
    const read = turnOf(turn, at)
    for (const message of read) waiting = follow(message, waiting, at)
    messages.push(...read)
  }
  refuseUnanswered(waiting)

  return messages
}

/** Calls whose results have not come. */
type Waiting = { calls: Set<string>; at: string }

function follow(message: Message, waiting: Waiting, at: string): Waiting {
  if (message.role === 'tool') {
    if (waiting.calls.delete(message.tool_call_id)) return waiting
    throw refuse(
      `The tool_result '${message.tool_call_id}' has no tool_use with this id in the turn before it.`,
      `${at}.content`,
    )
  }
  refuseUnanswered(waiting)
  if (message.role !== 'assistant' || !message.tool_calls) return waiting

  return { calls: new Set(message.tool_calls.map((call) => call.id)), at }
}

function refuseUnanswered({ calls, at }: Waiting): void {
  if (calls.size === 0) return
  throw refuse(
    `Each tool_use needs a tool_result with its id at the beginning of the next message. There is none for ${[...calls].join(', ')}.`,
    at,
  )
}

function turnOf(given: Json, at: string): Message[] {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const role = wordAt(given, 'role', ROLES, at)
  if (role === undefined) throw missing(`${at}.role`)
  const { content } = given
  if (content === undefined || content === null) throw missing(`${at}.content`)
  if (typeof content === 'string') return [{ role, content }]
  if (!Array.isArray(content)) throw wrongType(`${at}.content`, 'one of a string or array of objects', content)
  if (role === 'assistant') return [spokenOf(content, `${at}.content`)]
  if (role === 'user') return askedOf(content, `${at}.content`)

  const texts = content.map((block, i) =>
    textOf(blockOf(block, `${at}.content[${i}]`, ['text']), `${at}.content[${i}]`),
  )
  return [{ role, content: texts }]
}

/** Blocks that are understood; the others are the matter of Anthropic's own servers. */
function blockOf<Type extends string>(given: Json, at: string, types: readonly Type[]): JsonObject & { type: Type } {
  if (!isObject(given)) throw wrongType(at, 'an object', given)
  const type = requiredText(given, 'type', at)
  const known = types.find((each) => each === type)
  if (known === undefined) throw notTranslated(`${at}.type`, `Use blocks of these types here: ${types.join(', ')}.`)

  return { ...given, type: known }
}

function textOf(block: JsonObject, at: string): TextPart {
  return { type: 'text', text: requiredText(block, 'text', at), ...markIn(block, at) }
}

export function markIn(given: JsonObject, at: string): CacheMark {
  const mark = objectAt(given, 'cache_control', at)
  if (mark === undefined) return {}
  if (wordAt(mark, 'type', ['ephemeral'], `${at}.cache_control`) === undefined)
    throw missing(`${at}.cache_control.type`)
  const ttl = wordAt(mark, 'ttl', ['5m', '1h'], `${at}.cache_control`)

  return { cache_control: { type: 'ephemeral', ...(ttl && { ttl }) } }
}

const SPOKEN = ['text', 'thinking', 'redacted_thinking', 'tool_use'] as const

function spokenOf(content: Json[], at: string): Message {
  const texts: TextPart[] = []
  const reasoning: Reasoning[] = []
  const tool_calls: ToolCall[] = []
  for (const [i, given] of content.entries()) {
    const where = `${at}[${i}]`
    const block = blockOf(given, where, SPOKEN)
    if (block.type === 'text') texts.push(textOf(block, where))
    else if (block.type === 'tool_use') tool_calls.push(callOf(block, where))
    else reasoning.push(thoughtOf(block, where))
  }
  const called = tool_calls.length > 0 && { tool_calls }
  const thought = reasoning.length > 0 && { reasoning }

  return { role: 'assistant', content: texts.length > 0 ? texts : null, ...thought, ...called }
}

function thoughtOf(block: JsonObject, at: string): Reasoning {
  if (block.type === 'redacted_thinking') {
    const { sealed: data, id } = unpacked(requiredText(block, 'data', at))
    return { text: '', data, ...(id !== undefined && { id }) }
  }
  const text = requiredText(block, 'thinking', at)
  const { sealed: signature, id } = unpacked(textAt(block, 'signature', at) ?? '')
  return { text, ...(signature !== '' && { signature }), ...(id !== undefined && { id }) }
}

function callOf(block: JsonObject, at: string): ToolCall {
  const input = objectAt(block, 'input', at)
  if (input === undefined) throw missing(`${at}.input`)
  const name = requiredText(block, 'name', at)

  return { id: requiredText(block, 'id', at), type: 'function', function: { name, arguments: JSON.stringify(input) } }
}

const ASKED = ['text', 'image', 'document', 'search_result', 'tool_result'] as const

/** Results come first, wherever they stood: they answer what was before. */
function askedOf(content: Json[], at: string): Message[] {
  const results: Message[] = []
  const parts: UserPart[] = []
  for (const [i, given] of content.entries()) {
    const where = `${at}[${i}]`
    const block = blockOf(given, where, ASKED)
    if (block.type === 'tool_result') results.push(resultOf(block, where))
    else parts.push(...partsOf(block, where))
  }
  if (parts.length === 0 && results.length > 0) return results

  return [...results, { role: 'user', content: parts.length === 0 ? '' : parts }]
}

function partsOf(block: JsonObject, at: string): UserPart[] {
  if (block.type === 'text') return [textOf(block, at)]
  if (block.type === 'image') return [imageOf(block, at)]
  if (block.type === 'search_result') return [foundOf(block, at)]
  return documentOf(block, at)
}

function imageOf(block: JsonObject, at: string): ImagePart {
  const source = sourceOf(block, at)
  const where = `${at}.source`
  const type = wordAt(source, 'type', ['base64', 'url', 'file'], where)
  if (type === 'file') throw notTranslated(`${where}.type`, 'Send the image itself, or its address.')
  const url =
    type === 'url'
      ? addressAt(source, 'url', where)
      : `data:${requiredText(source, 'media_type', where)};base64,${requiredText(source, 'data', where)}`

  return { type: 'image_url', image_url: { url }, ...markIn(block, at) }
}

function sourceOf(block: JsonObject, at: string): JsonObject {
  const source = objectAt(block, 'source', at)
  if (source === undefined) throw missing(`${at}.source`)
  if (source.type === undefined || source.type === null) throw missing(`${at}.source.type`)

  return source
}

const DOCUMENTS = ['base64', 'text', 'content', 'url', 'file'] as const

/** A text is told as such, under its title: every model reads texts, and few read files. */
function documentOf(block: JsonObject, at: string): UserPart[] {
  const source = sourceOf(block, at)
  const where = `${at}.source`
  const title = textAt(block, 'title', at)
  const context = textAt(block, 'context', at)
  const head = [title, context].filter(Boolean).map((line) => `${line}\n\n`)
  const mark = markIn(block, at)
  const file = (more: { file_data: string } | { file_id: string }): UserPart[] => [
    ...(context ? [{ type: 'text' as const, text: context }] : []),
    { type: 'file', file: { ...(title && { filename: title }), ...more }, ...mark },
  ]
  switch (wordAt(source, 'type', DOCUMENTS, where)) {
    case 'url':
      return file({ file_data: addressAt(source, 'url', where) })
    case 'file':
      return file({ file_id: requiredText(source, 'file_id', where) })
    case 'text':
      return [{ type: 'text', text: head.join('') + requiredText(source, 'data', where), ...mark }]
    case 'content': {
      const parts = contentOf(source.content, `${where}.content`)
      const titled: UserPart[] = head.length > 0 ? [{ type: 'text', text: head.join('') }] : []
      return [...titled, ...marked(parts, mark)]
    }
    default: {
      const type = requiredText(source, 'media_type', where)
      return file({ file_data: `data:${type};base64,${requiredText(source, 'data', where)}` })
    }
  }
}

/** The same, with the mark at the last of them: up to there it may be cached. */
function marked(parts: (TextPart | ImagePart)[], mark: CacheMark): (TextPart | ImagePart)[] {
  const last = parts.at(-1)
  return last && mark.cache_control ? [...parts.slice(0, -1), { ...last, ...mark }] : parts
}

function contentOf(content: Json | undefined, at: string): (TextPart | ImagePart)[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  if (!Array.isArray(content)) throw wrongType(at, 'one of a string or array of objects', content)
  return content.flatMap((given, i): (TextPart | ImagePart)[] => {
    const where = `${at}[${i}]`
    const block = blockOf(given, where, ['text', 'image', 'document', 'search_result'])
    if (block.type === 'text') return [textOf(block, where)]
    if (block.type === 'image') return [imageOf(block, where)]
    if (block.type === 'search_result') return [foundOf(block, where)]
    return documentOf(block, where).map((part) => {
      if (part.type === 'text' || part.type === 'image_url') return part
      throw notTranslated(`${where}.source.type`, 'Send the text of the document here.')
    })
  })
}

/** What was found somewhere, with where it was. */
function foundOf(block: JsonObject, at: string): TextPart {
  const content = arrayAt(block, 'content', at) ?? []
  const texts = content.map((inner, i) => {
    const where = `${at}.content[${i}]`
    return textOf(blockOf(inner, where, ['text']), where).text
  })
  const head = [requiredText(block, 'title', at), requiredText(block, 'source', at)]

  return { type: 'text', text: [...head, '', ...texts].join('\n'), ...markIn(block, at) }
}

function resultOf(block: JsonObject, at: string): Message {
  const { content } = block
  const mark = markIn(block, at)
  const isPlain = typeof content === 'string' && !mark.cache_control
  const told = isPlain ? content : marked(contentOf(content ?? '', `${at}.content`), mark)
  const isError = flagAt(block, 'is_error', at)
  const tool_call_id = requiredText(block, 'tool_use_id', at)

  return { role: 'tool', tool_call_id, content: told, ...(isError !== undefined && { is_error: isError }) }
}
