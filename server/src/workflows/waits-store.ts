/** The SQL of what nodes wait for. */

import type { ExecutionError } from '@flow/contract/workflows'
import type { Scope } from '../context.ts'
import { type Db, json, raw, sql } from '../db/db.ts'
import type { AttemptOf } from './runs.ts'

/** What came for an attempt of a node. */
export type Arrival = { node_id: string; attempt: number; output: unknown; error: ExecutionError | null }

type Waiting = { organization_id: string; execution_id: string; node_id: string; attempt: number }

export const arrive = (
  db: Db,
  at: Waiting,
  { output, error, now }: { output?: string; error?: ExecutionError; now: string },
): Promise<number> =>
  db.run(sql`
    insert into execution_arrivals (organization_id, execution_id, node_id, attempt, output, error, arrived_at)
    values (${at.organization_id}, ${at.execution_id}, ${at.node_id}, ${at.attempt}, ${output ?? null}::json,
      ${json(error ?? null)}::jsonb, ${now})
    on conflict do nothing`)

export const arrivalsOf = (db: Db, execution_id: string): Promise<Arrival[]> =>
  db.many<Arrival>(sql`
    select node_id, attempt, output, error from execution_arrivals where execution_id = ${execution_id}`)

export type NewTask = {
  id: string
  execution_id: string
  workflow_id: string
  node_id: string
  attempt: number
  title: string
  description: string | null
  form: object | null
  assignees: string[]
  role: string | null
  due_at: string | null
  remind_at: string | null
}

type Timed = Scope & { now: string }

export const insertTask = (at: Timed, task: NewTask): Promise<number> =>
  at.db.run(sql`
    insert into tasks (id, organization_id, workspace_id, execution_id, workflow_id, node_id, attempt, title,
      description, form, assignees, role, status, due_at, remind_at, created_at)
    values (${task.id}, ${at.organization_id}, ${at.workspace_id}, ${task.execution_id}, ${task.workflow_id},
      ${task.node_id}, ${task.attempt}, ${task.title}, ${task.description},
      ${task.form === null ? null : JSON.stringify(task.form)}::json, ${task.assignees}::text[], ${task.role}, 'open',
      ${task.due_at}, ${task.remind_at}, ${at.now})`)

/** Of these attempts and those before them: a later one has begun anew. */
const among = (prefix: string, nodes: AttemptOf[] | undefined) =>
  nodes
    ? sql`and exists (
        select from unnest(${nodes.map(({ node_id }) => node_id)}::text[],
          ${nodes.map(({ attempt }) => attempt)}::integer[]) as n (node_id, attempt)
        where n.node_id = ${raw(`${prefix}node_id`)} and ${raw(`${prefix}attempt`)} <= n.attempt)`
    : sql``

export const closeTasks = (
  at: Timed,
  execution_id: string,
  nodes: AttemptOf[] | undefined,
  status: 'cancelled' | 'expired',
): Promise<number> =>
  at.db.run(sql`
    update tasks set status = ${status}, ended_at = ${at.now}
    where organization_id = ${at.organization_id} and execution_id = ${execution_id} and status = 'open'
      ${among('tasks.', nodes)}`)

/** The children that end with their parent, in the order of their ids. */
export const childrenToCancel = (at: Timed, execution_id: string, nodes: AttemptOf[] | undefined) =>
  at.db.many<{ id: string }>(sql`
    select id from executions
    where organization_id = ${at.organization_id} and parent_execution_id = ${execution_id}
      and on_parent_end = 'cancel' and completed_at is null ${among('executions.parent_', nodes)}
    order by id`)

/** Wishes that they end; in the order of their ids, as everybody locks them. */
export const requestCancels = (at: Timed, ids: string[]): Promise<number> =>
  at.db.run(sql`
    update executions set cancel_requested_at = coalesce(cancel_requested_at, ${at.now})
    where id in (
      select id from executions
      where organization_id = ${at.organization_id} and id = any(${ids}::uuid[]) and completed_at is null
      order by id for no key update)`)
