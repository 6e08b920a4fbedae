/** Reads single fields of a body and says what is wrong with them, naming the field as OpenAI does. A field that is
 *  null counts as missing, as in OpenAI's reference. The path is only put together where something is wrong: a body may
 *  have a hundred thousand messages. */

import { numberText } from '../exact.ts'
import type { Json, JsonObject, Seed } from '../hub.ts'
import { isIntegerWithin, kindOf, missing, notInteger, outOfRange, refuse, wrongType, wrongValue } from './refuse.ts'

/** `at` is the path of the object, such as `messages[0]`; empty at the top. */
export const pathOf = (at: string, name: string) => (at === '' ? name : `${at}.${name}`)

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function objectAt(body: JsonObject, name: string, at = ''): JsonObject | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw wrongType(pathOf(at, name), 'an object', value)

  return value
}

export function arrayAt(body: JsonObject, name: string, at = ''): Json[] | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw wrongType(pathOf(at, name), 'an array', value)

  return value
}

export function textAt(body: JsonObject, name: string, at = ''): string | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw wrongType(pathOf(at, name), 'a string', value)

  return value
}

export function requiredText(body: JsonObject, name: string, at = ''): string {
  const value = textAt(body, name, at)
  if (value === undefined) throw missing(pathOf(at, name))

  return value
}

export function flagAt(body: JsonObject, name: string, at = ''): boolean | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw wrongType(pathOf(at, name), 'a boolean', value)

  return value
}

export function integerAt(
  body: JsonObject,
  name: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
  at = '',
): number | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (!isIntegerWithin(value, least, most)) throw notInteger(pathOf(at, name), value, least, most)

  return value
}

const SEED_LEAST = -(2n ** 63n)
const SEED_MOST = 2n ** 64n - 1n

/** Any integer of 64 bits, with a sign or without one, and exactly as it is written. */
export function seedAt(body: JsonObject): Seed | undefined {
  const { seed } = body
  if (seed === undefined || seed === null) return undefined
  const text = numberText(seed)
  if (text === undefined || kindOf(seed) !== 'an integer') throw wrongType('seed', 'an integer', seed)
  // Of a number that is longer, so much of it is out of range, too.
  const exact = typeof seed === 'number' ? BigInt(seed) : BigInt(text.slice(0, 21))
  if (exact < SEED_LEAST) throw outOfRange('seed', 'integer', text, SEED_LEAST, true)
  if (exact > SEED_MOST) throw outOfRange('seed', 'integer', text, SEED_MOST, false)

  // A number, or what stands for one.
  return seed as Seed
}

export function decimalAt(body: JsonObject, name: string, least: number, most: number, at = ''): number | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  const number = numberText(value)
  if (number === undefined) throw wrongType(pathOf(at, name), 'a decimal', value)
  if (Number(number) < least) throw outOfRange(pathOf(at, name), 'decimal', number, least)
  if (Number(number) > most) throw outOfRange(pathOf(at, name), 'decimal', number, most)

  return Number(number)
}

export function wordAt<Word extends string>(
  body: JsonObject,
  name: string,
  words: readonly Word[],
  at = '',
): Word | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw wrongType(pathOf(at, name), 'a string', value)
  const word = words.find((each) => each === value)
  if (word === undefined) throw wrongValue(pathOf(at, name), value, words)

  return word
}

/** A string, or a list of them. */
export function textsAt(body: JsonObject, name: string, most: number): string[] | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) throw wrongType(name, 'one of a string or array of strings', value)
  if (value.length > most) throw tooLong(name, value.length, most)

  return value.map((item, i) => {
    if (typeof item !== 'string') throw wrongType(`${name}[${i}]`, 'a string', item)
    return item
  })
}

export function tooLong(param: string, length: number, most: number) {
  return refuse(
    `Invalid '${param}': array too long. Expected an array with maximum length ${most}, but got an array with length ` +
      `${length} instead.`,
    param,
    'array_above_max_length',
  )
}

export function emptyArray(param: string) {
  return refuse(
    `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    param,
    'empty_array',
  )
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,128}$/

export function toolNameAt(body: JsonObject, at: string): string {
  const name = requiredText(body, 'name', at)
  if (TOOL_NAME.test(name)) return name
  throw refuse(
    `Invalid '${at}.name': use 1 to 128 letters, digits, underscores and hyphens.`,
    `${at}.name`,
    'invalid_value',
  )
}

const METADATA_MAX = 16

export function metadataAt(body: JsonObject): Record<string, string> | undefined {
  const metadata = objectAt(body, 'metadata')
  if (metadata === undefined) return undefined
  const names = Object.keys(metadata)
  if (names.length > METADATA_MAX) {
    throw refuse(`Invalid 'metadata': at most ${METADATA_MAX} pairs.`, 'metadata', 'object_above_max_properties')
  }

  return Object.fromEntries(names.map((name) => [name, requiredText(metadata, name, 'metadata')]))
}

const URL_START = /^(https?:\/\/|data:)/i

export function addressAt(body: JsonObject, name: string, at: string): string {
  const url = requiredText(body, name, at)
  if (URL_START.test(url)) return url
  throw refuse(
    `Invalid '${pathOf(at, name)}': expected an address that begins with 'https://', or a 'data:' URL.`,
    pathOf(at, name),
    'invalid_url',
  )
}

/** What `known` does not name, without what is null; undefined where nothing is left. */
export function othersOf(body: JsonObject, known: ReadonlySet<string>): JsonObject | undefined {
  let others: JsonObject | undefined
  for (const name in body) {
    const value = body[name]
    if (known.has(name) || value === undefined || value === null) continue
    others ??= {}
    others[name] = value
  }

  return others
}

/** For a field that asks for something which only some provider of this very format can do. */
export function notTranslated(param: string, hint: string) {
  return refuse(
    `'${param}' is not available for this model, because its provider speaks another format. ${hint}`,
    param,
    'unsupported_parameter',
  )
}
