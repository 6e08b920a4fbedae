/** Runs one execution: begins the nodes that are ready, and ends, rests or hands over.
 *
 *  The order that everything rests on: what a node gave is recorded, and only when it is recorded does anything begin
 *  that follows from it and reaches outside. So a node whose result is recorded never runs again, and a node that was at
 *  work when its process ended runs again with the same idempotency key. What is pure goes on from what is pure before
 *  it is recorded: nobody outside has seen anything of it. Whoever lost the execution learns it with the next writing,
 *  which is refused. */

import type { ExecutionError, ExecutionStatus } from '@flow/contract/workflows'
import type { GraphNode } from '../components/workflow-rules.ts'
import type { Platform } from '../context.ts'
import type { Database } from '../db/db.ts'
import { groupCommit } from '../db/group-commit.ts'
import type { Outcome, RunContext } from '../engine/engine.ts'
import { Attempts } from './attempts.ts'
import { callbacksOf } from './callbacks.ts'
import { effectsOfEnd, usesOf } from './ending.ts'
import { takeFresh } from './fresh.ts'
import { Journal, writerOf } from './journal.ts'
import { blankRow, Memory } from './memory.ts'
import { outputText } from './nodes/code.ts'
import { assertFits, evaluated, NodeFailure, OUTPUT_MAX } from './nodes/node.ts'
import { recordable } from './redaction.ts'
import * as rules from './rules.ts'
import { markCommitted, type Snapshot, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'
import { type Arrival, arrivalsOf } from './waits.ts'

/** An execution that ends every process that takes it is ended itself. */
const CRASHES_MAX = 20
/** Shorter pauses are waited for in the process. */
const REST_MS = 1500
const DAY_MS = 86_400_000
const SLEEP_MS_MAX = 60_000
/** What a newer release has pinned is left to it, while both are at work. */
const NEWER_MS = 2000

/** Takes up an execution, wherever it is. */
export async function interpret(ctx: RunContext, execution_id: string): Promise<Outcome> {
  const { database } = ctx.platform
  const db = database.platform
  const execution = takeFresh(ctx, execution_id) ?? (await loaderOf(database)(execution_id))
  if (!execution || execution.completed_at) return undefined
  // What nobody has begun has its first event and, unless it takes up another one, no nodes.
  const isNew = execution.status === 'queued'
  const [nodes, { seq }, snapshot] = await Promise.all([
    isNew && !execution.retry_of ? [] : store.nodesOf(db, execution_id),
    isNew ? { seq: 1 } : store.lastSeq(db, execution_id),
    snapshotOf(db, execution.organization_id, execution.snapshot),
  ])
  markCommitted(execution.organization_id, execution.snapshot, ctx.platform.clock.now())
  if (snapshot.isNewer) return { rest_until: new Date(ctx.platform.clock.now().getTime() + NEWER_MS).toISOString() }
  return new Interpreter(inNameOf(ctx, execution), execution, snapshot, nodes, seq).run()
}

/** Whoever wakes an execution, it goes on in the name of whoever started it. */
const inNameOf = (
  ctx: RunContext,
  { workspace_id, started_by, request_id, rights_of, rights_key }: store.ExecutionRow,
): RunContext => ({
  ...ctx,
  workspace_id,
  actor: { ...ctx.actor, id: started_by ?? '', user_id: started_by ?? '' },
  request_id: request_id ?? ctx.request_id,
  rights: rights_of ? { user_id: rights_of, key_id: rights_key } : undefined,
})

/** Executions that are taken up in the same turn are read together. */
const loaders = new WeakMap<Database, (id: string) => Promise<store.ExecutionRow | undefined>>()

function loaderOf(database: Database) {
  const known = loaders.get(database)
  if (known) return known
  const loader = groupCommit<string, store.ExecutionRow | undefined>(async (ids) => {
    const byId = new Map((await store.load(database.platform, ids)).map((row) => [row.id, row]))
    return ids.map((id) => byId.get(id))
  })
  loaders.set(database, loader)
  return loader
}

class Interpreter {
  readonly #ctx: RunContext
  readonly #execution: store.ExecutionRow
  readonly #snapshot: Snapshot
  readonly #memory: Memory
  readonly #journal: Journal
  readonly #attempts: Attempts
  #deadline: string | null
  #isCancelled: boolean
  /** Nothing more can be written: the execution belongs to somebody else, or there is a fault. */
  #end: { error?: unknown } | undefined
  #wake: () => void = () => {}
  #hasNews = true
  #arrivals: Arrival[] = []

  constructor(
    ctx: RunContext,
    execution: store.ExecutionRow,
    snapshot: Snapshot,
    nodes: store.StoredNode[],
    seq: number,
  ) {
    const { platform, claim } = ctx
    this.#ctx = ctx
    this.#execution = execution
    this.#snapshot = snapshot
    this.#deadline = execution.deadline_at
    this.#isCancelled = execution.cancel_requested_at !== null
    this.#memory = new Memory(snapshot.graph, execution, nodes, callbacksOf(platform, snapshot.graph, execution.id))
    const about = { execution_id: execution.id, organization_id: execution.organization_id, token: claim.token, claim }
    this.#journal = new Journal(about, seq, writerOf(platform), (error) => {
      this.#end ??= { error }
      this.#stir()
    })
    this.#attempts = new Attempts({
      ctx,
      look: () => this.#readArrivals(),
      execution,
      snapshot,
      platform: ownedBy(claim, platform),
      memory: this.#memory,
      journal: this.#journal,
      clock: platform.clock,
      stir: (error) => this.#stir(error),
    })
  }

  async run(): Promise<Outcome> {
    const { claim, signal } = this.#ctx
    const stir = () => this.#stir()
    claim.onNews(() => this.#look())
    claim.stopping.addEventListener('abort', stir)
    signal.addEventListener('abort', stir)
    try {
      if (this.#memory.isWaiting()) await this.#readArrivals()
      this.#begin()
      return await this.#loop()
    } finally {
      claim.stopping.removeEventListener('abort', stir)
      signal.removeEventListener('abort', stir)
      this.#attempts.abortAll()
      this.#journal.close()
    }
  }

  async #loop(): Promise<Outcome> {
    let candidates: Iterable<GraphNode> = this.#memory.graph.nodes
    for (;;) {
      if (this.#end?.error) throw this.#end.error
      if (this.#end || this.#ctx.signal.aborted) return undefined
      const verdict = this.#verdict()
      if (verdict) return this.#finish(verdict)

      const isStopping = this.#ctx.claim.stopping.aborted
      if (!isStopping) this.#goOn(candidates)
      if (this.#attempts.count === 0) {
        if (isStopping) return this.#handOver()
        const due = this.#memory.nextDue()
        if (!this.#memory.isWaiting()) return this.#finish({ status: 'completed' })
        if (due === undefined || Date.parse(due) - this.#now().getTime() > REST_MS) return this.#rest(due)
      }
      candidates = await this.#change()
    }
  }

  /** How it has to end, whatever else could go on. */
  #verdict(): Verdict | undefined {
    if (this.#isCancelled) return { status: 'cancelled' }
    if (this.#attempts.failure) return { status: 'failed', error: this.#attempts.failure }
    if (this.#deadline && this.#deadline <= this.#now().toISOString()) {
      const message = `The execution took longer than ${this.#memory.graph.config.timeout_seconds} seconds.`
      return { status: 'timed_out', error: { code: 'TIMEOUT', message, node_id: null } }
    }
    if (this.#ctx.claim.failures < CRASHES_MAX) return undefined
    const message = `Its process ended ${CRASHES_MAX} times while it ran.`
    return { status: 'failed', error: { code: 'CRASHED', message, node_id: null } }
  }

  #begin(): void {
    const at = this.#now().toISOString()
    const { timeout_seconds } = this.#memory.graph.config
    const { status, started_at } = this.#execution
    if (status === 'running') return
    this.#journal.event({ type: started_at ? 'execution.resumed' : 'execution.started', at })
    if (!started_at && timeout_seconds) this.#deadline = new Date(Date.parse(at) + timeout_seconds * 1000).toISOString()
    const deadline = this.#deadline ? { deadline_at: this.#deadline } : {}
    this.#journal.execution({ status: 'running', waiting_until: null, started_at: started_at ?? at, ...deadline })
  }

  /** Goes on with what something has come for or has waited long enough, and begins what is ready. */
  #goOn(candidates: Iterable<GraphNode>): void {
    const { graph, states } = this.#memory
    const now = this.#now().toISOString()
    for (const arrival of this.#arrivals) {
      const at = graph.byId.get(arrival.node_id)
      const state = states.get(arrival.node_id)
      if (at && state?.status === 'waiting' && state.attempt === arrival.attempt) this.#attempts.arrive(at, arrival)
    }
    for (const at of graph.nodes) {
      const state = states.get(at.node.id)
      if (state?.due_at && state.due_at <= now && !rules.hasEnded(state)) this.#attempts.begin(at)
    }
    const { ready, skipped } = rules.decide(graph, states, candidates)
    for (const { node } of skipped) {
      this.#attempts.keep({ ...blankRow(node.id), status: 'skipped', completed_at: now })
      this.#journal.event({ type: 'node.skipped', node_id: node.id, at: now })
    }
    for (const at of ready) this.#attempts.begin(at)
  }

  #now(): Date {
    return this.#ctx.platform.clock.now()
  }

  // ---- sleep: until a node has ended, a pause is over, there is news, or the process ends

  #stir(error?: unknown): void {
    if (error !== undefined) this.#end ??= { error }
    this.#hasNews = true
    this.#wake()
  }

  async #change(): Promise<GraphNode[]> {
    const due = earliest(this.#memory.nextDue(), this.#deadline)
    let timer: NodeJS.Timeout | undefined
    if (!this.#hasNews) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (due === undefined) return
        const ms = Date.parse(due) - this.#now().getTime() + 1
        timer = setTimeout(resolve, Math.min(Math.max(0, ms), SLEEP_MS_MAX))
      })
    }
    clearTimeout(timer)
    this.#hasNews = false
    return this.#attempts.takeChanged()
  }

  #look(): void {
    const { platform } = this.#ctx.platform.database
    Promise.all([store.isCancelRequested(platform, this.#execution.id), this.#readArrivals()]).then(
      ([isRequested]) => {
        this.#isCancelled ||= isRequested
        this.#stir()
      },
      (error: unknown) => this.#stir(error),
    )
  }

  async #readArrivals(): Promise<void> {
    if (!this.#memory.isWaiting()) return
    this.#arrivals = await arrivalsOf(this.#ctx.platform.database.platform, this.#execution.id)
  }

  // ---- how it comes to an end, for now or for good

  async #rest(due: string | undefined): Promise<Outcome> {
    const until = earliest(due, this.#deadline) ?? null
    const details = until ? { waiting_until: until } : undefined
    this.#journal.event({ type: 'execution.waiting', at: this.#now().toISOString(), details })
    this.#journal.execution({ status: 'waiting', waiting_until: until })
    return (await this.#journal.flush()) ? { rest_until: until } : undefined
  }

  async #handOver(): Promise<Outcome> {
    return (await this.#journal.flush()) ? { hand_over: true } : undefined
  }

  async #finish(verdict: Verdict): Promise<Outcome> {
    const { status, error, output } = verdict.status === 'completed' ? this.#result() : verdict
    const at = this.#now().toISOString()
    this.#abandon(at)
    this.#journal.event({ type: `execution.${status}`, at, ...(error ? { details: { error } } : {}) })
    const { retention_days } = this.#execution
    const expires_at = retention_days ? new Date(Date.parse(at) + retention_days * DAY_MS).toISOString() : undefined
    const result = { ...(error ? { error } : {}), ...(output ? { output } : {}), ...(expires_at ? { expires_at } : {}) }
    this.#journal.execution({ status, waiting_until: null, completed_at: at, ...result })
    const end = { status, error, output }
    this.#journal.bill(usesOf(this.#ctx, this.#execution, this.#memory.rows.values()))
    for (const effect of effectsOfEnd(this.#ctx, this.#execution, end, this.#snapshot)) this.#journal.effect(effect)
    this.#journal.end()
    await this.#journal.flush()
    return this.#journal.isLetGo ? { let_go: true } : undefined
  }

  #result(): Verdict {
    const { graph, states } = this.#memory
    const output = () =>
      graph.output ? graph.output.render(this.#memory.variables(), OUTPUT_MAX) : rules.outputByDefault(graph, states)
    try {
      const rendered = evaluated('The output of the workflow', output, 'OUTPUT_TOO_LARGE')
      const text = outputText(rendered)
      assertFits(graph.checkOutput, rendered, 'INVALID_OUTPUT', 'The result does not fit "output_schema"')
      return { status: 'completed', output: text }
    } catch (thrown) {
      if (!(thrown instanceof NodeFailure)) throw thrown
      const { code, message, cause } = thrown
      const about = { err: cause, execution_id: this.#execution.id }
      if (cause !== undefined) this.#ctx.platform.log.error(about, 'the output of an execution could not be evaluated')
      const told = recordable(message, { execution: this.#execution, snapshot: this.#snapshot, memory: this.#memory })
      return { status: 'failed', error: { code, message: told, node_id: null } }
    }
  }

  /** What is at work or waits comes to its end with the execution. */
  #abandon(at: string): void {
    const { graph, states } = this.#memory
    const begun = graph.nodes.filter(({ node }) => states.has(node.id))
    this.#attempts.close(begun.filter((one) => this.#attempts.cancel(one, at)))
    this.#attempts.abortAll()
  }
}

/** The platform with everything that reaches outside behind the question whether the execution is still ours: what a
 *  process has written in vain is refused, but what it has called has been called. */
function ownedBy({ sure }: RunContext['claim'], platform: Platform): Platform {
  const { sandbox, fetch, asking } = platform
  const fetchOwned = (...asked: Parameters<typeof fetch>) => sure().then(() => platform.fetch(...asked))
  return {
    ...platform,
    sandbox: { ...sandbox, run: (job) => sure().then(() => sandbox.run(job)) },
    asking: { ...asking, ask: (question) => sure().then(() => asking.ask(question)) },
    fetch: Object.assign(fetchOwned, { close: fetch.close }),
  }
}

type Verdict = { status: ExecutionStatus; error?: ExecutionError; output?: string }

const earliest = (...times: (string | null | undefined)[]): string | undefined =>
  times.filter((time) => typeof time === 'string').sort()[0]
