/** The PostgreSQL adapter: a pool of sessions on a server of its own, which any number of Flows may share.
 *
 *  Each session works as `flow_app` where that role exists, in UTC, with a limit for statements and for idle
 *  transactions; it remembers whose rows it shows, and is told only when that changes. That setting outlives
 *  transactions: between here and the server there must be no pooler that hands one session to many (PgBouncer's
 *  `transaction` mode). */

import { createHash } from 'node:crypto'
import pg from 'pg'
import { type Adapter, type Answer, PLATFORM, type Reading, type Session, type Tenant } from './adapter.ts'
import type { Sql } from './db.ts'
import { DatabaseFault, DatabaseUnavailable } from './faults.ts'
import { PostgresListener } from './postgres-listener.ts'
import { type Note, Teller } from './teller.ts'
import { encodeAll, parserOf, refuseNul } from './values.ts'

export type PostgresOptions = {
  url: string
  /** Who the sessions work as; without it, as the user of the URL. */
  role: string | undefined
  pool_max: number
  statement_timeout_ms: number
  /** A transaction that asks nothing for this long is rolled back by the server. */
  idle_timeout_ms: number
  /** A caller that gets no session within this time is refused. */
  wait_timeout_ms: number
  warn: (error: Error, message: string) => void
}

/** Statements beyond this many different texts are not prepared: each costs memory in every session. */
const NAMES_MAX = 1_000
/** The server ends a statement at its limit. When nothing comes this long after, the connection is gone. */
const GRACE_MS = 5_000

const typesOf: Record<Reading, pg.CustomTypesConfig | undefined> = {
  wire: { getTypeParser: (oid: number) => parserOf(oid) },
  driver: undefined,
}

export class Postgres implements Adapter {
  readonly mode = 'postgres'
  /** What an acknowledged commit means there is its operator's choice; by default it is synced. */
  readonly durability = 'fsync'

  #pool: pg.Pool
  #listener: PostgresListener
  #teller: Teller
  #tenants = new WeakMap<pg.PoolClient, Tenant>()
  /** Why a session ended while it was somebody's. */
  #lost = new WeakMap<pg.PoolClient, Error>()
  #names = new Map<string, string>()
  readonly #silence_ms: number

