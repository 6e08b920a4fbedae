/** What PostgreSQL's own background workers do on a server, and nobody does in an embedded database: checkpoints,
 *  before the log grows so long that a start after a crash takes minutes; vacuum, before dead rows outnumber the living
 *  and before transaction ids run out; statistics for the planner. Each step blocks the one session while it lasts, so
 *  a step is one checkpoint or one table. */

import { PLATFORM } from './adapter.ts'
import { sql } from './db.ts'
import type { Embedded } from './embedded.ts'

const LOOK_EVERY_MS = 1_000
/** Recovery replays about 100 MB a second. */
const WAL_BYTES_MAX = 64 * 1024 * 1024
/** Tables change slowly against the log: looked at once in so many rounds. */
const TABLES_EVERY = 10

type DueTable = { name: string; vacuum: boolean }

/** Looks after the database while it is in use; returns how to stop. */
export function startUpkeep(embedded: Embedded, warn: (error: unknown, message: string) => void): () => Promise<void> {
  let round = 0
  let answered = -1
  let running: Promise<void> = Promise.resolve()
  let isRunning = false

  const look = async () => {
    // An idle database is left alone: looking at it would wake its thread for nothing.
    if (embedded.answered === answered) return
    if (await isCheckpointDue(embedded)) await embedded.asOwner((session) => session.script('checkpoint'))
    if (round++ % TABLES_EVERY === 0) await tidyTables(embedded)
    answered = embedded.answered
  }
  const timer = setInterval(() => {
    if (isRunning) return
    isRunning = true
    running = look()
      .catch((error) => warn(error, 'the upkeep of the embedded database failed; it is tried again'))
      .finally(() => {
        isRunning = false
      })
  }, LOOK_EVERY_MS)
  timer.unref()

  return () => {
    clearInterval(timer)
    return running
  }
}

export async function isCheckpointDue(embedded: Embedded): Promise<boolean> {
  const { rows } = await embedded.once(
    PLATFORM,
    sql`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::int8 as wal_bytes from pg_control_checkpoint()`,
  )
  return Number(rows[0]?.wal_bytes) > WAL_BYTES_MAX
}

/** Vacuums and analyzes what is due, by the thresholds PostgreSQL's own autovacuum has by default. */
export async function tidyTables(embedded: Embedded): Promise<DueTable[]> {
  const { rows } = await embedded.once(
    PLATFORM,
    sql`
      select format('%I.%I', s.schemaname, s.relname) as name,
        n_dead_tup > 50 + 0.2 * n_live_tup or n_ins_since_vacuum > 1000 + 0.2 * n_live_tup
          or age(c.relfrozenxid) > 150000000 as vacuum
      from pg_stat_all_tables s join pg_class c on c.oid = s.relid
      where c.relkind in ('r', 'm') and c.relpersistence <> 't' and (
        n_dead_tup > 50 + 0.2 * n_live_tup or n_ins_since_vacuum > 1000 + 0.2 * n_live_tup
        or n_mod_since_analyze > 50 + 0.1 * n_live_tup or age(c.relfrozenxid) > 150000000)`,
  )
  const due = rows as DueTable[]
  for (const { name, vacuum } of due) {
    await embedded.asOwner((session) => session.script(vacuum ? `vacuum (analyze) ${name}` : `analyze ${name}`))
  }
  return due
}
