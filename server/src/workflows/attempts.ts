/** The attempts of nodes: each is performed, and what became of it is recorded before it counts. Gives how many are at
 *  work and what has changed; what follows from it is decided by the interpreter. */

import type { ExecutionError } from '@flow/contract/workflows'
import type { GraphNode } from '../components/workflow-rules.ts'
import { type Clock, type Context, type Platform, within, written } from '../context.ts'
import { callOf } from './calls.ts'
import type { Journal } from './journal.ts'
import { blankRow, type Memory } from './memory.ts'
import { outputText } from './nodes/code.ts'
import { isPure, kinds } from './nodes/kinds.ts'
import { type Effect, type Ending, evaluated, isTrue, NodeFailure } from './nodes/node.ts'
import { recordable } from './redaction.ts'
import * as rules from './rules.ts'
import { closing } from './runs.ts'
import type { Snapshot } from './snapshot.ts'
import type * as store from './store.ts'
import { type Arrival, arrivalsOf, arriveFirst, type Closing } from './waits.ts'

/** Characters of JSON that the outputs of one execution may come to together. */
const OUTPUTS_MAX = 64 * 1024 * 1024

/** A timer does not count further. */
const SECONDS_MAX = 1_000_000

/** Why what an attempt has left behind goes on no longer. One for all: a reason of its own has a stack to be taken. */
const OVER = new Error('the attempt is over')

type Abort = Pick<AbortController, 'signal' | 'abort'>
type AtWork = { abort: Abort; spent_ms: number; row: store.NodeRow; is_new: boolean }

