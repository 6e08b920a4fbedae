/** The SQL of what is told of an execution besides its own rows: who it waits for, and for whom. */

import type { ExecutionStatus } from '@flow/contract/workflows'
import type { Scope } from '../context.ts'
import { type Db, sql } from '../db/db.ts'
import type { ExecutionRow, NodeRow } from './store.ts'

export type ChildRow = {
  id: string
  workflow_id: string
  status: ExecutionStatus
  snapshot: string
  parent_node_id: string
}

/** Of each node the execution that its last attempt began. */
export const childrenOf = (at: Scope, execution_id: string): Promise<ChildRow[]> =>
  at.db.many<ChildRow>(sql`
    select distinct on (parent_node_id) id, workflow_id, status, snapshot, parent_node_id from executions
    where parent_execution_id = ${execution_id} and organization_id = ${at.organization_id}
    order by parent_node_id, parent_attempt desc, created_at desc`)

export type TaskRow = {
  id: string
  node_id: string
  title: string
  assignees: string[]
  role: string | null
  due_at: string | null
}

export const openTasksOf = (at: Scope, execution_id: string): Promise<TaskRow[]> =>
  at.db.many<TaskRow>(sql`
    select id, node_id, title, assignees, role, due_at from tasks
    where execution_id = ${execution_id} and organization_id = ${at.organization_id} and status = 'open'`)

/** How many of the same line begin before an execution that waits for its turn. */
export const countAhead = async (at: Scope, row: ExecutionRow): Promise<number> => {
  const { count } = await at.db.one<{ count: number }>(sql`
    select count(*)::int as count from executions
    where workflow_id = ${row.workflow_id} and concurrency_key = ${row.concurrency_key}
      and organization_id = ${at.organization_id} and completed_at is null and not is_admitted
      and (-priority, created_at, id) < (-${row.priority}::integer, ${row.created_at}, ${row.id})`)
  return count
}

export const workflowOfExecution = async (at: Scope, id: string): Promise<string | null> => {
  const found = await at.db.maybe<{ workflow_id: string }>(
    sql`select workflow_id from executions where id = ${id} and organization_id = ${at.organization_id}`,
  )
  return found?.workflow_id ?? null
}

export type TimedEvent = { type: string; node_id: string | null; at: string; details: object | null }

/** The events that say when something began or ended, the oldest first. */
export const timedEvents = (db: Db, execution_id: string, limit: number): Promise<TimedEvent[]> =>
  db.many<TimedEvent>(sql`
    select type, node_id, at, details from execution_events
    where execution_id = ${execution_id} and type <> 'node.progress' order by seq limit ${limit}`)

export type NodeTimes = Pick<NodeRow, 'node_id' | 'status' | 'taken' | 'started_at' | 'completed_at'> & {
  reused: boolean
}

export const nodeTimesOf = (db: Db, execution_id: string): Promise<NodeTimes[]> =>
  db.many<NodeTimes>(sql`
    select node_id, status, taken, started_at, completed_at, reused from execution_nodes
    where execution_id = ${execution_id}`)

export type OpenNode = Pick<NodeRow, 'node_id' | 'status' | 'attempt' | 'due_at' | 'started_at'>

/** The nodes that have begun and not ended. */
export const openNodesOf = (db: Db, execution_id: string): Promise<OpenNode[]> =>
  db.many<OpenNode>(sql`
    select node_id, status, attempt, due_at, started_at from execution_nodes
    where execution_id = ${execution_id} and completed_at is null`)
