/** The SQL of replays. Whoever starts executions of a batch holds its row; how far it has come is in the row itself, and
 *  changes in the transaction that starts them. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { Replay, ReplayFilter, ReplaySummary, replays } from '@flow/contract/replays'
import type { ExecutionStatus } from '@flow/contract/workflows'
import type { Scope } from '../context.ts'
import { join, json, raw, type Sql, sql } from '../db/db.ts'
import { page } from '../db/page.ts'
import { among } from './lists-store.ts'

const columns = raw(`r.id, r.workflow_id, r.status, r.filter, r.definition, r.mode, r.total, r.started, r.refused,
  r.created_by, r.created_at, r.completed_at`)

/** Which executions `e` a batch takes: of those that have ended. */
function matches(at: Scope, workflow_id: string, filter: ReplayFilter): Sql {
  const status = filter.status ?? (filter.ids ? undefined : (['failed', 'timed_out'] as const))
  return join(
    [
      sql`e.workflow_id = ${workflow_id} and e.workspace_id = ${at.workspace_id} and e.completed_at is not null`,
      ...(status ? [among(status)] : []),
      ...(filter.ids ? [sql`e.id = any(${filter.ids}::uuid[])`] : []),
      ...(filter.trigger ? [sql`e.trigger_type = ${filter.trigger}`] : []),
      ...(filter.version ? [sql`e.workflow_version = ${filter.version}`] : []),
      ...(filter.error_code ? [sql`e.error ->> 'code' = ${filter.error_code}`] : []),
      ...(filter.created_after ? [sql`e.created_at > ${filter.created_after}`] : []),
      ...(filter.created_before ? [sql`e.created_at < ${filter.created_before}`] : []),
    ],
    ' and ',
  )
}

/** How many match; beyond `limit` it is not counted on. */
export const countMatching = async (at: Scope, workflow_id: string, filter: ReplayFilter, limit: number) => {
  const { count } = await at.db.one<{ count: number }>(sql`
    select count(*)::int as count
    from (select from executions e where ${matches(at, workflow_id, filter)} limit ${limit}) matched`)
  return count
}

/** Of these, which are there, and whether they have ended. */
export const endedOf = (at: Scope, workflow_id: string, ids: string[]) =>
  at.db.many<{ id: string; has_ended: boolean }>(sql`
    select id, completed_at is not null as has_ended from executions
    where id = any(${ids}::uuid[]) and workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id}`)

type New = Pick<ReplaySummary, 'id' | 'workflow_id' | 'filter' | 'definition' | 'mode'> & { created_by: string | null }

/** A batch with the executions that match now, the oldest first. */
export const insert = (at: Scope & { now: string }, made: New, limit: number): Promise<ReplaySummary> =>
  at.db.one<ReplaySummary>(sql`
    with matched as (
      select e.id, row_number() over (order by e.created_at, e.id) - 1 as place
      from executions e where ${matches(at, made.workflow_id, made.filter)} order by place limit ${limit}
    ), r as (
      insert into replays (id, organization_id, workspace_id, workflow_id, status, filter, definition, mode, total,
        created_by, created_at)
      values (${made.id}, ${at.organization_id}, ${at.workspace_id}, ${made.workflow_id}, 'running',
        ${json(made.filter)}::jsonb, ${made.definition}, ${made.mode}, (select count(*) from matched),
        ${made.created_by}, ${at.now})
      returning *
    ), places as (
      insert into replayed_executions (organization_id, replay_id, place, execution_id)
      select r.organization_id, r.id, matched.place, matched.id from r, matched
    )
    select ${columns} from r`)

export const find = (at: Scope, workflow_id: string, id: string): Promise<ReplaySummary | undefined> =>
  at.db.maybe<ReplaySummary>(sql`
    select ${columns} from replays r
    where r.id = ${id} and r.workflow_id = ${workflow_id} and r.workspace_id = ${at.workspace_id}`)

/** The batch, held until the transaction ends. */
export const hold = (at: Scope, workflow_id: string, id: string): Promise<ReplaySummary | undefined> =>
  at.db.maybe<ReplaySummary>(sql`
    select ${columns} from replays r
    where r.id = ${id} and r.workflow_id = ${workflow_id} and r.workspace_id = ${at.workspace_id} for update`)

