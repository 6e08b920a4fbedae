/** The SQL of executions and their journal. What an owner writes goes through `record` alone, which refuses whoever no
 *  longer owns the execution; everything else is read, or written in a request's own transaction. */

import type { Execution, ExecutionError, ExecutionStatus } from '@flow/contract/workflows'
import type { Rights } from '../asking.ts'
import type { Scope } from '../context.ts'
import { type Db, type Gathered, json, raw, sql } from '../db/db.ts'
import { ring } from '../events/events.ts'
import { cancellation } from './announcements.ts'
import type { InputFrom } from './rules.ts'

export type ExecutionRow = Omit<Execution, 'nodes' | 'trigger' | 'parent' | 'waiting_for' | 'duration_ms'> & {
  organization_id: string
  workspace_id: string
  snapshot: string
  trigger_type: string
  trigger: TriggerDetail | null
  event_depth: number
  started_by: string | null
  request_id: string | null
  deadline_at: string | null
  parent_execution_id: string | null
  parent_node_id: string | null
  parent_attempt: number | null
  depth: number
  concurrency_key: string | null
  is_admitted: boolean
  rights_of: string | null
  rights_key: string | null
  retention_days: number | null
}

/** What is known of what set an execution off. */
export type TriggerDetail = Omit<Execution['trigger'], 'type' | 'by'>

/** A row of the journal. `input`, `output` and the execution's own are JSON text, made once. */
export type NodeRow = {
  node_id: string
  status: 'running' | 'waiting' | 'retrying' | 'completed' | 'failed' | 'skipped' | 'cancelled'
  attempt: number
  input: string | null
  input_from: InputFrom | null
  output: string | null
  error: ExecutionError | null
  taken: readonly number[]
  items: Items | null
  spent_ms: number
  due_at: string | null
  started_at: string | null
  completed_at: string | null
}
export type Items = { total: number; completed: number; failed: number }
export type ItemRow = { node_id: string; index: number; output: string | null; error: ExecutionError | null }
export type EventRow = { seq: number; type: string; node_id: string | null; at: string; details: object | null }
/** What changes in the execution's own row; what is absent stays. */
export type Patch = {
  status: ExecutionStatus
  output?: string
  error?: ExecutionError
  deadline_at?: string
  waiting_until: string | null
  started_at?: string
  completed_at?: string
  expires_at?: string
}

const columns = raw(`e.id, e.organization_id, e.workspace_id, e.workflow_id, e.workflow_version, e.snapshot, e.status,
  e.input, e.output, e.error, e.trigger_type, e.trigger, e.event_depth, e.started_by, e.request_id, e.retry_of,
  e.cancel_requested_at, e.deadline_at, e.waiting_until, e.created_at, e.started_at, e.completed_at,
  e.parent_execution_id, e.parent_node_id, e.parent_attempt, e.depth, e.priority, e.concurrency_key, e.is_admitted,
  e.retention_days, e.expires_at, e.replay_id, e.rights_of, e.rights_key`)

/** For the owner, across organizations. */
export const load = (db: Db, ids: string[]): Promise<ExecutionRow[]> =>
  db.many<ExecutionRow>(sql`select ${columns} from executions e where e.id = any(${ids}::uuid[])`)

/** `characters`: how long the text of the output is. */
export type StoredNode = Omit<NodeRow, 'input' | 'output'> & { input: unknown; output: unknown; characters: number }

export const nodesOf = (db: Db, execution_id: string): Promise<StoredNode[]> =>
  db.many<StoredNode>(sql`
    select node_id, status, attempt, input, input_from, output, error, taken, items, spent_ms, due_at, started_at,
      completed_at, coalesce(length(output::text), 0) as characters
    from execution_nodes where execution_id = ${execution_id}`)

/** What became of the nodes, without their values. */
export const statesOf = (db: Db, execution_id: string) =>
  db.many<Pick<NodeRow, 'node_id' | 'status' | 'attempt' | 'taken'>>(sql`
    select node_id, status, attempt, taken from execution_nodes where execution_id = ${execution_id}`)

