/** The conversation as Bedrock's Converse reads it
 *  (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html): turns that alternate, the
 *  results of tools in the user's turn, thoughts as they came, and a mark behind what may be cached. */

import { createHash } from 'node:crypto'
import { parsedExactly } from '../exact.ts'
import type { CacheMark, FilePart, JsonObject, Message, Reasoning, UserPart } from '../hub.ts'
import { caches, type Family, isMistral, tellsErrors } from './bedrock-models.ts'
import { untranslatable } from './faults.ts'
import { filled, mediaOf, objectOf } from './read.ts'

type Turn = { role: 'user' | 'assistant'; content: JsonObject[] }
type Conversation = {
  system: JsonObject[]
  turns: Turn[]
  /** Functions that were called in it, by their names. */
  called: Set<string>
}
type Reader = { model: string; family: Family; documents: number }

export function conversationOf(model: string, family: Family, messages: Message[]): Conversation {
  const reader: Reader = { model, family, documents: 0 }
  const system: JsonObject[] = []
  const turns: Turn[] = []
  const called = new Set<string>()
  const add = (role: Turn['role'], content: JsonObject[]) => {
    const last = turns.at(-1)
    if (content.length === 0) return
    if (last?.role === role) last.content.push(...content)
    else turns.push({ role, content })
  }
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`
    if (message.role === 'system' || message.role === 'developer') system.push(...textsOf(message.content, family))
    if (message.role === 'user') add('user', partsOf(message.content, reader, at))
    if (message.role === 'tool') add('user', [resultOf(message, reader, at), ...cachePointBehind(message, family)])
    if (message.role !== 'assistant') continue
    for (const call of message.tool_calls ?? []) called.add(call.function.name)
    add('assistant', spokenOf(message, reader))
  }
  trimEnd(turns.at(-1))

  return { system, turns, called }
}

/** An answer that is begun by the client may not end in white space. */
function trimEnd(last: Turn | undefined): void {
  const block = last?.role === 'assistant' ? last.content.at(-1) : undefined
  if (block && typeof block.text === 'string') block.text = block.text.trimEnd()
}

/** Anthropic's mark as Bedrock has it: a block of its own, behind what it marks. */
export function cachePointOf({ cache_control: mark }: CacheMark, family: Family): JsonObject[] {
  if (!mark || !caches(family)) return []
  return [{ cachePoint: filled({ type: 'default', ttl: mark.ttl }) }]
}

/** Within a result there is none. */
function cachePointBehind({ content }: Extract<Message, { role: 'tool' }>, family: Family): JsonObject[] {
  const marked = typeof content === 'string' ? undefined : content.findLast(({ cache_control }) => cache_control)
  return marked ? cachePointOf(marked, family) : []
}

/** Empty texts are refused there, and say nothing. */
function textsOf(content: string | ({ text: string } & CacheMark)[], family: Family): JsonObject[] {
  const parts = typeof content === 'string' ? [{ text: content }] : content
  return parts.filter(({ text }) => text !== '').flatMap((part) => [{ text: part.text }, ...cachePointOf(part, family)])
}

function partsOf(content: string | UserPart[], reader: Reader, at: string): JsonObject[] {
  if (typeof content === 'string') return [{ text: content }]
  const blocks = content.flatMap((part, i) => {
    if (part.type === 'text' && part.text === '') return []
    const mark = part.type === 'input_audio' ? [] : cachePointOf(part, reader.family)
    return [userBlockOf(part, reader, `${at}.content[${i}]`), ...mark]
  })
  return blocks.length > 0 ? blocks : [{ text: '' }]
}

function userBlockOf(part: UserPart, reader: Reader, at: string): JsonObject {
  if (part.type === 'text') return { text: part.text }
  if (part.type === 'image_url') return mediaBlockOf(part.image_url.url, undefined, reader, `${at}.image_url.url`)
  if (part.type === 'input_audio') {
    const { format, data } = part.input_audio
    return { audio: { format, source: { bytes: data } } }
  }
  const { file_data, filename } = part.file
  if (file_data === undefined) {
    throw untranslatable('Send the file itself, as a data: URL in file_data.', `${at}.file`)
  }
  return mediaBlockOf(file_data, filename, reader, `${at}.file.file_data`)
}

const images: Record<string, string> = {
  'image/jpeg': 'jpeg',
  'image/jpg': 'jpeg',
  'image/png': 'png',
  'image/gif': 'gif',
  'image/webp': 'webp',
}
const videos: Record<string, string> = {
  'video/x-matroska': 'mkv',
  'video/quicktime': 'mov',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'video/x-flv': 'flv',
  'video/mpeg': 'mpeg',
  'video/x-ms-wmv': 'wmv',
  'video/3gpp': 'three_gp',
}
const documents: Record<string, string> = {
  'application/pdf': 'pdf',
  'text/csv': 'csv',
  'application/msword': 'doc',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.ms-excel': 'xls',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'text/html': 'html',
  'text/plain': 'txt',
  'text/markdown': 'md',
}

/** Bedrock fetches no address: the bytes are in the call. */
function mediaBlockOf(url: string, filename: string | undefined, reader: Reader, at: string): JsonObject {
  const media = mediaOf(url)
  if (!media) throw untranslatable('Bedrock fetches no addresses. Send it as a data: URL in base64.', at)
  const source = { bytes: media.data }
  const [image, video, document] = [images[media.type], videos[media.type], documents[media.type]]
  if (image) return { image: { format: image, source } }
  if (video) return { video: { format: video, source } }
  if (document) return { document: { format: document, name: nameOf(filename, reader), source } }
  const known = [images, videos, documents].flatMap((kinds) => Object.keys(kinds))
  throw untranslatable(`Bedrock does not read ${media.type}, but ${known.join(', ')}.`, at)
}

/** Pictures and videos have no name there. */
export const isDocument = ({ file_data = '' }: FilePart['file']): boolean =>
  documents[mediaOf(file_data)?.type ?? ''] !== undefined

/** A document must have a name, of these characters. */
function nameOf(filename: string | undefined, reader: Reader): string {
  reader.documents += 1
  const plain = (filename ?? '')
    .replace(/\.[^.]*$/, '')
    .replace(/\s+/g, ' ')
    .replace(/[^a-zA-Z0-9 ()[\]-]/g, '')
    .slice(0, 200)
    .trim()
  return plain || `document-${reader.documents}`
}

function spokenOf(message: Extract<Message, { role: 'assistant' }>, { family, model }: Reader): JsonObject[] {
  const { content, refusal, reasoning = [], tool_calls = [] } = message
  const texts =
    typeof content === 'string'
      ? textsOf(content, family)
      : (content ?? []).flatMap((part) => textsOf(part.type === 'text' ? [part] : part.refusal, family))
  return [
    ...reasoning.flatMap((block) => thoughtOf(block, family)),
    ...texts,
    ...(refusal ? [{ text: refusal }] : []),
    ...tool_calls.map(
      ({ id, function: called }): JsonObject => ({
        toolUse: { toolUseId: idOf(id, model), name: called.name, input: objectOf(parsedExactly(called.arguments)) },
      }),
    ),
  ]
}

const OWN = 'bedrock:'
export const sealedHere = (content: string) => OWN + content

/** Anthropic's signatures are the same wherever its models are served; what is sealed by Bedrock begins with its name.
 *  Other models do not take their thoughts back. */
export function thoughtOf({ text, signature, data }: Reasoning, family: Family): JsonObject[] {
  if (data?.startsWith(OWN)) return [{ reasoningContent: { redactedContent: data.slice(OWN.length) } }]
  if (family !== 'claude' || !signature || signature.includes(':')) return []
  return [{ reasoningContent: { reasoningText: { text, signature } } }]
}

/** Ids are made by whoever answered before; one that is not taken as it is gets the same other one each time. */
function idOf(id: string, model: string): string {
  const digest = () => createHash('sha256').update(id).digest('hex')
  if (isMistral(model)) return /^[a-zA-Z0-9]{9}$/.test(id) ? id : digest().slice(0, 9)
  return /^[a-zA-Z0-9_-]{1,64}$/.test(id) ? id : `call_${digest().slice(0, 32)}`
}

function resultOf(message: Extract<Message, { role: 'tool' }>, reader: Reader, at: string): JsonObject {
  const { content, tool_call_id, is_error } = message
  const told =
    typeof content === 'string'
      ? [{ text: content }]
      : content.map((part, i) =>
          part.type === 'text'
            ? { text: part.text }
            : mediaBlockOf(part.image_url.url, undefined, reader, `${at}.content[${i}].image_url.url`),
        )
  const status = is_error && tellsErrors(reader.family) ? 'error' : undefined
  return { toolResult: filled({ toolUseId: idOf(tool_call_id, reader.model), content: told, status }) }
}
