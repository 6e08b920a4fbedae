/** The parts of a message that OpenAI's formats have in common: images, files, sounds, and marks of what is to be cached. */

import type { CacheMark, ImagePart, JsonObject, UserPart } from '../hub.ts'
import { addressAt, objectAt, requiredText, textAt, wordAt } from './checks.ts'
import { missing, wrongValue } from './refuse.ts'

export function typeAmong<Word extends string>(part: JsonObject, words: readonly Word[], at: string): Word {
  const { type } = part
  if (type === undefined || type === null) throw missing(`${at}.type`)
  const word = words.find((each) => each === type)
  if (word === undefined) throw wrongValue(`${at}.type`, type, words)

  return word
}

/** An image whose address stands in `field`, with how closely it is to be looked at. */
export function imagePartOf(image: JsonObject, field: string, at: string, mark: CacheMark): ImagePart {
  const url = addressAt(image, field, at)
  const detail = wordAt(image, 'detail', ['auto', 'low', 'high', 'original'], at)

  return {
    type: 'image_url',
    image_url: { url, ...(detail && { detail: detail === 'original' ? ('high' as const) : detail }) },
    ...mark,
  }
}

export function filePartOf(file: JsonObject, file_data: string | undefined, at: string, mark: CacheMark): UserPart {
  const filename = textAt(file, 'filename', at)
  const file_id = textAt(file, 'file_id', at)
  if (file_data === undefined && file_id === undefined) throw missing(`${at}.file_data`)

  return {
    type: 'file',
    file: { ...(filename && { filename }), ...(file_data && { file_data }), ...(file_id && { file_id }) },
    ...mark,
  }
}

export function audioPartOf(part: JsonObject, at: string): UserPart {
  const audio = objectAt(part, 'input_audio', at)
  if (audio === undefined) throw missing(`${at}.input_audio`)
  const inner = `${at}.input_audio`

  return {
    type: 'input_audio',
    input_audio: { data: requiredText(audio, 'data', inner), format: requiredText(audio, 'format', inner) },
  }
}

const NO_MARK: CacheMark = {}

/** OpenAI's `prompt_cache_breakpoint` and Anthropic's `cache_control`, which clients send in this format, too. */
export function markOf(given: JsonObject, at: string): CacheMark {
  if (objectAt(given, 'prompt_cache_breakpoint', at) !== undefined) return { cache_control: { type: 'ephemeral' } }
  const mark = objectAt(given, 'cache_control', at)
  if (mark === undefined) return NO_MARK
  const ttl = textAt(mark, 'ttl', `${at}.cache_control`)

  return { cache_control: { type: 'ephemeral', ...(ttl && { ttl }) } }
}