/** A node as it is told: its values with the lengths of their texts. What had no room is null and not there. */
export type ToldNode = Omit<NodeRow, 'input' | 'output'> & {
  input: unknown
  input_bytes: number
  has_input: boolean
  output: unknown
  output_bytes: number
  has_output: boolean
  reused: boolean
}

/** The nodes of an execution with at most so many bytes of their own inputs and outputs: short ones first, so that most
 *  have room. With `node` only that one, and those that its input comes from. What has no room is not
 *  even read by us: an execution may have 128 MiB of it. */
export const toldNodesOf = (db: Db, execution_id: string, bytes_max: number, node?: string): Promise<ToldNode[]> =>
  db.many<ToldNode>(sql`
    with mine as (
      select *, coalesce(octet_length(input::text), 0) as input_bytes,
        coalesce(octet_length(output::text), 0) as output_bytes
      from execution_nodes
      where execution_id = ${execution_id} and (${node ?? null}::text is null or node_id = ${node ?? null} or node_id in (
        select source.value from execution_nodes n, jsonb_each_text(n.input_from) source
        where n.execution_id = ${execution_id} and n.node_id = ${node ?? null}))
    ), parts as (
      select node_id, 'output' as part, output_bytes as bytes from mine
      union all select node_id, 'input', input_bytes from mine
    ), sums as (
      select node_id, part, sum(bytes) over (
        order by coalesce(node_id = ${node ?? null}, false) desc, bytes, part desc, node_id) as bytes
      from parts
    ), fitting as (
      select node_id, bool_or(part = 'input') as input, bool_or(part = 'output') as output
      from sums where bytes <= ${bytes_max} group by node_id
    )
    select m.node_id, m.status, m.attempt, case when f.input then m.input end as input, m.input_from,
      case when f.output then m.output end as output, m.error, m.taken, m.items, m.spent_ms, m.due_at, m.started_at,
      m.completed_at, m.reused, m.input_bytes, m.output_bytes, m.input_bytes = 0 or coalesce(f.input, false) as has_input,
      m.output_bytes = 0 or coalesce(f.output, false) as has_output
    from mine m left join fitting f using (node_id)`)

export type StoredItem = { index: number; output: unknown; error: ExecutionError | null }

export const itemsOf = (db: Db, execution_id: string, node_id: string): Promise<StoredItem[]> =>
  db.many<StoredItem>(sql`
    select index, output, error from execution_items where execution_id = ${execution_id} and node_id = ${node_id}`)

/** The attempt that something which comes now is meant for; undefined when the node has ended. */
export async function openAttempt(db: Db, execution_id: string, node_id: string): Promise<number | undefined> {
  const row = await db.maybe<Pick<NodeRow, 'status' | 'attempt' | 'completed_at'>>(sql`
    select status, attempt, completed_at from execution_nodes
    where execution_id = ${execution_id} and node_id = ${node_id}`)
  if (!row) return 1
  if (row.completed_at) return undefined
  return row.status === 'retrying' ? row.attempt + 1 : row.attempt
}

/** One that is gone has ended. */
export const hasEnded: Gathered<string, boolean> = async (db, ids) => {
  const rows = await db.many<{ id: string }>(sql`
    select id from executions where id = any(${ids}::uuid[]) and completed_at is null`)
  const running = new Set(rows.map(({ id }) => id))
  return ids.map((id) => !running.has(id))
}

/** The workflows that an execution goes back to: its own, those of its parents, and whatever set those off. */
export const causesOf = async (at: Pick<Scope, 'db' | 'organization_id'>, id: string): Promise<string[]> => {
  const { causes } = await at.db.one<{ causes: string[] }>(sql`
    with recursive up as (
      select e.* from executions e where e.id = ${id} and e.organization_id = ${at.organization_id}
      union all select p.* from executions p join up on p.id = up.parent_execution_id
    )
    select coalesce(array_agg(distinct cause), '{}') as causes from (
      select workflow_id::text as cause from up
      union all select jsonb_array_elements_text(trigger->'causes') from up
    ) all_causes`)
  return causes
}

