/** What must be known of a request before anything is decided: which model, whether it streams, and how much it can
 *  cost. Made from the parsed body in one walk, for every mouth, also where the bytes are passed on unread.
 *
 *  `input_tokens_max` is a bound, not a guess: no tokenizer makes more tokens of a text than it has bytes. Images cost
 *  by their size in pixels, which is not known here, so each counts as the most that a provider takes for one. */

import type { Json, JsonObject, MouthName } from '../hub.ts'
import { flagAt, isObject } from './checks.ts'
import { isIntegerWithin, missing, notInteger, refuse, wrongType } from './refuse.ts'
import { notStored } from './responses-input.ts'

export type Outline = {
  model: string
  stream: boolean
  /** How many answers are written: choices, for each prompt. */
  n: number
  /** Of one answer; null: as many as the model likes. */
  output_tokens_max: number | null
  input_tokens_max: number
  /** What the model reads, in UTF-8, without images and files: a quarter of it is about the number of tokens. */
  text_bytes: number
}

/** How long one answer may be where all of them together may be so long. */
export const mostOfEach = ({ n }: Pick<Outline, 'n'>, output_tokens_max: number): number =>
  Math.max(1, Math.floor(output_tokens_max / n))

/** Of a document's depth: deeper ones are refused, since nobody writes them and every reader would recurse. */
export const DEPTH_MAX = 64
export const CHOICES_MAX = 128

/** For an object there is a frame around the text: a role, a name, separators. */
const FRAME_TOKENS = 8
/** What providers say to the model besides, once, and once more when there are tools. */
const PREAMBLE_TOKENS = 64
const TOOLS_TOKENS = 1_024
/** 10,000 patches is the most of OpenAI's; Anthropic takes up to 4,784 and Gemini up to 4,128. */
const IMAGE_TOKENS = 12_000
/** `gpt-4o-mini` counts 2,833 and 5,667 for each of up to 8 tiles. */
const IMAGE_TOKENS_4O_MINI = 48_200
/** A file costs its text, and an image for each page. */
const FILE_TOKENS = 20_000
/** Of a conversation that the provider has kept: what the largest models read. */
const FOREIGN_TURNS_TOKENS = 1_000_000
/** Of a file that is not in the request: a context window. */
const FOREIGN_FILE_TOKENS = 200_000

const UNREAD = new Set(['model', 'metadata', 'user', 'safety_identifier', 'prompt_cache_key', 'stop', 'include'])
const PLAIN = new Set(['tools', 'functions', 'response_format', 'text', 'output_config', 'output_format'])
const IMAGES = new Set(['image_url', 'image', 'input_image', 'computer_screenshot'])
const FILES = new Set(['file', 'input_file', 'document', 'container_upload'])

/** Throws a `Refusal` where the body is no object or lacks a model, or where one of these few fields is of a wrong
 *  type. Everything else is for the mouth that reads it, or for the provider. */
export function outlineOf(mouth: MouthName, body: Json): Outline {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw refuse('The body must be a JSON object.')
  }
  const { model, stream } = body
  if (model === undefined || model === null || model === '') throw missing('model')
  if (typeof model !== 'string') throw wrongType('model', 'a string', model)
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw wrongType('stream', 'a boolean', stream)
  }

  // It would go on at the provider with nobody to read it, to end it or to count it.
  if (mouth === 'responses' && flagAt(body, 'background') === true)
    throw notStored('background', "Leave 'background' out, and read the stream.")
  const sizes: Sizes = { bytes: 0, tokens: PREAMBLE_TOKENS, image: imageTokensOf(model) }
  for (const name in body) {
    const value = body[name]
    if (typeof value === 'number' || typeof value === 'boolean') continue
    // What is not counted is bounded in its depth all the same.
    if (UNREAD.has(name)) measure(value, false, 1, { ...sizes })
    else measure(value, PLAIN.has(name), 1, sizes)
  }
  if (body.tools || body.functions) sizes.tokens += TOOLS_TOKENS
  if (goesOn(body)) sizes.tokens += FOREIGN_TURNS_TOKENS

  return {
    model,
    stream: stream === true,
    n: answersOf(mouth, body),
    output_tokens_max: outputMaxOf(mouth, body),
    input_tokens_max: sizes.tokens + sizes.bytes,
    text_bytes: sizes.bytes,
  }
}

/** Whether what is read is not all in the request: Anthropic's threads, OpenAI's responses, conversations and prompts. */
const goesOn = ({ thread, previous_response_id, conversation, prompt }: JsonObject): boolean =>
  Boolean(previous_response_id ?? conversation) || isObject(prompt) || (isObject(thread) && thread.type !== 'create')

