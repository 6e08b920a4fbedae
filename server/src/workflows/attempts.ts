/** The attempts of nodes: each is performed, and what became of it is recorded before it counts. Gives how many are at
 *  work and what has changed; what follows from it is decided by the interpreter. */

import type { ExecutionError } from '@flow/contract/workflows'
import type { GraphEdge, GraphNode } from '../components/workflow-rules.ts'
import type { Clock, Platform } from '../context.ts'
import { ExpressionFault } from '../expressions/expressions.ts'
import type { Journal } from './journal.ts'
import { blankRow, type Memory } from './memory.ts'
import { outputText } from './nodes/code.ts'
import { kinds } from './nodes/kinds.ts'
import { type Ending, evaluated, NodeFailure } from './nodes/node.ts'
import * as rules from './rules.ts'
import type { Snapshot } from './snapshot.ts'
import * as store from './store.ts'

/** Characters of JSON that the outputs of one execution may come to together. */
const OUTPUTS_MAX = 64 * 1024 * 1024

type AtWork = { abort: AbortController; spent_ms: number; row: store.NodeRow; is_new: boolean }

export type Surroundings = {
  execution: store.ExecutionRow
  snapshot: Snapshot
  memory: Memory
  journal: Journal
  platform: Platform
  clock: Clock
  /** Something has changed, or went wrong in a way that no node is to blame for. */
  stir(error?: unknown): void
}

export class Attempts {
  readonly #of: Surroundings
  readonly #atWork = new Map<string, AtWork>()
  readonly #changed: GraphNode[] = []
  /** Why the execution has failed. */
  failure: ExecutionError | undefined

  constructor(of: Surroundings) {
    this.#of = of
  }

  get count(): number {
    return this.#atWork.size
  }

  has = (id: string): boolean => this.#atWork.has(id)

  /** The nodes that something has led to, since this was last asked. */
  takeChanged(): GraphNode[] {
    return this.#changed.splice(0)
  }

  /** Begins a node: the attempt after the last one that failed, or the one that its process did not end. */
  begin(at: GraphNode): void {
    const { memory } = this.#of
    const state = memory.states.get(at.node.id)
    const isOver = state?.status === 'waiting'
    const attempt = state ? state.attempt + (isOver ? 0 : 1) : memory.rows.get(at.node.id)?.attempt || 1
    this.#work(at, attempt, isOver ? async () => ({ output: memory.inputAgain(at) }) : () => this.#perform(at, attempt))
  }

  /** Ends what is at work without waiting for it. */
  abort(id: string): void {
    this.#atWork.get(id)?.abort.abort()
    this.#atWork.delete(id)
  }

