/** Reading the body of a call: JSON with bounds. Deep nesting is refused by the outline, which walks over it anyway. */

import type { JsonObject } from '../hub.ts'
import { refuse } from '../mouths/refuse.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function readJson(bytes: Buffer): JsonObject {
  let value: unknown
  try {
    // Most are pure and need no look for wrong bytes.
    value = JSON.parse(utf8.decode(bytes))
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse(`The body is not JSON: ${error.message}`)
    throw refuse('The body is not UTF-8.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('The body must be a JSON object.')
  if (bytes.includes('"__proto__"') && hasProto(value)) throw refuse('The body has a key named "__proto__".')
  return value as JsonObject
}

/** Only so deep: what is deeper is refused for that. */
function hasProto(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || depth > 64) return false
  if (Object.hasOwn(value, '__proto__')) return true
  return Object.values(value).some((inner) => hasProto(inner, depth + 1))
}
