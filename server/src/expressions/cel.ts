/** Expressions: the Common Expression Language, over variables that the caller names.
 *
 *  An expression is compiled once and evaluated often. It has no effects, cannot reach anything but its variables, and
 *  ends: every evaluation has a budget of steps. Whatever goes wrong is an `ExpressionFault` with a sentence and a
 *  column. */

import { type ASTNode, Environment, type ParseResult } from '@marcbachmann/cel-js'
import { compile, type Scope } from './evaluator.ts'
import { Budget, ExpressionFault, limits } from './fault.ts'
import { toJson, type Value } from './values.ts'

export { ExpressionFault, limits } from './fault.ts'

export type Variables = Readonly<Record<string, unknown>>

export type Expression = {
  source: string
  /** The fields of variables it reads, such as `['nodes', 'clean', 'output']`, as far as they are written out. */
  paths: readonly Path[]
  /** The variables it uses that are not among the known ones; only with `open`. */
  bare: readonly { name: string; column: number }[]
  /** What kind of value it gives, as far as that can be seen: `bool`, `string`, … or `dyn`. */
  type: string
  /** The value as the language has it. */
  value(variables: Variables, budget?: Budget): Value
  /** The value as plain JSON. What it merely selects from the variables is given as it is, not copied. */
  evaluate(variables: Variables, budget?: Budget): unknown
}

/** Where an expression reads: a variable's name and the fields after it. */
export type Path = { names: readonly string[]; column: number }

export type Known = {
  /** The names of the variables. */
  names: readonly string[]
  /** Whether other names are allowed, too: `evaluate` must then find them among the variables. */
  open?: boolean
}

/** Reads an expression and checks it. Throws an `ExpressionFault`. */
export function compileExpression(source: string, known: Known): Expression {
  if (source.trim() === '') throw new ExpressionFault('The expression is empty.')
  if (source.length > limits.source)
    throw new ExpressionFault(`The expression is longer than ${limits.source} characters.`)
  const parsed = parse(source)
  const { paths, bare } = readsOf(parsed.ast, known)
  const [unknown] = known.open ? [] : bare
  if (unknown) {
    const names = known.names.map((name) => `"${name}"`).join(', ')
    throw new ExpressionFault(`There is no variable "${unknown.name}" here; there are ${names}.`, unknown.column)
  }
  const evaluate = compile(parsed.ast)
  const type = typeIn(parsed)
  const selects = isSelection(parsed.ast)
  const value: Expression['value'] = (variables, budget) => bounded(() => evaluate(scopeOf(variables, budget)))
  return {
    source,
    paths,
    bare,
    type,
    value,
    evaluate: (variables, budget) =>
      bounded(() => (selects ? value(variables, budget) : toJson(value(variables, budget)))),
  }
}

const scopeOf = (variables: Variables, budget = new Budget()): Scope => ({
  variable: (name) => (Object.hasOwn(variables, name) ? (variables[name] as Value) : undefined),
  budget,
})

/** A string or a list beyond what the engine itself can hold is a fault of the expression. */
function bounded<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) throw new ExpressionFault('The expression makes a value that is too large.')
    throw error
  }
}

/** The checker of the library sees what is wrong without knowing the data: wrong numbers of arguments, types that
 *  cannot meet. What it allows beyond ours, `compile` refuses. */
const environment = new Environment({
  unlistedVariablesAreDyn: true,
  homogeneousAggregateLiterals: false,
  enableOptionalTypes: true,
  limits: { maxDepth: limits.depth, maxAstNodes: limits.source },
})
const unused = () => null
for (const sign of ['+', '-', '*', '/', '%']) {
  environment.registerOperator(`int ${sign} double`, unused).registerOperator(`double ${sign} int`, unused)
}
environment.registerOperator('double % double', unused)
for (const sign of ['<', '<=', '>', '>=']) environment.registerOperator(`bytes ${sign} bytes`, unused)
for (const signature of [
  'string.charAt(int): string',
  'string.replace(string, string): string',
  'string.replace(string, string, int): string',
  'string.reverse(): string',
  'int(google.protobuf.Timestamp): int',
  'string(google.protobuf.Timestamp): string',
  'string(google.protobuf.Duration): string',
  'timestamp(google.protobuf.Timestamp): google.protobuf.Timestamp',
  'duration(google.protobuf.Duration): google.protobuf.Duration',
]) {
  environment.registerFunction(signature, unused)
}

function parse(source: string): ParseResult {
  try {
    return environment.parse(source)
  } catch (error) {
    throw reservedFault(source, error) ?? faultOf(error)
  }
}

/** The words that can't follow a dot (the language's `SELECTOR` leaves them out). In brackets they are names as any. */
const reserved = /\.\s*(in|true|false|null)\b/y

/** Says how a field is read whose name is such a word. */
function reservedFault(source: string, error: unknown): ExpressionFault | undefined {
  const { range } = error as { range?: { start: number } }
  if (!range) return undefined
  reserved.lastIndex = source.slice(0, range.start).search(/\.\s*$/)
  const [, word] = (reserved.lastIndex >= 0 && reserved.exec(source)) || []
  if (word === undefined) return undefined
  return new ExpressionFault(`"${word}" is a word of the language: write ["${word}"] for .${word}.`, range.start + 1)
}