  abortAll(): void {
    for (const id of [...this.#atWork.keys()]) this.abort(id)
  }

  /** The row of a node as it is at this moment. */
  rowOf(at: GraphNode): store.NodeRow {
    const { id } = at.node
    const work = this.#atWork.get(id)
    return work ? { ...work.row, spent_ms: work.spent_ms } : (this.#of.memory.rows.get(id) ?? blankRow(id))
  }

  keep(row: store.NodeRow): void {
    this.#of.memory.rows.set(row.node_id, row)
    this.#of.journal.node(row)
  }

  #now(): string {
    return this.#of.clock.now().toISOString()
  }

  #tell(at: GraphNode, type: string, details: object, time = this.#now()): void {
    this.#of.journal.event({ type: `node.${type}`, node_id: at.node.id, at: time, details })
  }

  #work(at: GraphNode, attempt: number, perform: () => Promise<Ending>): void {
    const { id } = at.node
    const { memory, journal, snapshot, stir } = this.#of
    const before = memory.rows.get(id)
    const started_at = before?.started_at ?? this.#now()
    const row: store.NodeRow = {
      ...(before ?? blankRow(id)),
      status: 'running',
      attempt,
      due_at: null,
      started_at,
      error: null,
    }
    this.#atWork.set(id, { abort: new AbortController(), spent_ms: row.spent_ms, row, is_new: !before })
    memory.states.set(id, { status: 'running', attempt, taken: [] })
    // A wait that is over is recorded as waiting until it is recorded as completed: it must not begin anew.
    if (before?.status !== 'waiting') {
      journal.node(row)
      this.#tell(at, 'started', { attempt }, started_at)
    }
    this.#attempt(at, attempt, perform).then(
      (isRecorded) => {
        this.abort(id)
        if (isRecorded) this.#changed.push(...rules.targetsOf(snapshot.graph, at))
        stir()
      },
      (error: unknown) => stir(error),
    )
  }

  /** Whether the end of the attempt is recorded. */
  async #attempt(at: GraphNode, attempt: number, perform: () => Promise<Ending>): Promise<boolean> {
    const { id } = at.node
    try {
      const ending = await perform()
      if (!this.#atWork.has(id)) return false
      return 'wait_until' in ending ? await this.#waits(at, attempt, ending) : await this.#succeeds(at, attempt, ending)
    } catch (error) {
      if (!this.#atWork.has(id)) return false
      // What no node is to blame for ends the run in this process, and it is taken up again.
      if (!(error instanceof NodeFailure)) throw error
      return this.#fails(at, attempt, error)
    }
  }

  async #perform(at: GraphNode, attempt: number): Promise<Ending> {
    const { node } = at
    const { memory, execution, snapshot, platform, journal } = this.#of
    const work = this.#atWork.get(node.id)
    if (!work) throw new Error('a node is performed that is not at work')
    const input = memory.inputOf(at)
    work.row = { ...work.row, ...input.row }
    journal.node(work.row)
    // Of a map the limit is for each item.
    const seconds = node.type === 'map' ? undefined : node.timeout_seconds
    const timeout = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1000)
    try {
      return await kinds[node.type]({
        at,
        platform,
        tenant: execution.organization_id,
        input: input.value,
        variables: memory.variables(),
        now: this.#of.clock.now(),
        attempt,
        about: { execution_id: execution.id, workflow_id: execution.workflow_id, node_id: node.id },
        signal: timeout ? AbortSignal.any([work.abort.signal, timeout]) : work.abort.signal,
        block: 'component_ref' in node ? snapshot.blocks.get(node.component_ref) : undefined,
        recordedItems: async () =>
          work.is_new ? [] : store.itemsOf(platform.database.platform, execution.id, node.id),
        keepItem: (item) => journal.item({ ...item, node_id: node.id }),
        tellItems: (items) => this.#tellItems(at, work, items),
        spend: (ms) => {
          work.spent_ms += ms
        },
      })
    } catch (error) {
      if (!timeout?.aborted || work.abort.signal.aborted) throw error
      throw new NodeFailure('TIMEOUT', `The node took longer than ${seconds} seconds.`)
    }
  }

  #tellItems(at: GraphNode, work: AtWork, items: store.Items): void {
    const { completed = 0, failed = 0 } = work.row.items ?? {}
    if (completed === items.completed && failed === items.failed) return
    work.row = { ...work.row, items, spent_ms: work.spent_ms }
    this.#of.journal.node(work.row)
    this.#tell(at, 'progress', { items })
  }

  async #waits(at: GraphNode, attempt: number, ending: { wait_until: string; output: unknown }): Promise<boolean> {
    const { wait_until: due_at, output } = ending
    if (due_at <= this.#now()) return this.#succeeds(at, attempt, { output })
    this.keep({ ...this.rowOf(at), status: 'waiting', due_at })
    this.#tell(at, 'waiting', { waiting_until: due_at })
    return this.#record(at, { status: 'waiting', attempt, taken: [], due_at })
  }

  async #succeeds(at: GraphNode, attempt: number, ending: { output: unknown; items?: store.Items }): Promise<boolean> {
    const { memory } = this.#of
    const output = outputText(ending.output)
    if (memory.characters + output.length > OUTPUTS_MAX) {
      const message = 'The outputs of this execution have more than 64 MiB of JSON together.'
      throw new NodeFailure('OUTPUT_TOO_LARGE', message, { is_final: true })
    }
    memory.characters += output.length
    const state: rules.NodeState = { status: 'completed', attempt, output: ending.output ?? null, taken: [] }
    const taken = this.#take(at, state)
    const row = this.rowOf(at)
    const items = ending.items ?? row.items
    const completed_at = this.#now()
    this.keep({ ...row, status: 'completed', output, taken, items, completed_at })
    this.#tell(
      at,
      'completed',
      { attempt, duration_ms: since(row, completed_at), ...(items ? { items } : {}) },
      completed_at,
    )
    return this.#record(at, { ...state, taken })
  }

  async #fails(at: GraphNode, attempt: number, failure: NodeFailure): Promise<boolean> {
    const { node } = at
    const error = this.#errorOf(at, failure)
    const now = this.#of.clock.now()
    const attempts = node.retry?.max_attempts ?? 1
    if (attempt < attempts && !failure.is_final) {
      const due_at = new Date(now.getTime() + rules.backoffOf(at, attempt) * 1000).toISOString()
      this.keep({ ...this.rowOf(at), status: 'retrying', due_at, error })
      this.#tell(at, 'retrying', { attempt, error, waiting_until: due_at })
      return this.#record(at, { status: 'retrying', attempt, taken: [], due_at, error })
    }
    const state: rules.NodeState = { status: 'failed', attempt, output: null, error, taken: [] }
    const taken = node.on_error === 'fail' ? [] : this.#take(at, state)
    const row = this.rowOf(at)
    const completed_at = now.toISOString()
    this.keep({ ...row, status: 'failed', error, taken, completed_at })
    this.#tell(at, 'failed', { attempt, duration_ms: since(row, completed_at), error }, completed_at)
    if (node.on_error === 'fail') this.failure ??= error
    return this.#record(at, { ...state, taken })
  }

  async #record(at: GraphNode, state: rules.NodeState): Promise<boolean> {
    if (!(await this.#of.journal.flush())) return false
    this.#of.memory.apply(at, state)
    return true
  }

  /** The edges that are taken when a node has ended. They are recorded with it, so they are decided once. */
  #take(at: GraphNode, state: rules.NodeState): number[] {
    const edges = rules.edgesAfter(at, state.status === 'failed' ? 'failed' : 'completed')
    try {
      return this.#of.memory.supposing(at, state, () =>
        edges.filter((edge) => this.#isTaken(edge, state.output)).map((edge) => edge.index),
      )
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error
      this.failure ??= this.#errorOf(at, error)
      return []
    }
  }

  #isTaken(edge: GraphEdge, output: unknown): boolean {
    if (!edge.when) return true
    const bare: Record<string, unknown> = {}
    for (const { name } of edge.when.bare) {
      const holder = [output, this.#of.execution.input].find((one) => isObject(one) && Object.hasOwn(one, name))
      if (isObject(holder)) bare[name] = holder[name]
    }
    const condition = edge.when
    const what = `The condition of the edge from "${edge.source}" to "${edge.target}"`
    const isTaken = () => {
      const value = condition.evaluate({ ...bare, ...this.#of.memory.variables() })
      if (typeof value === 'boolean') return value
      throw new ExpressionFault(`It gives ${JSON.stringify(value)?.slice(0, 100)}, not a boolean.`)
    }
    return evaluated(what, isTaken, 'EXPRESSION_FAILED')
  }

  #errorOf({ node }: GraphNode, { code, message, cause }: NodeFailure): ExecutionError {
    const { execution, platform } = this.#of
    const about = { err: cause, execution_id: execution.id, node_id: node.id }
    if (cause !== undefined) platform.log.error(about, 'a node failed by a fault of its evaluation')
    return { code, message, node_id: node.id }
  }
}

const since = ({ started_at }: store.NodeRow, until: string): number =>
  started_at ? Date.parse(until) - Date.parse(started_at) : 0

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
