/** The functions of expressions: CEL's standard ones, its strings extension as far as mappings need it, and `math`.
 *  Each takes the receiver (if it is called as a method) and the arguments; what walks over a value pays for it. */

import { type Budget, ExpressionFault, limits } from './fault.ts'
import { patternOf } from './regex.ts'
import { Duration, parseDuration, parseTimestamp, partOf, type TimePart, Timestamp } from './times.ts'
import { isList, isMap, isNumber, keysOf, kindOf, Optional, TypeName, typeOf, type Value } from './values.ts'

export type Callable = {
  /** How many arguments, the receiver included. */
  arity: readonly number[]
  call(args: readonly Value[], budget: Budget): Value
}

const MAX_INT = 2n ** 63n - 1n
const MIN_INT = -(2n ** 63n)

export function int64(value: bigint): bigint {
  if (value > MAX_INT || value < MIN_INT) throw new ExpressionFault('The integer does not fit into 64 bits.')
  return value
}

/** Refuses to make a string that no result may hold. */
export function fits(length: number): void {
  if (length > limits.value) throw new ExpressionFault('The string is longer than 4 MiB.')
}

const wrong = (name: string, wanted: string, given: Value | undefined) =>
  new ExpressionFault(`${name} takes ${wanted}, not ${given === undefined ? 'nothing' : kindOf(given)}.`)

function text(name: string, value: Value | undefined): string {
  if (typeof value !== 'string') throw wrong(name, 'a string', value)
  return value
}

function whole(name: string, value: Value | undefined): number {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number)) throw wrong(name, 'a whole number', value)
  return number
}

function number(name: string, value: Value | undefined): number | bigint {
  if (value === undefined || !isNumber(value)) throw wrong(name, 'a number', value)
  return value
}

/** A function over strings: what it walks over, it pays for. */
const overText = (
  arity: readonly number[],
  name: string,
  call: (text: string, ...args: Value[]) => Value,
): Callable => ({
  arity,
  call(args, budget) {
    for (const arg of args) if (typeof arg === 'string') budget.spend(arg.length / 16)
    const [subject, ...rest] = args
    return call(text(name, subject), ...rest)
  },
})

const plain = (arity: readonly number[], call: (...args: Value[]) => Value): Callable => ({
  arity,
  call: (args) => call(...args),
})

function size(value: Value): Value {
  if (typeof value === 'string') return BigInt([...value].length)
  if (isList(value) || value instanceof Uint8Array) return BigInt(value.length)
  if (isMap(value)) return BigInt(keysOf(value).length)
  throw wrong('size()', 'a string, a list or an object', value)
}

const sized: Callable = {
  arity: [1],
  call([value = null], budget) {
    budget.spend(typeof value === 'string' ? value.length / 16 : isMap(value) ? keysOf(value).length / 8 : 0)
    return size(value)
  },
}

function toInt(value: Value): Value {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Math.abs(value) < 2 ** 63) return BigInt(Math.trunc(value))
  if (typeof value === 'string' && /^[+-]?\d{1,20}$/.test(value)) return int64(BigInt(value.replace('+', '')))
  if (value instanceof Timestamp) return value.nanos / 1_000_000_000n - (value.nanos % 1_000_000_000n < 0n ? 1n : 0n)
  throw new ExpressionFault(
    `int() cannot read ${typeof value === 'string' ? `"${value.slice(0, 50)}"` : kindOf(value)}.`,
  )
}

function toDouble(value: Value): Value {
  if (isNumber(value)) return Number(value)
  if (typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) return Number(value)
  const special: Record<string, number> = {
    NaN: Number.NaN,
    Inf: Infinity,
    '+Inf': Infinity,
    '-Inf': -Infinity,
    Infinity,
    '-Infinity': -Infinity,
  }
  if (typeof value === 'string' && Object.hasOwn(special, value)) return special[value] ?? 0
  throw new ExpressionFault(
    `double() cannot read ${typeof value === 'string' ? `"${value.slice(0, 50)}"` : kindOf(value)}.`,
  )
}

/** The text of a scalar, as `string()` gives it and as templates put it into longer strings. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Math.abs(value) === Infinity) return value > 0 ? '+Inf' : '-Inf'
  if (isNumber(value) || typeof value === 'boolean') return String(value)
  if (value instanceof Timestamp || value instanceof Duration) return value.toString()
  if (value instanceof Uint8Array) return utf8(value)
  throw wrong('string()', 'a single value', value)
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ExpressionFault('The bytes are not UTF-8.')
  }
}

const booleans = new Map<Value, boolean>([
  ...['1', 't', 'true', 'TRUE', 'True'].map((word) => [word, true] as const),
  ...['0', 'f', 'false', 'FALSE', 'False'].map((word) => [word, false] as const),
])

function toBool(value: Value): Value {
  const read = typeof value === 'boolean' ? value : booleans.get(value)
  if (read === undefined) throw new ExpressionFault('bool() takes a boolean, "true" or "false".')
  return read
}

function toTimestamp(value: Value): Value {
  if (value instanceof Timestamp) return value
  if (typeof value === 'string') return parseTimestamp(value)
  return new Timestamp(BigInt(whole('timestamp()', value)) * 1_000_000_000n)
}

/** The standard functions, called as `name(…)`. */
export const functions: Record<string, Callable> = {
  size: sized,
  int: plain([1], (value = null) => toInt(value)),
  double: plain([1], (value = null) => toDouble(value)),
  string: { arity: [1], call: ([value = null]) => toText(value) },
  bool: plain([1], (value = null) => toBool(value)),
  bytes: plain([1], (value) =>
    value instanceof Uint8Array ? value : new Uint8Array(Buffer.from(text('bytes()', value))),
  ),
  timestamp: plain([1], (value = null) => toTimestamp(value)),
  duration: plain([1], (value = null) =>
    value instanceof Duration ? value : parseDuration(text('duration()', value)),
  ),
  type: plain([1], (value = null) => new TypeName(typeOf(value))),
  dyn: plain([1], (value = null) => value),
}

