/** Where text stands in requests and answers. Every string counts but those that are names, ids, addresses of files
 *  and encoded bytes; so a field that a provider has invented since is looked at, too. Inside the arguments of a tool call
 *  all counts: names of fields, and numbers. */

import { numberText, parsedExactly } from '../exact.ts'
import type { Json, JsonObject, MouthName } from '../hub.ts'
import { listOf, objectOf, objectsOf, textOf } from '../providers/read.ts'

/** From the top: a field, a place in a list, or an item of one by its place, or by its `index` where it has one. */
export type Step = string | number | { index: number; is_index: boolean; type: Json | undefined }
export type Visit = (text: string, path: readonly Step[]) => string
/** `is_plain`: all of it is content. `is_piece`: of a stream, in which arguments come in pieces that are no JSON.
 *  `is_free`: what a client or its user has made, in which words like `name` and `type` mean what they like. */
type Manner = { is_plain?: boolean; is_piece?: boolean; is_free?: boolean }

/** Strings that are no text: ids, and encoded bytes. */
const SEALED = new Set([
  ...['id', 'tool_call_id', 'tool_use_id', 'call_id', 'item_id', 'file_id', 'previous_response_id', 'container'],
  ...['signature', 'encrypted_content', 'encrypted_index', 'file_data', 'obfuscation', 'media_type', 'mime_type'],
  ...['b64_json', 'partial_image_b64'],
])
/** And those that are names, where a format says what they name. */
const NAMING = new Set([
  ...['type', 'role', 'model', 'name', 'status', 'object', 'phase', 'system_fingerprint', 'format', 'detail', 'ttl'],
  ...['scope', '$ref', '$schema', '$id', '$anchor', 'pattern', 'encoding_format', 'input_type', 'truncate', 'effort'],
  ...['finish_reason', 'stop_reason', 'service_tier', 'verbosity', 'display', 'reasoning_effort'],
])
/** Nothing in them is text. */
const PASSED = new Set(['logprobs', 'required', 'cache_control', 'tool_choice', 'logit_bias', 'modalities'])
/** Values by a schema's example, and documents, which have fields as their owner likes. */
const FREE = new Set(['examples', 'example', 'default', 'const', 'enum', 'documents'])
/** Of a schema: what stands in them has a name of its owner's. */
const NAMED = new Set<unknown>(['properties', 'patternProperties', '$defs', 'definitions'])
const UNREAD = new Set([
  'metadata',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'stop',
  'stop_sequences',
  'include',
])
const DEPTH_MAX = 200
/** It is nested more than so many levels deep. */
export class TooDeep extends Error {}

/** The same, with what `visit` gives in the place of each text; the very same where nothing changes. */
export function mapTexts(value: Json, visit: Visit, manner: Manner = {}, path: readonly Step[] = []): Json {
  if (typeof value === 'string') return visit(value, path)
  const number = numberText(value)
  if (number !== undefined) return manner.is_plain ? mapNumber(value, number, visit, path) : value
  if (typeof value !== 'object' || value === null) return value
  if (path.length > DEPTH_MAX) throw new TooDeep()
  return Array.isArray(value) ? mapList(value, visit, manner, path) : mapObject(value, visit, manner, path)
}

function mapNumber(value: Json, text: string, visit: Visit, path: readonly Step[]): Json {
  const told = visit(text, path)
  return told === text ? value : told
}

function mapList(list: Json[], visit: Visit, manner: Manner, path: readonly Step[]): Json[] {
  let isSame = true
  const told = list.map((item, place) => {
    const { index, type } = objectOf(item)
    const is_index = typeof index === 'number'
    const isItem = is_index || type !== undefined
    const step = isItem ? { index: is_index ? index : place, is_index, type } : place
    const mapped = mapTexts(item, visit, manner, [...path, step])
    isSame &&= mapped === item
    return mapped
  })
  return isSame ? list : told
}

