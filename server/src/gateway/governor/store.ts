/** The SQL of leases. What is taken is taken under the organization's lock, one taker after the other. A process that
 *  settles needs no lock: it moves what it has leased to what is spent, and the sum of both stays. */

import { type Db, json, presenceLock, raw, sql } from '../../db/db.ts'

export const addHolder = (db: Db, id: string): Promise<{ number: number }> =>
  db.one<{ number: number }>(sql`insert into gateway_holders (id) values (${id}) returning number`)

/** Whether nobody has given this process up; and until the transaction ends nobody does. */
export const isHolding = async (db: Db, id: string): Promise<boolean> =>
  (await db.maybe(sql`select id from gateway_holders where id = ${id} for key share`)) !== undefined

export const beat = (db: Db, id: string): Promise<number> =>
  db.run(sql`update gateway_holders set seen_at = now() where id = ${id}`)

/** Those that nobody has heard of for long; or not of late, and their lock is free. */
export const silentHolders = (db: Db): Promise<{ id: string }[]> =>
  db.many<{ id: string }>(sql`
    select id from gateway_holders
    where seen_at < now() - interval '60 seconds'
      or (seen_at < now() - interval '3 seconds' and pg_try_advisory_xact_lock(${presenceLock(raw('number'))}))
    for update skip locked`)

export const holdersBut = (db: Db, ids: string[]): Promise<{ id: string }[]> =>
  db.many<{ id: string }>(sql`select id from gateway_holders where not id = any(${ids}::uuid[]) for update`)

/** Whoever takes something of these organizations next waits until the transaction ends. */
export const lock = (db: Db, organization_ids: string[]): Promise<void> =>
  db.send(sql`
    select pg_advisory_xact_lock(hashtext('flow gateway leases'), key)
    from (select distinct hashtext(id) as key from unnest(${organization_ids}::text[]) as o (id) order by 1) k`)

export type AccountRow = {
  organization_id: string
  holder_id: string
  account: string
  workspace_id: string | null
  user_id: string | null
  key_id: string | null
  model: string | null
}
/** `billing`: the organization's budget of the month, for everything that costs. */
export type Purse = { kind: string; subject_id: string; since: string; nanocredits: number; is_hard: boolean }
export type Granted = { granted: number; rest: number | null; used: number[] }

/** Takes as much as is wanted, and no more than an eighth of what is left where less will do: others want some, too. */
export const takeMoney = (
  db: Db,
  it: AccountRow,
  purses: Purse[],
  { need, want, give_back }: { need: number; want: number; give_back: number },
): Promise<Granted> =>
  db.one<Granted>(sql`
    with purse as (
      select p.place, p.is_hard, p.nanocredits,
        case when p.kind = 'billing' then (
          select coalesce(sum(t.nanocredits), 0) from ledger_totals t
          where t.organization_id = ${it.organization_id} and t.month = p.since)
        else (
          select coalesce(sum(s.nanocredits), 0) from gateway_spend s
          where s.organization_id = ${it.organization_id} and s.kind = p.kind and s.subject_id = p.subject_id
            and s.day >= p.since) end as used,
        case when p.is_hard then (
          select coalesce(sum(l.nanocredits), 0) from gateway_leases l
          where l.organization_id = ${it.organization_id} and (l.model is null) = (p.kind <> 'model')
            and case p.kind when 'workspace' then l.workspace_id = p.subject_id::uuid
              when 'user' then l.user_id = p.subject_id::uuid when 'key' then l.key_id = p.subject_id::uuid
              when 'model' then l.model = p.subject_id else true end) else 0 end as leased
      from jsonb_to_recordset(${json(purses.map((purse, place) => ({ ...purse, place })))}::jsonb)
        as p (place integer, kind text, subject_id text, since date, nanocredits bigint, is_hard boolean)),
    room as (select min(nanocredits - used - leased) + ${give_back}::bigint as rest from purse where is_hard),
    share as (
      select rest, case when rest is null then ${want}::bigint
        else greatest(0, least(rest, ${want}::bigint, greatest(${need}::bigint, floor(rest / 8))))::bigint end as granted
      from room),
    taken as (
      insert into gateway_leases as l (organization_id, holder_id, account, workspace_id, user_id, key_id, model,
        nanocredits)
      select ${it.organization_id}, ${it.holder_id}, ${it.account}, ${it.workspace_id}::uuid, ${it.user_id}::uuid,
        ${it.key_id}::uuid, ${it.model}, granted from share
      on conflict (organization_id, holder_id, account)
        do update set nanocredits = greatest(0, l.nanocredits + excluded.nanocredits - ${give_back}::bigint))
    select granted, greatest(-9007199254740991, least(rest - granted, 9007199254740991))::bigint as rest,
      coalesce((select jsonb_agg(least(used, 9007199254740991) order by place) from purse), '[]') as used
    from share`)

