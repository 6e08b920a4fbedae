/** The session that prepares a PostgreSQL for Flow before the pool opens: the owner's, without limits of time. */

import pg from 'pg'
import type { Answer, Session } from './adapter.ts'
import { sql } from './db.ts'
import { DatabaseFault, DatabaseRefused } from './faults.ts'
import { translated } from './postgres.ts'
import { encodeAll, parserOf } from './values.ts'

/** The role that policies apply to; 0001_ground.sql makes it. */
export const APP_ROLE = 'flow_app'

const VERSION_MIN = 15
const CONNECT_TIMEOUT_MS = 15_000

export async function openOwner(url: string): Promise<{ session: Session; close: () => Promise<void> }> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'flow migrations',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser: (oid: number) => parserOf(oid) },
  })
  // What breaks the connection fails the statement under way, too.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(`set timezone = 'UTC'; set search_path = public; select set_config('app.org', '*', false)`)
  } catch (error) {
    await client.end().catch(() => {})
    throw unreachable(client, error)
  }
  return { session: sessionOf(client), close: () => client.end() }
}

/** Refuses a server that is too old or has no pgvector. */
export async function refuseUnfit(session: Session): Promise<void> {
  const [server] = (await session.query(sql`select current_setting('server_version') as version`)).rows
  const version = String(server?.version)
  if (Number.parseInt(version, 10) < VERSION_MIN) {
    throw new DatabaseRefused(`DATABASE_URL leads to PostgreSQL ${version}; Flow needs ${VERSION_MIN} or newer.`)
  }
  const vector = sql`select installed_version, default_version from pg_available_extensions where name = 'vector'`
  const [extension] = (await session.query(vector)).rows
  if (!extension) {
    throw new DatabaseRefused(
      'The PostgreSQL of DATABASE_URL does not have the extension pgvector. Install it on the server (the package is ' +
        'often called postgresql-NN-pgvector, or take an image that brings it, such as pgvector/pgvector) and start again.',
    )
  }
  const installed = String(extension.installed_version ?? extension.default_version)
  if (isOlder(installed, [0, 8])) {
    throw new DatabaseRefused(
      `The extension pgvector of this PostgreSQL is ${installed}; Flow needs 0.8 or newer. Install a newer one on the ` +
        'server, then run "alter extension vector update" in this database.',
    )
  }
}

/** The role that sessions take, or none when the owner is subject to the policies by himself. */
export async function workingRole(session: Session): Promise<string | undefined> {
  const [user] = (
    await session.query(sql`
      select current_user as name, flow_has_role() as has_role, rolsuper or rolbypassrls as is_above
      from pg_roles where rolname = current_user`)
  ).rows
  if (user?.has_role) return APP_ROLE
  if (!user?.is_above) return undefined
  throw new DatabaseRefused(
    `The user ${user.name} of DATABASE_URL sees every organization's rows whatever the policies say, and may not work ` +
      `as another. As a superuser run: create role ${APP_ROLE} nologin; grant ${APP_ROLE} to ${user.name};`,
  )
}

function sessionOf(client: pg.Client): Session {
  const script = async (text: string): Promise<Answer[]> => {
    const results: pg.QueryResult | pg.QueryResult[] = await client.query(text).catch((error) => {
      throw translated(error)
    })
    return [results].flat().map(({ rows, rowCount, command }) => ({ rows, changed: rowCount ?? 0, command }))
  }
  return {
    async query(statement) {
      const result = await client.query(statement.text, encodeAll(statement)).catch((error) => {
        throw translated(error)
      })
      return { rows: result.rows, changed: result.rowCount ?? 0, command: result.command }
    },
    script,
    finish: script,
  }
}

/** Says where and why, never with which password. */
function unreachable(client: pg.Client, error: unknown): DatabaseRefused {
  const fault = translated(error)
  const where = `${client.host}:${client.port}/${client.database ?? ''}`
  const why =
    fault instanceof DatabaseFault ? fault.message : `it does not answer (${fault.message || 'connection refused'})`
  return new DatabaseRefused(`The PostgreSQL at ${where} can't be used: ${why}.`, { cause: error })
}

function isOlder(version: string, than: [major: number, minor: number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < than[0] || (major === than[0] && minor < than[1])
}