export const lastSeq = (db: Db, execution_id: string): Promise<{ seq: number }> =>
  db.one<{ seq: number }>(
    sql`select coalesce(max(seq), 0)::int as seq from execution_events where execution_id = ${execution_id}`,
  )

export const isCancelRequested = async (db: Db, id: string): Promise<boolean> => {
  const row = await db.maybe<{ cancel_requested_at: string | null }>(
    sql`select cancel_requested_at from executions where id = ${id}`,
  )
  return row !== undefined && row.cancel_requested_at !== null
}

/** `hold`: it stays until the transaction ends, whatever has expired. */
export const find = (
  at: Scope,
  workflow_id: string,
  id: string,
  { hold = false }: { hold?: boolean } = {},
): Promise<ExecutionRow | undefined> =>
  at.db.maybe<ExecutionRow>(sql`
    select ${columns} from executions e
    where e.id = ${id} and e.workflow_id = ${workflow_id} and e.workspace_id = ${at.workspace_id}
    ${hold ? raw('for key share') : raw('')}`)

type New = Pick<
  ExecutionRow,
  'id' | 'workflow_id' | 'workflow_version' | 'snapshot' | 'retry_of' | 'trigger_type' | 'trigger' | 'event_depth'
> & {
  input: string
  rights: Rights | undefined
  depth: number
  started_by: string | null
  request_id: string
  parent: Parent | null
  priority: number
  retention_days: number | null
  concurrency_key: string | null
  replay_id: string | null
}
type Parent = {
  execution_id: string
  node_id: string
  attempt: number
  on_parent_end: 'cancel' | 'leave'
  depth: number
}

/** An execution that waits for its turn, and its first event. */
export const insert = (
  { db, organization_id, workspace_id, now }: Scope & { now: string },
  made: New,
): Promise<ExecutionRow> => db.gather(insertAll, { organization_id, workspace_id, now, ...made })

type NewAt = New & Pick<Scope, 'organization_id' | 'workspace_id'> & { now: string }

const insertAll: Gathered<NewAt, ExecutionRow> = async (db, all) => {
  const each = <Value>(pick: (made: NewAt) => Value) => all.map(pick)
  const rows = await db.many<ExecutionRow>(sql`
    with e as (
      insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
        trigger_type, trigger, event_depth, started_by, request_id, retry_of, created_at, parent_execution_id,
        parent_node_id, parent_attempt, on_parent_end, depth, priority, retention_days, concurrency_key, is_admitted,
        replay_id, rights_of, rights_key)
      select t.id, t.organization_id, t.workspace_id, t.workflow_id, t.workflow_version, t.snapshot, 'queued',
        t.input::json, t.trigger_type, t.trigger::jsonb, t.event_depth, t.started_by, t.request_id, t.retry_of,
        t.created_at, t.parent_execution_id, t.parent_node_id, t.parent_attempt, t.on_parent_end, t.depth, t.priority,
        t.retention_days, t.concurrency_key, t.concurrency_key is null, t.replay_id, t.rights_of, t.rights_key
      from unnest(
        ${each((made) => made.id)}::uuid[], ${each((made) => made.organization_id)}::uuid[],
        ${each((made) => made.workspace_id)}::uuid[], ${each((made) => made.workflow_id)}::uuid[],
        ${each((made) => made.workflow_version)}::text[], ${each((made) => made.snapshot)}::text[],
        ${each((made) => made.input)}::text[], ${each((made) => made.trigger_type)}::text[],
        ${each((made) => json(made.trigger))}::text[], ${each((made) => made.event_depth)}::integer[],
        ${each((made) => made.started_by)}::uuid[], ${each((made) => made.request_id)}::text[],
        ${each((made) => made.retry_of)}::uuid[], ${each((made) => made.now)}::timestamptz[],
        ${each((made) => made.parent?.execution_id ?? null)}::uuid[],
        ${each((made) => made.parent?.node_id ?? null)}::text[],
        ${each((made) => made.parent?.attempt ?? null)}::integer[],
        ${each((made) => made.parent?.on_parent_end ?? null)}::text[], ${each((made) => made.depth)}::integer[],
        ${each((made) => made.priority)}::integer[], ${each((made) => made.retention_days)}::integer[],
        ${each((made) => made.concurrency_key)}::text[], ${each((made) => made.replay_id)}::uuid[],
        ${each((made) => made.rights?.user_id ?? null)}::uuid[], ${each((made) => made.rights?.key_id ?? null)}::uuid[]
      ) as t (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, input, trigger_type, trigger,
        event_depth, started_by, request_id, retry_of, created_at, parent_execution_id, parent_node_id, parent_attempt,
        on_parent_end, depth, priority, retention_days, concurrency_key, replay_id, rights_of, rights_key)
      returning *
    ), told as (
      insert into execution_events (organization_id, execution_id, seq, type, at)
      select organization_id, id, 1, 'execution.queued', created_at from e
    )
    select ${columns} from e`)
  const byId = new Map(rows.map((row) => [row.id, row]))
  return all.map(({ id }) => {
    const row = byId.get(id)
    if (!row) throw new Error(`the execution ${id} was not written`)
    return row
  })
}

