/** Operations on executions. An execution is pinned to the definition and the code it begins with, and runs durably (see
 *  interpreter.ts).
 *
 *  An execution: queued → running ↔ waiting → completed | failed | cancelled | timed_out. `execute` queues it, the
 *  interpreter does the rest; `cancelExecution` ends one that nobody runs, and tells whoever runs it otherwise. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { workflows as contract, Execution, ExecutionSummary, Timeline } from '@flow/contract/workflows'
import { assertBudget, debitAll } from '../billing/billing.ts'
import type { Context } from '../context.ts'
import { conflict, invalid } from '../failure.ts'
import { begin, byHand, prepare, type SetOff } from './beginning.ts'
import { effectsOfEnd, usesOf } from './ending.ts'
import { definitionOf, findExecution, findWorkflow } from './finding.ts'
import * as lists from './lists-store.ts'
import { untilEnded } from './live.ts'
import { present, presentNew, presentTimeline, type StreamEvent, tellEvents } from './presenting.ts'
import { takeUp } from './retrying.ts'
import { closing } from './runs.ts'
import { assertKnown, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'

type Ops = typeof contract

/** How long a cancel waits for what runs to have stopped. */
const CANCEL_SECONDS = 2

export const execute = (ctx: Context, input: Parsed<Ops['execute']>): Promise<Execution> =>
  startExecution(ctx, input, ctx.inside ? { type: 'code', depth: ctx.inside.events } : { type: 'manual' })

/** Queues an execution of what is armed, or of the version that is named. */
export async function startExecution(ctx: Context, input: Parsed<Ops['execute']>, set_off: SetOff): Promise<Execution> {
  const made = await prepare(ctx, () => definitionOf(ctx, input), input.input, set_off)
  return presentNew(ctx, await begin(ctx, made))
}

export async function listExecutions(
  ctx: Context,
  input: Parsed<Ops['listExecutions']>,
): Promise<Page<ExecutionSummary>> {
  await findWorkflow(ctx, input.workflow_id)
  return listAllExecutions(ctx, input)
}

export const listAllExecutions = (
  ctx: Context,
  input: Parsed<Ops['listAllExecutions']>,
): Promise<Page<ExecutionSummary>> => lists.list(ctx, input, ctx.platform.config.execution_retention_days)

export async function getExecution(ctx: Context, input: Parsed<Ops['getExecution']>): Promise<Execution> {
  return present(ctx, await findExecution(ctx, input), input.node)
}

export async function cancelExecution(ctx: Context, input: Parsed<Ops['cancelExecution']>): Promise<Execution> {
  const { id, status } = await findExecution(ctx, input)
  if (status === 'cancelled') return getExecution(ctx, input)

  // The claim first, then the execution: in the order in which the owner locks them.
  const isFree = await ctx.platform.engine.takeForNow(ctx.db, id)
  if ((await store.requestCancel(ctx, id)) === 0) {
    const now = await findExecution(ctx, input)
    if (now.status === 'cancelled') return present(ctx, now)
    throw conflict(`It has ended already: it is ${now.status}.`)
  }
  if (isFree) await endNow(ctx, id)

  return getExecution(ctx, input)
}

export async function retryExecution(ctx: Context, input: Parsed<Ops['retryExecution']>): Promise<Execution> {
  const before = await findExecution(ctx, input, { hold: true })
  const pinnedTo = await snapshotOf(ctx.db, ctx.organization_id, before.snapshot)
  if (before.completed_at) assertKnown(pinnedTo)
  if (input.from_node !== undefined && !pinnedTo.graph.byId.has(input.from_node)) {
    throw invalid([{ field: 'from_node', message: `There is no node "${input.from_node}" in its definition.` }])
  }
  await assertBudget(ctx)

  return present(ctx, await takeUp(ctx, before, byHand, input.from_node))
}

/** Refuses before the stream begins; once it has, there is no other answer to give. */
export async function events(ctx: Context, input: Parsed<Ops['events']>): Promise<AsyncIterable<StreamEvent>> {
  return tellEvents(ctx, await findExecution(ctx, input), Number(input.after ?? 0))
}

export async function timeline(ctx: Context, input: Parsed<Ops['timeline']>): Promise<Timeline> {
  return presentTimeline(ctx, await findExecution(ctx, input))
}

/** The execution when it has ended, or when the time is over. */
export async function settled(
  ctx: Context,
  { id, workflow_id }: Pick<Execution, 'id' | 'workflow_id'>,
  seconds: number,
): Promise<Execution> {
  const { database } = ctx.platform
  await untilEnded({ database, organization_id: ctx.organization_id, execution_id: id, signal: ctx.signal }, seconds)
  return getExecution(ctx, { workflow_id, execution_id: id })
}

const whenWished = async (ctx: Context, begun: Execution): Promise<Execution> =>
  ctx.wait_seconds > 0 ? settled(ctx, begun, ctx.wait_seconds) : begun

/** What is waited for when the transaction is over. */
export const waits = {
  execute: whenWished,
  retryExecution: whenWished,
  async cancelExecution(ctx: Context, asked: Execution): Promise<Execution> {
    const end = asked.completed_at ? asked : await settled(ctx, asked, CANCEL_SECONDS)
    if (end.completed_at && end.status !== 'cancelled') throw conflict(`It has ended before: it is ${end.status}.`)
    return end
  },
}

/** Ends an execution that nobody runs, in this transaction. */
async function endNow(ctx: Context, execution_id: string): Promise<void> {
  const row = await store.cancelNow(ctx, execution_id)
  ctx.db.tell('flow_executions', `${execution_id}.`)
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  for (const effect of effectsOfEnd(ctx, row, { status: 'cancelled' }, snapshot)) await effect(ctx.db)
  // What never began costs nothing.
  if (row.started_at) await debitAll(ctx.db, usesOf(ctx, row, await store.nodesOf(ctx.db, execution_id)))
  await ctx.start(closing, { execution_id })
}
