/** The SQL of what is armed, for whoever fires it. The rows are made and removed with their workflows
 *  (components/triggers.ts). */

import type { Trigger } from '../components/trigger-rules.ts'
import type { Scope } from '../context.ts'
import { type Db, json, raw, sql } from '../db/db.ts'

export type LastError = { at: string; code: string; message: string }

export type TriggerRow = Trigger & {
  workflow_id: string
  organization_id: string
  workspace_id: string
  is_enabled: boolean
  secret: string | null
  next_at: string | null
  last_fired_at: string | null
  last_error: LastError | null
}

const columns = raw(`t.workflow_id, t.organization_id, t.workspace_id, t.type, t.config, t.is_enabled, t.secret,
  t.next_at, t.last_fired_at, t.last_error`)

export const find = (at: Scope, workflow_id: string): Promise<TriggerRow | undefined> =>
  at.db.maybe<TriggerRow>(sql`
    select ${columns} from workflow_triggers t
    where t.workflow_id = ${workflow_id} and t.workspace_id = ${at.workspace_id}`)

/** The webhooks at a path, across organizations: nobody is known yet. */
export const atPath = (db: Db, workspace_id: string, path: string): Promise<TriggerRow[]> =>
  db.many<TriggerRow>(sql`
    select ${columns} from workflow_triggers t
    where t.workspace_id = ${workspace_id} and t.path = ${path} and t.type = 'webhook' and t.is_enabled
    order by t.method`)

export type Due = Pick<TriggerRow, 'workflow_id' | 'organization_id' | 'workspace_id'>

/** Schedules that are due, across organizations. */
export const due = (db: Db, now: string, limit: number): Promise<Due[]> =>
  db.many<Due>(sql`
    select t.workflow_id, t.organization_id, t.workspace_id from workflow_triggers t
    where t.is_enabled and t.next_at <= ${now} order by t.next_at limit ${limit}`)

/** Takes a schedule that is still due for this transaction; another replica that has it in hand is not waited for. */
export const takeDue = (at: Scope & { now: string }, workflow_id: string): Promise<TriggerRow | undefined> =>
  at.db.maybe<TriggerRow>(sql`
    select ${columns} from workflow_triggers t
    where t.workflow_id = ${workflow_id} and t.workspace_id = ${at.workspace_id} and t.is_enabled
      and t.next_at <= ${at.now}
    for no key update skip locked`)

/** In whose name the code of what it starts asks for things: whoever armed it. */
export const rightsOf = (at: Scope, workflow_id: string) =>
  at.db.maybe<{ user_id: string | null; key_id: string | null }>(sql`
    select armed_by as user_id, armed_key as key_id from workflow_triggers
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id}`)

export const setNext = (at: Scope, workflow_id: string, next_at: string | null): Promise<number> =>
  at.db.run(sql`
    update workflow_triggers set next_at = ${next_at}
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id}`)

/** Written at most once a second: of a webhook that is called often, the calls would wait for each other's row. */
export const markFired = (at: Scope & { now: string }, workflow_id: string): Promise<number> =>
  at.db.run(sql`
    update workflow_triggers set last_fired_at = ${at.now}, last_error = null
    where workflow_id in (
      select workflow_id from workflow_triggers
      where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id}
        and (last_error is not null or last_fired_at is null or last_fired_at < ${at.now}::timestamptz - interval '1 second')
      for no key update skip locked)`)

export const markFailed = (at: Scope, workflow_id: string, error: LastError): Promise<number> =>
  at.db.run(sql`
    update workflow_triggers set last_error = ${json(error)}
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id}`)

/** Of a workflow that has no trigger of its own as well: it may be given one later. */
export const keepSecret = (at: Scope, workflow_id: string, secret: string): Promise<number> =>
  at.db.run(sql`
    insert into workflow_triggers (workflow_id, organization_id, workspace_id, type, config, is_enabled, secret)
    values (${workflow_id}, ${at.organization_id}, ${at.workspace_id}, 'manual', '{}', false, ${secret})
    on conflict (workflow_id) do update set secret = excluded.secret`)

/** The execution that one of these deliveries began, if it was in the last day. */
export const deliveryOf = (
  at: Scope & { now: string },
  workflow_id: string,
  known_by: string[],
): Promise<{ execution_id: string } | undefined> =>
  at.db.maybe<{ execution_id: string }>(sql`
    select execution_id from trigger_deliveries
    where workflow_id = ${workflow_id} and organization_id = ${at.organization_id}
      and delivery_id = any(${known_by}::text[]) and created_at > ${at.now}::timestamptz - interval '24 hours'
    limit 1`)

/** How many of them were new; another transaction that writes the same is waited for. */
export const keepDelivery = (
  at: Scope & { now: string },
  workflow_id: string,
  known_by: string[],
  execution_id: string,
): Promise<number> =>
  at.db.run(sql`
    insert into trigger_deliveries as d (organization_id, workflow_id, delivery_id, execution_id, created_at)
    select ${at.organization_id}, ${workflow_id}, t.delivery_id, ${execution_id}, ${at.now}
    from unnest(${known_by}::text[]) as t (delivery_id) order by t.delivery_id
    on conflict (workflow_id, delivery_id) do update
    set execution_id = excluded.execution_id, created_at = excluded.created_at
    where d.created_at <= ${at.now}::timestamptz - interval '24 hours'`)

export const forgetDeliveries = (db: Db, now: string): Promise<number> =>
  db.run(sql`delete from trigger_deliveries where created_at < ${now}::timestamptz - interval '24 hours'`)