/** Only one transaction counts a line at a time. */
export const holdLine = (at: Scope, workflow_id: string, key: string): Promise<number> =>
  at.db.run(sql`select pg_advisory_xact_lock(hashtextextended(${`${workflow_id}:${key}`}, 0))`)

/** Admits as many as there is room for, the first in line first. */
export const admit = (at: Scope, line: { workflow_id: string; key: string; limit: number }) =>
  at.db.many<Pick<ExecutionRow, 'id' | 'workspace_id' | 'started_by' | 'request_id' | 'priority'>>(sql`
    update executions set is_admitted = true where id in (
      select id from executions
      where workflow_id = ${line.workflow_id} and concurrency_key = ${line.key}
        and organization_id = ${at.organization_id} and completed_at is null and not is_admitted
      order by priority desc, created_at, id
      limit greatest(0, ${line.limit} - (
        select count(*) from executions
        where workflow_id = ${line.workflow_id} and concurrency_key = ${line.key} and completed_at is null
          and is_admitted)))
    returning id, workspace_id, started_by, request_id, priority`)

/** A result that a new execution keeps of the one before, with the edges that it took as they are numbered there. */
export type Kept = { node_id: string; taken: readonly number[] }

export const copyNodes = (at: Scope, from: string, to: string, kept: Kept[]): Promise<number> =>
  at.db.run(sql`
    insert into execution_nodes (organization_id, execution_id, node_id, status, attempt, input, input_from, output,
      error, taken, items, spent_ms, due_at, started_at, completed_at, reused)
    select n.organization_id, ${to}, n.node_id, n.status, n.attempt, n.input, n.input_from, n.output, n.error,
      t.taken::integer[], n.items, 0, n.due_at, n.started_at, n.completed_at, true
    from execution_nodes n
    join unnest(${kept.map(({ node_id }) => node_id)}::text[], ${kept.map(({ taken }) => `{${taken.join()}}`)}::text[])
      as t (node_id, taken) using (node_id)
    where n.execution_id = ${from} and n.organization_id = ${at.organization_id}`)

/** Calls that came for these nodes and that no result was made of: they are for whoever takes the execution up. */
export const copyArrivals = (at: Scope, from: string, to: string, node_ids: string[]): Promise<number> =>
  at.db.run(sql`
    insert into execution_arrivals (organization_id, execution_id, node_id, attempt, output, error, arrived_at)
    select distinct on (a.node_id) a.organization_id, ${to}::uuid, a.node_id, 1, a.output, a.error, a.arrived_at
    from execution_arrivals a
    left join execution_nodes n on n.execution_id = a.execution_id and n.node_id = a.node_id
    where a.execution_id = ${from} and a.organization_id = ${at.organization_id} and a.error is null
      and a.node_id = any(${node_ids}::text[]) and n.status is distinct from 'completed'
    order by a.node_id, a.attempt desc`)

