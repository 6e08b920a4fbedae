/** The same patterns as in regex.ts, looked for in a text that comes piece by piece. Whatever the pieces, the matches are
 *  the same: text goes on as soon as no match that began in it can go on, and a match is told when it can no longer
 *  become another one. RE2JS compiles the pattern; its program is stepped through here, character by character, with all
 *  ways at once (Pike's machine), so that the time is linear in the text whatever the pattern.
 *
 *  What is undecided is held back, SPAN_MAX characters of it at most: a match that is longer is none. Empty matches are
 *  none, either.
 *
 *  Of the ways that come to the same instruction only the oldest counts, as the leftmost match is looked for. Where it
 *  grows too old for a match, those that it has swallowed are looked for once more: from there on only the newest counts,
 *  and so each match that is short enough is seen at its end. The leftmost is then looked for in the SPAN_MAX characters
 *  before that. A way needs as many to grow old, so no more than a constant number of looks falls on each. */

import { RE2JS } from 're2js'
import { type Budget, ExpressionFault } from './fault.ts'
import { patternOf } from './regex.ts'

/** Characters of a match, and of what is held back. */
export const SPAN_MAX = 1024

/** A piece of the text, in order: a match, or what stands between. */
export type Span = { text: string; is_match: boolean }
/** After its end it is ready for another text. */
export type SpanReader = { push(text: string): Span[]; end(): Span[] }
export type StreamPattern = {
  /** Whether it is worth a reader: false is certain. */
  test(text: string): boolean
  /** Instructions of the program: what a character costs at most, in steps. */
  cost: number
  reader(budget: Pick<Budget, 'spend'>): SpanReader
}

type Instruction = { op: number; out: number; arg: number; matchRune(rune: number): boolean }
/** The instructions by columns, which are read many times for each character. */
type Program = {
  ops: Uint8Array
  outs: Int32Array
  args: Int32Array
  /** Of those that take a character: whether they take each of the first 128. */
  ascii: (Uint8Array | undefined)[]
  instructions: Instruction[]
  start: number
  begins: Uint8Array
}

/** The operations of RE2's programs. */
const ALT = 1
const ALT_MATCH = 2
const CAPTURE = 3
const EMPTY_WIDTH = 4
const MATCH = 6
const NOP = 7
const RUNE = 8
const RUNE_ANY_NOT_NL = 11
const NONE = -1

/** Any of the patterns, as one. */
export function streamPatternOf(sources: readonly string[]): StreamPattern {
  for (const source of sources) patternOf(source)
  const pattern = compiled(
    sources.length === 1 ? (sources[0] ?? '') : sources.map((source) => `(?:${source})`).join('|'),
  )
  const { inst, start } = pattern.re2().prog as { inst: Instruction[]; start: number }
  const program = programOf(inst, start)
  return { test: (text) => pattern.test(text), cost: inst.length, reader: (budget) => new Reader(program, budget) }
}

function programOf(instructions: Instruction[], start: number): Program {
  return {
    ops: Uint8Array.from(instructions, ({ op }) => op),
    outs: Int32Array.from(instructions, ({ out }) => out),
    args: Int32Array.from(instructions, ({ arg }) => arg),
    ascii: instructions.map((one) => (isTaking(one.op) ? asciiOf(one) : undefined)),
    instructions,
    start,
    begins: beginsOf(instructions, start),
  }
}

const isTaking = (op: number) => op >= RUNE && op <= RUNE_ANY_NOT_NL
const asciiOf = (one: Instruction) => Uint8Array.from({ length: 128 }, (_, rune) => (takes(one, rune) ? 1 : 0))

function compiled(source: string): RE2JS {
  try {
    return RE2JS.compile(source)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ExpressionFault(`The patterns cannot be looked for together: ${reason}`)
  }
}

/** Of the first 128 characters: whether a match can begin with it. */
function beginsOf(instructions: Instruction[], start: number): Uint8Array {
  const begins = new Uint8Array(128)
  const seen = new Set<number>()
  const visit = (pc: number) => {
    const one = instructions[pc]
    if (seen.has(pc) || !one) return
    seen.add(pc)
    if (isTaking(one.op)) {
      for (let rune = 0; rune < 128; rune += 1) if (takes(one, rune)) begins[rune] = 1
      return
    }
    if (one.op === MATCH) return
    visit(one.out)
    if (one.op === ALT || one.op === ALT_MATCH) visit(one.arg)
  }
  visit(start)
  return begins
}

function takes(one: Instruction, rune: number): boolean {
  if (one.op === RUNE_ANY_NOT_NL) return rune !== 10
  return one.op === RUNE_ANY_NOT_NL - 1 || one.matchRune(rune)
}

