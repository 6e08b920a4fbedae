/** The SQL of lists of executions. Which index answers what is said in migration 0012. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { ExecutionStatus, ExecutionSummary, workflows } from '@flow/contract/workflows'
import { reached } from '../components/components.ts'
import type { Scope } from '../context.ts'
import { raw, type Sql, sql } from '../db/db.ts'
import { page } from '../db/page.ts'

export type Listed = Parsed<(typeof workflows)['listAllExecutions']>

/** `retention_days`: how long those are kept that say nothing of it. */
export const list = (at: Scope, input: Listed, retention_days: number): Promise<Page<ExecutionSummary>> =>
  page<ExecutionSummary>(at.db, {
    select: sql`e.id, e.workflow_id, e.workflow_version, e.status, e.error,
      coalesce(e.trigger, '{}') || jsonb_build_object('type', e.trigger_type, 'by', e.started_by) as trigger,
      case when e.parent_execution_id is not null then jsonb_build_object(
        'execution_id', e.parent_execution_id, 'node_id', e.parent_node_id,
        'workflow_id', (select p.workflow_id from executions p where p.id = e.parent_execution_id)) end as parent,
      e.retry_of, e.replay_id, e.priority, e.cancel_requested_at, e.waiting_until, e.created_at, e.started_at,
      e.completed_at, round(extract(epoch from ${duration}) * 1000)::float8 as duration_ms,
      ${expiry(retention_days)} as expires_at`,
    from: sql`executions e`,
    where: [sql`e.workspace_id = ${at.workspace_id}`, ...reached(at, sql`e.workflow_id`), ...conditionsOf(input)],
    sortable: { created_at: 'e.created_at', completed_at: 'e.completed_at', duration_ms: duration.text },
    nullable: ['completed_at', 'duration_ms'],
    id: 'e.id',
    parameters: input,
  })

const duration = raw('(e.completed_at - e.started_at)')

const expiry = (days: number): Sql =>
  days === 0
    ? sql`e.expires_at`
    : sql`coalesce(e.expires_at,
        case when e.retention_days is null then e.completed_at + make_interval(days => ${days}::integer) end)`

function conditionsOf(input: Listed): Sql[] {
  const { created_before, started_before, completed_before, error_code } = input
  // Nothing starts or ends before it was made: so the index over that says where to stop.
  const before = [created_before, started_before, completed_before].filter((time) => time !== undefined).sort()[0]
  return [
    ...equal(input, ['workflow_id', 'parent_execution_id', 'retry_of', 'replay_id']),
    ...(input.trigger ? [sql`e.trigger_type = ${input.trigger}`] : []),
    ...(input.version ? [sql`e.workflow_version = ${input.version}`] : []),
    ...(input.status ? [among(input.status)] : []),
    ...(error_code ? [sql`e.outcome in ('failed', 'timed_out') and e.outcome <> 'completed'`] : []),
    ...(error_code ? [sql`e.error ->> 'code' = ${error_code}`] : []),
    ...(input.created_after ? [sql`e.created_at > ${input.created_after}`] : []),
    ...(before ? [sql`e.created_at < ${before}`] : []),
    ...(input.started_after ? [sql`e.started_at > ${input.started_after}`] : []),
    ...(started_before ? [sql`e.started_at < ${started_before}`] : []),
    ...(input.completed_after ? [sql`e.completed_at > ${input.completed_after}`] : []),
    ...(completed_before ? [sql`e.completed_at < ${completed_before}`] : []),
  ]
}

type Named = 'workflow_id' | 'parent_execution_id' | 'retry_of' | 'replay_id'

const equal = (input: Listed, names: Named[]): Sql[] =>
  names.flatMap((name) => (input[name] === undefined ? [] : [sql`${raw(`e.${name}`)} = ${input[name]}::uuid`]))

const unfinished: readonly ExecutionStatus[] = ['queued', 'running', 'waiting']

/** A condition on the status, said so that the planner sees which partial index holds all of them. The statuses are
 *  the contract's own words, so they may stand in the statement. */
export function among(statuses: readonly ExecutionStatus[]): Sql {
  const words = raw(statuses.map((status) => `'${status}'`).join())
  if (statuses.every((status) => unfinished.includes(status))) {
    return sql`e.completed_at is null and e.status in (${words})`
  }
  if (statuses.some((status) => unfinished.includes(status))) return sql`e.status in (${words})`
  return statuses.includes('completed')
    ? sql`e.outcome in (${words})`
    : sql`e.outcome in (${words}) and e.outcome <> 'completed'`
}
