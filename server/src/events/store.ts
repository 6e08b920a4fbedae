/** The SQL of the outbox and of who listens. */

import type { Db } from '../db/db.ts'
import { raw, type Sql, sql } from '../db/db.ts'
import type { PlatformEvent } from './events.ts'

const columns = raw('id, organization_id, workspace_id, type, data, at, depth')

/** An interest `i` that an event `e` meets. */
const meets = raw(`i.organization_id = e.organization_id and (i.workspace_id is null or i.workspace_id = e.workspace_id)
  and i.event_type in (e.type, split_part(e.type, '.', 1) || '.*', '*')`)

/** A part of a statement (to be named in a `with`): puts the events that somebody wants into the outbox, and gives them.
 *  `rows` has the columns of an event but its data, and whatever else `data`, an expression over a row `e`, is made
 *  from. That anybody at all wants any is asked once, before a row is read; then for each row, with its index (the
 *  offsets keep the planner from joining what others want); and the data is made of those that are wanted. */
export const put = (rows: Sql, data: Sql): Sql => sql`
  insert into platform_events (${columns}, due_at)
  select e.id, e.organization_id, e.workspace_id, e.type, ${data}, e.at, e.depth, e.at from (${rows} offset 0) e
  where (select exists (select from event_interests)) and exists (select from event_interests i where ${meets} offset 0)
  returning id`

/** A part of a statement: wakes the dispatchers when there is anything in `put`, the name of such a part. It has to be
 *  read from, or nobody is woken. */
export const ring = (put: string): Sql =>
  sql`select count(pg_notify('flow_events', '')) from (select from ${raw(put)} limit 1) one`

export const putAll = (db: Db, events: PlatformEvent[]): Promise<number> =>
  db.run(sql`
    with put as (${put(
      sql`
      select * from unnest(${events.map(({ id }) => id)}::uuid[], ${events.map((event) => event.organization_id)}::uuid[],
        ${events.map(({ workspace_id }) => workspace_id)}::uuid[], ${events.map(({ type }) => type)}::text[],
        ${events.map(({ data }) => JSON.stringify(data))}::json[], ${events.map(({ at }) => at)}::timestamptz[],
        ${events.map(({ depth }) => depth)}::integer[]) as t (${columns})`,
      raw('e.data'),
    )})
    ${ring('put')}`)

export type Listener = { db: Db; organization_id: string; workspace_id: string | null }

export const keep = (at: Listener, kind: string, listener_id: string, event_types: readonly string[]) =>
  at.db.run(sql`
    with gone as (
      delete from event_interests where kind = ${kind} and listener_id = ${listener_id}
        and organization_id = ${at.organization_id} and event_type <> all(${event_types}::text[])
    )
    insert into event_interests as i (organization_id, workspace_id, kind, listener_id, event_type)
    select distinct ${at.organization_id}::uuid, ${at.workspace_id}::uuid, ${kind}, ${listener_id}::uuid, t.event_type
    from unnest(${event_types}::text[]) as t (event_type)
    on conflict (kind, listener_id, event_type) do update set workspace_id = excluded.workspace_id
    where i.organization_id = excluded.organization_id`)

/** Tells every process that the organization has listeners, when the transaction is over. */
export const spread = (db: Db, organization_id: string) =>
  db.run(sql`select pg_notify('flow_interests', ${organization_id})`)

export const organizationsWithListeners = (db: Db): Promise<{ organization_id: string }[]> =>
  db.many<{ organization_id: string }>(sql`select distinct organization_id from event_interests`)

export const drop = (at: Omit<Listener, 'workspace_id'>, kind: string, listener_id: string) =>
  at.db.run(sql`
    delete from event_interests
    where kind = ${kind} and listener_id = ${listener_id} and organization_id = ${at.organization_id}`)

export type Taken = PlatformEvent & { failures: number; listeners: { kind: string; listener_id: string }[] }

/** Takes the oldest events that are due and that nobody else has in hand, each with whoever listens to it now. */
export const take = (db: Db, now: string, limit: number): Promise<Taken[]> =>
  db.many<Taken>(sql`
    with taken as materialized (
      delete from platform_events where seq in (
        select seq from platform_events where due_at <= ${now} order by seq limit ${limit} for update skip locked)
      returning *
    )
    select e.id, e.organization_id, e.workspace_id, e.type, e.data, e.at, e.depth, e.failures,
      coalesce((
        select jsonb_agg(distinct jsonb_build_object('kind', i.kind, 'listener_id', i.listener_id))
        from event_interests i
        where ${meets} and (e.listener_id is null or e.listener_id = i.listener_id)), '[]') as listeners
    from taken e order by e.seq`)

/** For one listener that could not take the event: it is asked again later, alone. */
export const putOff = (db: Db, event: Taken, listener_id: string, due_at: string) =>
  db.run(sql`
    insert into platform_events (${columns}, listener_id, failures, due_at)
    values (${event.id}, ${event.organization_id}, ${event.workspace_id}, ${event.type}, ${JSON.stringify(event.data)},
      ${event.at}, ${event.depth}, ${listener_id}, ${event.failures + 1}, ${due_at})`)