const isWord = (rune: number) =>
  (rune >= 97 && rune <= 122) || (rune >= 65 && rune <= 90) || (rune >= 48 && rune <= 57) || rune === 95

/** Which of RE2's assertions hold between two characters. */
function assertionsBetween(before: number, after: number): number {
  let held = isWord(before) === isWord(after) ? 32 : 16
  if (before === NONE) held |= 5
  if (before === 10) held |= 1
  if (after === NONE) held |= 10
  if (after === 10) held |= 2
  return held
}

class Reader implements SpanReader {
  readonly #program: Program
  /** The text that is held, and where in it the next character is. */
  #held = ''
  #at = 0
  /** The character before the next one. */
  #before = NONE
  /** The character before `held`. */
  #before_held = NONE
  /** The newest ways are the best, since the oldest was too old; at least until here. */
  #newest_until = -1
  /** The ways that go on, best first: instructions, and where in `held` each began. And the ways of the step before. */
  #ways: Ways
  #before_ways: Ways
  #match_start = -1
  #match_end = -1
  readonly #stack: Int32Array
  readonly #marks: Uint32Array
  #mark = 0
  readonly #budget: Pick<Budget, 'spend'>

  constructor(program: Program, budget: Pick<Budget, 'spend'>) {
    this.#program = program
    this.#budget = budget
    const { length } = program.instructions
    this.#ways = newWays(2 * length)
    this.#before_ways = newWays(2 * length)
    this.#stack = new Int32Array(2 * length + 2)
    this.#marks = new Uint32Array(length)
  }

  push(text: string): Span[] {
    this.#held += text
    const spans: Span[] = []
    this.#run(spans, false)
    this.#release(spans, this.#oldest)
    return spans
  }

  end(): Span[] {
    const spans: Span[] = []
    this.#run(spans, true)
    this.#release(spans, this.#held.length)
    this.#before = NONE
    this.#before_held = NONE
    this.#newest_until = -1
    this.#ways.count = 0
    return spans
  }