export type Surroundings = {
  /** In whose name: the context of what nodes begin themselves. */
  ctx: Context
  execution: store.ExecutionRow
  snapshot: Snapshot
  memory: Memory
  journal: Journal
  platform: Platform
  clock: Clock
  /** Reads what has come for the nodes that wait. */
  look(): Promise<void>
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
    const isNew = !state && !memory.rows.has(at.node.id)
    if (isNew && !this.#isWanted(at)) this.#skip(at)
    else this.#work(at, attempt, () => (isOver ? this.#isDue(at, attempt) : this.#perform(at, attempt)))
  }

  /** Goes on with a node that waits, by what came for it. */
  arrive(at: GraphNode, arrival: Arrival): void {
    const attempt = this.#of.memory.states.get(at.node.id)?.attempt ?? 1
    this.#work(at, attempt, async () => this.#endingOf(at, arrival))
  }

  /** Ends a node that has not ended; false when it has. */
  cancel(at: GraphNode, now: string): boolean {
    const { id } = at.node
    const { memory } = this.#of
    // What has ended, and is only not yet recorded, has ended all the same.
    if (rules.hasEnded(memory.states.get(id)) || memory.rows.get(id)?.completed_at) return false
    const row = this.rowOf(at)
    this.abort(id)
    this.keep({ ...row, status: 'cancelled', due_at: null, completed_at: now })
    this.#tell(at, 'cancelled', {}, now)
    memory.states.set(id, { status: 'cancelled', attempt: row.attempt, taken: [] })
    return true
  }

  /** Ends what nodes have waited for, together with what is noted of them. */
  close(nodes: GraphNode[], task_status: Closing['task_status'] = 'cancelled'): void {
    const { ctx, execution, journal, memory } = this.#of
    const opened = nodes.map(({ node }) => node).filter(({ type }) => kinds[type].opens)
    if (opened.length === 0) return
    const attempts = opened.map(({ id }) => ({ node_id: id, attempt: memory.states.get(id)?.attempt ?? 1 }))
    const closed = { execution_id: execution.id, nodes: attempts, task_status }
    journal.effect((db) => within(ctx, db).start(closing, closed))
  }

  #isWanted(at: GraphNode): boolean {
    const { when } = at
    if (!when) return true
    try {
      return evaluated('The "when"', () => isTrue(when.evaluate(this.#of.memory.variables())))
    } catch (error) {
      if (error instanceof NodeFailure) return true
      throw error
    }
  }

  #skip(at: GraphNode): void {
    const now = this.#now()
    this.#of.memory.states.set(at.node.id, { status: 'skipped', attempt: 0, taken: [] })
    this.keep({ ...blankRow(at.node.id), status: 'skipped', completed_at: now })
    this.#tell(at, 'skipped', {}, now)
    this.#changed.push(...rules.targetsOf(this.#of.snapshot.graph, at))
    this.#of.stir()
  }

  /** The time of a node that waited has come. What it waited for may have come at the same moment: the first counts. */
  async #isDue(at: GraphNode, attempt: number): Promise<Ending> {
    const { memory, execution, platform } = this.#of
    const { due = timedOut } = kinds[at.node.type]
    try {
      return due(at, memory.inputAgain(at))
    } catch (failure) {
      if (!(failure instanceof NodeFailure)) throw failure
      const db = platform.database.platform
      const { id: execution_id, organization_id } = execution
      const news = { error: this.#errorOf(at, failure), now: this.#now() }
      await arriveFirst(db, { organization_id, execution_id, node_id: at.node.id, attempt }, news)
      const arrivals = await arrivalsOf(db, execution_id)
      const first = arrivals.find((one) => one.node_id === at.node.id && one.attempt === attempt)
      return this.#endingOf(at, first ?? { ...news, output: null })
    }
  }

  /** What came decides. When that is the end of its time, what was waited for ends with it: here, so that it does
   *  after a crash as well. */
  #endingOf(at: GraphNode, { output, error }: Pick<Arrival, 'output' | 'error'>): Ending {
    if (!error) return { output }
    if (error.code !== 'CHILD_FAILED') this.close([at], 'expired')
    throw new NodeFailure(error.code, error.message, { is_final: error.code === 'EXPIRED' })
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

  #now = (): string => written(this.#of.clock.now())

  #tell(at: GraphNode, type: string, details: object, time = this.#now()): void {
    this.#of.journal.event({ type: `node.${type}`, node_id: at.node.id, at: time, details })
  }

  #work(at: GraphNode, attempt: number, perform: () => Promise<Ending>): void {
    const { id } = at.node
    const { memory, journal, snapshot, stir } = this.#of
    const before = memory.rows.get(id)
    const now = this.#now()
    const started_at = before?.started_at ?? now
    const row: store.NodeRow = {
      ...(before ?? blankRow(id)),
      status: 'running',
      attempt,
      due_at: null,
      started_at,
      error: null,
    }
    const abort = isPure(at) && at.node.timeout_seconds === undefined ? UNHEARD : new AbortController()
    this.#atWork.set(id, { abort, spent_ms: row.spent_ms, row, is_new: !before })
    memory.states.set(id, { status: 'running', attempt, taken: [] })
    // A wait that is over is recorded as waiting until it is recorded as completed: it must not begin anew.
    if (before?.status !== 'waiting') {
      journal.node(row)
      this.#tell(at, 'started', { attempt }, now)
    }
    this.#attempt(at, attempt, perform).then(
      (isRecorded) => {
        this.#atWork.get(id)?.abort.abort(OVER)
        this.#atWork.delete(id)
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
      if ('waits' in ending) return await this.#waitsFor(at, attempt, ending.waits)
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
    const { memory, journal } = this.#of
    const work = this.#atWork.get(node.id)
    if (!work) throw new Error('a node is performed that is not at work')
    if (at.when && work.is_new) evaluated('The "when"', () => at.when && isTrue(at.when.evaluate(memory.variables())))
    const input = memory.inputOf(at)
    work.row = { ...work.row, ...input.row }
    journal.node(work.row)
    // What is done now must not be done for something that is forgotten.
    if (!isPure(at) && !(await journal.catchUp())) throw new Error('the execution belongs to somebody else now')
    // Of a map the limit is for each item; of what waits for something it is a time that is due.
    const seconds = kinds[node.type].hasOwnLimit ? undefined : node.timeout_seconds
    const timeout = seconds === undefined ? undefined : AbortSignal.timeout(Math.min(seconds, SECONDS_MAX) * 1000)
    try {
      return await kinds[node.type].perform(
        callOf(this.#of, {
          at,
          attempt,
          input: input.value,
          signal: timeout ? AbortSignal.any([work.abort.signal, timeout]) : work.abort.signal,
          is_new: work.is_new,
          tellItems: (items) => this.#tellItems(at, work, items),
          spend: (ms) => {
            work.spent_ms += ms
          },
        }),
      )
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

  /** What is to come is opened together with the record. */
  async #waitsFor(
    at: GraphNode,
    attempt: number,
    { until, open }: { until?: string; open?: Effect },
  ): Promise<boolean> {
    const due_at = until ?? null
    this.keep({ ...this.rowOf(at), status: 'waiting', due_at })
    this.#tell(at, 'waiting', { attempt, ...(until ? { waiting_until: until } : {}) })
    if (open) this.#of.journal.effect(open)
    if (!(await this.#record(at, { status: 'waiting', attempt, taken: [], due_at }))) return false
    // A call may have come before.
    if (at.node.type === 'webhook_wait') await this.#of.look()
    return true
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
    const cancelled = this.#cancelFor(at, completed_at)
    this.keep({ ...row, status: 'completed', output, taken, items, completed_at })
    this.#tell(
      at,
      'completed',
      { attempt, duration_ms: since(row, completed_at), ...(items ? { items } : {}) },
      completed_at,
    )
    const end = { ...state, taken }
    const isRecorded = await (isPure(at) ? this.#foresee(at, end) : this.#record(at, end))
    if (isRecorded) this.#changed.push(...cancelled.flatMap((one) => rules.targetsOf(this.#of.snapshot.graph, one)))
    return isRecorded
  }

  /** The nodes that this one cancels end with it. */
  #cancelFor({ node }: GraphNode, now: string): GraphNode[] {
    const { byId } = this.#of.memory.graph
    const cancelled = (node.cancels ?? []).flatMap((id) => byId.get(id) ?? []).filter((one) => this.cancel(one, now))
    this.close(cancelled)
    return cancelled
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
    // What another node has cancelled while this was written stays cancelled.
    if (!(await this.#of.journal.flush()) || !this.#atWork.has(at.node.id)) return false
    this.#of.memory.apply(at, state)
    return true
  }

  /** Counts before it is recorded, which is with whatever is written next: it would come out the same again. */
  async #foresee(at: GraphNode, state: rules.NodeState): Promise<boolean> {
    this.#of.journal.runAhead()
    this.#of.memory.apply(at, state)
    // However long they are, chains of such nodes leave others their turn.
    await new Promise((resolve) => setImmediate(resolve))
    return this.#atWork.has(at.node.id)
  }

  /** The edges that are taken when a node has ended. They are recorded with it, so they are decided once. */
  #take(at: GraphNode, state: rules.NodeState): number[] {
    try {
      return this.#of.memory.edgesTaken(at, state)
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error
      this.failure ??= this.#errorOf(at, error)
      return []
    }
  }

  #errorOf({ node }: GraphNode, { code, message, cause }: NodeFailure): ExecutionError {
    const { execution, platform } = this.#of
    const about = { err: cause, execution_id: execution.id, node_id: node.id }
    if (cause !== undefined) platform.log.error(about, 'a node failed by a fault of its evaluation')
    return { code, message: recordable(message, this.#of), node_id: node.id }
  }
}

/** Of what is pure: it is over before it could be told to end. */
const UNHEARD: Abort = { signal: new AbortController().signal, abort: () => {} }

function timedOut({ node }: GraphNode): never {
  throw new NodeFailure('TIMEOUT', `Nothing came within ${node.timeout_seconds} seconds.`)
}

const since = ({ started_at }: store.NodeRow, until: string): number =>
  started_at ? Date.parse(until) - Date.parse(started_at) : 0
