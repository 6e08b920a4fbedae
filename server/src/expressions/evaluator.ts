/** From a parsed expression to a function that evaluates it. The parser is a library's; the meaning is here, because
 *  two things must hold that no library gives: the numbers of JSON mix with the integers people write
 *  (`input.count + 1`), and every evaluation ends within its budget, in steps that walking over values costs too.
 *
 *  Differences from CEL's definition, all on purpose: integers and doubles mix in arithmetic (the result is a double),
 *  `%` takes doubles, unsigned integers and messages do not exist. */

import type { ASTNode } from '@marcbachmann/cel-js'
import { type Budget, ExpressionFault, isFinal } from './fault.ts'
import { type Callable, functions, int64, methods, namespaces } from './functions.ts'
import { operators } from './operators.ts'
import {
  entryOf,
  isList,
  isMap,
  keysOf,
  kindOf,
  type MapKey,
  mapKey,
  Optional,
  TypeName,
  type Value,
} from './values.ts'

export type Scope = {
  variable(name: string): Value | undefined
  budget: Budget
}
export type Evaluate = (scope: Scope) => Value

/** Compiles a node of the tree. Throws an `ExpressionFault` for what could never be evaluated. */
export function compile(node: ASTNode): Evaluate {
  const evaluate = blaming(node, () => build(node))
  return (scope) => {
    scope.budget.spend(1)
    return blaming(node, () => evaluate(scope))
  }
}

/** The innermost node that failed is the one to blame. */
function blaming<Result>(node: ASTNode, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (error instanceof ExpressionFault && error.column === 0 && !isFinal(error)) {
      throw new ExpressionFault(error.message, node.pos + 1)
    }
    throw error
  }
}

function build(node: ASTNode): Evaluate {
  switch (node.op) {
    case 'value':
      return literal(node)
    case 'id':
      return variable(node)
    case '.':
    case '.?': {
      const field = node.args[1]
      return select(node, node.args[0], () => field, node.op === '.?')
    }
    case '[]':
    case '[?]':
      return select(node, node.args[0], compile(node.args[1]), node.op === '[?]')
    case 'call':
      return call(node, node.args[0], node.args[1])
    case 'rcall':
      return method(node, node.args[0], node.args[1], node.args[2])
    case 'list': {
      const items = node.args.map(compile)
      return (scope) => items.map((item) => item(scope))
    }
    case 'map':
      return mapLiteral(node.args.map(([key, value]) => [compile(key), compile(value)] as const))
    case '?:':
      return conditional(compile(node.args[0]), compile(node.args[1]), compile(node.args[2]))
    case '||':
      return logical(true, compile(node.args[0]), compile(node.args[1]))
    case '&&':
      return logical(false, compile(node.args[0]), compile(node.args[1]))
    case '!_': {
      const operand = compile(node.args)
      return (scope) => !boolean(operand(scope), '!')
    }
    case '-_': {
      // The smallest integer is written as the negation of one that does not fit.
      if (node.args.op === 'value' && typeof node.args.args === 'bigint') {
        const value = int64(-node.args.args)
        return () => value
      }
      const operand = compile(node.args)
      return (scope) => negated(operand(scope))
    }
    default:
      return binary(node.op, compile(node.args[0]), compile(node.args[1]))
  }
}

function literal(node: ASTNode & { op: 'value' }): Evaluate {
  const value = node.args
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    throw new ExpressionFault('Unsigned integers do not exist here: write the number without "u".', node.pos + 1)
  }
  if (typeof value === 'bigint') int64(value)
  return () => value
}

const typeNames = new Set(['int', 'double', 'string', 'bool', 'bytes', 'list', 'map', 'null_type', 'type'])

function variable(node: ASTNode & { op: 'id' }): Evaluate {
  const name = node.args
  const type = typeNames.has(name) ? new TypeName(name) : undefined
  return (scope) => {
    const given = scope.variable(name)
    const value = given === undefined ? type : given
    if (value === undefined) throw new ExpressionFault(`There is no variable "${name}".`)
    return value
  }
}

