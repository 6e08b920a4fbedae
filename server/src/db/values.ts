/** Values on their way in and out, the same for both adapters: PostgreSQL's text form becomes the wire form of the
 *  contract, and our parameters become PostgreSQL's text form. A number that JavaScript cannot hold exactly is a
 *  fault, never a rounded amount. */

import type { Sql } from './db.ts'
import { DatabaseFault } from './faults.ts'

const PARAMETERS_MAX = 65_535

export type Parse = (text: string) => unknown
export type Encoded = string | Buffer | null

const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  jsonb: 3802,
}

/** The array types we read as arrays: their element's parser by their own oid. */
const elements: [array_oid: number, element_oid: number][] = [
  [199, OID.json],
  [1000, OID.bool],
  [1001, OID.bytea],
  [1003, 19], // name
  [1005, OID.int2],
  [1007, OID.int4],
  [1009, 25], // text
  [1015, 1043], // varchar
  [1016, OID.int8],
  [1021, OID.float4],
  [1022, OID.float8],
  [1028, OID.oid],
  [1115, OID.timestamp],
  [1182, 1082], // date
  [1185, OID.timestamptz],
  [1231, OID.numeric],
  [2951, 2950], // uuid
  [3807, OID.jsonb],
]

const asText: Parse = (text) => text

const parsers = new Map<number, Parse>([
  [OID.bool, (text) => text === 't'],
  [OID.bytea, parseBytes],
  [OID.int2, Number],
  [OID.int4, Number],
  [OID.oid, Number],
  [OID.int8, parseExact],
  [OID.numeric, parseExact],
  [OID.float4, Number],
  [OID.float8, Number],
  [OID.json, (text) => JSON.parse(text)],
  [OID.jsonb, (text) => JSON.parse(text)],
  [OID.timestamp, parseTimestamp],
  [OID.timestamptz, parseTimestamp],
])
for (const [array_oid, element_oid] of elements) {
  const parse = parsers.get(element_oid) ?? asText
  parsers.set(array_oid, (text) => parseArray(text, parse))
}

/** How a column of this type is read. What is not in the table stays PostgreSQL's text. */
export const parserOf = (oid: number): Parse => parsers.get(oid) ?? asText

/** A parameter as PostgreSQL's text, or as bytes in the type's binary form when it is a buffer. */
export function encode(value: unknown): Encoded {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return null
  if (typeof value !== 'object') return String(value)
  if (Buffer.isBuffer(value)) return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return encodeArray(value)
  return JSON.stringify(value)
}

/** A statement's parameters, ready for the wire. Refuses what would break the protocol itself. */
export function encodeAll(statement: Sql): Encoded[] {
  refuseNul(statement.text)
  if (statement.values.length > PARAMETERS_MAX) {
    throw new DatabaseFault({ code: '54000', message: `A statement takes at most ${PARAMETERS_MAX} parameters.` })
  }
  return statement.values.map(encode)
}

/** The protocol ends a text at its first zero byte: what follows would be read as another field. */
export function refuseNul(text: string): void {
  if (!text.includes('\0')) return
  throw new DatabaseFault({ code: '22021', message: 'A statement must not contain the character NUL.' })
}

function encodeArray(values: unknown[]): string {
  const parts = values.map((value) => {
    if (Array.isArray(value)) return encodeArray(value)
    const encoded = encode(value)
    if (encoded === null) return 'NULL'
    const text = typeof encoded === 'string' ? encoded : `\\x${encoded.toString('hex')}`
    return `"${isPlain(text) ? text : text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  })
  return `{${parts.join(',')}}`
}

const isPlain = (text: string): boolean => !text.includes('\\') && !text.includes('"')

/** Texts as a parameter of the type `text[]`, in its binary form: of long ones nothing is quoted, and bytes of UTF-8 are
 *  copied as they are. Without the character NUL, which no text of a database has. */
export function texts(values: readonly (string | Buffer | null)[]): Buffer {
  const lengths = values.map((value) =>
    typeof value === 'string' ? Buffer.byteLength(value) : (value?.length ?? NO_TEXT),
  )
  const size = lengths.reduce((sum, length) => sum + 4 + Math.max(0, length), ARRAY_HEAD)
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const word of [1, 1, TEXT_OID, values.length, 1]) at = bytes.writeInt32BE(word, at)
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]
    at = bytes.writeInt32BE(lengths[i] ?? NO_TEXT, at)
    if (typeof value === 'string') at += bytes.write(value, at)
    else if (value) at += value.copy(bytes, at)
  }
  return bytes
}

/** How many dimensions, whether there are nulls, the type of the elements; of the one dimension its length and first index. */
const ARRAY_HEAD = 20
const TEXT_OID = 25
const NO_TEXT = -1

/** Sessions run in UTC, so PostgreSQL prints `2026-01-31 12:00:00.123456+00`. What has no four-digit year
 *  (`infinity`, years before Christ) stays as it is printed. */
function parseTimestamp(text: string): string {
  if (text.charCodeAt(4) !== 45 || text.charCodeAt(10) !== 32 || text.endsWith('BC')) return text
  const zone = text.indexOf('+', 19)
  const end = zone === -1 ? text.length : zone
  const fraction = text.slice(20, Math.min(23, end))
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction.padEnd(3, '0')}Z`
}

function parseExact(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw new RangeError(`${text} is too large to be read exactly as a number; cast it to text in the statement.`)
  }
  return number
}

function parseBytes(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex')
}

/** PostgreSQL's array literal: braces, commas, `NULL`, quotes with backslashes inside. */
function parseArray(text: string, parse: Parse): unknown[] {
  // Bounds other than 1 are printed in front: `[0:2]={…}`.
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0
  return list()

  function list(): unknown[] {
    const items: unknown[] = []
    at++
    while (text[at] !== '}') {
      if (text[at] === ',') at++
      if (text[at] === '{') items.push(list())
      else if (text[at] === '"') items.push(parse(quoted()))
      else items.push(bare())
    }
    at++
    return items
  }

  function bare(): unknown {
    const start = at
    while (text[at] !== ',' && text[at] !== '}') at++
    const item = text.slice(start, at)
    return item === 'NULL' ? null : parse(item)
  }

  function quoted(): string {
    let item = ''
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      item += text[at]
    }
    at++
    return item
  }
}
