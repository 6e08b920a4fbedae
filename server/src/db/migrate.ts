/** Migrations: numbered files of SQL, `migrations/0001_name.sql`, each applied once, in a transaction, in the order
 *  of their numbers, by one process at a time. What was applied is remembered with its hash: a database is the sum of
 *  exactly these files, or it is refused. */

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Session } from './adapter.ts'
import { sql } from './db.ts'
import { DatabaseFault, DatabaseRefused } from './faults.ts'

export const migrationsDirectory = join(import.meta.dirname, 'migrations')

/** Any number, as long as nobody else in this database locks the same. */
const LOCK = 6_517_001

export type Migration = { number: number; name: string; sha256: string; text: string }
type Applied = Omit<Migration, 'text'>

export async function readMigrations(directory = migrationsDirectory): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  const migrations = await Promise.all(
    names.map(async (name) => {
      const number = Number(/^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1])
      if (!number) throw new Error(`the migration ${name} is not called like 0001_name.sql`)
      const text = await readFile(join(directory, name), 'utf8')
      return { number, name, text, sha256: createHash('sha256').update(text).digest('hex') }
    }),
  )
  const twice = migrations.find(({ number }, i) => migrations[i - 1]?.number === number)
  if (twice) throw new Error(`two migrations have the number of ${twice.name}`)
  return migrations
}

/** Brings the database up to these migrations and returns the names of those it applied. The session must be the
 *  owner's, and see all rows. */
export async function migrate(session: Session, migrations: Migration[]): Promise<string[]> {
  await session.query(sql`select pg_advisory_lock(${LOCK})`)
  try {
    await session.script(
      `create table if not exists flow_migrations (
         number int primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now()
       )`,
    )
    const { rows } = await session.query(sql`select number, name, sha256 from flow_migrations order by number`)
    const applied = new Map(rows.map((row) => [row.number, row as Applied]))
    refuseStrangers(applied, migrations)

    const missing = migrations.filter(({ number }) => !applied.has(number))
    for (const migration of missing) await apply(session, migration)
    return missing.map(({ name }) => name)
  } finally {
    await session.query(sql`select pg_advisory_unlock(${LOCK})`)
  }
}

function refuseStrangers(applied: Map<unknown, Applied>, migrations: Migration[]): void {
  const known = new Map(migrations.map((migration) => [migration.number, migration]))
  for (const { number, name, sha256 } of applied.values()) {
    const migration = known.get(number)
    if (!migration) {
      throw new DatabaseRefused(
        `This database has been used by a newer Flow: its migration ${name} is unknown here. Start that version, ` +
          'or restore a backup from before it.',
      )
    }
    if (migration.sha256 === sha256) continue
    throw new DatabaseRefused(
      `The migration ${migration.name} is not what was applied to this database (as ${name}): it was changed ` +
        'afterwards. Restore the file, and write what is new as a migration of its own.',
    )
  }
}

async function apply(session: Session, { number, name, sha256, text }: Migration): Promise<void> {
  await session.script('begin')
  try {
    await session.script(text)
    await session.query(sql`insert into flow_migrations (number, name, sha256) values (${number}, ${name}, ${sha256})`)
    await session.script('commit')
  } catch (error) {
    await session.script('rollback').catch(() => {})
    if (!(error instanceof DatabaseFault)) throw error
    const where = [error.detail, error.hint].filter(Boolean).join(' ')
    throw new DatabaseRefused(`The migration ${name} failed: ${error.message}. ${where}`.trim(), { cause: error })
  }
}
