/** The expressions of a workflow: each is compiled into its place in the graph, and what it reads is checked. A node
 *  and its conditions read only nodes that come before: what has ended when they are evaluated. */

import type { FieldError } from '@flow/contract/common'
import type { WorkflowNode } from '@flow/contract/components/workflow'
import {
  compileExpression,
  compileTemplate,
  type Expression,
  ExpressionFault,
  type Known,
  parseTimestamp,
  selector,
  type Template,
} from '../expressions/expressions.ts'
import type { Graph, GraphEdge, GraphNode } from './workflow-rules.ts'

const names = ['input', 'nodes', 'vars', 'execution', 'callbacks']
const known: Known = { names }
/** The variables of the input of a `map`'s calls. */
const knownInMap: Known = { names: [...names, 'item', 'index'] }
/** A condition may name fields of what flows along its edge. */
const knownOnEdge: Known = { names, open: true }
/** What executions are counted apart by is known before they begin. */
const knownBefore: Known = { names: ['input', 'vars'] }
/** What can be read of a node, and of the execution. */
const readable = ['output', 'error', 'status']
const readableOfExecution = ['id', 'workflow_id', 'created_at']

/** Compiles every expression into the graph and gives the faults. `acyclic`: what comes before a node is known. */
export function compileExpressions(graph: Graph, acyclic: boolean): FieldError[] {
  const faults: FieldError[] = []
  const before = acyclic ? ancestorsOf(graph) : undefined
  for (const node of graph.nodes) compileNode(graph, node, before?.get(node.node.id), faults)
  for (const edge of graph.edges) compileEdge(graph, edge, before?.get(edge.source), faults)
  const key = graph.config.concurrency?.key
  if (key !== undefined) graph.concurrencyKey = expression(key, 'concurrency.key', knownBefore, faults)
  if (graph.config.output !== undefined) {
    graph.output = template(graph.config.output, 'output', known, faults)
    for (const { place, expression } of graph.output.expressions) {
      readsOf(graph, expression, `output${place}`, undefined, faults)
    }
  }
  return faults
}

function compileNode(graph: Graph, at: GraphNode, before: ReadonlySet<string> | undefined, faults: FieldError[]): void {
  const { node, index } = at
  const place = `nodes[${index}]`
  const own = (expression: Expression, field: string) => readsOf(graph, expression, `${place}.${field}`, before, faults)
  if (node.input !== undefined) {
    at.input = template(node.input, `${place}.input`, node.type === 'map' ? knownInMap : known, faults)
    for (const { place, expression } of at.input.expressions) own(expression, `input${place}`)
  }
  const fields = fieldsOf(node)
  if (fields) {
    at.fields = template(fields, place, known, faults)
    for (const { place, expression } of at.fields.expressions) own(expression, place.slice(1))
  }
  if (node.when !== undefined) at.when = boolean(node.when, `${place}.when`, own, faults)
  if (node.type === 'condition') {
    at.condition = expression(node.condition, `${place}.condition`, known, faults)
    if (at.condition) own(at.condition, 'condition')
  }
  if (node.type === 'map') compileItems(at, node.items, faults, own)
  if (node.type === 'wait' && node.until !== undefined) compileUntil(at, node.until, faults, own)
}

type Own = (expression: Expression, field: string) => void

/** What has expressions in it, by the type of the node. */
function fieldsOf(node: WorkflowNode): Record<string, unknown> | undefined {
  if (node.type === 'transform') return node.output === undefined ? undefined : { output: node.output }
  if (node.type === 'http') {
    const { url, headers, query, body } = node
    return { url, headers, query, ...(body === undefined ? {} : { body }) }
  }
  if (node.type !== 'human_task') return undefined
  const { title, description, assignees } = node
  return { title, assignees, ...(description === undefined ? {} : { description }) }
}

function boolean(source: string, field: string, own: Own, faults: FieldError[]): Expression | undefined {
  const compiled = expression(source, field, known, faults)
  if (!compiled) return undefined
  own(compiled, field.split('.').slice(1).join('.'))
  if (compiled.type !== 'bool' && compiled.type !== 'dyn') {
    faults.push({ field, message: `This gives ${wordOf(compiled.type)}, not a boolean.` })
  }
  return compiled
}

function compileItems(at: GraphNode, items: string, faults: FieldError[], own: Own): void {
  const field = `nodes[${at.index}].items`
  const [, source] = /^\{\{([\s\S]*)\}\}$/.exec(items.trim()) ?? []
  if (source === undefined) {
    faults.push({ field, message: 'Write the list as one expression, such as "{{ nodes.parse.output.rows }}".' })
    return
  }
  const compiled = expression(source.trim(), field, known, faults)
  if (!compiled) return
  at.items = compiled
  own(compiled, 'items')
  if (compiled.type !== 'dyn' && !compiled.type.startsWith('list')) {
    faults.push({ field, message: `This gives ${wordOf(compiled.type)}, not a list.` })
  }
}

function compileUntil(at: GraphNode, until: string, faults: FieldError[], own: Own): void {
  const field = `nodes[${at.index}].until`
  at.until = template(until, field, known, faults)
  for (const { expression } of at.until.expressions) own(expression, 'until')
  if (until.includes('{{')) return
  try {
    parseTimestamp(until)
  } catch {
    faults.push({ field, message: 'Write a time such as "2026-01-31T08:00:00Z", or an expression in {{ }}.' })
  }
}