const part = (name: TimePart, from = 0n): Callable =>
  plain([1, 2], (time, zone = 'UTC') => {
    if (!(time instanceof Timestamp)) throw wrong('The method', 'a timestamp', time)
    return partOf(time, name, text('The method', zone)) + from
  })

/** Of a timestamp the clock's part, of a duration the whole of it in that unit. */
const clockPart = (name: TimePart, nanos: bigint): Callable => {
  const ofTime = part(name)
  return plain([1, 2], (value, zone = 'UTC') => {
    if (value instanceof Duration)
      return name === 'milliseconds' ? (value.nanos % 1_000_000_000n) / nanos : value.nanos / nanos
    return ofTime.call(value === undefined ? [] : [value, zone], undefined as never)
  })
}

function substring(subject: string, from: Value | undefined, to?: Value): Value {
  const points = [...subject]
  const start = whole('substring()', from)
  const end = to === undefined ? points.length : whole('substring()', to)
  if (start < 0 || end > points.length || start > end) {
    throw new ExpressionFault(`substring(${start}, ${end}) is outside of the string's ${points.length} characters.`)
  }
  return points.slice(start, end).join('')
}

function charAt(subject: string, at: Value | undefined): Value {
  const points = [...subject]
  const index = whole('charAt()', at)
  if (index < 0 || index > points.length) {
    throw new ExpressionFault(`The position ${index} is outside of the string's ${points.length} characters.`)
  }
  return points[index] ?? ''
}

/** White space as Unicode has it (and JavaScript not quite). */
const isSpace = (char: string | undefined) =>
  char !== undefined && /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/.test(char)

function trimmed(subject: string): string {
  let start = 0
  let end = subject.length
  while (start < end && isSpace(subject[start])) start++
  while (end > start && isSpace(subject[end - 1])) end--
  return subject.slice(start, end)
}

function indexIn(subject: string, wanted: Value | undefined, from: Value | undefined, last: boolean): Value {
  const points = [...subject]
  const start = from === undefined ? undefined : whole('indexOf()', from)
  if (start !== undefined && (start < 0 || start > points.length)) {
    throw new ExpressionFault(`The position ${start} is outside of the string's ${points.length} characters.`)
  }
  const unit = start === undefined ? undefined : points.slice(0, start).join('').length
  const word = text('indexOf()', wanted)
  const found = last ? subject.lastIndexOf(word, unit) : subject.indexOf(word, unit)
  return found < 0 ? -1n : BigInt([...subject.slice(0, found)].length)
}

function split(subject: string, separator: Value | undefined, limit?: Value): Value {
  const parts = subject.split(text('split()', separator))
  const most = limit === undefined ? -1 : whole('split()', limit)
  if (most === 0) return []
  if (most < 0 || parts.length <= most) return parts
  return [...parts.slice(0, most - 1), parts.slice(most - 1).join(text('split()', separator))]
}

function replace(subject: string, from: Value | undefined, to: Value | undefined, limit?: Value): Value {
  const most = limit === undefined ? -1 : whole('replace()', limit)
  const [wanted, by] = [text('replace()', from), text('replace()', to)]
  const places = wanted === '' ? subject.length + 1 : subject.split(wanted).length - 1
  fits(subject.length + Math.min(places, most < 0 ? places : most) * by.length)
  if (most < 0) return subject.replaceAll(wanted, () => by)
  let result = subject
  let at = 0
  for (let i = 0; i < most; i++) {
    const found = result.indexOf(wanted, at)
    if (found < 0) break
    result = result.slice(0, found) + by + result.slice(found + wanted.length)
    at = found + by.length + (wanted === '' ? 1 : 0)
  }
  return result
}

function joined(args: readonly Value[], budget: Budget): Value {
  const [list = null, separator = ''] = args
  if (!isList(list)) throw wrong('join()', 'a list', list)
  const between = text('join()', separator)
  let result = ''
  for (const [i, item] of list.entries()) {
    const word = text('join()', item)
    fits(result.length + between.length + word.length)
    budget.spend(1 + (word.length + between.length) / 64)
    result += i === 0 ? word : between + word
  }
  return result
}