export const list = (at: Scope, input: Parsed<(typeof replays)['list']>): Promise<Page<ReplaySummary>> =>
  page<ReplaySummary>(at.db, {
    select: columns,
    from: sql`replays r`,
    where: [
      sql`r.workflow_id = ${input.workflow_id}`,
      sql`r.workspace_id = ${at.workspace_id}`,
      ...(input.status ? [sql`r.status = ${input.status}`] : []),
    ],
    sortable: { created_at: 'r.created_at' },
    id: 'r.id',
    parameters: input,
  })

/** How many of those that it started are in each status. */
export const countByStatus = (at: Scope, replay_id: string) =>
  at.db.many<{ status: ExecutionStatus; count: number }>(sql`
    select status, count(*)::int as count from executions
    where replay_id = ${replay_id} and workspace_id = ${at.workspace_id} group by status`)

/** How many are queued or at work; those that wait for something take no place. */
export const countAtWork = async (at: Scope, replay_id: string): Promise<number> => {
  const { count } = await at.db.one<{ count: number }>(sql`
    select count(*)::int as count from executions
    where replay_id = ${replay_id} and workspace_id = ${at.workspace_id} and outcome is null and status <> 'waiting'`)
  return count
}

export const refusalsOf = (at: Scope, replay_id: string, limit: number) =>
  at.db.many<Replay['failed_to_start'][number]>(sql`
    select execution_id, refusal ->> 'code' as code, refusal ->> 'message' as message from replayed_executions
    where replay_id = ${replay_id} and organization_id = ${at.organization_id} and refusal is not null
    order by place limit ${limit}`)

export type Place = { place: number; execution_id: string }

export const next = (at: Scope, replay_id: string, from: number, limit: number): Promise<Place[]> =>
  at.db.many<Place>(sql`
    select place, execution_id from replayed_executions
    where replay_id = ${replay_id} and organization_id = ${at.organization_id} and place >= ${from}
    order by place limit ${limit}`)

/** What became of an execution of the batch: what it was started as, or why not. */
export type Fate = { place: number; started_as: string | null; refusal: { code: string; message: string } | null }

/** Notes what became of the next ones, and with the last of them that the batch is complete. */
export const advance = (at: Scope & { now: string }, replay_id: string, fates: Fate[]): Promise<number> =>
  at.db.run(sql`
    with noted as (
      update replayed_executions p set started_as = t.started_as, refusal = t.refusal::jsonb
      from unnest(${fates.map(({ place }) => place)}::integer[], ${fates.map(({ started_as }) => started_as)}::uuid[],
        ${fates.map(({ refusal }) => json(refusal))}::text[]) as t (place, started_as, refusal)
      where p.replay_id = ${replay_id} and p.organization_id = ${at.organization_id} and p.place = t.place
      returning p.started_as
    ), counted as (
      select count(started_as)::int as started, (count(*) - count(started_as))::int as refused from noted
    )
    update replays r set started = r.started + counted.started, refused = r.refused + counted.refused,
      status = case when r.started + r.refused + counted.started + counted.refused >= r.total then 'completed' else 'running' end,
      completed_at = case when r.started + r.refused + counted.started + counted.refused >= r.total
        then ${at.now}::timestamptz end
    from counted where r.id = ${replay_id} and r.organization_id = ${at.organization_id}`)

export const cancel = (at: Scope & { now: string }, id: string): Promise<number> =>
  at.db.run(sql`
    update replays set status = 'cancelled', completed_at = ${at.now}
    where id = ${id} and workspace_id = ${at.workspace_id} and status = 'running'`)

/** Nothing more of a workflow is started. */
export const cancelAll = (at: Scope & { now: string }, workflow_id: string): Promise<number> =>
  at.db.run(sql`
    update replays set status = 'cancelled', completed_at = ${at.now}
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id} and status = 'running'`)

/** Removes the batches of a workflow that is gone. */
export const forget = (at: Scope, workflow_id: string): Promise<number> =>
  at.db.run(sql`
    delete from replays where workflow_id = ${workflow_id} and organization_id = ${at.organization_id}`)
