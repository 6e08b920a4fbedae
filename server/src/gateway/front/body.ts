/** Reading the body of a call: JSON with bounds. Deep nesting is refused by the outline, which walks over it anyway. */

import { isUtf8 } from 'node:buffer'
import { parseExactly } from '../exact.ts'
import type { JsonObject } from '../hub.ts'
import { refuse } from '../mouths/refuse.ts'

const BYTE_ORDER_MARK = '\ufeff'

export function readJson(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) throw refuse('The body is not UTF-8.')
  const text = bytes.toString()
  let value: unknown
  try {
    value = parseExactly(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text)
  } catch (error) {
    throw refuse(`The body is not JSON: ${(error as SyntaxError).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('The body must be a JSON object.')
  if (mayHaveProto(text) && hasProto(value)) throw refuse('The body has a key named "__proto__".')
  return value as JsonObject
}

/** It may be written with escapes. */
const mayHaveProto = (text: string) => text.includes('"__proto__"') || text.includes('\\u00')

/** Only so deep: what is deeper is refused for that. */
function hasProto(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || depth > 64) return false
  if (Object.hasOwn(value, '__proto__')) return true
  return Object.values(value).some((inner) => hasProto(inner, depth + 1))
}
