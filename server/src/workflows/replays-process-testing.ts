/** A process that starts what batches have left to start. It tells how many are started, one number a line, until all of
 *  them have ended; or until it is killed. */

import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../config.ts'
import { systemClock } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import { sql } from '../db/db.ts'
import { openPlatform } from '../platform.ts'
import './workflows.ts'

export type Replaying = { options: ConnectOptions; data_directory: string }

if (import.meta.main) {
  const { options, data_directory } = JSON.parse(process.argv[2] ?? '') as Replaying
  const database = await connect({ ...options, pool_max: 8 })
  const config = readConfig({ FLOW_DATA_DIR: data_directory, FLOW_LOG_LEVEL: 'fatal', FLOW_SANDBOX_WORKERS: '1' })
  const platform = await openPlatform(config, { database, clock: systemClock })
  await platform.engine.work(platform)
  for (;;) {
    const { started, left } = await database.platform.one<{ started: number; left: number }>(sql`
      select (select sum(started)::int from replays) as started,
        (select count(*)::int from executions where completed_at is null)
          + (select count(*)::int from replays where status = 'running') as left`)
    writeSync(1, `${started}\n`)
    if (left === 0) process.exit(0)
    await sleep(2)
  }
}
