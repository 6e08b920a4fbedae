/** The SQL of tasks, as people see them and answer them. Every statement names the workspace or the organization. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { tasks as contract, Delegation, Task } from '@flow/contract/tasks'
import type { Scope } from '../context.ts'
import { json, raw, type Sql, sql } from '../db/db.ts'
import { page } from '../db/page.ts'
import type { Asker } from './tasks-rules.ts'

type Timed = Scope & { now: string }

const isOverdue = (now: string): Sql => sql`(t.status = 'open' and coalesce(t.due_at <= ${now}, false))`

const columnsAt = (now: string): Sql => sql`
  t.id, t.workflow_id, t.execution_id, t.node_id, t.attempt, t.title, t.description, t.form, t.assignees, t.role,
  t.status, t.due_at, ${isOverdue(now)} as is_overdue, t.data, t.completed_by, t.delegations, t.created_at, t.ended_at`

/** What is left of a workflow that is gone is not there any more. */
const kept = raw('tasks t join components c on c.id = t.workflow_id')

type Listed = Omit<Parsed<(typeof contract)['list']>, 'assignee'> & {
  /** Only those that are asked of somebody, by these names or by these roles. */
  asked: Pick<Asker, 'names' | 'roles'>[]
}

export const list = (at: Timed, input: Listed): Promise<Page<Task>> =>
  page<Task>(at.db, {
    select: columnsAt(at.now),
    from: kept,
    where: [
      sql`t.workspace_id = ${at.workspace_id}`,
      ...input.asked.map(
        ({ names, roles }) => sql`(t.assignees && ${names}::text[] or t.role = any(${roles}::text[]))`,
      ),
      ...(input.status ? [sql`t.status = ${input.status}`] : []),
      ...(input.workflow_id ? [sql`t.workflow_id = ${input.workflow_id}`] : []),
      ...(input.execution_id ? [sql`t.execution_id = ${input.execution_id}`] : []),
      ...(input.overdue === undefined ? [] : [sql`${isOverdue(at.now)} = ${input.overdue}`]),
    ],
    sortable: { created_at: 't.created_at', due_at: 't.due_at' },
    nullable: ['due_at'],
    id: 't.id',
    parameters: input,
  })

export const find = (at: Timed, task_id: string): Promise<Task | undefined> =>
  at.db.maybe<Task>(sql`
    select ${columnsAt(at.now)} from ${kept} where t.id = ${task_id} and t.workspace_id = ${at.workspace_id}`)

type OfNode = { workflow_id: string; execution_id: string; node_id: string }

/** The newest task of a node: attempts before it have had theirs. */
export const findOfNode = (at: Timed, { workflow_id, execution_id, node_id }: OfNode): Promise<Task | undefined> =>
  at.db.maybe<Task>(sql`
    select ${columnsAt(at.now)} from ${kept}
    where t.execution_id = ${execution_id} and t.node_id = ${node_id} and t.workflow_id = ${workflow_id}
      and t.workspace_id = ${at.workspace_id}
    order by t.attempt desc limit 1`)

export type Held = Task & { is_waited_for: boolean }

/** Holds the task, and its node as it is: whoever ends the node comes before or after. The node goes first, as for
 *  everybody. */
export const hold = (at: Timed, task_id: string): Promise<Held> =>
  at.db.one<Held>(sql`
    select ${columnsAt(at.now)},
      n.status = 'waiting' and n.attempt = t.attempt and e.cancel_requested_at is null as is_waited_for
    from tasks t
    join execution_nodes n on n.execution_id = t.execution_id and n.node_id = t.node_id
    join executions e on e.id = t.execution_id
    where t.id = ${task_id} and t.workspace_id = ${at.workspace_id}
    for share of n for update of t`)

/** `data`: JSON. */
export const complete = (at: Timed, task_id: string, data: string, by: string): Promise<Task> =>
  at.db.one<Task>(sql`
    update tasks t set status = 'completed', data = ${data}::json, completed_by = ${by}, ended_at = ${at.now}
    where t.id = ${task_id} and t.workspace_id = ${at.workspace_id}
    returning ${columnsAt(at.now)}`)

/** Who is asked now is not told yet. */
export const delegate = (at: Timed, task_id: string, delegation: Delegation): Promise<Task> =>
  at.db.one<Task>(sql`
    update tasks t set assignees = ${delegation.to}::text[], announced_at = null,
      delegations = t.delegations || ${json([delegation])}::jsonb
    where t.id = ${task_id} and t.workspace_id = ${at.workspace_id}
    returning ${columnsAt(at.now)}`)

type Told = Pick<Scope, 'db' | 'organization_id'> & { now: string }

/** An open task whose people are to be told now: each time once. */
export const takeAnnouncement = (
  at: Told,
  task_id: string,
  is_reminder: boolean,
): Promise<(Pick<Task, 'assignees' | 'role'> & { workspace_id: string }) | undefined> => {
  const told = raw(is_reminder ? 'reminded_at' : 'announced_at')
  return at.db.maybe(sql`
    update tasks set ${told} = ${at.now}
    where id = ${task_id} and organization_id = ${at.organization_id} and status = 'open' and ${told} is null
    returning assignees, role, workspace_id`)
}

export type Letter = Pick<Task, 'title' | 'description' | 'due_at' | 'assignees' | 'delegations'>

export const openOne = (at: Told, task_id: string): Promise<Letter | undefined> =>
  at.db.maybe<Letter>(sql`
    select title, description, due_at, assignees, delegations from tasks
    where id = ${task_id} and organization_id = ${at.organization_id} and status = 'open'`)
