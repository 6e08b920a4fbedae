/** What is known of an execution while it is owned: the states that count (they are recorded), the rows as they were
 *  last noted, and what expressions see of it. */

import type { Graph, GraphEdge, GraphNode } from '../components/workflow-rules.ts'
import { jsonText, type Variables } from '../expressions/expressions.ts'
import { evaluated, INPUT_MAX, isTrue, NodeFailure } from './nodes/node.ts'
import * as rules from './rules.ts'
import type { ExecutionRow, NodeRow, StoredNode } from './store.ts'

/** Shorter texts are kept twice rather than looked for. */
const WORTH_SHARING = 64

/** Characters of JSON that the inputs of one execution may come to together, without what they only borrow. */
const INPUTS_MAX = 64 * 1024 * 1024

export class Memory {
  readonly graph: Graph
  readonly states: rules.States = new Map()
  readonly rows = new Map<string, NodeRow>()
  readonly #input: unknown
  readonly #seen: Record<string, unknown>
  readonly #about: Variables
  /** Whose output (or the execution's input) a value is, so that it is not kept twice. */
  readonly #sources = new Map<unknown, string>()
  /** Characters of JSON that each input comes to, and all of them. */
  readonly #inputs = new Map<string, number>()
  #inputCharacters = 0
  /** Characters of JSON that the outputs come to so far. */
  characters = 0

  constructor(graph: Graph, execution: ExecutionRow, nodes: StoredNode[], callbacks: Record<string, string>) {
    this.graph = graph
    const { id, workflow_id, created_at } = execution
    this.#about = { execution: { id, workflow_id, created_at }, callbacks }
    this.#input = execution.input
    this.#source(execution.input, '')
    for (const node of nodes) this.#recall(node)
    this.#seen = rules.nodesSeen(graph, this.states)
  }

  /** A node's new state counts from now on: it is recorded. */
  apply(at: GraphNode, state: rules.NodeState): void {
    this.states.set(at.node.id, state)
    this.#seen[at.node.id] = rules.nodeSeen(state)
    if (state.status === 'completed') this.#source(state.output, at.node.id)
  }

  /** Looks at the execution as if the node were in this state already. */
  #supposing<Result>(at: GraphNode, state: rules.NodeState, look: () => Result): Result {
    const before = this.#seen[at.node.id]
    this.#seen[at.node.id] = rules.nodeSeen(state)
    try {
      return look()
    } finally {
      this.#seen[at.node.id] = before
    }
  }

  /** The edges that are taken when a node ends in this state. Throws a `NodeFailure` when a condition cannot be told. */
  edgesTaken(at: GraphNode, state: rules.NodeState): number[] {
    const edges = rules.edgesAfter(at, state.status === 'failed' ? 'failed' : 'completed')
    return this.#supposing(at, state, () =>
      edges.filter((edge) => this.#isTaken(edge, state.output)).map((edge) => edge.index),
    )
  }

  #isTaken({ when, source, target }: GraphEdge, output: unknown): boolean {
    if (!when) return true
    const bare: Record<string, unknown> = {}
    for (const { name } of when.bare) {
      const holder = [output, this.#input].find((one) => isObject(one) && Object.hasOwn(one, name))
      if (isObject(holder)) bare[name] = holder[name]
    }
    const isTaken = () => isTrue(when.evaluate({ ...bare, ...this.variables() }))
    return evaluated(`The condition of the edge from "${source}" to "${target}"`, isTaken, 'EXPRESSION_FAILED')
  }

  variables(): Variables {
    return { input: this.#input, nodes: this.#seen, vars: this.graph.config.vars, ...this.#about }
  }

  /** What a node is given, and how its row keeps that. The input of a map is mapped for each of its items. */
  inputOf(at: GraphNode): { value: unknown; row: Pick<NodeRow, 'input' | 'input_from'> } {
    return evaluated('The input', () => {
      const isMapped = at.node.type !== 'map' && at.input
      const value = isMapped
        ? isMapped.render(this.variables(), INPUT_MAX)
        : rules.inputByDefault(at, this.states, this.#input)
      const { input: own, input_from } = rules.splitInput(value, this.#sources)
      const input = jsonText(own ?? null, INPUT_MAX)
      this.#assertRoom(at.node.id, input.length)
      this.#countInput(at.node.id, input.length)
      return { value, row: { input, input_from } }
    })
  }

  /** What a node was given when it began, from its row. */
  inputAgain(at: GraphNode): unknown {
    const row = this.rows.get(at.node.id)
    if (!row) return null
    const sourceOf = (id: string) => (id === '' ? this.#input : this.states.get(id)?.output)
    return rules.joinInput(row.input === null ? null : JSON.parse(row.input), row.input_from, sourceOf)
  }

  /** The moment at which a node goes on by itself. */
  nextDue(): string | undefined {
    let next: string | undefined
    for (const state of this.states.values()) {
      if (!state.due_at || rules.hasEnded(state)) continue
      if (next === undefined || state.due_at < next) next = state.due_at
    }
    return next
  }

  /** Whether a node waits, for a time or for something to come. */
  isWaiting(): boolean {
    for (const { status } of this.states.values()) if (status === 'waiting' || status === 'retrying') return true
    return false
  }

  #recall({ characters, ...node }: StoredNode): void {
    const { node_id, status, attempt, error, taken, due_at, output } = node
    const input = node.input === null ? null : JSON.stringify(node.input)
    this.rows.set(node_id, { ...node, input, output: null })
    if (input !== null) this.#countInput(node_id, input.length)
    this.characters += characters
    // What was at work when its process ended is pending again, in the same attempt.
    if (status === 'running') return
    this.states.set(node_id, { status, attempt, output, error, taken, due_at })
    if (status === 'completed') this.#source(output, node_id)
  }

  #assertRoom(id: string, characters: number): void {
    if (this.#inputCharacters - (this.#inputs.get(id) ?? 0) + characters <= INPUTS_MAX) return
    const message = 'The inputs of this execution have more than 64 MiB of JSON together.'
    throw new NodeFailure('INPUT_TOO_LARGE', message, { is_final: true })
  }

  /** Another attempt's input takes the place of the one before. */
  #countInput(id: string, characters: number): void {
    this.#inputCharacters += characters - (this.#inputs.get(id) ?? 0)
    this.#inputs.set(id, characters)
  }

  #source(value: unknown, id: string): void {
    const isWorthIt =
      typeof value === 'object' ? value !== null : typeof value === 'string' && value.length > WORTH_SHARING
    if (isWorthIt && !this.#sources.has(value)) this.#sources.set(value, id)
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const blankRow = (node_id: string): NodeRow => ({
  node_id,
  status: 'running',
  attempt: 0,
  input: null,
  input_from: null,
  output: null,
  error: null,
  taken: [],
  items: null,
  spent_ms: 0,
  due_at: null,
  started_at: null,
  completed_at: null,
})
