/** Takes up executions that have ended: by a new one that keeps the results before what is run again. What had been
 *  opened for nodes that run again (tasks, children) is opened anew; an address that was handed out before stays good,
 *  for whoever waits now (callbacks.ts). */

import type { Context } from '../context.ts'
import { conflict } from '../failure.ts'
import { type Beginning, begin } from './beginning.ts'
import { keptOf } from './retry-rules.ts'
import type { States } from './rules.ts'
import { assertKnown, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'

/** What is told of the new execution besides. */
type More = Pick<Beginning, 'trigger_type' | 'trigger' | 'event_depth' | 'parent'> &
  Partial<Pick<Beginning, 'priority' | 'replay_id' | 'workflow_version' | 'snapshot' | 'concurrency_key'>>

/** Begins the new execution. With a `snapshot` it is pinned to that; else to what the one before was. */
export async function takeUp(
  ctx: Context,
  before: store.ExecutionRow,
  more: More,
  from_node?: string,
): Promise<store.ExecutionRow> {
  assertMayBeTakenUp(before, from_node)
  const made = { ...pinnedAs(before), ...more }
  const old = await snapshotOf(ctx.db, ctx.organization_id, before.snapshot)
  assertKnown(old)
  const { graph } = await snapshotOf(ctx.db, ctx.organization_id, made.snapshot)
  const states: States = new Map((await store.statesOf(ctx.db, before.id)).map((row) => [row.node_id, row]))
  const failed_by = before.error?.node_id ?? null
  const kept = keptOf({ graph: old.graph, states, failed_by }, graph, from_node)
  const isKept = new Set(kept.map(({ node_id }) => node_id))
  const awaiting = graph.nodes.filter(({ node }) => node.type === 'webhook_wait' && !isKept.has(node.id))

  return begin(ctx, made, async (id) => {
    await store.copyNodes(ctx, before.id, id, kept)
    if (awaiting.length === 0) return
    const ids = awaiting.map(({ node }) => node.id)
    await store.copyArrivals(ctx, before.id, id, ids)
  })
}

/** Runs it again from its beginning. */
export async function restart(ctx: Context, before: store.ExecutionRow, more: More): Promise<store.ExecutionRow> {
  assertHasEnded(before)
  const made = { ...pinnedAs(before), ...more }
  assertKnown(await snapshotOf(ctx.db, ctx.organization_id, made.snapshot))
  return begin(ctx, made)
}

const pinnedAs = (before: store.ExecutionRow) => {
  const { id: retry_of, workflow_id, workflow_version, snapshot, concurrency_key, input } = before
  return { workflow_id, workflow_version, snapshot, concurrency_key, input: JSON.stringify(input), retry_of }
}

function assertMayBeTakenUp(before: store.ExecutionRow, from_node: string | undefined): void {
  assertHasEnded(before)
  if (before.status === 'completed' && from_node === undefined) {
    throw conflict('It completed. Name the node to begin again from in "from_node".')
  }
}

function assertHasEnded({ status, completed_at }: store.ExecutionRow): void {
  if (!completed_at) throw conflict(`It has not ended: it is ${status}. Cancel it first.`)
}
