/** The statements on claims: who runs what. A claim is a row with a token that is never used again. Whoever writes in
 *  the name of a run proves in the same statement that the claim is still theirs (`owned`), so a process that was
 *  stopped and goes on can overwrite nothing of its successor. */

import { type Db, type Gathered, json, presenceLock, raw, type Sql, sql } from '../db/db.ts'
import type { Claimed, Delivery, Lane } from './queue.ts'

export type ClaimRow = { run_id: string; token: number } & Claimed

/** The runs of these that still belong to whoever holds the tokens, locked until the transaction ends: nobody takes
 *  them over in between. To be joined. Always in the order of their ids, so that two batches never wait in a circle. */
export const owned = (run_ids: string[], tokens: number[]): Sql => sql`
  select c.run_id from engine_claims c
  join (select distinct * from unnest(${run_ids}::uuid[], ${tokens}::bigint[]) as t (run_id, token)) t
    on t.run_id = c.run_id and t.token = c.token
  order by c.run_id for share of c`

/** Claims the runs for a replica that counts as alive; where somebody has one, pokes them instead. */
export const claim = (db: Db, replica_id: string, lane: Lane, run_ids: string[], job_ids: string[]) =>
  db.many<{ run_id: string; token: number; replica_id: string; is_new: boolean }>(sql`
    insert into engine_claims as c (run_id, replica_id, token, lane, job_id)
    select t.run_id, r.id, nextval('engine_tokens'), ${lane}, t.job_id
    from (select id from engine_replicas where id = ${replica_id} and seen_at > '-infinity' for key share) r,
      unnest(${run_ids}::uuid[], ${job_ids}::uuid[]) as t (run_id, job_id)
    order by t.run_id
    on conflict (run_id) do update set poked = true
    returning c.run_id, c.token, c.replica_id, (c.xmax = 0) as is_new`)

/** Claims runs that nobody else can know of yet, each with the job that its process would leave behind. No token where
 *  the replica does not count as alive. Of others it would wait here for who holds their claim, and they perhaps for us. */
export const claimAtOnce: Gathered<{ replica_id: string; job: Delivery }, number | undefined> = async (db, all) => {
  const rows = await db.many<{ run_id: string; token: number }>(sql`
    insert into engine_claims (run_id, replica_id, token, lane, job_id, job)
    select t.run_id, r.id, nextval('engine_tokens'), t.lane, t.run_id, t.job::jsonb
    from engine_replicas r
    join unnest(${all.map(({ replica_id }) => replica_id)}::uuid[], ${all.map(({ job }) => job.message.run_id)}::uuid[],
      ${all.map(({ job }) => job.lane)}::text[], ${all.map(({ job }) => json(job))}::text[])
      as t (replica_id, run_id, lane, job) on t.replica_id = r.id
    where r.seen_at > '-infinity' for key share of r
    returning run_id, token`)
  const tokens = new Map(rows.map(({ run_id, token }) => [run_id, token]))
  return all.map(({ job }) => tokens.get(job.message.run_id))
}

/** Lets go of those that nobody has poked in the meantime; the others are told apart by being missing here. */
export const release = (db: Db, run_ids: string[], tokens: number[]) =>
  db.many<{ run_id: string }>(sql`
    delete from engine_claims c
    using unnest(${run_ids}::uuid[], ${tokens}::bigint[]) as t (run_id, token)
    where c.run_id = t.run_id and c.token = t.token and not c.poked
    returning c.run_id`)

/** Of those that were not let go: the ones that are still ours, from now on without the poke. */
export const unpoke = (db: Db, run_ids: string[], tokens: number[]) =>
  db.many<{ run_id: string }>(sql`
    update engine_claims c set poked = false
    from unnest(${run_ids}::uuid[], ${tokens}::bigint[]) as t (run_id, token)
    where c.run_id = t.run_id and c.token = t.token
    returning c.run_id`)

/** Lets go whatever there is to know: the run has failed and will look again anyway. */
export const drop = (db: Db, run_id: string, token: number) =>
  db.run(sql`delete from engine_claims where run_id = ${run_id} and token = ${token}`)

export const poke = (db: Db, run_id: string) =>
  db.run(sql`update engine_claims set poked = true where run_id = ${run_id}`)

/** Takes the run for this transaction alone, if nobody has it; else pokes whoever has. Whoever wants to claim it now
 *  waits for the row that is made and removed here. */
export const takeForNow = async (db: Db, run_id: string): Promise<boolean> => {
  const nobody = '00000000-0000-0000-0000-000000000000'
  const { is_new } = await db.one<{ is_new: boolean }>(sql`
    insert into engine_claims as c (run_id, replica_id, token, lane, job_id)
    values (${run_id}, ${nobody}, nextval('engine_tokens'), 'runs', ${nobody})
    on conflict (run_id) do update set poked = true
    returning (c.xmax = 0) as is_new`)
  if (is_new) await db.run(sql`delete from engine_claims where run_id = ${run_id}`)
  return is_new
}

