/** The SQL of the audit log. Every statement names the organization; nothing here changes or deletes an event. */

import type { AuditEvent, AuditFilters } from '@flow/contract/audit'
import type { ListParameters, Page } from '@flow/contract/common'
import { type Db, type Gathered, json, raw, type Sql, sql } from '../db/db.ts'
import { page } from '../db/page.ts'

export type Tenant = { db: Db; organization_id: string }

const columns =
  raw(`e.event_id, e.event_type, e."timestamp", e.actor, e.actor_kind, e.actor_name, e.user_id, e.actor_ip,
  e.resource_type, e.resource_id, e.action, e.outcome, e.metadata, e.workspace_id, e.request_id`)

/** The event and its place in the queue for the chain. */
export const insert = ({ db, organization_id }: Tenant, event: AuditEvent): Promise<void> =>
  db.gather(insertAll, { organization_id, event })

const insertAll: Gathered<{ organization_id: string; event: AuditEvent }, void> = async (db, all) => {
  const each = <Value>(pick: (event: AuditEvent) => Value) => all.map(({ event }) => pick(event))
  await db.send(sql`
    with noted as (
      insert into audit_events (organization_id, event_id, workspace_id, event_type, "timestamp", actor, actor_kind,
        actor_name, user_id, actor_ip, resource_type, resource_id, action, outcome, request_id, metadata)
      select * from unnest(${all.map(({ organization_id }) => organization_id)}::uuid[],
        ${each(({ event_id }) => event_id)}::uuid[], ${each(({ workspace_id }) => workspace_id)}::uuid[],
        ${each(({ event_type }) => event_type)}::text[], ${each(({ timestamp }) => timestamp)}::timestamptz[],
        ${each(({ actor }) => actor)}::text[], ${each(({ actor_kind }) => actor_kind)}::text[],
        ${each(({ actor_name }) => actor_name)}::text[], ${each(({ user_id }) => user_id)}::uuid[],
        ${each(({ actor_ip }) => actor_ip)}::text[], ${each(({ resource_type }) => resource_type)}::text[],
        ${each(({ resource_id }) => resource_id)}::text[], ${each(({ action }) => action)}::text[],
        ${each(({ outcome }) => outcome)}::text[], ${each(({ request_id }) => request_id)}::text[],
        ${each(({ metadata }) => json(metadata))}::jsonb[])
      returning organization_id, event_id)
    insert into audit_pending (organization_id, event_id) select organization_id, event_id from noted`)
  return all.map(() => undefined)
}

function conditions(at: Tenant, filters: AuditFilters): [Sql, ...Sql[]] {
  const { event_type, actor, resource_type, resource_id, action, outcome, workspace_id, from, to } = filters
  const where: [Sql, ...Sql[]] = [sql`e.organization_id = ${at.organization_id}`]
  if (event_type) where.push(sql`e.event_type = ${event_type}`)
  if (actor) where.push(sql`(e.actor = ${actor} or e.actor_name = ${actor} or e.user_id::text = ${actor})`)
  if (resource_type) where.push(sql`e.resource_type = ${resource_type}`)
  if (resource_id) where.push(sql`e.resource_id = ${resource_id}`)
  if (action) where.push(sql`e.action = ${action}`)
  if (outcome) where.push(sql`e.outcome = ${outcome}`)
  if (workspace_id) where.push(sql`e.workspace_id = ${workspace_id}`)
  if (from) where.push(sql`e."timestamp" >= ${from}`)
  if (to) where.push(sql`e."timestamp" < ${to}`)
  return where
}

export const list = (at: Tenant, filters: AuditFilters, parameters: ListParameters): Promise<Page<AuditEvent>> =>
  page(at.db, {
    select: columns,
    from: sql`audit_events e`,
    where: conditions(at, filters),
    sortable: { timestamp: 'e."timestamp"' },
    id: 'e.event_id',
    parameters,
  })