function mapObject(object: JsonObject, visit: Visit, manner: Manner, path: readonly Step[]): JsonObject {
  let told: JsonObject | undefined
  let counts: Map<string, number> | undefined
  for (const [name, value] of Object.entries(object)) {
    const mapped = mapField(object, name, value, visit, manner, path)
    const renamed = manner.is_plain ? visit(name, path) : name
    if (mapped === value && renamed === name) continue
    told ??= { ...object }
    if (renamed !== name) delete told[name]
    counts ??= new Map()
    told[renamed === name ? name : unused(renamed, told, counts)] = mapped
  }
  return told ?? object
}

/** Two names that are redacted alike stay two. */
function unused(name: string, told: JsonObject, counts: Map<string, number>): string {
  let count = counts.get(name) ?? 1
  const free = () => (count === 1 ? name : `${name} ${count}`)
  while (Object.hasOwn(told, free())) count += 1
  counts.set(name, count)
  return free()
}

function mapField(
  of: JsonObject,
  name: string,
  value: Json,
  visit: Visit,
  manner: Manner,
  path: readonly Step[],
): Json {
  const at = [...path, name]
  if (manner.is_plain) return mapTexts(value, visit, manner, at)
  if (!manner.is_free && (PASSED.has(name) || (name === 'type' && Array.isArray(value)))) return value
  if (typeof value !== 'string') return mapTexts(value, visit, mannerIn(of, name, manner, path.at(-1)), at)
  if (SEALED.has(name) || (!manner.is_free && NAMING.has(name)) || isEncoded(of, name, value, path)) return value
  if (/url$/.test(name) && value.startsWith('data:')) return value
  if (isOfFile(name, path.at(-1)) && /^https?:\/\/\S+$/i.test(value)) return value
  return name === 'arguments' && !manner.is_piece ? mapArguments(value, visit, at) : visit(value, at)
}

function mannerIn(of: JsonObject, name: string, manner: Manner, above: Step | undefined): Manner {
  if (name === 'input' && String(of.type).endsWith('tool_use')) return { is_plain: true }
  return FREE.has(name) && !NAMED.has(above) ? { ...manner, is_free: true } : manner
}

const BYTES = /^(data:[^,]*,)?[\w+/=\s-]*$/

/** Encoded bytes, where something beside or above says so, and what a model has sealed. */
function isEncoded(of: JsonObject, name: string, value: string, path: readonly Step[]): boolean {
  const type = textOf(of.type) ?? ''
  if (name === 'result') return type === 'image_generation_call'
  if (name !== 'data' || type === 'text') return false
  if (/redacted|encrypted/.test(type)) return true
  const above = path.findLast((step) => typeof step === 'string') ?? ''
  const isSaid = 'media_type' in of || 'mime_type' in of || 'mimeType' in of
  return (isSaid || /base64|image|audio|video|file/i.test(`${type} ${above}`)) && BYTES.test(value)
}

/** Whether an address there is one of an image or a file: changed, it would lead elsewhere. */
const isOfFile = (name: string, above: Step | undefined): boolean =>
  name.endsWith('_url') || (name === 'url' && typeof above === 'string' && /^source$|_url$/.test(above))

/** Arguments are JSON as text: looked at as what they mean, since the same letter can be written in many ways. */
export function mapArguments(text: string, visit: Visit, path: readonly Step[] = []): string {
  const value = parsedExactly(text)
  if (typeof value !== 'string' && (typeof value !== 'object' || value === null)) return visit(text, path)
  const told = mapTexts(value, visit, { is_plain: true }, path)
  return told === value ? text : JSON.stringify(told)
}

/** Of a client's request. */
export function mapRequest(body: JsonObject, visit: Visit): JsonObject {
  let told: JsonObject | undefined
  for (const [name, value] of Object.entries(body)) {
    if (UNREAD.has(name)) continue
    const mapped = mapField(body, name, value, visit, {}, [])
    if (mapped === value) continue
    told ??= { ...body }
    told[name] = mapped
  }
  return told ?? body
}