function select(node: ASTNode, operand: ASTNode, keyOf: (scope: Scope) => Value, maybe: boolean): Evaluate {
  const subject = compile(operand)
  const name = node.input.slice(operand.start, operand.end)
  return (scope) => {
    const of = subject(scope)
    const key = keyOf(scope)
    const held = of instanceof Optional ? of.value : of
    if (held === undefined) return Optional.none
    const found = isList(held) ? itemOf(held, key) : entryOf(held, key)
    if (maybe || of instanceof Optional) return found === undefined ? Optional.none : new Optional(found)
    if (found === undefined) throw missing(name, held, key)
    return found
  }
}

function itemOf(list: readonly Value[], key: Value): Value | undefined {
  const index = typeof key === 'bigint' ? Number(key) : key
  if (typeof index !== 'number' || !Number.isInteger(index)) {
    throw new ExpressionFault(`A list is indexed by a whole number, not by ${kindOf(key)}.`)
  }
  return index < 0 ? undefined : list[index]
}

function missing(name: string, held: Value, key: Value): ExpressionFault {
  const of = name.length > 60 ? 'the value' : name
  if (isList(held)) return new ExpressionFault(`${of} has ${held.length} items; there is none at ${String(key)}.`)
  if (!isMap(held)) return new ExpressionFault(`${of} is ${kindOf(held)}: it has no field "${String(key)}".`)
  const known = keysOf(held).slice(0, 12).join(', ')
  return new ExpressionFault(`${of} has no field "${String(key)}"${known === '' ? '' : ` (it has: ${known})`}.`)
}

function call(node: ASTNode, name: string, args: ASTNode[]): Evaluate {
  if (name === 'has') return present(node, args)
  const callable = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (!callable) throw new ExpressionFault(`There is no function "${name}".`, node.pos + 1)
  return calling(node, `${name}()`, callable, args)
}

function method(node: ASTNode, name: string, receiver: ASTNode, args: ASTNode[]): Evaluate {
  const space = receiver.op === 'id' ? receiver.args : ''
  if (space === 'cel' && name === 'bind') return binding(node, args)
  const inSpace = Object.hasOwn(namespaces, space) ? namespaces[space] : undefined
  if (inSpace) {
    const callable = Object.hasOwn(inSpace, name) ? inSpace[name] : undefined
    if (!callable) throw new ExpressionFault(`There is no function "${space}.${name}".`, node.pos + 1)
    return calling(node, `${space}.${name}()`, callable, args)
  }
  if (folds.has(name)) return comprehension(node, name, receiver, args)
  const callable = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (!callable) throw new ExpressionFault(`There is no method "${name}".`, node.pos + 1)
  return calling(node, `${name}()`, callable, [receiver, ...args])
}

function calling(node: ASTNode, name: string, callable: Callable, args: ASTNode[]): Evaluate {
  if (!callable.arity.includes(args.length)) {
    throw new ExpressionFault(`${name} does not take ${args.length} arguments.`, node.pos + 1)
  }
  const given = args.map(compile)
  return (scope) =>
    callable.call(
      given.map((arg) => arg(scope)),
      scope.budget,
    )
}

/** `has(a.b)`: whether `a` has the field; `a` itself must be there. */
function present(node: ASTNode, args: ASTNode[]): Evaluate {
  const [field] = args
  if (field?.op !== '.' || args.length !== 1) {
    throw new ExpressionFault('has() takes a field, such as has(input.name).', node.pos + 1)
  }
  const subject = compile(field.args[0])
  const key = field.args[1]
  return (scope) => {
    const of = subject(scope)
    const held = of instanceof Optional ? of.value : of
    if (held === undefined) return false
    if (!isMap(held)) throw new ExpressionFault(`has() looks into an object, not into ${kindOf(held)}.`)
    return entryOf(held, key) !== undefined
  }
}

function nameOf(node: ASTNode | undefined, at: ASTNode): string {
  if (node?.op !== 'id') throw new ExpressionFault('The first argument must be a name.', at.pos + 1)
  return node.args
}

const within = (scope: Scope, name: string, value: () => Value): Scope => ({
  budget: scope.budget,
  variable: (wanted) => (wanted === name ? value() : scope.variable(wanted)),
})

