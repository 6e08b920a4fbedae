/** What nodes wait for, beside time: people, children, calls from outside. What comes for a node is an *arrival*: a row
 *  written in the transaction of whoever brings it, together with the wish that the execution be looked at. The first
 *  arrival of an attempt counts, be it the answer or that the time is over; so an answer that was accepted is never
 *  lost, and none is accepted too late. */

import type { ExecutionError } from '@flow/contract/workflows'
import { type Context, within } from '../context.ts'
import type { Db } from '../db/db.ts'
import type { Engine } from '../engine/engine.ts'
import { type AttemptOf, executing, telling } from './runs.ts'
import * as store from './waits-store.ts'

export type { Arrival } from './waits-store.ts'
export { arrivalsOf, arrive as arriveFirst } from './waits-store.ts'

type Waiting = { organization_id: string; execution_id: string; node_id: string; attempt: number }
type News = { output?: string; error?: ExecutionError; now: string }

/** Brings something to a waiting node; false when something else came before. In the caller's transaction. */
export async function arrive(engine: Engine, db: Db, at: Waiting, news: News): Promise<boolean> {
  if ((await store.arrive(db, at, news)) === 0) return false
  const { organization_id, execution_id } = at
  await engine.start({ db, organization_id }, executing, { execution_id }, { id: execution_id })
  return true
}

/** Asks people. In the transaction that records the node as waiting. */
export async function openTask(ctx: Context, task: store.NewTask): Promise<void> {
  await store.insertTask(ctx, task)
  const isAsked = task.assignees.length > 0 || task.role !== null
  if (!isAsked || !ctx.platform.mail.configured) return
  const { start } = within(ctx, ctx.db)
  await start(telling, { task_id: task.id, is_reminder: false })
  if (task.remind_at) await start(telling, { task_id: task.id, is_reminder: true }, { at: task.remind_at })
}

export type Closing = { execution_id: string; nodes?: AttemptOf[]; task_status?: 'cancelled' | 'expired' }

/** Ends what the nodes have waited for. */
export async function close(ctx: Context, { execution_id, nodes, task_status = 'cancelled' }: Closing): Promise<void> {
  await ctx.db.tx(async (db) => {
    const at = within(ctx, db)
    await store.closeTasks(at, execution_id, nodes, task_status)
    const children = await store.childrenToCancel(at, execution_id, nodes)
    // The claims first, then the executions: in the order in which their owners lock them.
    for (const { id } of children) await ctx.platform.engine.poke(at, executing, { execution_id: id }, id)
    const ids = children.map(({ id }) => id)
    if (ids.length > 0) await store.requestCancels(at, ids)
  })
}
