/** A process that writes and tells, for tests that kill it: `testing-writer.ts {"first": 1, …ConnectOptions}`.
 *  It prints `open`, then the id of each row when the database has acknowledged it: odd ones alone, even ones as a
 *  transaction of two rows. Only tests run it. */

import { writeSync } from 'node:fs'
import { connect } from './connect.ts'
import { sql } from './db.ts'
import { withTables } from './testing.ts'

export const written = 'create table written (id int primary key, twin int not null default 0)'

if (import.meta.main) {
  const { first, ...options } = JSON.parse(process.argv[2] ?? '{}')
  const { platform: db } = await connect({ ...options, migrations: await withTables(written) }).catch((error) => {
    writeSync(1, `refused ${error.message}\n`)
    process.exit(1)
  })
  writeSync(1, 'open\n')
  for (let id = first; ; id += 2) {
    await db.run(sql`insert into written (id) values (${id})`)
    writeSync(1, `${id}\n`)
    await db.tx(async (tx) => {
      await tx.run(sql`insert into written (id) values (${id + 1})`)
      await tx.run(sql`update written set twin = ${id} where id = ${id + 1}`)
    })
    writeSync(1, `${id + 1}\n`)
  }
}