  constructor(options: PostgresOptions) {
    this.#silence_ms = options.statement_timeout_ms + GRACE_MS
    this.#pool = new pg.Pool({
      connectionString: options.url,
      application_name: 'flow',
      max: options.pool_max,
      connectionTimeoutMillis: options.wait_timeout_ms,
      keepAlive: true,
      // What a session is asked in one turn travels at once: the tenant, `begin`, the first statement.
      pipeline: true,
      // The driver's type says less than it gives.
      onConnect: (client) => this.#ask(client as pg.Client, { text: greeting(options) }),
    })
    // A session that breaks while nobody uses it is replaced; one that breaks in use fails its statement.
    this.#pool.on('error', (error) => options.warn(error, 'a database session was lost'))
    this.#pool.on('connect', (client) => {
      // The first error says why; that the connection ended comes after it.
      client.on('error', (error) => this.#lost.has(client) || this.#lost.set(client, error))
    })
    this.#teller = new Teller(
      (statement) => this.once(PLATFORM, statement),
      (error) => options.warn(error, 'a notification was not sent'),
    )
    this.#listener = new PostgresListener(options.url, (error) => options.warn(error, 'the listening session was lost'))
  }

  async once(tenant: Tenant, statement: Sql, reading: Reading = 'wire'): Promise<Answer> {
    return this.#lend(tenant, async (client) => {
      try {
        return await this.#query(client, statement, reading)
      } catch (error) {
        // The schema changed behind a prepared statement; the refusal left nothing done.
        if (!(error instanceof DatabaseFault && error.code === '0A000')) throw error
        return this.#query(client, statement, reading, '')
      }
    })
  }

  async hold<Result>(tenant: Tenant, work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#lend(tenant, async (client) => {
      let asking = 0
      let hasEnded = false
      // The driver reports a fault before it knows the transaction's state after it.
      let isUnsure = false
      const ask = async <Given>(question: () => Promise<Given>): Promise<Given> => {
        if (hasEnded) throw new Error('The transaction has ended.')
        asking++
        isUnsure = true
        const given = await question().finally(() => asking--)
        isUnsure = false
        return given
      }
      const script = (text: string, reading?: Reading) => ask(() => this.#script(client, text, reading))
      try {
        return await work({
          query: (statement, reading) => ask(() => this.#query(client, statement, reading)),
          script,
          finish: script,
        })
      } finally {
        hasEnded = true
        if (asking > 0 || isUnsure || client.getTransactionStatus() !== 'I')
          await this.#script(client, 'rollback').catch(() => {})
      }
    })
  }

  listen(channel: string, heard: (payload: string) => void, gap: () => void = () => {}) {
    return this.#listener.listen(channel, heard, gap)
  }

  tell(notes: Note[]): void {
    this.#teller.tell(notes)
  }

  present(number: number): Promise<void> {
    return this.#listener.present(number)
  }

  async close(): Promise<void> {
    await this.#teller.flush()
    await this.#listener.close()
    if (!this.#pool.ending) await this.#pool.end()
  }

  async #lend<Result>(tenant: Tenant, work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await this.#pool.connect().catch((error) => {
      throw translated(error)
    })
    let isSound = false
    try {
      const [, result] = await Promise.all([this.#enter(client, tenant), work(client)])
      isSound = true
      return result
    } catch (error) {
      const fault = translated(this.#lost.get(client) ?? error)
      isSound = !(fault instanceof DatabaseUnavailable) && this.#tenants.get(client) === tenant
      throw fault
    } finally {
      client.release(!isSound || client.getTransactionStatus() !== 'I')
    }
  }

  /** Makes the session show the tenant's rows. What follows travels right behind; when this fails, the session is
   *  thrown away with whatever was asked. */
  async #enter(client: pg.PoolClient, tenant: Tenant): Promise<void> {
    if (this.#tenants.get(client) === tenant) return
    await this.#ask(client, { name: 'enter', text: `select set_config('app.org', $1, false)`, values: [tenant] })
    this.#tenants.set(client, tenant)
  }

  async #query(client: pg.PoolClient, statement: Sql, reading: Reading = 'wire', name?: string): Promise<Answer> {
    const { text } = statement
    const values = encodeAll(statement)
    const [answer] = await this.#ask(client, { name: name ?? this.#name(text), text, values, types: typesOf[reading] })
    if (!answer) throw new Error('The driver gave no answer.')
    return answer
  }

  async #script(client: pg.PoolClient, text: string, reading: Reading = 'wire'): Promise<Answer[]> {
    refuseNul(text)
    return this.#ask(client, { text, types: typesOf[reading] })
  }

  /** An answer for each statement. The driver has a promise and a time limit of its own; but they are functions that it
   *  assigns to a property, and those V8 keeps until its next full collection, with whatever waits for them. */
  #ask(client: pg.Client, question: pg.QueryConfig): Promise<Answer[]> {
    gather(client)
    return new Promise((resolve, reject) => {
      const silent = setTimeout(() => {
        client.connection.stream.destroy()
        reject(new DatabaseUnavailable('The database did not answer in time.'))
      }, this.#silence_ms)
      const query = new pg.Query(question, (error, given) => {
        clearTimeout(silent)
        if (error) return reject(translated(error))
        const results = given as unknown as pg.QueryResult | pg.QueryResult[]
        resolve([results].flat().map(({ rows, rowCount, command }) => ({ rows, changed: rowCount ?? 0, command })))
      })
      client.query(query)
    })
  }

  /** The name a statement is prepared under: the same text has the same one in every session. */
  #name(text: string): string | undefined {
    const known = this.#names.get(text)
    if (known || this.#names.size >= NAMES_MAX) return known
    const name = createHash('sha256').update(text).digest('base64url').slice(0, 32)
    this.#names.set(text, name)
    return name
  }
}

/** What a session is asked in this turn of the loop leaves in one write: each one costs as much as many statements. */
function gather(client: pg.Client): void {
  const { stream } = client.connection
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(() => stream.uncork())
}

/** What a new session is told first. Not as start parameters: poolers refuse those. */
function greeting({ role, statement_timeout_ms, idle_timeout_ms }: PostgresOptions): string {
  const settings = [
    `set timezone = 'UTC'`,
    `set datestyle = 'ISO, MDY'`,
    `set bytea_output = 'hex'`,
    `set extra_float_digits = 1`,
    `set search_path = public`,
    `set statement_timeout = ${statement_timeout_ms}`,
    `set idle_in_transaction_session_timeout = ${idle_timeout_ms}`,
  ]
  if (role) settings.push(`set role ${pg.escapeIdentifier(role)}`)
  return settings.join('; ')
}

/** An error of the driver as one of ours. */
export function translated(error: unknown): Error {
  if (error instanceof DatabaseFault || error instanceof DatabaseUnavailable) return error
  if (!(error instanceof Error)) return new Error(String(error))
  if (error instanceof pg.DatabaseError && error.code !== undefined && !isGoingDown(error.code)) {
    const { code, message, detail, hint, constraint, table, column, severity } = error
    return new DatabaseFault({ code, message, detail, hint, constraint, table, column, severity })
  }
  if (isLostConnection(error)) return new DatabaseUnavailable(error.message, { cause: error })
  return error
}

/** Connection exceptions, too many connections, and a server that stops, starts or crashes. */
const isGoingDown = (code: string) => code.startsWith('08') || ['53300', '57P01', '57P02', '57P03'].includes(code)

/** The driver has no class for these: an error of the socket, of the name's lookup or of TLS has a code, and its own
 *  have only a text. */
function isLostConnection(error: Error): boolean {
  if (error instanceof pg.DatabaseError) return true
  if ('syscall' in error || ('code' in error && typeof error.code === 'string' && error.code.startsWith('E')))
    return true
  return /^(Connection terminated|Client (has encountered|was closed)|timeout exceeded|Cannot use a pool|The server does not support SSL|unexpected)/i.test(
    error.message,
  )
}