/** Of those that took the execution up again with some of its results, the newest that has not ended. */
export const successorOf = (db: Db, id: string): Promise<ExecutionRow | undefined> =>
  db.maybe<ExecutionRow>(sql`
    with recursive later as (
      select id, 1 as steps from executions where retry_of = ${id}
      union all select x.id, later.steps + 1 from executions x join later on x.retry_of = later.id where later.steps < 100
    )
    select ${columns} from executions e
    where e.id in (select id from later) and e.completed_at is null
      and exists (select from execution_nodes n where n.execution_id = e.id and n.reused)
    order by e.created_at desc, e.id desc limit 1`)

export const requestCancel = (at: Scope & { now: string }, id: string): Promise<number> =>
  at.db.run(sql`
    update executions set cancel_requested_at = coalesce(cancel_requested_at, ${at.now})
    where id = ${id} and workspace_id = ${at.workspace_id} and completed_at is null`)

/** Ends an execution that nobody runs: its waiting nodes, its own row and the last events, in the caller's transaction. */
export const cancelNow = (at: Scope & { now: string }, id: string): Promise<ExecutionRow> =>
  at.db.one<ExecutionRow>(sql`
    with e as (
      update executions set status = 'cancelled', completed_at = ${at.now}, waiting_until = null,
        expires_at = ${at.now}::timestamptz + make_interval(days => retention_days)
      where id = ${id} and workspace_id = ${at.workspace_id} and completed_at is null returning *
    ), nodes as (
      update execution_nodes n set status = 'cancelled', due_at = null, completed_at = ${at.now}
      from e where n.execution_id = e.id and n.completed_at is null returning n.node_id
    ), lines as (
      select 'node.cancelled' as type, node_id, 1 as place from nodes
      union all select 'execution.cancelled', null, 2 from e
    ), told as (
      insert into execution_events (organization_id, execution_id, seq, type, node_id, at)
      select e.organization_id, e.id,
        (select coalesce(max(seq), 0) from execution_events where execution_id = e.id)
          + row_number() over (order by lines.place, lines.node_id),
        lines.type, lines.node_id, ${at.now}
      from e, lines
    ), announced as (${cancellation(at.now)}), rung as (${ring('announced')})
    select ${columns} from e, rung`)

export type StoredEvent = { seq: number; type: string; node_id: string | null; at: string; details: object | null }

export const eventsAfter = (
  db: Db,
  organization_id: string,
  execution_id: string,
  seq: number,
  limit: number,
): Promise<StoredEvent[]> =>
  db.many<StoredEvent>(sql`
    select seq, type, node_id, at, details from execution_events
    where execution_id = ${execution_id} and organization_id = ${organization_id} and seq > ${seq}
    order by seq limit ${limit}`)

export const countUnfinished = (at: Scope, workflow_id: string): Promise<{ count: number }> =>
  at.db.one<{ count: number }>(sql`
    select count(*)::int as count from executions
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id} and completed_at is null`)

/** Removes some executions of a workflow with their journals, and says how many. */
export const forgetSome = (at: Scope, workflow_id: string): Promise<number> =>
  at.db.run(sql`
    with gone as (
      select id from executions where workflow_id = ${workflow_id} and organization_id = ${at.organization_id} limit 100
    ), events as (delete from execution_events where execution_id in (select id from gone)),
    items as (delete from execution_items where execution_id in (select id from gone)),
    arrivals as (delete from execution_arrivals where execution_id in (select id from gone)),
    nodes as (delete from execution_nodes where execution_id in (select id from gone))
    delete from executions where id in (select id from gone)`)
