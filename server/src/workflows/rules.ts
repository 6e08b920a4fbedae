/** How an execution goes on: decisions without I/O. A node is ready when its join says so, skipped when nothing can
 *  lead to it any more; what it gets as input and what the whole gives as output follows from what has ended before.
 *
 *  A node: pending → running → completed | failed | cancelled, with waiting and retrying in between; or skipped.
 *  An edge is undecided until its source has ended, then taken or dead. */

import type { ExecutionError } from '@flow/contract/workflows'
import type { Graph, GraphEdge, GraphNode } from '../components/workflow-rules.ts'

/** What is known of a node; nothing at all while it is pending. */
export type NodeState = {
  status: 'running' | 'waiting' | 'retrying' | 'completed' | 'failed' | 'skipped' | 'cancelled'
  attempt: number
  output?: unknown
  error?: ExecutionError | null
  /** The indexes of the edges that it took when it ended. */
  taken: readonly number[]
  due_at?: string | null
}
export type States = Map<string, NodeState>

export const hasEnded = (state: NodeState | undefined): boolean =>
  state !== undefined && state.status !== 'running' && state.status !== 'waiting' && state.status !== 'retrying'

/** What becomes of pending nodes, looking at `candidates` and at whatever their skipping decides in turn. Skipped ones
 *  are marked in `states`. */
export function decide(
  graph: Graph,
  states: States,
  candidates: Iterable<GraphNode>,
): { ready: GraphNode[]; skipped: GraphNode[] } {
  const ready = new Set<GraphNode>()
  const skipped: GraphNode[] = []
  const looking = [...candidates]
  for (const at of looking) {
    if (states.has(at.node.id) || ready.has(at)) continue
    const verdict = joinOf(at, states)
    if (verdict === 'ready') ready.add(at)
    if (verdict !== 'skipped') continue
    states.set(at.node.id, { status: 'skipped', attempt: 0, taken: [] })
    skipped.push(at)
    looking.push(...targetsOf(graph, at))
  }
  return { ready: [...ready], skipped }
}

export const targetsOf = (graph: Graph, at: GraphNode): GraphNode[] =>
  at.outgoing.flatMap(({ target }) => graph.byId.get(target) ?? [])

/** `all` waits for every edge to be decided; `any` for the first that is taken, a count for as many; without enough of
 *  them there is no way in. */
function joinOf({ node, incoming }: GraphNode, states: States): 'ready' | 'skipped' | 'waits' {
  if (incoming.length === 0) return 'ready'
  const decided = incoming.filter((edge) => hasEnded(states.get(edge.source)))
  const taken = decided.filter((edge) => states.get(edge.source)?.taken.includes(edge.index)).length
  const wanted = typeof node.join === 'object' ? node.join.count : 1
  if (node.join !== 'all' && taken >= wanted) return 'ready'
  if (decided.length < incoming.length) return 'waits'
  return taken >= wanted ? 'ready' : 'skipped'
}

/** The edges that come into question when a node has ended: by success, or by an error that is routed. */
export function edgesAfter(at: GraphNode, status: 'completed' | 'failed'): GraphEdge[] {
  const isRouted = status === 'failed' && at.node.on_error === 'route'
  return at.outgoing.filter((edge) => edge.on === (isRouted ? 'error' : 'success'))
}

/** Of the predecessors of a node, those that led to it. */
export function leadersOf(at: GraphNode, states: States): { id: string; by: GraphEdge }[] {
  const found = new Map<string, GraphEdge>()
  for (const edge of at.incoming) {
    if (states.get(edge.source)?.taken.includes(edge.index) && !found.has(edge.source)) found.set(edge.source, edge)
  }
  return [...found].map(([id, by]) => ({ id, by }))
}

/** What a node gets that names no input of its own: the output of its one predecessor, an object by predecessor id if
 *  it has several, the execution's input if it has none. A predecessor that failed gives its error. */
export function inputByDefault(at: GraphNode, states: States, input: unknown): unknown {
  const given = (id: string, by: GraphEdge) => {
    const state = states.get(id)
    return by.on === 'error' ? (state?.error ?? null) : (state?.output ?? null)
  }
  const leaders = leadersOf(at, states)
  const sources = new Set(at.incoming.map(({ source }) => source))
  if (sources.size === 0) return input
  const [only] = leaders
  if (sources.size === 1) return only ? given(only.id, only.by) : null
  return Object.fromEntries(leaders.map(({ id, by }) => [id, given(id, by)]))
}