/** The next events in order of time, after the last one that was read. */
export function after(at: Tenant, filters: AuditFilters, last: AuditEvent | undefined, limit: number) {
  const where = conditions(at, filters)
  if (last) where.push(sql`(e."timestamp", e.event_id) > (${last.timestamp}, ${last.event_id})`)
  return at.db.many<AuditEvent>(sql`
    select ${columns} from audit_events e where ${all(where)} order by e."timestamp", e.event_id limit ${limit}`)
}

const all = (where: Sql[]): Sql => where.reduce((left, right) => sql`${left} and ${right}`)

/** The organizations that have events to chain. Sees all of them: for the sealer alone. */
export const waiting = (platform: Db): Promise<{ organization_id: string }[]> =>
  platform.many(sql`select distinct organization_id from audit_pending limit 1000`)

/** Held to the end of the transaction: a chain has one writer at a time. */
export const lockChain = (at: Tenant): Promise<unknown> =>
  at.db.one(sql`select pg_advisory_xact_lock(hashtextextended(${at.organization_id}, 8)) is null as locked`)

export const key = (at: Tenant): Promise<{ key_sealed: string } | undefined> =>
  at.db.maybe(sql`select key_sealed from audit_keys where organization_id = ${at.organization_id}`)

export const insertKey = (at: Tenant, key_sealed: string): Promise<number> =>
  at.db.run(sql`insert into audit_keys (organization_id, key_sealed) values (${at.organization_id}, ${key_sealed})`)

export type Head = { seq: number; hash: string }

export const head = (at: Tenant): Promise<Head | undefined> =>
  at.db.maybe(sql`
    select seq, encode(hash, 'hex') as hash from audit_chain
    where organization_id = ${at.organization_id} order by seq desc limit 1`)

/** Takes the next events out of the queue. */
export const takePending = (at: Tenant, limit: number): Promise<AuditEvent[]> =>
  at.db.many(sql`
    with taken as (
      delete from audit_pending where event_id in (
        select event_id from audit_pending
        where organization_id = ${at.organization_id} order by event_id limit ${limit})
      returning event_id)
    select ${columns} from audit_events e join taken on taken.event_id = e.event_id
    where e.organization_id = ${at.organization_id} order by e.event_id`)

export type Link = { seq: number; event_id: string; hash: string }

export const append = (at: Tenant, links: Link[]): Promise<number> =>
  at.db.run(sql`
    insert into audit_chain (organization_id, seq, event_id, hash)
    select ${at.organization_id}, link.seq, link.event_id, decode(link.hash, 'hex')
    from jsonb_to_recordset(${json(links)}::jsonb) as link (seq bigint, event_id uuid, hash text)`)

/** A link beside the event it speaks of; an event that is gone leaves `event_id` empty. */
export type Linked = AuditEvent & { seq: number; hash: string; linked_event_id: string }

export const links = (at: Tenant, after_seq: number, limit: number): Promise<Linked[]> =>
  at.db.many(sql`
    select c.seq, encode(c.hash, 'hex') as hash, c.event_id as linked_event_id, ${columns}
    from audit_chain c left join audit_events e on e.event_id = c.event_id and e.organization_id = c.organization_id
    where c.organization_id = ${at.organization_id} and c.seq > ${after_seq} order by c.seq limit ${limit}`)

/** An event that no link speaks of and that does not wait for one: somebody put it there past the product. */
export const unchained = (at: Tenant): Promise<{ event_id: string } | undefined> =>
  at.db.maybe(sql`
    select e.event_id from audit_events e
    where e.organization_id = ${at.organization_id}
      and not exists (select from audit_chain c where c.event_id = e.event_id)
      and not exists (select from audit_pending p where p.event_id = e.event_id)
    order by e.event_id limit 1`)

export const pending = (at: Tenant): Promise<{ count: number }> =>
  at.db.one(sql`select count(*)::int as count from audit_pending where organization_id = ${at.organization_id}`)
