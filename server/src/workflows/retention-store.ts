/** The SQL of what has had its day, across organizations. */

import { type Db, sql } from '../db/db.ts'

const BATCH = 100
const SNAPSHOTS = 1000

/** Removes some of those whose time is over, with their journals. `days`: how long those are kept that say nothing of
 *  it; 0: for good. */
export const removeExpired = (db: Db, now: string, days: number): Promise<number> =>
  db.run(sql`
    with gone as materialized (
      select id from executions where id in (
        (select id from executions where expires_at <= ${now} order by expires_at limit ${BATCH})
        union all
        (select id from executions
         where ${days}::integer > 0 and expires_at is null and retention_days is null
           and completed_at <= ${now}::timestamptz - make_interval(days => ${days}::integer)
         order by completed_at limit ${BATCH}))
      limit ${BATCH} for update skip locked
    ), events as (delete from execution_events where execution_id in (select id from gone)),
    items as (delete from execution_items where execution_id in (select id from gone)),
    arrivals as (delete from execution_arrivals where execution_id in (select id from gone)),
    nodes as (delete from execution_nodes where execution_id in (select id from gone))
    delete from executions where id in (select id from gone)`)

/** Batches that were over so long ago; what they started is gone by then, or is kept for longer on purpose. */
export const removeReplays = (db: Db, now: string, days: number): Promise<number> =>
  db.run(sql`
    delete from replays where id in (
      select id from replays where completed_at <= ${now}::timestamptz - make_interval(days => ${days}::integer)
      order by completed_at limit 10 for update skip locked)`)

/** Notes since when snapshots are not referred to, and forgets it of those that are again. */
export const markOrphans = (db: Db, now: string): Promise<number> =>
  db.run(sql`
    update workflow_snapshots s set orphaned_at = case when s.orphaned_at is null then ${now}::timestamptz end
    where (s.organization_id, s.digest) in (
      select t.organization_id, t.digest from workflow_snapshots t
      where (t.orphaned_at is null) = not exists (
          select from executions e where e.organization_id = t.organization_id and e.snapshot = t.digest)
        and t.created_at <= ${now}::timestamptz - interval '1 hour'
      limit ${SNAPSHOTS} for update skip locked)`)

/** Removes some that have not been referred to for a day. Whoever wants one of them meanwhile takes the mark away. */
export const removeOrphans = (db: Db, now: string): Promise<number> =>
  db.run(sql`
    delete from workflow_snapshots s where (s.organization_id, s.digest) in (
      select t.organization_id, t.digest from workflow_snapshots t
      where t.orphaned_at <= ${now}::timestamptz - interval '1 day'
        and not exists (
          select from executions e where e.organization_id = t.organization_id and e.snapshot = t.digest)
      limit ${SNAPSHOTS} for update skip locked)`)