const imageTokensOf = (model: string) => (model.includes('4o-mini') ? IMAGE_TOKENS_4O_MINI : IMAGE_TOKENS)

function outputMaxOf(mouth: MouthName, body: JsonObject): number | null {
  switch (mouth) {
    case 'chat':
      return greater(tokensAt(body, 'max_completion_tokens'), tokensAt(body, 'max_tokens'))
    case 'completions':
      // OpenAI's default for this format.
      return countAt(body, 'max_tokens', Number.MAX_SAFE_INTEGER, 0) ?? 16
    case 'responses':
      return tokensAt(body, 'max_output_tokens')
    case 'messages':
      // None: only the cache is filled.
      return countAt(body, 'max_tokens', Number.MAX_SAFE_INTEGER, 0)
    default:
      return 0
  }
}

/** Where both are said, hosts differ in which of them counts. */
const greater = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.max(a, b)

function answersOf(mouth: MouthName, body: JsonObject): number {
  if (mouth !== 'chat' && mouth !== 'completions') return 1
  const n = countAt(body, 'n', CHOICES_MAX) ?? 1
  if (mouth === 'chat') return n
  const { prompt } = body
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(1, prompt.length) : 1

  return prompts * Math.max(n, countAt(body, 'best_of', CHOICES_MAX) ?? 1)
}

const tokensAt = (body: JsonObject, name: string) => countAt(body, name, Number.MAX_SAFE_INTEGER)

function countAt(body: JsonObject, name: string, most: number, least = 1): number | null {
  const value = body[name]
  if (value === undefined || value === null) return null
  if (!isIntegerWithin(value, least, most)) throw notInteger(name, value, least, most)

  return value
}

type Sizes = { bytes: number; tokens: number; readonly image: number }

/** `is_plain`: JSON that the model reads as it stands, such as a tool's schema or a call's input. In it nothing is an
 *  image, whatever it calls itself, and names count. */
function measure(value: Json | undefined, is_plain: boolean, depth: number, sizes: Sizes): void {
  if (typeof value === 'string') {
    sizes.bytes += Buffer.byteLength(value)
    return
  }
  if (typeof value === 'number') {
    // Elsewhere than in plain JSON it is a token's id.
    sizes.bytes += is_plain ? String(value).length : 4
    return
  }
  if (typeof value !== 'object' || value === null) {
    sizes.bytes += is_plain ? 5 : 0
    return
  }
  if (depth > DEPTH_MAX) throw refuse(`The body is nested more than ${DEPTH_MAX} levels deep.`)
  if (Array.isArray(value)) {
    for (const item of value) measure(item, is_plain, depth + 1, sizes)
    return
  }

  sizes.tokens += FRAME_TOKENS
  const { type } = value
  if (!is_plain && typeof type === 'string') {
    const tokens = attachmentTokensOf(type, value, sizes)
    if (tokens > 0) {
      measureAttachment(value, tokens, depth, sizes)
      return
    }
  }
  const isInput = type === 'tool_use' || type === 'server_tool_use'
  for (const name in value) {
    if (is_plain) sizes.bytes += Buffer.byteLength(name) + 4
    measure(value[name], is_plain || (isInput && name === 'input'), depth + 1, sizes)
  }
}

function attachmentTokensOf(type: string, part: JsonObject, sizes: Sizes): number {
  if (IMAGES.has(type)) return sizes.image
  if (!FILES.has(type)) return 0

  return isWithin(part) ? FILE_TOKENS : FOREIGN_FILE_TOKENS
}

/** Addresses and encoded bytes are not read as text, all else is. Of a file the bytes count, for it may be text. */
function measureAttachment(part: JsonObject, tokens: number, depth: number, sizes: Sizes): void {
  sizes.tokens += tokens
  const isImage = IMAGES.has(String(part.type))
  for (const name in part) {
    const inner = part[name]
    if (isImage && (name === 'image_url' || name === 'source') && isAddressOrBytes(inner)) continue
    measure(inner, false, depth + 1, sizes)
  }
}

function isAddressOrBytes(value: Json | undefined): boolean {
  if (typeof value === 'string') return true
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false

  return Object.values(value).every((inner) => typeof inner !== 'object')
}

function isWithin(part: JsonObject): boolean {
  const inner = part.source ?? part.file ?? part
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return false

  return inner.file_data !== undefined || inner.data !== undefined || inner.content !== undefined
}
