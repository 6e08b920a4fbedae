/** Personal data in a text that comes piece by piece. The text is cut where none can go on: behind each character that
 *  stands in none of it, and behind a space, unless numbers stand on both sides of it. Where that is for too long nowhere,
 *  what begins well before the bound is told, and the rest waits for more. All of this is decided by the text alone and
 *  never by the pieces that it comes in; so in pieces the same is found as in the whole. No more than SPAN_MAX characters
 *  are held back. */

import type { PiiKind } from '@flow/contract/gateway-routes'
import { SPAN_MAX } from '../../expressions/expressions.ts'
import { piiIn } from './pii.ts'

/** A piece of the text, in order; `kind` is null where it stands between what was found. */
export type PiiSpan = { text: string; kind: PiiKind | null }

/** The longest address of mail, and more than every number; a key that reaches to the bound waits, too. */
const WAITING = 640
/** As far as the patterns look at what stands around. */
const AROUND = 2

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

export class PiiReader {
  readonly #kinds: ReadonlySet<PiiKind>
  #held = ''
  /** Looked at so far. */
  #at = 0
  /** What stands before `held`, where that goes on. */
  #before = ''
  /** Of the word that goes on: whether it may be a part of a number in groups, and whether it has a digit. */
  #mayGroup = true
  #hasDigit = false
  /** A number stands before it, in the same segment. */
  #isAfterNumber = false

  constructor(kinds: ReadonlySet<PiiKind>) {
    this.#kinds = kinds
  }

  /** What is decided. */
  push(text: string): PiiSpan[] {
    this.#held += text
    const spans: PiiSpan[] = []
    let start = 0
    for (; this.#at < this.#held.length; this.#at += 1) {
      const isEnd = this.#ends(this.#held.charCodeAt(this.#at))
      if (!isEnd && this.#at + 1 - start < SPAN_MAX) continue
      start += this.#look(this.#held.slice(start, this.#at + 1), isEnd, spans)
      if (isEnd) this.#begin(false)
    }
    if (start > 0) {
      this.#held = this.#held.slice(start)
      this.#at -= start
    }
    return spans
  }

  /** What is left. After that it is ready for another text. */
  end(): PiiSpan[] {
    const spans: PiiSpan[] = []
    this.#look(this.#held, true, spans)
    this.#held = ''
    this.#at = 0
    this.#begin(false)
    return spans
  }

  /** Tells what is decided of it, and how long that is. */
  #look(held: string, isEnd: boolean, spans: PiiSpan[]): number {
    const text = this.#before + held
    const from = this.#before.length
    let told = from
    let until = isEnd ? text.length : text.length - WAITING
    const tell = (end: number, kind: PiiKind | null) => {
      if (end > told) spans.push({ text: text.slice(told, end), kind })
      told = Math.max(told, end)
    }
    for (const { start, end, kind } of piiIn(text, this.#kinds, from)) {
      if (start >= until) break
      const mayGoOn = !isEnd && end > text.length - AROUND
      if (mayGoOn && start > from) {
        until = start
        break
      }
      tell(start, null)
      tell(end, kind)
    }
    tell(until, null)
    this.#before = isEnd ? '' : text.slice(Math.max(0, told - AROUND), told)
    return told - from
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
      // Of groups: digits, capital letters (of an IBAN), and what phone numbers have between them. Behind a mark a number
      // may begin, whatever stands before that.
      const isGrouped = (code >= 48 && code <= 57) || (code >= 65 && code <= 90)
      this.#mayGroup = kind === MARK || (isGrouped && this.#mayGroup)
      return false
    }
    const goesOn = this.#mayGroup && (this.#hasDigit || this.#isAfterNumber)
    if (!goesOn) return true
    this.#begin(true)
    return false
  }
}
