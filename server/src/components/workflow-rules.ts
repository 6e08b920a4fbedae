/** What makes a workflow sound: its edges lead somewhere, nothing runs in circles, every expression can be evaluated
 *  and reads only what comes before it. One pass over the configuration gives the graph, ready to be run, and every
 *  fault it has, each with the field it is in. Decisions without I/O; that what is referred to exists is asked by the
 *  room, with `referencesOf`. */

import type { FieldError } from '@flow/contract/common'
import type { ComponentType } from '@flow/contract/components'
import type { WorkflowConfig, WorkflowEdge, WorkflowNode } from '@flow/contract/components/workflow'
import { missing } from '@flow/contract/nodes/later'
import {
  compileJsonSchema,
  type Expression,
  ExpressionFault,
  type JsonSchemaCheck,
  type Template,
} from '../expressions/expressions.ts'
import { triggerFaults } from './trigger-rules.ts'
import { compileExpressions } from './workflow-expressions.ts'

/** A workflow that can be run: what is written in it is compiled, and edges and nodes know each other. */
export type Graph = {
  config: WorkflowConfig
  nodes: GraphNode[]
  byId: ReadonlyMap<string, GraphNode>
  edges: GraphEdge[]
  output?: Template
  checkInput?: JsonSchemaCheck
  checkOutput?: JsonSchemaCheck
  /** What executions are counted apart by. */
  concurrencyKey?: Expression
}

export type GraphNode = {
  node: WorkflowNode
  /** Its place in the definition. */
  index: number
  incoming: GraphEdge[]
  outgoing: GraphEdge[]
  input?: Template
  when?: Expression
  /** The texts and values of its type that have expressions in them, as one object. */
  fields?: Template
  /** The schema of its type. */
  check?: JsonSchemaCheck
  /** Of a `condition`. */
  condition?: Expression
  /** Of a `map`: the list. */
  items?: Expression
  /** Of a `wait`: the time. */
  until?: Template
}

export type GraphEdge = WorkflowEdge & {
  /** Its place among the edges of the graph. */
  index: number
  /** Its place among the edges of the definition; undefined where the type implies it. */
  written?: number
  when?: Expression
}

export const checkWorkflow = (config: WorkflowConfig): FieldError[] => compileWorkflow(config).faults

export type WorkflowReference = { field: string; ref: string; types: readonly ComponentType[] }

/** The components that a workflow names, and where. */
export function referencesOf({ nodes, observability_ref }: WorkflowConfig): WorkflowReference[] {
  const named = nodes.flatMap((node, i): WorkflowReference[] => {
    const types = referred[node.type]
    if (!types || !('component_ref' in node) || node.component_ref === undefined) return []
    return [{ field: `nodes[${i}].component_ref`, ref: node.component_ref, types }]
  })
  if (observability_ref === undefined) return named
  return [...named, { field: 'observability_ref', ref: observability_ref, types: ['observability'] }]
}

/** What `component_ref` names in a node. */
const referred: Partial<Record<WorkflowNode['type'], readonly ComponentType[]>> = {
  code_block: ['code_block'],
  map: ['code_block'],
  prompt: ['prompt'],
  tool: ['tool'],
  transform: ['transform'],
  validation: ['schema', 'validation'],
  workflow: ['workflow'],
}

/** The graph of a configuration and all its faults. With faults the graph is not fit to be run. */
export function compileWorkflow(config: WorkflowConfig): { graph: Graph; faults: FieldError[] } {
  const nodes = config.nodes.map((node, index): GraphNode => ({ node, index, incoming: [], outgoing: [] }))
  const byId = new Map<string, GraphNode>()
  for (const node of nodes) if (!byId.has(node.node.id)) byId.set(node.node.id, node)
  const edges = edgesOf(config)
  const graph: Graph = { config, nodes, byId, edges }
  for (const edge of edges) {
    byId.get(edge.source)?.outgoing.push(edge)
    byId.get(edge.target)?.incoming.push(edge)
  }

  const faults = [...duplicateIds(graph), ...shapeFaults(config), ...edgeFaults(graph), ...nodeFaults(graph)]
  const cycles = cyclesOf(graph)
  faults.push(...cycles.map((cycle) => cycleFault(graph, cycle)))
  faults.push(...(cycles.length === 0 ? lonely(graph) : []))
  faults.push(...compileExpressions(graph, cycles.length === 0))
  faults.push(...schemaFaults(graph), ...triggerFaults(config))
  return { graph, faults }
}

/** The edges that are written, and those that the type implies: a sequence links each node with the next. */
function edgesOf(config: WorkflowConfig): GraphEdge[] {
  const written = config.edges.map((edge, i) => ({ ...edge, written: i }))
  const implied = config.workflow_type === 'sequential' ? nextOf(config.nodes) : []
  const missing = implied.filter(
    ({ source, target }) => !written.some((edge) => edge.source === source && edge.target === target),
  )
  return [...written, ...missing].map((edge, index) => ({ ...edge, index }))
}