/** The claims of replicas that are gone; those that a statement of theirs still holds come next time. */
export const removeOf = (db: Db, replica_ids: string[]) =>
  db.many<ClaimRow>(sql`
    delete from engine_claims where run_id in (
      select run_id from engine_claims where replica_id = any(${replica_ids}::uuid[])
      order by run_id limit 1000 for update skip locked)
    returning run_id, token, lane, job_id, job`)

/** What a replica has claimed, or one of which nothing else is left: its last claim was committed while it was removed. */
export const claimsOf = (db: Db, replica_id: string) =>
  db.many<ClaimRow & { poked: boolean }>(sql`
    select run_id, token, lane, job_id, job, poked from engine_claims c
    where replica_id = ${replica_id} or not exists (select from engine_replicas r where r.id = c.replica_id)`)

export const addReplica = (db: Db, id: string) =>
  db.one<{ number: number }>(sql`insert into engine_replicas (id, knows_jobs) values (${id}, true) returning number`)

/** Whether the replica still counts as alive; from now on it does for longer. */
export const beat = (db: Db, id: string) =>
  db.run(sql`update engine_replicas set seen_at = now() where id = ${id} and seen_at > '-infinity'`)

/** These are dead from now on, even while something of theirs is still to be taken over. */
export const giveUp = (db: Db, ids: string[]) =>
  db.run(sql`update engine_replicas set seen_at = '-infinity' where id = any(${ids}::uuid[])`)

/** A replica that has not been heard of for so long is taken for dead; for so short, only if its lock is free, too: the
 *  session that holds it may be a moment late to come back while the process is well. */
export type Silence = { seconds: number; seconds_without_lock: number }

const isSilent = ({ seconds, seconds_without_lock }: Silence): Sql => sql`
  (seen_at < now() - make_interval(secs => ${seconds})
    or (seen_at < now() - make_interval(secs => ${seconds_without_lock})
      and pg_try_advisory_xact_lock(${presenceLock(raw('number'))})))`

/** Locked, so that one of the others gives their work back; but not against claims: whoever stands still in the middle
 *  of one is silent all the same. */
export const silentReplicas = (db: Db, silence: Silence) =>
  db.many<{ id: string }>(sql`select id from engine_replicas where ${isSilent(silence)} for no key update skip locked`)

/** Those that nothing belongs to any longer; one that still claims something in a transaction comes next time. */
export const removeReplicas = (db: Db, ids: string[]) =>
  db.run(sql`
    delete from engine_replicas r where id in (
      select id from engine_replicas where id = any(${ids}::uuid[]) for update skip locked)
      and not exists (select from engine_claims c where c.replica_id = r.id)`)

export const allReplicas = (db: Db) =>
  db.many<{ id: string }>(sql`select id from engine_replicas union select distinct replica_id from engine_claims`)

/** What there is to do at this moment, in one look. */
export const look = (db: Db, now: string, silence: Silence | undefined) =>
  db.one<{ timers: boolean; replicas: number; older: boolean; silent: boolean }>(sql`
    select exists (select from engine_timers where due_at <= ${now}) as timers,
      (select count(*)::int from engine_replicas where seen_at > '-infinity') as replicas,
      exists (select from engine_replicas where not knows_jobs) as older,
      ${silence ? sql`exists (select from engine_replicas where ${isSilent(silence)})` : raw('false')} as silent`)

export const setTimers = (db: Db, timers: { run_id: string; due_at: string; delivery: Delivery }[]) =>
  db.run(sql`
    insert into engine_timers (run_id, due_at, lane, job)
    select * from unnest(${timers.map(({ run_id }) => run_id)}::uuid[], ${timers.map(({ due_at }) => due_at)}::timestamptz[],
      ${timers.map(({ delivery }) => delivery.lane)}::text[], ${timers.map(({ delivery }) => json(delivery))}::jsonb[])
    on conflict (run_id) do update set due_at = excluded.due_at, job = excluded.job`)

export const takeTimers = (db: Db, now: string) =>
  db.many<{ job: Delivery }>(sql`
    delete from engine_timers where run_id in (
      select run_id from engine_timers where due_at <= ${now} order by due_at limit 500 for update skip locked)
    returning job`)

export const removeTimer = (db: Db, run_id: string) => db.run(sql`delete from engine_timers where run_id = ${run_id}`)

/** Every process looks for itself, too: for jobs and for pokes. */
export const tell = (db: Db, payload: string) => db.tell('flow_engine', payload)
