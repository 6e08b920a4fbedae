/** Opens the database: embedded in a directory, or a PostgreSQL by its URL; brings it up to date; answers. */

import type { Logger } from 'pino'
import type { Database } from './db.ts'
import { openEmbedded } from './embedded.ts'
import { openDatabase } from './handles.ts'
import { type Migration, migrate, readMigrations } from './migrate.ts'
import { Postgres } from './postgres.ts'
import { APP_ROLE, openOwner, refuseUnfit, workingRole } from './postgres-owner.ts'
import { startUpkeep } from './upkeep.ts'

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

const POOL_MAX = 16
const STATEMENT_TIMEOUT_MS = 30_000
/** Of a transaction in which nothing is said. Short, because a process that stands still in one keeps others from what
 *  it has locked, and they are to go on with its work. */
const IDLE_TIMEOUT_MS = 5_000
const WAIT_TIMEOUT_MS = 30_000

/** Throws `DatabaseRefused` with a sentence when the database can't be used as things are. */
export async function connect(options: ConnectOptions): Promise<Database> {
  if (options.database_url) return connectPostgres(options.database_url, options)
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
    const stopUpkeep = startUpkeep(embedded, (error, message) => options.log?.warn({ err: error }, message))
    const database = openDatabase(embedded)
    return {
      ...database,
      async close() {
        await stopUpkeep()
        await database.close()
      },
    }
  } catch (error) {
    await embedded.close()
    throw error
  }
}

async function connectPostgres(url: string, options: ConnectOptions): Promise<Database> {
  const migrations = options.migrations ?? (await readMigrations())
  const owner = await openOwner(url)
  let role: string | undefined
  try {
    await refuseUnfit(owner.session)
    const applied = await migrate(owner.session, migrations)
    if (applied.length > 0) options.log?.info({ applied }, 'migrated')
    role = await workingRole(owner.session)
  } finally {
    await owner.close()
  }
  const postgres = new Postgres({
    url,
    role,
    pool_max: options.pool_max ?? POOL_MAX,
    statement_timeout_ms: options.statement_timeout_ms ?? STATEMENT_TIMEOUT_MS,
    idle_timeout_ms: IDLE_TIMEOUT_MS,
    wait_timeout_ms: WAIT_TIMEOUT_MS,
    warn: (error, message) => options.log?.warn({ err: error }, message),
  })
  return openDatabase(postgres)
}
