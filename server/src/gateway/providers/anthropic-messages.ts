/** The conversation as Anthropic's Messages API reads it (https://platform.claude.com/docs/en/api/messages): the system's
 *  words apart, turns of user and assistant, a tool's results first in the turn that follows its calls, and thoughts
 *  handed back with their signatures as they came. */

import { parsedExactly } from '../exact.ts'
import type {
  CacheMark,
  FilePart,
  ImagePart,
  JsonObject,
  Message,
  Reasoning,
  TextPart,
  ToolCall,
  UserPart,
} from '../hub.ts'
import { untranslatable } from './faults.ts'
import { filled, mediaOf, objectOf } from './read.ts'

export type Turn = { role: 'user' | 'assistant'; content: JsonObject[] }
type Conversation = {
  system: JsonObject[]
  turns: Turn[]
  /** Files of Anthropic's own store are named in it. */
  hasFiles: boolean
}

export function conversationOf(messages: Message[]): Conversation {
  const system: JsonObject[] = []
  const turns: Turn[] = []
  const add = (role: Turn['role'], content: JsonObject[]) => {
    const last = turns.at(-1)
    if (content.length === 0) return
    if (last?.role === role) last.content.push(...content)
    else turns.push({ role, content })
  }
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`
    if (message.role === 'system' || message.role === 'developer') system.push(...textsOf(message.content))
    if (message.role === 'user') add('user', partsOf(message.content, at))
    if (message.role === 'assistant') add('assistant', spokenOf(message))
    if (message.role === 'tool') add('user', [resultOf(message, at)])
  }
  trimEnd(turns.at(-1))
  const hasFiles = turns.some(({ content }) => content.some((block) => objectOf(block.source).type === 'file'))
  return { system, turns, hasFiles }
}

/** An answer that is begun by the client may not end in white space. */
function trimEnd(last: Turn | undefined): void {
  const block = last?.role === 'assistant' ? last.content.at(-1) : undefined
  if (block && typeof block.text === 'string') block.text = block.text.trimEnd()
}

const markOf = ({ cache_control }: CacheMark): { cache_control?: JsonObject } =>
  cache_control ? { cache_control: { ...cache_control } } : {}

const textBlock = (text: string, mark: CacheMark = {}): JsonObject => ({ type: 'text', text, ...markOf(mark) })

/** Empty texts are refused there, and say nothing. */
function textsOf(content: string | TextPart[]): JsonObject[] {
  const parts: TextPart[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  return parts.filter(({ text }) => text !== '').map((part) => textBlock(part.text, part))
}

function partsOf(content: string | UserPart[], at: string): JsonObject[] {
  if (typeof content === 'string') return [textBlock(content)]
  const blocks = content.flatMap((part, i) =>
    part.type === 'text' && part.text === '' ? [] : [userBlockOf(part, `${at}.content[${i}]`)],
  )
  return blocks.length > 0 ? blocks : [textBlock('')]
}

function userBlockOf(part: UserPart, at: string): JsonObject {
  if (part.type === 'text') return textBlock(part.text, part)
  if (part.type === 'image_url') return imageOf(part, at)
  if (part.type === 'input_audio') throw untranslatable('Anthropic’s models hear no audio. Send its text.', at)
  return documentOf(part, at)
}

function imageOf(part: ImagePart, at: string): JsonObject {
  const { url } = part.image_url
  const media = mediaOf(url)
  if (media) {
    const source = { type: 'base64', media_type: media.type, data: media.data }
    return { type: 'image', source, ...markOf(part) }
  }
  if (!/^https?:/i.test(url)) {
    throw untranslatable('Give the image as an https: address or a data: URL in base64.', `${at}.image_url.url`)
  }
  return { type: 'image', source: { type: 'url', url }, ...markOf(part) }
}

function documentOf(part: Extract<UserPart, { type: 'file' }>, at: string): JsonObject {
  const { filename, file_data, file_id } = part.file
  const block = (source: JsonObject) =>
    filled({ type: 'document', source, title: filename, cache_control: markOf(part).cache_control })
  const address = file_data ?? file_id ?? ''
  if (/^https?:/i.test(address)) return block({ type: 'url', url: address })
  const media = file_data === undefined ? undefined : mediaOf(file_data)
  if (media?.type === 'application/pdf') return block({ type: 'base64', media_type: media.type, data: media.data })
  if (media?.type.startsWith('image/')) {
    return { type: 'image', source: { type: 'base64', media_type: media.type, data: media.data }, ...markOf(part) }
  }
  if (media && isText(media.type)) {
    const data = Buffer.from(media.data, 'base64').toString()
    return block({ type: 'text', media_type: 'text/plain', data })
  }
  if (file_id?.startsWith('file_')) return block({ type: 'file', file_id })
  throw untranslatable('Anthropic reads PDFs, images and texts, as a data: URL in file_data.', `${at}.file`)
}

/** Pictures have no title there. */
export const isDocument = ({ file_data = '' }: FilePart['file']): boolean =>
  mediaOf(file_data)?.type.startsWith('image/') !== true

const isText = (type: string) => type.startsWith('text/') || /^application\/(.+\+)?(json|xml|yaml)$/.test(type)

function spokenOf(message: Extract<Message, { role: 'assistant' }>): JsonObject[] {
  const { content, refusal, reasoning = [], tool_calls = [] } = message
  const texts =
    typeof content === 'string'
      ? textsOf(content)
      : (content ?? []).flatMap((part) => textsOf(part.type === 'text' ? [part] : part.refusal))
  return [
    ...reasoning.flatMap(thoughtOf),
    ...texts,
    ...(refusal ? [textBlock(refusal)] : []),
    ...tool_calls.map(callOf),
  ]
}

/** What another provider has signed begins with that one's name; what nobody has signed is refused. */
export function thoughtOf({ text, signature, data }: Reasoning): JsonObject[] {
  if (data !== undefined && isOwn(data)) return [{ type: 'redacted_thinking', data }]
  if (signature && isOwn(signature)) return [{ type: 'thinking', thinking: text, signature }]
  return []
}
const isOwn = (sealed: string) => !sealed.includes(':')

/** Ids are made by whoever answered before; Anthropic takes these characters only. */
const idOf = (id: string) => id.replace(/[^a-zA-Z0-9_-]/g, '_')

const callOf = ({ id, function: called }: ToolCall): JsonObject => ({
  type: 'tool_use',
  id: idOf(id),
  name: called.name,
  input: objectOf(parsedExactly(called.arguments)),
})

function resultOf(message: Extract<Message, { role: 'tool' }>, at: string): JsonObject {
  const { content, tool_call_id, is_error } = message
  const told =
    typeof content === 'string'
      ? content
      : content.flatMap((part, i) => {
          if (part.type === 'image_url') return [imageOf(part, `${at}.content[${i}]`)]
          return textsOf([part])
        })
  return filled({ type: 'tool_result', tool_use_id: idOf(tool_call_id), content: told, is_error })
}

/** Whether thoughts must be handed back, and are not: with a budget, Anthropic demands that the turn which still waits
 *  for its tools begins with them. */
export function lacksThoughts(turns: Turn[]): boolean {
  const last = turns.findLast(({ role }) => role === 'assistant')
  if (!last?.content.some(({ type }) => type === 'tool_use')) return false
  return last.content[0]?.type !== 'thinking' && last.content[0]?.type !== 'redacted_thinking'
}
