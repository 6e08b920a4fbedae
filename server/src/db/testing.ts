/** Databases for tests: each test file opens its own, empty but migrated, and closes it, which removes it. They are
 *  copies of a template that is made once for these migrations and kept in the system's temporary directory; any
 *  number of test processes may ask for it at the same moment.
 *
 *  With FLOW_TEST_DATABASE_URL (a superuser of a PostgreSQL) they are databases there, else embedded ones.
 *  FLOW_TEST_KEEP leaves them behind to be looked at. Only tests import this file, so it reads its own environment. */

import { createHash, randomUUID } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type ConnectOptions, connect } from './connect.ts'
import type { Database } from './db.ts'
import { DirectoryInUse } from './faults.ts'
import { lockDirectory } from './lock.ts'
import { type Migration, readMigrations } from './migrate.ts'

const TEMPLATE_PREFIX = 'flow-template-'
const TEMPLATE_AGE_MAX_MS = 24 * 60 * 60 * 1000
const isKept = Boolean(process.env.FLOW_TEST_KEEP)

export type TestOptions = {
  /** Tables of the test's own, made by the owner as another migration would. */
  tables?: string
}

/** The engines that tests of the database itself run on: the server's only where there is one. */
export const testModes: Database['mode'][] = process.env.FLOW_TEST_DATABASE_URL
  ? ['embedded', 'postgres']
  : ['embedded']

/** A database on each of them. */
export const openTestDatabases = (options?: TestOptions): Promise<Database[]> =>
  Promise.all(testModes.map((mode) => openTestDatabaseOn(mode, options)))

/** A migrated database for the calling test file alone. Its `close` removes it. */
export function openTestDatabase(options?: TestOptions): Promise<Database> {
  return openTestDatabaseOn(process.env.FLOW_TEST_DATABASE_URL ? 'postgres' : 'embedded', options)
}

async function openTestDatabaseOn(mode: Database['mode'], options: TestOptions = {}): Promise<Database> {
  const place = mode === 'embedded' ? await copyOfTemplate() : await copyOfServerTemplate()
  const remove = () => {
    if (!isKept && mode === 'embedded') rmSync(place, { recursive: true, force: true })
  }
  process.once('exit', remove)
  const where: ConnectOptions =
    mode === 'embedded' ? { directory: place, durability: 'process' } : { database_url: place }
  const database = await connect({ ...where, pool_max: 8, migrations: await withTables(options.tables) })
  return {
    ...database,
    async close() {
      await database.close()
      process.off('exit', remove)
      remove()
      if (!isKept && mode === 'postgres') await dropOnServer(place)
    },
  }
}

/** The product's migrations, and one with the tables of a test behind them. */
export async function withTables(text: string | undefined): Promise<Migration[]> {
  const migrations = await readMigrations()
  if (!text) return migrations
  const sha256 = createHash('sha256').update(text).digest('hex')
  return [...migrations, { number: 9999, name: '9999_tables_of_a_test.sql', sha256, text }]
}

/** A migrated database on the server, by its URL. Who opens it drops it. */
export async function copyOfServerTemplate(): Promise<string> {
  const server = testServer()
  const template = `flow_template_${await templateHash()}`
  const name = `flow_test_${randomUUID().replaceAll('-', '')}`
  await onServer(async (client) => {
    // Held until the copy is made: nobody may be connected to a template that is copied.
    await client.query('select pg_advisory_lock(hashtext($1))', [template])
    const { rowCount } = await client.query('select from pg_database where datname = $1', [template])
    if (!rowCount) {
      const making = `${template}_making`
      await client.query(`drop database if exists ${making} with (force)`)
      await client.query(`create database ${making}`)
      const database = await connect({ database_url: urlOf(server, making) })
      await database.close()
      await client.query(`alter database ${making} rename to ${template}`)
    }
    await client.query(`create database ${name} template ${template}`)
  })
  return urlOf(server, name)
}

export async function dropOnServer(url: string): Promise<void> {
  await onServer((client) => client.query(`drop database ${new URL(url).pathname.slice(1)} with (force)`))
}

function testServer(): string {
  const url = process.env.FLOW_TEST_DATABASE_URL
  if (!url) throw new Error('FLOW_TEST_DATABASE_URL says which PostgreSQL tests may use')
  return url
}

/** Runs `work` as the superuser of the tests' server, in one of its databases. */
export async function onServer(work: (client: pg.Client) => Promise<unknown>, url = testServer()): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

function urlOf(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

/** A directory with a migrated embedded database, for tests that open it themselves. */
export async function copyOfTemplate(): Promise<string> {
  const template = await templateDirectory()
  const directory = await mkdtemp(join(tmpdir(), 'flow-test-'))
  await cp(join(template, 'postgres'), join(directory, 'postgres'), { recursive: true })
  return directory
}

async function templateDirectory(): Promise<string> {
  const template = join(tmpdir(), `${TEMPLATE_PREFIX}${await templateHash()}`)
  if (existsSync(template)) return template
  const unlock = await waitForLock(`${template}.lock`)
  try {
    if (existsSync(template)) return template
    const making = `${template}.making`
    await rm(making, { recursive: true, force: true })
    const database = await connect({ directory: making, durability: 'process' })
    await database.close()
    await rename(making, template)
    await removeOldTemplates()
    return template
  } finally {
    unlock()
  }
}

/** Whatever decides what a template holds: the migrations, and the engine that wrote its files. */
export async function templateHash(): Promise<string> {
  const hash = createHash('sha256')
  for (const { name, sha256 } of await readMigrations()) hash.update(`${name} ${sha256}\n`)
  for (const file of ['embedded-worker.ts', '../../package.json']) {
    hash.update(await readFile(join(import.meta.dirname, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

async function waitForLock(directory: string): Promise<() => void> {
  for (;;) {
    try {
      return lockDirectory(directory)
    } catch (error) {
      if (!(error instanceof DirectoryInUse)) throw error
      await sleep(50)
    }
  }
}

/** Templates of other migrations may be in use by another checkout's tests right now, but not since yesterday. */
async function removeOldTemplates(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(TEMPLATE_PREFIX)) continue
    const path = join(tmpdir(), name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }))
    if (performance.timeOrigin + performance.now() - mtimeMs > TEMPLATE_AGE_MAX_MS)
      await rm(path, { recursive: true, force: true })
  }
}