const nextOf = (nodes: WorkflowNode[]): WorkflowEdge[] =>
  nodes.slice(1).map((node, i) => ({ source: nodes[i]?.id ?? '', target: node.id, on: 'success' }))

function duplicateIds({ nodes, byId }: Graph): FieldError[] {
  return nodes.flatMap(({ node, index }) => {
    const first = byId.get(node.id)?.index ?? index
    if (first === index) return []
    return [{ field: `nodes[${index}].id`, message: `"${node.id}" is the id of nodes[${first}] already.` }]
  })
}

/** What the type of the workflow allows. */
function shapeFaults({ workflow_type, nodes, edges }: WorkflowConfig): FieldError[] {
  if (workflow_type === 'single') {
    const many = nodes.length === 1 ? [] : [{ field: 'nodes', message: 'A "single" workflow has exactly one node.' }]
    return [...many, ...noEdges(edges, 'A "single" workflow has no edges.')]
  }
  if (workflow_type === 'parallel') {
    return noEdges(edges, 'A "parallel" workflow has no edges: all nodes start at once. Use "graph" for edges.')
  }
  if (workflow_type === 'graph') {
    if (nodes.length === 1 || edges.length > 0) return []
    const message =
      'A graph of several nodes needs edges. Use "parallel" to start all at once, "sequential" for one after the other.'
    return [{ field: 'edges', message }]
  }
  const next = new Map(nextOf(nodes).map((edge) => [edge.source, edge.target]))
  return edges.flatMap((edge, i) => {
    if (next.get(edge.source) === edge.target) return []
    return [{ field: `edges[${i}]`, message: 'In a "sequential" workflow an edge links a node with the next one.' }]
  })
}

const noEdges = (edges: WorkflowEdge[], message: string): FieldError[] =>
  edges.length === 0 ? [] : [{ field: 'edges', message }]

function edgeFaults({ config, byId }: Graph): FieldError[] {
  const seen = new Map<string, number>()
  return config.edges.flatMap((edge, i) => {
    const faults: FieldError[] = []
    for (const end of ['source', 'target'] as const) {
      if (!byId.has(edge[end]))
        faults.push({ field: `edges[${i}].${end}`, message: `There is no node "${edge[end]}".` })
    }
    const key = `${edge.source} ${edge.target} ${edge.on}`
    const first = seen.get(key)
    if (first === undefined) seen.set(key, i)
    else
      faults.push({
        field: `edges[${i}]`,
        message: `edges[${first}] links the same nodes already. Join the conditions with "||".`,
      })
    const source = byId.get(edge.source)
    if (source && edge.on === 'error' && source.node.on_error !== 'route') {
      const message = `This edge is never taken: "${edge.source}" does not have "on_error": "route".`
      faults.push({ field: `edges[${i}].on`, message })
    }
    return faults
  })
}

function nodeFaults(graph: Graph): FieldError[] {
  return graph.nodes.flatMap((at) => {
    const { node, index, outgoing } = at
    const faults: FieldError[] = ownFaults(node, `nodes[${index}]`)
    if (node.on_error === 'route' && !outgoing.some((edge) => edge.on === 'error')) {
      faults.push({
        field: `nodes[${index}].on_error`,
        message: '"route" needs an edge from this node with "on": "error".',
      })
    }
    if (typeof node.join === 'object' && node.join.count > at.incoming.length) {
      const message = `It would never start: ${at.incoming.length} edges lead to it.`
      faults.push({ field: `nodes[${index}].join.count`, message })
    }
    for (const [i, id] of (node.cancels ?? []).entries()) {
      const field = `nodes[${index}].cancels[${i}]`
      if (id === node.id) faults.push({ field, message: 'A node cannot cancel itself.' })
      else if (!graph.byId.has(id)) faults.push({ field, message: `There is no node "${id}".` })
    }
    return faults
  })
}

/** What the type of a node demands beyond its shape. */
function ownFaults(node: WorkflowNode, place: string): FieldError[] {
  const fault = (field: string, message: string): FieldError[] => [{ field: `${place}.${field}`, message }]
  if (isLater(node.type)) {
    return fault('type', `Nodes of the type "${node.type}" are not available yet: ${missing[node.type]} come later.`)
  }
  if (node.type === 'wait' && (node.seconds === undefined) === (node.until === undefined)) {
    return fault('seconds', 'A wait has either "seconds" or "until".')
  }
  if (node.type === 'validation' && (node.schema === undefined) === (node.component_ref === undefined)) {
    return fault('schema', 'A validation has either a "schema" or a "component_ref".')
  }
  if (node.type === 'transform' && (node.output === undefined) === (node.component_ref === undefined)) {
    return fault('output', 'A transform has either an "output" or a "component_ref".')
  }
  if (node.type === 'map' && node.max_failed_items !== undefined && node.on_item_error !== 'skip') {
    return fault('max_failed_items', 'This needs "on_item_error": "skip".')
  }
  if (node.type !== 'human_task') return []
  const { due_seconds, remind_seconds, on_due } = node
  if (on_due === 'expire' && due_seconds === undefined) return fault('due_seconds', 'Say when the task expires.')
  if (due_seconds === undefined || remind_seconds === undefined || remind_seconds < due_seconds) return []
  return fault('remind_seconds', 'Remind before the task is due.')
}