function compileEdge(
  graph: Graph,
  edge: GraphEdge,
  before: ReadonlySet<string> | undefined,
  faults: FieldError[],
): void {
  if (edge.condition === undefined) return
  const field = `edges[${edge.written}].condition`
  const compiled = expression(edge.condition, field, knownOnEdge, faults)
  if (!compiled) return
  edge.when = compiled
  readsOf(graph, compiled, field, before && new Set([...before, edge.source]), faults)
  for (const { name, column } of compiled.bare) {
    const meant = names.find((known) => isSlip(name, known))
    if (meant) faults.push(fault(field, `There is no "${name}" here; did you mean "${meant}"?`, column))
  }
  if (compiled.type !== 'bool' && compiled.type !== 'dyn') {
    faults.push({ field, message: `This gives ${wordOf(compiled.type)}, not a boolean.` })
  }
  const isConditionNode = graph.byId.get(edge.source)?.node.type === 'condition'
  const literal = edge.condition.trim()
  if (literal === 'false' || (literal === 'true' && isConditionNode)) {
    const hint = isConditionNode
      ? ` To follow the condition write nodes${selector(edge.source)}.output == ${literal}.`
      : ''
    faults.push({ field, message: `This edge is ${literal === 'true' ? 'always' : 'never'} taken.${hint}` })
  }
}

/** A slip of one key: a letter too many, too few, or another one. */
function isSlip(name: string, meant: string): boolean {
  if (Math.abs(name.length - meant.length) > 1 || name === meant) return false
  let start = 0
  while (start < name.length && name[start] === meant[start]) start++
  const swapped = name[start] === meant[start + 1] && name[start + 1] === meant[start]
  if (swapped && name.slice(start + 2) === meant.slice(start + 2)) return true
  const rests = [name.slice(start), name.slice(start + 1)]
  return rests.some(
    (rest) => rest === meant.slice(start + 1) || (rest === meant.slice(start) && rest !== name.slice(start)),
  )
}

/** Checks the paths that an expression reads. Without `before` every node may be read. */
function readsOf(
  graph: Graph,
  expression: Expression,
  field: string,
  before: ReadonlySet<string> | undefined,
  faults: FieldError[],
): void {
  for (const { names: path, column } of expression.paths) {
    const [variable, first, second] = path
    if (variable === 'vars' && first !== undefined && !Object.hasOwn(graph.config.vars, first)) {
      faults.push(fault(field, `There is no "${first}" in vars.`, column))
    }
    const other = otherReadFault(graph, variable, first)
    if (other) faults.push(fault(field, other, column))
    if (variable !== 'nodes') continue
    const message = nodeReadFault(graph, first, second, before)
    if (message) faults.push(fault(field, message, column))
  }
}

function otherReadFault(graph: Graph, variable: string | undefined, first: string | undefined): string | undefined {
  if (variable === 'callbacks' && first !== undefined && graph.byId.get(first)?.node.type !== 'webhook_wait') {
    return `There is no "webhook_wait" node "${first}".`
  }
  if (variable === 'execution' && first !== undefined && !readableOfExecution.includes(first)) {
    return `An execution has ${readableOfExecution.join(', ')} here, not "${first}".`
  }
}

function nodeReadFault(
  graph: Graph,
  id: string | undefined,
  of: string | undefined,
  before?: ReadonlySet<string>,
): string | undefined {
  if (id === undefined) return 'Name the node: nodes.<id>.output.'
  if (!graph.byId.has(id)) return `There is no node "${id}".`
  if (of !== undefined && !readable.includes(of))
    return `A node has output, error and status; write nodes${selector(id)}.output${selector(of)}.`
  if (before && !before.has(id)) return `"${id}" does not come before: no edges lead from it to here.`
}

/** The nodes from which edges lead to each node. */
function ancestorsOf(graph: Graph): Map<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  const waiting = new Map(
    graph.nodes.map((node) => [node, node.incoming.filter(({ source }) => graph.byId.has(source)).length]),
  )
  const ready = graph.nodes.filter((node) => waiting.get(node) === 0)
  for (const node of ready) {
    const own = new Set<string>()
    for (const { source } of node.incoming) {
      own.add(source)
      for (const id of found.get(source) ?? []) own.add(id)
    }
    found.set(node.node.id, own)
    for (const { target } of node.outgoing) {
      const next = graph.byId.get(target)
      if (!next) continue
      const left = (waiting.get(next) ?? 0) - 1
      waiting.set(next, left)
      if (left === 0) ready.push(next)
    }
  }
  return found
}

function expression(source: string, field: string, known: Known, faults: FieldError[]): Expression | undefined {
  try {
    return compileExpression(source, known)
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    faults.push(fault(field, error.message, error.column))
  }
}

function template(value: unknown, field: string, known: Known, faults: FieldError[]): Template {
  const compiled = compileTemplate(value, known)
  faults.push(...compiled.faults.map(({ place, message, column }) => fault(`${field}${place}`, message, column)))
  return compiled.template
}

const fault = (field: string, message: string, column: number): FieldError => ({
  field,
  message: column > 0 ? `${message} (column ${column})` : message,
})

const wordOf = (type: string) =>
  ({ string: 'a string', int: 'a number', double: 'a number', bool: 'a boolean', list: 'a list', map: 'an object' })[
    type
  ] ?? type
