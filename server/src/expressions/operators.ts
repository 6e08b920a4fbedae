/** The binary operators of expressions, over values of any type. */

import { type Budget, ExpressionFault } from './fault.ts'
import { fits, int64 } from './functions.ts'
import { Duration, Timestamp } from './times.ts'
import { compare, entryOf, isEqual, isList, isMap, isNumber, kindOf, type Value } from './values.ts'

type Operator = (a: Value, b: Value, budget: Budget) => Value

const ordered = (sign: string, holds: (order: number) => boolean): Operator => {
  return (a, b) => {
    const order = compare(a, b)
    if (order === undefined) throw new ExpressionFault(`"${sign}" does not compare ${kindOf(a)} with ${kindOf(b)}.`)
    return holds(order)
  }
}

/** Over two integers exactly, in 64 bits; over anything else as doubles. */
const arithmetic = (
  sign: string,
  whole: (a: bigint, b: bigint) => bigint,
  real: (a: number, b: number) => number,
): Operator => {
  return (a, b) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return int64(whole(a, b))
    if (isNumber(a) && isNumber(b)) return real(Number(a), Number(b))
    throw new ExpressionFault(`"${sign}" does not take ${kindOf(a)} and ${kindOf(b)}.`)
  }
}

function nonZero(b: bigint): bigint {
  if (b === 0n) throw new ExpressionFault('This divides by zero.')
  return b
}

const sum = arithmetic(
  '+',
  (a, b) => a + b,
  (a, b) => a + b,
)
const difference = arithmetic(
  '-',
  (a, b) => a - b,
  (a, b) => a - b,
)

export const operators: Record<string, Operator> = {
  '==': isEqual,
  '!=': (a, b, budget) => !isEqual(a, b, budget),
  '<': ordered('<', (order) => order < 0),
  '<=': ordered('<=', (order) => order <= 0),
  '>': ordered('>', (order) => order > 0),
  '>=': ordered('>=', (order) => order >= 0),
  '+': add,
  '-': subtract,
  '*': arithmetic(
    '*',
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  '/': arithmetic(
    '/',
    (a, b) => a / nonZero(b),
    (a, b) => a / b,
  ),
  '%': arithmetic(
    '%',
    (a, b) => a % nonZero(b),
    (a, b) => a % b,
  ),
  in: (a, b, budget) => {
    if (isList(b)) return b.some((item) => isEqual(a, item, budget))
    if (isMap(b)) return entryOf(b, a) !== undefined
    throw new ExpressionFault(`"in" looks into a list or an object, not into ${kindOf(b)}.`)
  },
}

function add(a: Value, b: Value, budget: Budget): Value {
  if (isNumber(a) && isNumber(b)) return sum(a, b, budget)
  if (typeof a === 'string' && typeof b === 'string') {
    fits(a.length + b.length)
    return a + b
  }
  if (isList(a) && isList(b)) {
    budget.spend((a.length + b.length) / 4)
    return [...a, ...b]
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    fits(a.length + b.length)
    return new Uint8Array(Buffer.concat([a, b]))
  }
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos + b.nanos)
  if (a instanceof Duration && b instanceof Timestamp) return new Timestamp(a.nanos + b.nanos)
  if (a instanceof Duration && b instanceof Duration) return new Duration(a.nanos + b.nanos)
  const hint = typeof a === 'string' || typeof b === 'string' ? ' Turn the other one into text with string().' : ''
  throw new ExpressionFault(`"+" does not take ${kindOf(a)} and ${kindOf(b)}.${hint}`)
}

function subtract(a: Value, b: Value, budget: Budget): Value {
  if (a instanceof Timestamp && b instanceof Timestamp) return new Duration(a.nanos - b.nanos)
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos - b.nanos)
  if (a instanceof Duration && b instanceof Duration) return new Duration(a.nanos - b.nanos)
  return difference(a, b, budget)
}
