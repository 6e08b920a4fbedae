/** The SQL of snapshots. */

import type { Scope } from '../context.ts'
import { type Db, type Gathered, sql } from '../db/db.ts'

/** One that counted as left alone is in use again. */
export const keepSnapshot = (at: Scope & { now: string }, digest: string, content: string): Promise<void> =>
  at.db.gather(keepSnapshots, { organization_id: at.organization_id, digest, content, now: at.now })

type Snapshot = { organization_id: string; digest: string; content: string; now: string }

/** Always in the same order, so that two transactions never wait for each other in a circle. */
const keepSnapshots: Gathered<Snapshot, void> = async (db, all) => {
  const each = <Value>(pick: (one: Snapshot) => Value) => all.map(pick)
  await db.run(sql`
    with given as (
      select distinct on (organization_id, digest) * from unnest(
        ${each((one) => one.organization_id)}::uuid[], ${each((one) => one.digest)}::text[],
        ${each((one) => one.content)}::text[], ${each((one) => one.now)}::timestamptz[]
      ) as t (organization_id, digest, content, now)
      order by organization_id, digest
    ), found as (
      update workflow_snapshots s set orphaned_at = null from given g
      where s.organization_id = g.organization_id and s.digest = g.digest and s.orphaned_at is not null
    )
    insert into workflow_snapshots (organization_id, digest, content, created_at)
    select organization_id, digest, content::json, now from given order by organization_id, digest
    on conflict do nothing`)
  return all.map(() => undefined)
}

export const snapshot = (db: Db, organization_id: string, digest: string): Promise<{ content: unknown }> =>
  db.one<{ content: unknown }>(
    sql`select content from workflow_snapshots where organization_id = ${organization_id} and digest = ${digest}`,
  )