function binding(node: ASTNode, args: ASTNode[]): Evaluate {
  const [name, value, body] = args
  if (!value || !body) throw new ExpressionFault('cel.bind() takes a name, its value and an expression.', node.pos + 1)
  const bound = nameOf(name, node)
  const [of, then] = [compile(value), compile(body)]
  return (scope) => {
    const held = of(scope)
    return then(within(scope, bound, () => held))
  }
}

const folds = new Set(['all', 'exists', 'exists_one', 'filter', 'map'])

/** A pass over a list, or over the keys of an object. `map` with three arguments filters before it maps. */
function comprehension(node: ASTNode, name: string, receiver: ASTNode, args: ASTNode[]): Evaluate {
  const [variableNode, firstNode, secondNode] = args
  const bound = nameOf(variableNode, node)
  if (!firstNode || args.length > (name === 'map' ? 3 : 2)) {
    throw new ExpressionFault(`${name}() does not take ${args.length} arguments.`, node.pos + 1)
  }
  const range = compile(receiver)
  const first = compile(firstNode)
  const second = secondNode && compile(secondNode)
  return (scope) => {
    const over = range(scope)
    if (!isList(over) && !isMap(over))
      throw new ExpressionFault(`${name}() goes over a list or an object, not ${kindOf(over)}.`)
    const items = isList(over) ? over : keysOf(over)
    scope.budget.spend(items.length)
    let current: Value = null
    const inside = within(scope, bound, () => current)
    const at = (item: Value, step: Evaluate) => {
      current = item
      return step(inside)
    }
    const test = (item: Value) => boolean(at(item, first), `${name}()`)
    if (name === 'all' || name === 'exists') return quantified(items, test, name === 'exists')
    if (name === 'exists_one') return items.filter(test).length === 1
    if (name === 'filter') return items.filter(test)
    if (second) return items.filter(test).map((item) => at(item, second))
    return items.map((item) => at(item, first))
  }
}

/** As `||` and `&&` do it: what decides, decides, whatever failed before. */
function quantified(items: readonly Value[], test: (item: Value) => boolean, decisive: boolean): Value {
  let fault: unknown
  for (const item of items) {
    try {
      if (test(item) === decisive) return decisive
    } catch (error) {
      if (isFinal(error)) throw error
      fault ??= error
    }
  }
  if (fault !== undefined) throw fault
  return !decisive
}

function mapLiteral(entries: readonly (readonly [Evaluate, Evaluate])[]): Evaluate {
  return (scope) => {
    const map = new Map<MapKey, Value>()
    for (const [keyOf, of] of entries) {
      const key = mapKey(keyOf(scope))
      if (key === undefined) throw new ExpressionFault('The key of a map is a string, an integer or a boolean.')
      if (map.has(key)) throw new ExpressionFault(`The key "${key}" is there twice.`)
      map.set(key, of(scope))
    }
    return map
  }
}

function boolean(value: Value, where: string): boolean {
  if (typeof value !== 'boolean') throw new ExpressionFault(`${where} takes a boolean, not ${kindOf(value)}.`)
  return value
}

const conditional = (condition: Evaluate, then: Evaluate, otherwise: Evaluate): Evaluate => {
  return (scope) => (boolean(condition(scope), 'The condition before "?"') ? then(scope) : otherwise(scope))
}

/** `||` (decided by true) and `&&` (decided by false): either side decides, even when the other one fails. */
function logical(decisive: boolean, left: Evaluate, right: Evaluate): Evaluate {
  const sign = decisive ? '||' : '&&'
  return (scope) => {
    let fault: unknown
    try {
      if (boolean(left(scope), sign) === decisive) return decisive
    } catch (error) {
      if (isFinal(error)) throw error
      fault = error
    }
    if (boolean(right(scope), sign) === decisive) return decisive
    if (fault !== undefined) throw fault
    return !decisive
  }
}

function negated(value: Value): Value {
  if (typeof value === 'bigint') return int64(-value)
  if (typeof value === 'number') return -value
  throw new ExpressionFault(`"-" takes a number, not ${kindOf(value)}.`)
}

function binary(op: string, left: Evaluate, right: Evaluate): Evaluate {
  const apply = operators[op]
  if (!apply) throw new ExpressionFault(`There is no operator "${op}".`)
  return (scope) => apply(left(scope), right(scope), scope.budget)
}
