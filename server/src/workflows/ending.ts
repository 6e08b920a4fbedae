/** What the end of an execution brings about, in the transaction that records it: what it cost, what its parent waits
 *  for, and the place in line that is free now. */

import type { ExecutionError, ExecutionStatus } from '@flow/contract/workflows'
import type { Billed } from '../billing/billing.ts'
import { type Context, within } from '../context.ts'
import type { Db } from '../db/db.ts'
import { measureEnd } from './measuring.ts'
import type { Effect } from './nodes/node.ts'
import { admitting, exporting } from './runs.ts'
import type { Snapshot } from './snapshot.ts'
import type { ExecutionRow } from './store.ts'
import { isTraced } from './tracing-rules.ts'
import { arrive } from './waits.ts'

export type End = {
  status: ExecutionStatus
  error?: ExecutionError
  /** JSON. */
  output?: string
}

export function effectsOfEnd(
  ctx: Context,
  execution: ExecutionRow,
  end: End,
  { graph, observability }: Pick<Snapshot, 'graph' | 'observability'>,
): Effect[] {
  const limit = graph.config.concurrency?.limit
  const effects: Effect[] = []
  const { workflow_id, concurrency_key, parent_execution_id } = execution
  if (parent_execution_id) effects.push((db) => tell(ctx, db, execution, end))
  if (concurrency_key !== null && limit !== undefined) {
    effects.push((db) => within(ctx, db).start(admitting, { workflow_id, key: concurrency_key, limit }))
  }
  if (ctx.platform.config.otlp_endpoint && observability) {
    const at = ctx.platform.clock.now()
    effects.push(async () => measureEnd(ctx.platform, execution, observability, { status: end.status, at }))
  }
  if (ctx.platform.config.otlp_endpoint && isTraced(execution.id, observability)) {
    effects.push((db) => within(ctx, db).start(exporting, { execution_id: execution.id }))
  }
  return effects
}

const nowOf = ({ platform }: Context): string => platform.clock.now().toISOString()

/** What the parent's node is told. */
function tell(ctx: Context, db: Db, execution: ExecutionRow, { status, error, output }: End): Promise<boolean> {
  const { organization_id, parent_execution_id, parent_node_id, parent_attempt } = execution
  const node_id = parent_node_id ?? ''
  const { engine } = ctx.platform
  const at = { organization_id, execution_id: parent_execution_id ?? '', node_id, attempt: parent_attempt ?? 1 }
  if (status === 'completed') return arrive(engine, db, at, { output: output ?? 'null', now: nowOf(ctx) })
  const reason = error ? `: ${error.node_id ? `${error.node_id}: ` : ''}${error.message}` : ''
  const message = `The execution ${execution.id} of the child is ${status}${reason}`.slice(0, 4000).toWellFormed()
  return arrive(engine, db, at, { error: { code: 'CHILD_FAILED', message, node_id }, now: nowOf(ctx) })
}

/** What an execution is billed for: that it ran, and the seconds that its code did, in all of its nodes. */
export function usesOf(
  ctx: Context,
  { organization_id, workspace_id, workflow_id, started_by }: ExecutionRow,
  nodes: Iterable<{ spent_ms: number }>,
): Billed[] {
  let spent_ms = 0
  for (const node of nodes) spent_ms += node.spent_ms
  const of = { resource_type: 'workflow', resource_id: workflow_id, user_id: started_by, workflow_id }
  const about = { ...of, organization_id, workspace_id, now: nowOf(ctx), request_id: ctx.request_id }
  return [
    { ...about, service_type: 'workflow_run', usage_quantity: 1 },
    ...(spent_ms > 0 ? [{ ...about, service_type: 'code_run' as const, usage_quantity: spent_ms / 1000 }] : []),
  ]
}
