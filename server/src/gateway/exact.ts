/** JSON whose numbers stay as they are written: an id of 64 bits is more than a double holds, and a tool that is called
 *  with another one acts on another thing. Such a number is kept as its text (`JSON.rawJSON`), which is written again as
 *  it came. To whoever looks it is an object without a meaning; it must not be copied field by field. */

import type { Json } from './hub.ts'

/** There may be a number that a double does not hold; mostly there is none, and nothing is looked at twice. */
const MAYBE = /\d{16}|\d[eE]\+?\d{3}/

/** Throws a `SyntaxError`. */
export const parseExactly = (text: string): Json =>
  MAYBE.test(text)
    ? parse(text, (key, value, { source }) => (isExact(key, value) ? value : rawJSON(source)))
    : parse(text)

/** The same, or undefined where it is no JSON. */
export function parsedExactly(text: string): Json | undefined {
  try {
    return parseExactly(text)
  } catch {
    return undefined
  }
}

const isExact = (key: string, value: unknown): boolean =>
  typeof value !== 'number' || key === '' || Math.abs(value) <= Number.MAX_SAFE_INTEGER

/** A number as it is written; undefined for everything else. */
export function numberText(value: Json): string | undefined {
  if (typeof value === 'number') return String(value)
  return isRawJSON(value) ? stringify(value) : undefined
}

/** ECMAScript 2026, which the compiler's library does not know yet. */
type Reviver = (key: string, value: unknown, context: { source: string }) => unknown
type Parser = {
  parse(text: string, reviver?: Reviver): Json
  rawJSON(text: string): object
  isRawJSON(value: unknown): boolean
  stringify(value: Json): string
}
const { parse, rawJSON, isRawJSON, stringify } = JSON as unknown as Parser
