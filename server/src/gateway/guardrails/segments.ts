/** Cuts a text that comes piece by piece where no personal data can go on: behind each character that stands in none of
 *  it, and behind a space, unless numbers stand on both sides of it. Where is decided by the text alone and never by the
 *  pieces that it comes in; so in pieces the same is found as in the whole. No segment has more than SPAN_MAX characters. */

import { SPAN_MAX } from '../../expressions/expressions.ts'

const ALPHANUMERIC = 1
const MARK = 2
const SPACE = 3
const OTHER = 0

const classes = new Uint8Array(0x250).fill(OTHER)
for (let code = 0; code < classes.length; code += 1) {
  const character = String.fromCharCode(code)
  if (/[\p{L}\d]/u.test(character)) classes[code] = ALPHANUMERIC
  if ('@._%+-:()/'.includes(character)) classes[code] = MARK
  if (character === ' ') classes[code] = SPACE
}
const classOf = (code: number) => classes[code] ?? OTHER

export class Segments {
  #held = ''
  /** Looked at so far. */
  #at = 0
  /** Of the word that goes on: whether it may be a part of a number in groups, and whether it has a digit. */
  #mayGroup = true
  #hasDigit = false
  /** A number stands before it, in the same segment. */
  #isAfterNumber = false

  /** The segments that are complete. */
  push(text: string): string[] {
    this.#held += text
    const segments: string[] = []
    let start = 0
    for (; this.#at < this.#held.length; this.#at += 1) {
      const isEnd = this.#ends(this.#held.charCodeAt(this.#at)) || this.#at + 1 - start >= SPAN_MAX
      if (!isEnd) continue
      segments.push(this.#held.slice(start, this.#at + 1))
      start = this.#at + 1
      this.#begin(false)
    }
    if (start > 0) {
      this.#held = this.#held.slice(start)
      this.#at -= start
    }
    return segments
  }

  /** What is left. */
  end(): string {
    const rest = this.#held
    this.#held = ''
    this.#at = 0
    this.#begin(false)
    return rest
  }

  #begin(isAfterNumber: boolean) {
    this.#mayGroup = true
    this.#hasDigit = false
    this.#isAfterNumber = isAfterNumber
  }

  #ends(code: number): boolean {
    const kind = classOf(code)
    if (kind === OTHER) return true
    if (kind !== SPACE) {
      if (code >= 48 && code <= 57) this.#hasDigit = true
      // Of groups: digits, capital letters (of an IBAN), and what phone numbers have between them.
      const isGrouped = (code >= 40 && code <= 57) || (code >= 65 && code <= 90)
      if (!isGrouped) this.#mayGroup = false
      return false
    }
    const goesOn = this.#mayGroup && (this.#hasDigit || this.#isAfterNumber)
    if (!goesOn) return true
    this.#begin(true)
    return false
  }
}
