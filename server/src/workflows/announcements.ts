/** What executions announce to the platform's listeners, as part of the statement that makes it true: the events of an
 *  execution's own life, not those of its nodes. Written where somebody listens, and nowhere else. */

import type { EventType } from '@flow/contract/events'
import type { ExecutionStatus } from '@flow/contract/workflows'
import { newId } from '../context.ts'
import { raw, type Sql, sql } from '../db/db.ts'
import { put, ring, type Wanted } from '../events/events.ts'
import type { Entry } from './journal-store.ts'

type Announced = { type: EventType; status: ExecutionStatus }

/** Of the events in a journal, those that are announced, and what the execution became with them. */
const announced = new Map<string, Announced>([
  ['execution.started', { type: 'workflow.started', status: 'running' }],
  ['execution.waiting', { type: 'workflow.waiting', status: 'waiting' }],
  ['execution.completed', { type: 'workflow.completed', status: 'completed' }],
  ['execution.failed', { type: 'workflow.failed', status: 'failed' }],
  ['execution.cancelled', { type: 'workflow.cancelled', status: 'cancelled' }],
  ['execution.timed_out', { type: 'workflow.timed_out', status: 'timed_out' }],
])

const wire = (time: string) => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** An event, from an execution `x` and what is told of it, `t`. The execution may be older than what is told. */
const columns = raw(`t.id, x.organization_id, x.workspace_id, t.type, t.at, x.event_depth as depth, t.status, t.error,
  t.waiting_until, x.id as execution_id, x.workflow_id, x.trigger_type, x.started_by,
  coalesce(x.started_at, t.started_at) as started_at`)

const data = raw(`json_build_object('execution_id', e.execution_id, 'workflow_id', e.workflow_id,
  'workflow_slug', (select c.slug from components c where c.id = e.workflow_id),
  'workspace_id', e.workspace_id, 'status', e.status, 'error', e.error,
  'started_at', ${wire('e.started_at')}, 'waiting_until', ${wire('e.waiting_until')},
  'completed_at', ${wire(`case when e.status not in ('running', 'waiting') then e.at end`)},
  'trigger', json_build_object('type', e.trigger_type, 'by', e.started_by))`)

const withRing = (announced: Sql) => sql`, announced as (${announced}), rung as (${ring('announced')})`

/** Composed once, with what is told as its one value. */
const announcing = withRing(
  put(
    sql`
    select ${columns}
    from json_to_recordset(${''}::json) as t (id uuid, execution_id uuid, type text, status text, at timestamptz,
      error json, started_at timestamptz, waiting_until timestamptz)
    join owned o on o.run_id = t.execution_id
    join executions x on x.id = t.execution_id`,
    data,
  ),
)

/** Parts of a statement: more of its `with`, and what has to be read from besides. */
export type Announcement = { parts: Sql; also: Sql }

/** Announces what these entries say of the executions in `owned`. Where nobody listens, the statement is no longer. */
export function announcements(entries: Entry[], isWanted: Wanted): Announcement {
  const told: object[] = []
  for (const { execution_id, organization_id, events, patch } of entries) {
    if (!isWanted(organization_id)) continue
    for (const { type, at, details } of events) {
      const one = announced.get(type)
      if (one) told.push({ ...details, ...one, id: newId(), execution_id, at, started_at: patch?.started_at })
    }
  }
  if (told.length === 0) return nothing
  return { parts: { text: announcing.text, values: [JSON.stringify(told)] }, also }
}

const also = raw(', rung')
const nothing: Announcement = { parts: raw(''), also: raw('') }

/** For a `with`: announces the end of the execution in `e`. */
export function cancellation(at: string): Sql {
  const rows = sql`
    select ${columns}
    from e as x, (values (${newId()}::uuid, 'workflow.cancelled', 'cancelled', ${at}::timestamptz, null::json,
      null::timestamptz, null::timestamptz)) as t (id, type, status, at, error, started_at, waiting_until)`
  return put(rows, data)
}
