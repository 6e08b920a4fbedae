/** Opens the database: embedded in a directory, or a PostgreSQL by its URL; brings it up to date; answers. */

import type { Logger } from 'pino'
import type { Database } from './db.ts'
import { openEmbedded } from './embedded.ts'
import { openDatabase } from './handles.ts'
import { type Migration, migrate, readMigrations } from './migrate.ts'

export { DatabaseRefused, DirectoryInUse } from './faults.ts'

export type ConnectOptions = {
  /** Given, it is this PostgreSQL; else the embedded database in `directory`. */
  database_url?: string
  directory?: string
  /** Whether the embedded database syncs each commit to the disk (default), or leaves that to the system: faster,
   *  safe from a crash of Flow, not from a loss of power. */
  durability?: Database['durability']
  /** Connections to PostgreSQL at most. */
  pool_max?: number
  statement_timeout_ms?: number
  log?: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Only for tests of migrations. */
  migrations?: Migration[]
}

const APP_ROLE = 'flow_app'
const STATEMENT_TIMEOUT_MS = 30_000
const IDLE_TIMEOUT_MS = 10_000
const WAIT_TIMEOUT_MS = 30_000

/** Throws `DatabaseRefused` with a sentence when the database can't be used as things are. */
export async function connect(options: ConnectOptions): Promise<Database> {
  if (!options.directory) throw new Error('a directory for the embedded database is needed')
  return connectEmbedded(options.directory, options)
}

async function connectEmbedded(directory: string, options: ConnectOptions): Promise<Database> {
  const embedded = await openEmbedded({
    directory,
    durability: options.durability ?? 'fsync',
    statement_timeout_ms: options.statement_timeout_ms ?? STATEMENT_TIMEOUT_MS,
    idle_timeout_ms: IDLE_TIMEOUT_MS,
    wait_timeout_ms: WAIT_TIMEOUT_MS,
  })
  try {
    const migrations = options.migrations ?? (await readMigrations())
    const applied = await embedded.asOwner((session) => migrate(session, migrations))
    if (applied.length > 0) options.log?.info({ applied }, 'migrated')
    await embedded.become(APP_ROLE)
    return openDatabase(embedded)
  } catch (error) {
    await embedded.close()
    throw error
  }
}
