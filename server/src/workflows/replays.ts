/** Replays: many executions of a workflow are run again as one batch. Which ones is decided when the batch is made, and
 *  kept; a durable run starts them in their order, some at a time. What starts and how far the batch has come is written
 *  in one transaction, by whoever holds the batch's row: so each is started exactly once, whatever happens to processes.
 *
 *  A batch: running → completed (each execution was started or refused) | cancelled. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import {
  type replays as contract,
  REPLAYED_MAX,
  type Replay,
  type ReplayFilter,
  type ReplaySummary,
} from '@flow/contract/replays'
import { ExecutionStatus } from '@flow/contract/workflows'
import { assertBudget } from '../billing/billing.ts'
import { type Context, newId, within } from '../context.ts'
import { defineRun, type Outcome, type RunContext } from '../engine/engine.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import { byHand, type Definition, prepareAgain } from './beginning.ts'
import { definitionOf, findWorkflow } from './finding.ts'
import * as store from './replays-store.ts'
import { restart, takeUp } from './retrying.ts'
import { replaying } from './runs.ts'
import { pin } from './snapshot.ts'
import * as executions from './store.ts'

type Ops = typeof contract

/** How many of a batch are queued or at work at a time. Those that wait for something are not counted. */
const AT_WORK_MAX = 200
/** How many are started in one transaction. */
const CHUNK = 25
/** How long it is left alone when it has enough at work. */
const PAUSE_MS = 500
const PRIORITY = -100
const TOLD_MAX = 100
/** How many bad ids a refusal names. */
const FAULTS_MAX = 20

defineRun({ ...replaying, work: replay })

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<Replay> {
  const { workflow_id, filter, definition, mode, dry_run } = input
  await findWorkflow(ctx, workflow_id)
  await assertEnded(ctx, workflow_id, filter.ids)
  const total = await store.countMatching(ctx, workflow_id, filter, REPLAYED_MAX + 1)
  if (total > REPLAYED_MAX) {
    const message = `More than ${REPLAYED_MAX} executions match, which is too many for one batch. Narrow it down.`
    throw invalid([{ field: 'filter', message }])
  }
  const made = { workflow_id, filter, definition, mode, created_by: ctx.actor.user_id || null }
  if (dry_run) return tried({ ...made, total, created_at: ctx.now })
  if (total === 0) throw conflict('No execution that has ended matches the filter.')
  await assertBudget(ctx)

  const replay = await store.insert(ctx, { ...made, id: newId() }, REPLAYED_MAX)
  await ctx.start(replaying, { replay_id: replay.id, workflow_id }, { id: replay.id })

  return tell(ctx, replay)
}

export async function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<ReplaySummary>> {
  await findWorkflow(ctx, input.workflow_id)
  return store.list(ctx, input)
}

export async function get(ctx: Context, input: Parsed<Ops['get']>): Promise<Replay> {
  await findWorkflow(ctx, input.workflow_id)
  const replay = await store.find(ctx, input.workflow_id, input.replay_id)
  if (!replay) throw notFound('replay', input.replay_id)
  return tell(ctx, replay)
}

export async function cancel(ctx: Context, input: Parsed<Ops['cancel']>): Promise<Replay> {
  await findWorkflow(ctx, input.workflow_id)
  // Whoever starts some of it at this moment comes to the end of that first.
  const replay = await store.hold(ctx, input.workflow_id, input.replay_id)
  if (!replay) throw notFound('replay', input.replay_id)
  if (replay.status === 'completed') throw conflict('All of it was started already.')

  await store.cancel(ctx, replay.id)

  return get(ctx, input)
}

/** What is named has to be there, and to have ended. */
async function assertEnded(ctx: Context, workflow_id: string, ids: ReplayFilter['ids']): Promise<void> {
  if (!ids) return
  const rows = await store.endedOf(ctx, workflow_id, ids)
  const endedById = new Map(rows.map(({ id, has_ended }) => [id, has_ended]))
  const faults = ids.flatMap((id, i) => {
    const has_ended = endedById.get(id)
    if (has_ended) return []
    const message = has_ended === false ? 'It has not ended.' : `This workflow has no execution "${id}".`
    return [{ field: `filter.ids[${i}]`, message }]
  })
  if (faults.length > 0) throw invalid(faults.slice(0, FAULTS_MAX))
}

const none = Object.fromEntries(ExecutionStatus.options.map((status) => [status, 0])) as Replay['executions']

