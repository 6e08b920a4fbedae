/** The values of expressions. JSON comes in as it is: its numbers are doubles (`number`), its objects and lists stay
 *  the very ones that were given. Integers that an expression writes or computes are `bigint`; maps it writes are `Map`. */

import { type Budget, ExpressionFault, limits, TooLarge } from './fault.ts'
import { Duration, Timestamp } from './times.ts'

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Timestamp
  | Duration
  | Optional
  | TypeName
  | readonly Value[]
  | ReadonlyMap<MapKey, Value>
  | { readonly [key: string]: Value }
export type MapKey = string | bigint | boolean

/** A value that may be missing: what `.?` and `[?]` give. */
export class Optional {
  static readonly none = new Optional(undefined)
  readonly value: Value | undefined

  constructor(value: Value | undefined) {
    this.value = value
  }
}

/** What `type(x)` gives. */
export class TypeName {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

export function typeOf(value: Value): string {
  if (value === null) return 'null_type'
  switch (typeof value) {
    case 'boolean':
      return 'bool'
    case 'number':
      return 'double'
    case 'bigint':
      return 'int'
    case 'string':
      return 'string'
  }
  if (isList(value)) return 'list'
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp'
  if (value instanceof Duration) return 'google.protobuf.Duration'
  if (value instanceof TypeName) return 'type'
  return value instanceof Optional ? 'optional_type' : 'map'
}

/** The type in the words of a sentence. */
export function kindOf(value: Value): string {
  const words: Record<string, string> = {
    null_type: 'null',
    bool: 'a boolean',
    double: 'a number',
    int: 'an integer',
    string: 'a string',
    list: 'a list',
    map: 'an object',
    bytes: 'bytes',
    type: 'a type',
    optional_type: 'an optional value',
  }
  return words[typeOf(value)] ?? (value instanceof Timestamp ? 'a timestamp' : 'a duration')
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isNumber = (value: Value): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint'

/** A map that the expression wrote, or an object that came in. */
export function isMap(value: Value): value is ReadonlyMap<MapKey, Value> | { readonly [key: string]: Value } {
  if (typeof value !== 'object' || value === null) return false
  if (value instanceof Map) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The entry of a map, or nothing. Only what the map itself has counts. */
export function entryOf(map: Value, key: Value): Value | undefined {
  if (map instanceof Map) return map.get(mapKey(key))
  if (typeof key !== 'string' || !isMap(map)) return undefined
  return Object.hasOwn(map, key) ? (map as { [key: string]: Value })[key] : undefined
}

export const keysOf = (map: Value): Value[] => (map instanceof Map ? [...map.keys()] : Object.keys(map as object))

/** Whole doubles are the same key as the integer. */
export function mapKey(key: Value): MapKey | undefined {
  if (typeof key === 'number') return Number.isInteger(key) ? BigInt(key) : undefined
  return typeof key === 'string' || typeof key === 'bigint' || typeof key === 'boolean' ? key : undefined
}

/** Equality over all types: different types are unequal, numbers are equal by value. */
export function isEqual(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1)
  if (a === b) return true
  if (isNumber(a)) return isNumber(b) && compare(a, b) === 0
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (isList(a)) return isList(b) && a.length === b.length && a.every((item, i) => isEqual(item, b[i] as Value, budget))
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos
  if (a instanceof TypeName) return b instanceof TypeName && a.name === b.name
  if (a instanceof Optional) return b instanceof Optional && sameOptional(a, b, budget)
  if (!isMap(b)) return false
  const keys = keysOf(a)
  return (
    keys.length === keysOf(b).length &&
    keys.every((key) => {
      const other = entryOf(b, key)
      return other !== undefined && isEqual(entryOf(a, key) as Value, other, budget)
    })
  )
}

function sameOptional(a: Optional, b: Optional, budget: Budget): boolean {
  if (a.value === undefined || b.value === undefined) return a.value === b.value
  return isEqual(a.value, b.value, budget)
}

/** Below, equal, above: negative, 0, positive; `undefined` where the two have no order. */
export function compare(a: Value, b: Value): number | undefined {
  if (isNumber(a) && isNumber(b)) {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.NaN
    return a < b ? -1 : a > b ? 1 : 0
  }
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  const times = (a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration)
  if (!times) return undefined
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0
}

/** By code points: JavaScript's own order puts characters beyond U+FFFF before some below. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    const isPair = (code: number) => code >= 0xd800 && code <= 0xdfff
    return isPair(x) === isPair(y) ? x - y : isPair(x) ? 1 : -1
  }
  return a.length - b.length
}

/** The value as plain JSON. Timestamps and durations become their text, bytes base64. */
export function toJson(value: Value, size = { left: limits.value as number }, depth = 0): unknown {
  size.left -= 8
  if (typeof value === 'string') size.left -= value.length
  if (size.left < 0) throw new TooLarge('The value is larger than 4 MiB.')
  if (depth > limits.value_depth) throw new ExpressionFault('The value is nested too deeply.')
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (isNumber(value)) return jsonNumber(value)
  if (isList(value)) return value.map((item) => toJson(item, size, depth + 1))
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof Timestamp || value instanceof Duration) return value.toString()
  if (value instanceof TypeName) return value.name
  if (value instanceof Optional) return value.value === undefined ? null : toJson(value.value, size, depth + 1)
  const entries = keysOf(value).map((key) => {
    size.left -= String(key).length
    return [String(key), toJson(entryOf(value, key) as Value, size, depth + 1)] as const
  })
  return Object.fromEntries(entries)
}

function jsonNumber(value: number | bigint): number {
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
    throw new ExpressionFault(`The number ${value} has no place in JSON.`)
  }
  if (Number.isSafeInteger(Number(value))) return Number(value)
  throw new ExpressionFault(`The integer ${value} is too large for JSON; turn it into text with string().`)
}