const ascii = (subject: string, pattern: RegExp, shift: number) =>
  subject.replace(pattern, (letter) => String.fromCharCode(letter.charCodeAt(0) + shift))

/** What is called on a value: `subject.name(…)`. */
export const methods: Record<string, Callable> = {
  size: sized,
  startsWith: overText([2], 'startsWith()', (subject, word) => subject.startsWith(text('startsWith()', word))),
  endsWith: overText([2], 'endsWith()', (subject, word) => subject.endsWith(text('endsWith()', word))),
  contains: overText([2], 'contains()', (subject, word) => subject.includes(text('contains()', word))),
  matches: {
    arity: [2],
    call([subject, source], budget) {
      const pattern = patternOf(text('matches()', source))
      budget.spend(pattern.cost(text('matches()', subject)))
      return pattern.test(text('matches()', subject))
    },
  },
  lowerAscii: overText([1], 'lowerAscii()', (subject) => ascii(subject, /[A-Z]+?/g, 32)),
  upperAscii: overText([1], 'upperAscii()', (subject) => ascii(subject, /[a-z]+?/g, -32)),
  trim: overText([1], 'trim()', trimmed),
  charAt: overText([2], 'charAt()', charAt),
  substring: overText([2, 3], 'substring()', (subject, from, to) => substring(subject, from, to)),
  indexOf: overText([2, 3], 'indexOf()', (subject, word, from) => indexIn(subject, word, from, false)),
  lastIndexOf: overText([2, 3], 'lastIndexOf()', (subject, word, from) => indexIn(subject, word, from, true)),
  replace: overText([3, 4], 'replace()', (subject, from, to, limit) => replace(subject, from, to, limit)),
  reverse: overText([1], 'reverse()', (subject) => [...subject].reverse().join('')),
  split: {
    arity: [2, 3],
    call([subject, separator, limit], budget) {
      budget.spend(text('split()', subject).length / 4)
      return split(text('split()', subject), separator, limit)
    },
  },
  join: { arity: [1, 2], call: joined },
  getFullYear: part('year'),
  getMonth: part('month'),
  getDate: part('date'),
  getDayOfMonth: part('date', -1n),
  getDayOfWeek: part('weekday'),
  getDayOfYear: part('year_day'),
  getHours: clockPart('hours', 3_600_000_000_000n),
  getMinutes: clockPart('minutes', 60_000_000_000n),
  getSeconds: clockPart('seconds', 1_000_000_000n),
  getMilliseconds: clockPart('milliseconds', 1_000_000n),
  hasValue: plain([1], (value) => optional(value).value !== undefined),
  value: plain([1], (value) => {
    const held = optional(value).value
    if (held === undefined) throw new ExpressionFault('The optional value is missing. Give a default with orValue().')
    return held
  }),
  orValue: plain([2], (value, fallback = null) => optional(value).value ?? fallback),
  or: plain([2], (value, other) => (optional(value).value === undefined ? optional(other) : optional(value))),
}

function optional(value: Value | undefined): Optional {
  if (!(value instanceof Optional)) throw wrong('The method', 'an optional value, such as input.?name', value)
  return value
}

const rounding = (name: string, round: (value: number) => number): Callable =>
  plain([1], (value) => {
    const given = number(name, value)
    return typeof given === 'bigint' ? given : round(given)
  })

/** The one furthest in a direction, of the arguments or of one list. */
const furthest = (name: string, isFurther: (a: number | bigint, b: number | bigint) => boolean): Callable => ({
  arity: [1, 2, 3, 4, 5, 6, 7, 8],
  call(args, budget) {
    const [first] = args
    const list = args.length === 1 && first !== undefined && isList(first) ? first : args
    budget.spend(list.length)
    if (list.length === 0) throw new ExpressionFault(`${name} of an empty list is nothing.`)
    return list.map((value) => number(name, value)).reduce((a, b) => (isFurther(b, a) ? b : a))
  },
})

/** Functions with a name space, called as `math.abs(…)`. */
export const namespaces: Record<string, Record<string, Callable>> = {
  math: {
    greatest: furthest('math.greatest()', (a, b) => a > b),
    least: furthest('math.least()', (a, b) => a < b),
    abs: plain([1], (value) => {
      const given = number('math.abs()', value)
      return given < 0 ? (typeof given === 'bigint' ? int64(-given) : -given) : given
    }),
    ceil: rounding('math.ceil()', Math.ceil),
    floor: rounding('math.floor()', Math.floor),
    round: rounding('math.round()', (value) => Math.sign(value) * Math.round(Math.abs(value))),
    trunc: rounding('math.trunc()', Math.trunc),
    sign: plain([1], (value) => {
      const given = number('math.sign()', value)
      return typeof given === 'bigint' ? BigInt(Math.sign(Number(given))) : Math.sign(given)
    }),
    isNaN: plain([1], (value) => Number.isNaN(number('math.isNaN()', value))),
    isFinite: plain([1], (value) => Number.isFinite(Number(number('math.isFinite()', value)))),
  },
  optional: {
    of: plain([1], (value = null) => new Optional(value)),
    none: plain([0], () => Optional.none),
  },
}