/** Whether a part of the prompt is token ids, which say nothing here. */
export const hasTokenIds = ({ prompt, input }: JsonObject): boolean =>
  [prompt, input].some((given) =>
    listOf(given).some((one) => typeof one === 'number' || typeof listOf(one)[0] === 'number'),
  )

/** The mouths whose answers are texts. */
export const telling: ReadonlySet<MouthName> = new Set(['chat', 'completions', 'messages', 'responses'])

/** Of a whole answer. Likelihoods of what is no longer there are left out. */
export function mapAnswer(mouth: MouthName, body: JsonObject, visit: Visit): JsonObject {
  const changed: JsonObject = {}
  let isSame = true
  for (const [name, value] of Object.entries(body)) {
    if (!isOfAnswer(mouth, name)) continue
    const mapped = mapField(body, name, value, visit, {}, [])
    changed[name] = mapped
    isSame &&= mapped === value
  }
  if (isSame) return body
  return { ...body, ...(mouth === 'messages' ? changed : objectOf(withoutLikelihoods(changed))) }
}

/** What stands beside the answer and has none of it. */
const BESIDE = new Set(['usage', 'provider', 'metadata', 'stop_sequence', 'timings', 'x_groq', 'prompt_filter_results'])

/** A response repeats what was asked; the others tell by fields of their own what was searched for, and found. */
const isOfAnswer = (mouth: MouthName, name: string): boolean =>
  mouth === 'responses' ? name === 'output' || name === 'output_text' : !BESIDE.has(name)

/** They, and the numbers of tokens, say what a text was. */
const LIKELIHOODS = new Set(['logprobs', 'token_ids'])

export function withoutLikelihoods(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutLikelihoods)
  if (typeof value !== 'object' || value === null || numberText(value) !== undefined) return value
  const none = (inner: Json) => (Array.isArray(inner) ? [] : null)
  const told = Object.entries(value).map(([name, inner]): [string, Json] => [
    name,
    LIKELIHOODS.has(name) ? none(inner) : withoutLikelihoods(inner),
  ])
  return Object.fromEntries(told)
}

/** The texts that are to be of a form: what the user said last, or what is to be completed, embedded or ranked by. */
export function mainOfRequest(mouth: MouthName, body: JsonObject): string[] {
  const asked = mouth === 'rerank' ? body.query : mouth === 'completions' ? body.prompt : body.input
  if (mouth === 'rerank' || mouth === 'completions' || mouth === 'embeddings' || typeof asked === 'string') {
    return typeof asked === 'string' ? [asked] : listOf(asked).flatMap((one) => textOf(one) ?? [])
  }
  const last = objectsOf(mouth === 'responses' ? asked : body.messages).findLast(({ role }) => role === 'user')
  return last ? [saidIn(last.content)] : []
}

export function mainOfAnswer(mouth: MouthName, body: JsonObject): string[] {
  if (mouth === 'chat' || mouth === 'completions') {
    return objectsOf(body.choices).flatMap((choice) => {
      const content = mouth === 'chat' ? objectOf(choice.message).content : choice.text
      return content === null || content === undefined ? [] : [saidIn(content)]
    })
  }
  const parts =
    mouth === 'messages' ? listOf(body.content) : objectsOf(body.output).flatMap((item) => listOf(item.content))
  const isSaid = ({ type }: JsonObject) => type === 'text' || type === 'output_text'
  const said = parts.map(objectOf).filter(isSaid)
  return said.length > 0 ? [said.map(({ text }) => textOf(text) ?? '').join('')] : []
}

/** The text of a message, in one piece or in parts. */
const saidIn = (content: Json | undefined): string =>
  textOf(content) ??
  objectsOf(content)
    .map(({ text }) => textOf(text) ?? '')
    .join('')