/** What the whole gives that names no output of its own: the output of the one node that ends the graph, or an object
 *  by node id if several do, with those that were reached. */
export function outputByDefault(graph: Graph, states: States): unknown {
  const ends = graph.nodes.filter(({ outgoing }) => outgoing.length === 0)
  const [only] = ends
  if (ends.length === 1 && only) return states.get(only.node.id)?.output ?? null
  const reached = ends.filter(({ node }) => states.get(node.id)?.status === 'completed')
  return Object.fromEntries(reached.map(({ node }) => [node.id, states.get(node.id)?.output ?? null]))
}

/** What expressions see of the nodes. All are there, so that whether one has run can be asked. */
export function nodesSeen(graph: Graph, states: States): Record<string, unknown> {
  return Object.fromEntries(graph.nodes.map(({ node }) => [node.id, nodeSeen(states.get(node.id))]))
}

export const nodeSeen = (state: NodeState | undefined) => ({
  status: state?.status ?? 'pending',
  output: state?.output ?? null,
  error: state?.error ?? null,
})

/** The pause before the next attempt, in seconds. `chance`: from 0 to 1. */
export function backoffOf(at: GraphNode, attempt: number, chance = Math.random()): number {
  const { backoff_seconds = 0, multiplier = 1, max_backoff_seconds = 0, jitter = 0 } = at.node.retry ?? {}
  const pause = Math.min(backoff_seconds * multiplier ** (attempt - 1), max_backoff_seconds)
  return pause * (1 + jitter * (2 * chance - 1))
}

/** Where an input comes from, when it is not its own: nothing is kept twice. `{"": "a"}` is the output of node a,
 *  `{"rows": "b"}` stands for one field; the empty id for the execution's input. */
export type InputFrom = Record<string, string>

/** Splits an input into what is its own and what is the very value of an output that is kept already. */
export function splitInput(
  value: unknown,
  sources: ReadonlyMap<unknown, string>,
): { input: unknown; input_from: InputFrom | null } {
  const whole = sources.get(value)
  if (whole !== undefined) return { input: null, input_from: { '': whole } }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { input: value, input_from: null }
  const entries = Object.entries(value)
  const borrowed = entries.flatMap(([key, field]) => {
    const source = key === '' ? undefined : sources.get(field)
    return source === undefined ? [] : [[key, source] as const]
  })
  if (borrowed.length === 0) return { input: value, input_from: null }
  const keys = new Set(borrowed.map(([key]) => key))
  return {
    input: Object.fromEntries(entries.filter(([key]) => !keys.has(key))),
    input_from: Object.fromEntries(borrowed),
  }
}

/** Puts an input together again. */
export function joinInput(input: unknown, input_from: InputFrom | null, sourceOf: (id: string) => unknown): unknown {
  if (!input_from) return input
  const whole = input_from['']
  if (whole !== undefined) return sourceOf(whole)
  const borrowed = Object.entries(input_from).map(([key, id]) => [key, sourceOf(id)])
  return { ...(input as object), ...Object.fromEntries(borrowed) }
}

/** The nodes that are run again: `from` and what comes after it; without it whatever did not complete, and what comes
 *  after that. */
export function rerunOf(graph: Graph, states: States, from?: string): Set<string> {
  const first = graph.nodes.filter((at) => (from === undefined ? !isKept(graph, states, at) : at.node.id === from))
  const again = new Set<string>()
  const looking = [...first]
  for (const at of looking) {
    if (again.has(at.node.id)) continue
    again.add(at.node.id)
    looking.push(...targetsOf(graph, at))
  }
  return again
}

/** Skipped nodes are decided anew by what leads to them, so they are kept unless something before them runs again. What
 *  another node has cancelled is over; what was cancelled with the whole execution is not. */
function isKept(graph: Graph, states: States, { node }: GraphNode): boolean {
  const state = states.get(node.id)
  if (state?.status === 'completed' || state?.status === 'skipped') return true
  if (state?.status === 'failed') return state.taken.length > 0
  const isMeant = ({ node: { id, cancels } }: GraphNode) =>
    cancels?.includes(node.id) && states.get(id)?.status === 'completed'
  return state?.status === 'cancelled' && graph.nodes.some(isMeant)
}
