/** A process that fires what is due at a given moment, for the crash test: first at `before`, undisturbed, then at
 *  `now`, where it dies without notice just before a statement of its firing, or while the commit is on its way. It
 *  takes its orders as JSON in its first argument and tells, in a line, which times have fired when it has lived. */

import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../config.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import { type Db, type Sql, sql } from '../db/db.ts'
import { openPlatform } from '../platform.ts'
import { fireDue } from './triggers.ts'

export type Orders = {
  options: ConnectOptions
  data_directory: string
  workflow_id: string
  before: string
  now: string
  /** Dies before this statement. Without it, it lives. */
  dies_at?: number
  /** Dies so many milliseconds after it sent the last statement before the commit. */
  dies_after_ms?: number
}
export type Told = { undisturbed: string[] } | { lived: string[]; statements: number }

if (import.meta.main) {
  const orders = JSON.parse(process.argv[2] ?? '{}') as Orders
  const database = await connect({ ...orders.options, pool_max: 4 })
  let now = new Date(orders.before)
  let statements = 0
  let dies_at = Infinity

  const stepped =
    <Answer>(ask: (statement: Sql) => Answer) =>
    (statement: Sql): Answer => {
      statements += 1
      if (statements >= dies_at) process.kill(process.pid, 'SIGKILL')
      return ask(statement)
    }
  const watched = (db: Db): Db => ({
    many: stepped(db.many) as Db['many'],
    one: stepped(db.one) as Db['one'],
    maybe: stepped(db.maybe) as Db['maybe'],
    run: stepped(db.run),
    send: stepped(db.send),
    tx: (work, options) => db.tx((inner) => work(bound(inner)), options),
    tell: db.tell,
    whenOver: db.whenOver,
    gather: (ask, item) => ask(watched(db), [item]).then(([answer]) => answer as never),
  })
  // The queue library finds its session by the handle itself, so the handle is watched in place.
  const bound = (db: Db): Db => Object.assign(db, watched({ ...db }))
  const platform = await openPlatform(
    readConfig({ FLOW_DATA_DIR: orders.data_directory, FLOW_LOG_LEVEL: 'fatal', FLOW_SANDBOX_WORKERS: '1' }),
    { database: { ...database, of: (id) => watched(database.of(id)) }, clock: { now: () => now } },
  )
  const times = async () => {
    const rows = await database.platform.many<{ at: string }>(
      sql`select trigger->>'scheduled_for' as at from executions where workflow_id = ${orders.workflow_id} order by 1`,
    )
    return rows.map(({ at }) => at)
  }
  const tell = (told: Told) => console.log(JSON.stringify(told))

  await fireDue(platform)
  tell({ undisturbed: await times() })
  now = new Date(orders.now)
  statements = 0
  dies_at = orders.dies_at ?? Infinity
  const firing = fireDue(platform)
  if (orders.dies_after_ms !== undefined) {
    await sleep(orders.dies_after_ms)
    process.kill(process.pid, 'SIGKILL')
  }
  await firing
  tell({ lived: await times(), statements })
  process.exit(0)
}
