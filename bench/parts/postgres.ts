/** A PostgreSQL for the benches: the one of DATABASE_URL or FLOW_TEST_DATABASE_URL, or one that `.ci/postgres` starts
 *  for them. Each bench works in databases of its own there and leaves nothing behind. */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

export type Server = {
  version: string
  /** A new database, by its URL. */
  newDatabase(): Promise<string>
  close(): Promise<void>
}

const run = promisify(execFile)
const script = join(import.meta.dirname, '../../.ci/postgres')

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Nothing, and a sentence, where there is no server and none can be started. */
export async function openServer(): Promise<Server | undefined> {
  const { DATABASE_URL, FLOW_TEST_DATABASE_URL } = process.env
  const given = DATABASE_URL || FLOW_TEST_DATABASE_URL
  const started = given ? { url: given, stop: async () => {} } : await startServer()
  if (!started) return undefined
  const { url, stop } = started
  const made: string[] = []
  const close = async () => {
    for (const signal of SIGNALS) process.off(signal, interrupted)
    for (const name of made) await ask(url, `drop database if exists ${name} with (force)`).catch(() => {})
    await stop()
  }
  // A bench that is broken off leaves no server behind either.
  const interrupted = () => void close().finally(() => process.exit(1))
  for (const signal of SIGNALS) process.once(signal, interrupted)
  try {
    const { rows } = await ask(url, `select current_setting('server_version') as version`)
    return {
      version: String(rows[0]?.version),
      async newDatabase() {
        const name = `flow_bench_${randomBytes(8).toString('hex')}`
        await ask(url, `create database ${name}`)
        made.push(name)
        const place = new URL(url)
        place.pathname = `/${name}`
        return place.href
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function startServer(): Promise<{ url: string; stop(): Promise<void> } | undefined> {
  const told = await run(script, ['start']).catch((error: Error) => {
    console.log(`PostgreSQL is left out: none could be started.\n${error.message}`)
    return undefined
  })
  if (!told) return undefined
  const given = Object.fromEntries(
    [...told.stdout.matchAll(/^export (\w+)=(.+)$/gm)].map(([, name, text]) => [name, text]),
  )
  const stop = async () => void (await run(script, ['stop'], { env: { ...process.env, ...given } }))
  return { url: String(given.FLOW_TEST_DATABASE_URL), stop }
}

/** Asks one question on a connection of its own. */
export async function ask(url: string, text: string, values: unknown[] = []): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(text, values)
  } finally {
    await client.end()
  }
}