const isLater = (type: WorkflowNode['type']): type is keyof typeof missing => Object.hasOwn(missing, type)

/** The cycles, as groups of nodes that all reach each other (Tarjan's strongly connected components). */
function cyclesOf(graph: Graph): GraphNode[][] {
  const order = new Map<GraphNode, number>()
  const lowest = new Map<GraphNode, number>()
  const stack: GraphNode[] = []
  const onStack = new Set<GraphNode>()
  const cycles: GraphNode[][] = []

  // With its own stack of calls: a sequence of a thousand nodes is a thousand calls deep.
  for (const root of graph.nodes) {
    if (order.has(root)) continue
    const calls = [{ node: root, next: 0 }]
    while (calls.length > 0) {
      const call = calls[calls.length - 1]
      if (!call) break
      const { node } = call
      if (call.next === 0) {
        order.set(node, order.size)
        lowest.set(node, order.get(node) ?? 0)
        stack.push(node)
        onStack.add(node)
      }
      const edge = node.outgoing[call.next++]
      const target = edge && graph.byId.get(edge.target)
      if (target && !order.has(target)) calls.push({ node: target, next: 0 })
      else if (target && onStack.has(target)) lower(lowest, node, order.get(target))
      if (edge) continue
      calls.pop()
      const caller = calls[calls.length - 1]
      if (caller) lower(lowest, caller.node, lowest.get(node))
      if (lowest.get(node) !== order.get(node)) continue
      const group = stack.splice(stack.indexOf(node))
      for (const member of group) onStack.delete(member)
      const isLoop = group.length > 1 || node.outgoing.some(({ target }) => target === node.node.id)
      if (isLoop) cycles.push(group)
    }
  }
  return cycles
}

function lower(lowest: Map<GraphNode, number>, node: GraphNode, to = Infinity): void {
  if (to < (lowest.get(node) ?? Infinity)) lowest.set(node, to)
}

function cycleFault(graph: Graph, cycle: GraphNode[]): FieldError {
  const members = new Set(cycle.map(({ node }) => node.id))
  const [first] = [...cycle].sort((a, b) => a.index - b.index)
  const path = first ? roundTrip(graph, first, members) : []
  return { field: `nodes[${first?.index}]`, message: `This node runs in a circle: ${path.join(' → ')}.` }
}

/** The shortest way from a node back to itself. */
function roundTrip(graph: Graph, from: GraphNode, members: Set<string>): string[] {
  const ways = [[from.node.id]]
  const seen = new Set<string>()
  for (const way of ways) {
    const node = graph.byId.get(way[way.length - 1] ?? '')
    for (const { target } of node?.outgoing ?? []) {
      if (target === from.node.id) return [...way, target]
      if (!members.has(target) || seen.has(target)) continue
      seen.add(target)
      ways.push([...way, target])
    }
  }
  return [from.node.id]
}

/** Nodes that no edge leads to or from, among others that have edges: nobody meant them to run. */
function lonely({ config, nodes, byId }: Graph): FieldError[] {
  if (config.workflow_type !== 'graph' || config.edges.length === 0) return []
  return nodes
    .filter((node) => byId.get(node.node.id) === node && node.incoming.length === 0 && node.outgoing.length === 0)
    .map(({ node, index }) => ({
      field: `nodes[${index}]`,
      message: `"${node.id}" cannot be reached: no edge leads to it or from it.`,
    }))
}

/** Compiles the schemas into the graph. */
function schemaFaults(graph: Graph): FieldError[] {
  const faults: FieldError[] = []
  const compiled = (schema: Record<string, unknown>, field: string): JsonSchemaCheck | undefined => {
    try {
      return compileJsonSchema(schema)
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      faults.push({ field, message: error.message })
    }
  }
  const { input_schema, output_schema } = graph.config
  if (input_schema) graph.checkInput = compiled(input_schema, 'input_schema')
  if (output_schema) graph.checkOutput = compiled(output_schema, 'output_schema')
  for (const at of graph.nodes) {
    const [field, schema] = schemaOf(at.node) ?? []
    if (schema) at.check = compiled(schema, `nodes[${at.index}].${field}`)
  }
  return faults
}

function schemaOf(node: WorkflowNode): [field: string, schema: Record<string, unknown> | undefined] | undefined {
  if (node.type === 'human_task') return ['form', node.form]
  if (node.type === 'validation' || node.type === 'webhook_wait') return ['schema', node.schema]
}