/** How a field is selected: `.name`, or `["in"]` where the name is a word of the language. */
export const selector = (name: string): string =>
  ['in', 'true', 'false', 'null'].includes(name) ? `["${name}"]` : `.${name}`

/** `math.…` is ours and unknown to the checker, so expressions that use it are checked by `compile` alone. */
function typeIn(parsed: ParseResult): string {
  if (someNode(parsed.ast, (node) => node.op === 'id' && node.args === 'math')) return 'dyn'
  const { type, error } = parsed.check()
  if (error && certain.has(error.code) && !/ [!=]= /.test(error.summary)) throw faultOf(error)
  return type ?? 'dyn'
}

/** What the checker finds that is wrong whatever the data. It also minds values of different types in one list, in the
 *  two arms of `?:` and around `==`, all of which have a meaning here. */
const certain = new Set([
  'no_such_overload',
  'no_matching_overload',
  'invalid_logical_operand',
  'invalid_condition_type',
  'invalid_comprehension_range',
  'invalid_index_type',
])

function faultOf(error: unknown): ExpressionFault {
  if (error instanceof ExpressionFault) return error
  const told = error as { summary?: string; range?: { start: number } }
  if (typeof told.summary !== 'string') return new ExpressionFault('This is not an expression.')
  const sentence = told.summary.endsWith('.') ? told.summary : `${told.summary}.`
  return new ExpressionFault(sentence.charAt(0).toUpperCase() + sentence.slice(1), (told.range?.start ?? -1) + 1)
}

/** A variable and fields of it, and nothing else. */
function isSelection(node: ASTNode): boolean {
  if (node.op === 'id') return true
  return node.op === '.' ? isSelection(node.args[0]) : node.op === '[]' && isSelection(node.args[0])
}

/** What the expression reads from outside: names that its own comprehensions do not bind. */
function readsOf(root: ASTNode, known: Known): { paths: Path[]; bare: { name: string; column: number }[] } {
  const paths: Path[] = []
  const bare: { name: string; column: number }[] = []
  const visit = (node: ASTNode, bound: readonly string[]) => {
    const names = pathOf(node)
    const [name] = names ?? []
    if (names && name !== undefined) {
      if (bound.includes(name)) return
      const column = node.start + 1
      if (known.names.includes(name)) paths.push({ names, column })
      else if (!builtIn.has(name)) bare.push({ name, column })
      return
    }
    const inner = boundBy(node)
    for (const child of childrenOf(node)) visit(child, inner.includes(child) ? [...bound, nameBoundBy(node)] : bound)
  }
  visit(root, [])
  return { paths, bare }
}

const builtIn = new Set([
  'math',
  'optional',
  'cel',
  'google',
  'int',
  'double',
  'string',
  'bool',
  'bytes',
  'list',
  'map',
  'type',
  'null_type',
])

/** `a.b["c"]` as names; undefined where it is something else. */
function pathOf(node: ASTNode): string[] | undefined {
  if (node.op === 'id') return [node.args]
  if (node.op === '.' || node.op === '.?') {
    const of = pathOf(node.args[0])
    return of && [...of, node.args[1]]
  }
  if ((node.op === '[]' || node.op === '[?]') && node.args[1].op === 'value' && typeof node.args[1].args === 'string') {
    const of = pathOf(node.args[0])
    return of && [...of, node.args[1].args]
  }
  return undefined
}

const macros = new Set(['all', 'exists', 'exists_one', 'filter', 'map'])

function nameBoundBy(node: ASTNode): string {
  const first = node.op === 'rcall' ? node.args[2][0] : undefined
  return first?.op === 'id' ? first.args : ''
}

/** The children that see the name a comprehension (or `cel.bind`) binds. */
function boundBy(node: ASTNode): ASTNode[] {
  if (node.op !== 'rcall' || !isMacro(node)) return []
  return node.args[0] === 'bind' ? node.args[2].slice(2) : node.args[2].slice(1)
}

function isMacro(node: ASTNode & { op: 'rcall' }): boolean {
  const [name, receiver] = node.args
  return macros.has(name) || (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel')
}

function childrenOf(node: ASTNode): ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return []
    case '.':
    case '.?':
      return [node.args[0]]
    case 'call':
      return node.args[1]
    case 'rcall': {
      const [, receiver, args] = node.args
      // The name that a comprehension binds is no reading of a variable.
      return isMacro(node) ? [receiver, ...args.slice(1)] : [receiver, ...args]
    }
    case 'map':
      return node.args.flat()
    case '!_':
    case '-_':
      return [node.args]
    default:
      return node.args
  }
}

const someNode = (node: ASTNode, test: (node: ASTNode) => boolean): boolean =>
  test(node) || childrenOf(node).some((child) => someNode(child, test))
