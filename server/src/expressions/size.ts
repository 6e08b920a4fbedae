/** How long a value's JSON is, counted before there is any: what is too large is found out while it is put together,
 *  and no further than it is allowed to go. A value that stands in several places counts in each. */

import { TooLarge } from './fault.ts'

/** Room for so many characters of JSON. Throws a `TooLarge` when more is put in. */
export class Room {
  readonly #max: number
  #left: number

  constructor(max: number) {
    this.#max = max
    this.#left = max
  }

  take(characters: number): void {
    this.#left -= characters
    if (this.#left < 0) throw new TooLarge(`It comes to more than ${this.#max} characters of JSON.`)
  }

  /** Takes what `JSON.stringify` would give. */
  takeJson(value: unknown): void {
    if (typeof value !== 'object' || value === null) {
      this.take(scalarLength(value, this.#left))
      return
    }
    if (Array.isArray(value)) {
      this.takePunctuation(value.length)
      for (const item of value) this.takeJson(item)
      return
    }
    const keys = Object.keys(value)
    this.takePunctuation(keys.length)
    for (const key of keys) {
      this.takeKey(key)
      this.takeJson((value as Record<string, unknown>)[key])
    }
  }

  /** The brackets of a list or an object with so many entries, and the commas between them. */
  takePunctuation(entries: number): void {
    this.take(1 + Math.max(1, entries))
  }

  takeKey(key: string): void {
    this.take(quotedLength(key, this.#left) + 1)
  }
}

function scalarLength(value: unknown, left: number): number {
  if (typeof value === 'string') return quotedLength(value, left)
  return typeof value === 'number' ? String(value).length : value === false ? 5 : 4
}

/** What JSON writes longer than it is; of surrogates it does so with lone ones. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes them.
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/

/** A text that has no room as it is is not looked at. */
function quotedLength(text: string, left: number): number {
  const least = text.length + 2
  return least > left || !ESCAPED.test(text) ? least : JSON.stringify(text).length
}

/** The JSON of a value, made only if it has at most `max` characters. Throws a `TooLarge`. */
export function jsonText(value: unknown, max: number): string {
  new Room(max).takeJson(value)
  return JSON.stringify(value)
}