  get #isNewestBest(): boolean {
    return this.#newest_until >= 0
  }

  /** Where the oldest way that goes on began, or the match that is found so far; what stands before it is decided. */
  get #oldest(): number {
    if (this.#isNewestBest) return this.#span_start
    const oldest = this.#ways.count > 0 ? (this.#ways.starts[0] ?? 0) : this.#at
    return this.#match_start >= 0 ? Math.min(this.#match_start, oldest) : oldest
  }

  /** Where a match begins at the earliest that ends here; between characters. */
  get #span_start(): number {
    const start = Math.max(0, this.#at - SPAN_MAX)
    const isLow = (this.#held.charCodeAt(start) & 0xfc00) === 0xdc00
    return isLow && start > 0 ? start + 1 : start
  }

  #run(spans: Span[], is_last: boolean) {
    const { begins } = this.#program
    for (;;) {
      if (this.#isNewestBest && this.#ways.count === 0 && this.#at >= this.#newest_until) this.#newest_until = -1
      const rune = this.#next(is_last)
      if (rune === undefined) return
      if (this.#ways.count === 0 && this.#match_start < 0 && rune >= 0 && rune < 128 && begins[rune] === 0) {
        this.#before = rune
        this.#at += 1
        continue
      }
      this.#step(rune)
      const isMatch = this.#match_start >= 0
      if (this.#isNewestBest) {
        if (isMatch) this.#lookFrom(Math.min(this.#match_start, this.#span_start))
        if (isMatch) continue
        this.#dropOldest()
        if (rune === NONE) return
        continue
      }
      const isOld = this.#at - this.#oldest > SPAN_MAX
      if (isMatch && (this.#ways.count === 0 || isOld)) {
        this.#decide(spans)
        continue
      }
      if (isOld) this.#lookForNewest()
      if (rune === NONE) return
    }
  }

  /** The next character; none at the end of the text; undefined where it is not known yet. */
  #next(is_last: boolean): number | undefined {
    const rune = this.#held.codePointAt(this.#at)
    if (rune === undefined) return is_last ? NONE : undefined
    const isHalf = rune >= 0xd800 && rune < 0xdc00 && this.#at + 1 === this.#held.length
    return isHalf && !is_last ? undefined : rune
  }

  #step(rune: number) {
    const assertions = assertionsBetween(this.#before, rune)
    const at = this.#at
    const ways = this.#ways
    this.#ways = this.#before_ways
    this.#ways.count = 0
    this.#before_ways = ways
    this.#mark += 1
    const isNewestBest = this.#isNewestBest
    if (isNewestBest) {
      this.#follow(this.#program.start, at, rune, assertions)
      // Not to be marked for the others: what begins here is still empty, and no match where they are one.
      this.#mark += 1
    }
    let isCut = false
    for (let i = 0; i < ways.count && !isCut; i += 1) {
      isCut = this.#follow(ways.pcs[i] ?? 0, ways.starts[i] ?? 0, rune, assertions)
    }
    if (!isNewestBest && !isCut && this.#match_start < 0) this.#follow(this.#program.start, at, rune, assertions)
    if (rune === NONE) return
    this.#before = rune
    this.#at += rune > 0xffff ? 2 : 1
  }

  /** Goes on from one instruction. True: it is a match, and no way after this one counts. */
  #follow(from: number, start: number, rune: number, assertions: number): boolean {
    const { ops, outs, args } = this.#program
    const stack = this.#stack
    const marks = this.#marks
    const mark = this.#mark
    stack[0] = from
    let depth = 1
    let steps = 0
    let isMatch = false
    while (depth > 0) {
      depth -= 1
      const pc = stack[depth] ?? 0
      steps += 1
      if (marks[pc] === mark) continue
      marks[pc] = mark
      const op = ops[pc] ?? 0
      const isThrough = op === CAPTURE || op === NOP || (op === EMPTY_WIDTH && ((args[pc] ?? 0) & ~assertions) === 0)
      if (op === ALT || op === ALT_MATCH) stack[depth++] = args[pc] ?? 0
      if (isThrough || op === ALT || op === ALT_MATCH) stack[depth++] = outs[pc] ?? 0
      if (op === MATCH && start < this.#at) {
        this.#match_start = start
        this.#match_end = this.#at
        isMatch = true
        break
      }
      if (op >= RUNE && this.#takes(pc, rune)) add(this.#ways, outs[pc] ?? 0, start)
    }
    this.#budget.spend(steps)
    return isMatch
  }

  #takes(pc: number, rune: number): boolean {
    const { ascii, instructions } = this.#program
    if (rune >= 0 && rune < 128) return ascii[pc]?.[rune] === 1
    const one = instructions[pc]
    return rune !== NONE && one !== undefined && takes(one, rune)
  }

  /** The match stands; the text behind it is looked through anew. */
  #decide(spans: Span[]) {
    const [start, end] = [this.#match_start, this.#match_end]
    this.#release(spans, start)
    const length = end - start
    const text = this.#held.slice(0, length)
    spans.push({ text, is_match: true })
    this.#held = this.#held.slice(length)
    this.#before_held = lastRune(text)
    this.#lookFrom(0)
  }

  /** The leftmost match from there on. */
  #lookFrom(at: number) {
    this.#at = at
    this.#before = at === 0 ? this.#before_held : lastRune(this.#held.slice(Math.max(0, at - 2), at))
    this.#ways.count = 0
    this.#match_start = -1
    this.#newest_until = -1
  }

  /** What began too long ago is no match; what began behind it may be one. */
  #lookForNewest() {
    const [old, until] = [this.#oldest, this.#at]
    this.#lookFrom(old + ((this.#held.codePointAt(old) ?? 0) > 0xffff ? 2 : 1))
    this.#newest_until = until
  }

  #dropOldest() {
    const { starts } = this.#ways
    while (this.#ways.count > 0 && this.#at - (starts[this.#ways.count - 1] ?? 0) > SPAN_MAX) this.#ways.count -= 1
  }

  #release(spans: Span[], end: number) {
    if (end === 0) return
    const text = this.#held.slice(0, end)
    spans.push({ text, is_match: false })
    this.#held = this.#held.slice(end)
    this.#before_held = lastRune(text)
    this.#at -= end
    if (this.#isNewestBest) this.#newest_until = Math.max(0, this.#newest_until - end)
    const { starts, count } = this.#ways
    for (let i = 0; i < count; i += 1) starts[i] = (starts[i] ?? 0) - end
    if (this.#match_start < 0) return
    this.#match_start -= end
    this.#match_end -= end
  }
}

type Ways = { pcs: Int32Array; starts: Int32Array; count: number }
const newWays = (length: number): Ways => ({ pcs: new Int32Array(length), starts: new Int32Array(length), count: 0 })

function add(ways: Ways, pc: number, start: number) {
  ways.pcs[ways.count] = pc
  ways.starts[ways.count] = start
  ways.count += 1
}

function lastRune(text: string): number {
  const low = text.charCodeAt(text.length - 1)
  const isPair = low >= 0xdc00 && low < 0xe000 && text.length > 1
  return text.codePointAt(text.length - (isPair ? 2 : 1)) ?? NONE
}