/** The lease of an account that is used no more, all of it. */
export const removeLease = (db: Db, it: AccountRow): Promise<number> =>
  db.run(sql`
    delete from gateway_leases where organization_id = ${it.organization_id} and holder_id = ${it.holder_id}
      and account = ${it.account}`)

/** `owed`: what was used without having been taken, while the database was away. */
export type RateWish = { want: number; most: number; owed: number; minute: string }
export const takeRate = (
  db: Db,
  it: { organization_id: string; meter: string },
  { want, most, owed, minute }: RateWish,
): Promise<{ granted: number; taken: number }> =>
  db.one<{ granted: number; taken: number }>(sql`
    insert into gateway_rates as r (organization_id, meter, minute, taken, granted)
    select ${it.organization_id}, ${it.meter}, ${minute}, ${owed}::bigint + share, share
    from (select greatest(0, least(${want}::bigint, ${most}::bigint - ${owed}::bigint)) as share) s
    on conflict (organization_id, meter, minute) do update set
      taken = r.taken + ${owed}::bigint + greatest(0, least(${want}::bigint, ${most}::bigint - r.taken - ${owed}::bigint)),
      granted = greatest(0, least(${want}::bigint, ${most}::bigint - r.taken - ${owed}::bigint))
    returning granted, taken`)

export const forgetRates = (db: Db, before: string): Promise<number> =>
  db.run(sql`delete from gateway_rates where minute < ${before}`)

/** Less than zero gives back. */
export const takeSlots = (
  db: Db,
  it: { organization_id: string; meter: string; holder_id: string },
  { want, most }: { want: number; most: number },
): Promise<{ slots: number }> =>
  db.one<{ slots: number }>(sql`
    insert into gateway_slots as s (organization_id, meter, holder_id, slots)
    select ${it.organization_id}, ${it.meter}, ${it.holder_id}, greatest(0, least(${want}::bigint,
      ${most}::bigint - coalesce(sum(slots), 0)))
    from gateway_slots where organization_id = ${it.organization_id} and meter = ${it.meter}
    on conflict (organization_id, meter, holder_id)
      do update set slots = greatest(0, s.slots + case when ${want}::bigint < 0 then ${want}::bigint else excluded.slots end)
    returning slots`)

/** What was leased to these is less by what they have settled. */
export const settleLeases = (
  db: Db,
  holder_id: string,
  settled: { organization_id: string; account: string; nanocredits: number }[],
) =>
  db.send(sql`
    update gateway_leases l set nanocredits = greatest(0, l.nanocredits - s.nanocredits)
    from jsonb_to_recordset(${json(settled)}::jsonb) as s (organization_id uuid, account text, nanocredits bigint)
    where l.organization_id = s.organization_id and l.holder_id = ${holder_id} and l.account = s.account`)

export type Spent = { organization_id: string; kind: string; subject_id: string; day: string; nanocredits: number }

/** Always in the same order, so that two processes never wait for each other in a circle. */
export const addSpend = (db: Db, spent: Spent[]): Promise<void> =>
  db.send(sql`
    insert into gateway_spend as s (organization_id, kind, subject_id, day, nanocredits)
    select organization_id, kind, subject_id, day, nanocredits
    from jsonb_to_recordset(${json(spent)}::jsonb)
      as t (organization_id uuid, kind text, subject_id text, day date, nanocredits bigint)
    order by 1, 2, 3, 4
    on conflict (organization_id, kind, subject_id, day) do update set nanocredits = s.nanocredits + excluded.nanocredits`)

export const leasesOf = (db: Db, holder_id: string): Promise<(AccountRow & { nanocredits: number })[]> =>
  db.many<AccountRow & { nanocredits: number }>(sql`
    select organization_id, holder_id, account, workspace_id, user_id, key_id, model, nanocredits
    from gateway_leases where holder_id = ${holder_id} for update`)

/** Everything that the process had is free again. Its own row goes first: whoever takes something in its name holds it,
 *  and is waited for. */
export async function removeHolder(db: Db, id: string): Promise<void> {
  await db.send(sql`delete from gateway_holders where id = ${id}`)
  await db.send(sql`delete from gateway_leases where holder_id = ${id}`)
  await db.send(sql`delete from gateway_slots where holder_id = ${id}`)
}

/** One row for each of them in a statement. */
export function addTo(sums: Map<string, Spent>, one: Spent): void {
  const key = `${one.organization_id} ${one.kind} ${one.day} ${one.subject_id}`
  const sum = sums.get(key)
  if (sum) sum.nanocredits += one.nanocredits
  else sums.set(key, { ...one })
}