async function tell(ctx: Context, replay: ReplaySummary): Promise<Replay> {
  const counts = await store.countByStatus(ctx, replay.id)
  const byStatus = Object.fromEntries(counts.map(({ status, count }) => [status, count]))
  const failed_to_start = replay.refused > 0 ? await store.refusalsOf(ctx, replay.id, TOLD_MAX) : []
  return { ...replay, executions: { ...none, ...byStatus }, failed_to_start }
}

type Tried = Pick<Replay, 'workflow_id' | 'filter' | 'definition' | 'mode' | 'created_by' | 'total' | 'created_at'>

const tried = (made: Tried): Replay => ({
  ...made,
  id: null,
  status: 'completed',
  started: 0,
  refused: 0,
  completed_at: made.created_at,
  executions: none,
  failed_to_start: [],
})

// ---- the run

/** Starts what there is room for. */
async function replay(ctx: RunContext, { replay_id, workflow_id }: { replay_id: string; workflow_id: string }) {
  const later = { rest_until: new Date(Date.parse(ctx.now) + PAUSE_MS).toISOString() }
  for (let started = 0; started < AT_WORK_MAX; started += CHUNK) {
    if (ctx.signal.aborted) return undefined
    if (ctx.claim.stopping.aborted) return { hand_over: true } satisfies Outcome
    const step = await ctx.db.tx((db) => startSome(within(ctx, db), workflow_id, replay_id))
    if (step === 'over') return undefined
    if (step === 'enough') break
  }
  return later
}

async function startSome(ctx: Context, workflow_id: string, replay_id: string): Promise<'over' | 'enough' | 'more'> {
  const batch = await store.hold(ctx, workflow_id, replay_id)
  if (batch?.status !== 'running') return 'over'
  const room = Math.min(CHUNK, AT_WORK_MAX - (await store.countAtWork(ctx, replay_id)))
  if (room <= 0) return 'enough'

  const places = await store.next(ctx, replay_id, batch.started + batch.refused, room)
  const latest = batch.definition === 'latest' ? await refusalOr(() => pinLatest(ctx, workflow_id)) : undefined
  const fates: store.Fate[] = []
  for (const { place, execution_id } of places) {
    const begun = await refusalOr(() => ctx.db.tx((db) => startOne(within(ctx, db), batch, execution_id, latest)))
    const refusal = begun instanceof Failure ? { code: begun.code, message: sentenceOf(begun) } : null
    fates.push({ place, started_as: begun instanceof Failure ? null : begun.id, refusal })
  }
  await store.advance(ctx, replay_id, fates)
  return places.length < room ? 'over' : 'more'
}

type Pinned = Definition & { snapshot: string }

async function startOne(
  ctx: Context,
  { id: replay_id, workflow_id, mode }: ReplaySummary,
  execution_id: string,
  latest: Pinned | Failure | undefined,
): Promise<executions.ExecutionRow> {
  if (latest instanceof Failure) throw latest
  const before = await executions.find(ctx, workflow_id, execution_id, { hold: true })
  if (!before) throw new Failure('NOT_FOUND', 'It is there no more.')
  if (mode === 'from_failure' && before.status === 'completed') {
    throw conflict('It completed: there is nothing to take up. The mode "restart" runs it again.')
  }
  await assertBudget(ctx)
  const set_off = { ...byHand, trigger_type: 'replay', priority: PRIORITY, replay_id }
  const more = { ...set_off, ...(latest ? await prepareAgain(ctx, latest, before.input) : {}) }
  return mode === 'restart' ? restart(ctx, before, more) : takeUp(ctx, before, more)
}

async function pinLatest(ctx: Context, workflow_id: string): Promise<Pinned> {
  const definition = await definitionOf(ctx, { workflow_id })
  return { ...definition, snapshot: await pin(ctx, definition.config) }
}

/** What a caller would be told is noted; whatever else goes wrong ends the transaction. */
const refusalOr = <Result>(work: () => Promise<Result>): Promise<Result | Failure> =>
  work().catch((thrown: unknown) => {
    if (thrown instanceof Failure && thrown.code !== 'UNAVAILABLE') return thrown
    throw thrown
  })

const sentenceOf = ({ message, details }: Failure): string =>
  details.length < 2
    ? message
    : [message, ...details.map((one) => `${one.field}: ${one.message}`)].join(' ').slice(0, 2000)
