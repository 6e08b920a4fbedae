/** Reading a request: each input is taken from its one place and parsed once. What is wrong is refused with every
 *  bad field named; nothing behind the edge checks a shape again. */

import type { FieldError } from '@flow/contract/common'
import { type Operation, placeOf } from '@flow/contract/operation'
import type { z } from 'zod'
import { badRequest, Failure, invalid, notFound } from '../failure.ts'
import { parseShape } from '../shape.ts'

export const BODY_BYTES_MAX = 1_048_576
const DEPTH_MAX = 64
const KEYS_MAX = 100_000

/** The parsed body of a request: an object, empty when there is no body. Its text is kept for idempotency. */
export type Body = { text: string; fields: Record<string, unknown> }

export async function readBody(request: Request, bytes_max = BODY_BYTES_MAX): Promise<Body> {
  if (request.headers.get('content-encoding')) {
    throw new Failure('UNSUPPORTED_MEDIA_TYPE', 'Send the body without a content encoding.')
  }
  const bytes = await readBytes(request, bytes_max)
  if (bytes.length === 0) return { text: '', fields: {} }

  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type !== 'application/json' && !type.endsWith('+json')) {
    throw new Failure('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json, with that Content-Type.')
  }
  const text = decode(bytes)
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('The body must be a JSON object.')
  }
  return { text, fields: value as Record<string, unknown> }
}

export async function readBytes(request: Request, bytes_max: number): Promise<Uint8Array> {
  const tooLarge = new Failure('PAYLOAD_TOO_LARGE', `The body may have at most ${bytes_max} bytes.`)
  const declared = request.headers.get('content-length')
  if (declared !== null && Number(declared) > bytes_max) throw tooLarge
  if (declared !== null) return new Uint8Array(await request.arrayBuffer())
  if (!request.body) return new Uint8Array()

  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > bytes_max) throw tooLarge
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw badRequest('The body is not UTF-8.')
  }
}

const tooBig = badRequest('The body has a number that is too large for a double, such as 1e400.')

/** JSON with bounds: deep nesting, endless keys and `__proto__` are refused before anything walks over them. */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw badRequest(`The body is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
  // PostgreSQL stores every character but this one. An escaped backslash before it makes it harmless text.
  if (/(?<!\\)(?:\\\\)*\\u0000/.test(text)) throw badRequest('The body has a NUL character (\\u0000); leave it out.')
  // JSON is printed well-formed: only half of a surrogate pair is still escaped then.
  const surrogate = /(?<!\\)(?:\\\\)*\\ud[89a-f]/i
  if (surrogate.test(text) && surrogate.test(JSON.stringify(value))) {
    throw badRequest('The body has half of a surrogate pair (such as \\ud800 alone); it is no character.')
  }
  let keys = 0
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEPTH_MAX) throw badRequest(`The body is nested deeper than ${DEPTH_MAX} levels.`)
    const below: unknown[] = []
    for (const each of level) {
      if (typeof each !== 'object' || each === null) continue
      if (Array.isArray(each)) {
        for (const item of each) {
          if (typeof item === 'object' && item !== null) below.push(item)
          if (item === Infinity || item === -Infinity) throw tooBig
        }
        continue
      }
      for (const [key, item] of Object.entries(each)) {
        keys += 1
        if (key === '__proto__') throw badRequest('The body has a key named "__proto__".')
        if (typeof item === 'object' && item !== null) below.push(item)
        if (item === Infinity || item === -Infinity) throw tooBig
      }
    }
    if (keys > KEYS_MAX) throw badRequest(`The body has more than ${KEYS_MAX} keys.`)
    level = below
  }
  return value
}

/** Takes every input from its place and parses them together. `schema` is the operation's input made strict. */
export function readInput(
  operation: Operation,
  schema: z.ZodType,
  request: { params: Record<string, string>; query: URLSearchParams; body: Record<string, unknown> },
): unknown {
  const stray: FieldError[] = []
  for (const field of Object.keys(request.body)) {
    if (placeOf(operation, field) !== 'body')
      stray.push({ field, message: `Send "${field}" in the path, not in the body.` })
  }
  const query = queryOf(request.query)
  for (const field of Object.keys(query)) {
    if (placeOf(operation, field) === 'query') continue
    stray.push({ field, message: `"${field}" is not a query parameter of this operation.` })
  }
  for (const [field, value] of Object.entries({ ...query, ...request.params })) {
    if (String(value).includes('\0')) stray.push({ field, message: 'It has a NUL character; leave it out.' })
  }

  const isStray = new Set(stray.map(({ field }) => field))
  const sent = Object.entries({ ...request.body, ...query }).filter(([field]) => !isStray.has(field))
  const parsed = parseShape(schema, { ...Object.fromEntries(sent), ...request.params })
  if (!parsed.faults && stray.length === 0) return parsed.value
  const faults = (parsed.faults ?? []).filter(({ field }) => !isStray.has(field))
  // A malformed id in the path names nothing that exists.
  const lost = Object.keys(request.params).find((name) => faults.some(({ field }) => field === name))
  if (lost !== undefined) throw notFound(lost.replace(/_id$/, '').replaceAll('_', ' '), request.params[lost] ?? '')
  throw invalid([...stray, ...faults])
}

export function queryOf(query: URLSearchParams): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {}
  for (const key of new Set(query.keys())) {
    const values = query.getAll(key)
    fields[key] = values.length > 1 ? values : (values[0] ?? '')
  }
  return fields
}
