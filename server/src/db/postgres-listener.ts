/** Listens on a session of its own, outside of the pool. It comes back by itself when it is lost, subscribes again
 *  and tells every listener that something may have been missed: notifications are not kept for the absent. As it
 *  lives exactly as long as the process, it also holds the locks by which others see that the process is there. */

import pg from 'pg'
import { presenceLock, raw } from './db.ts'
import { DatabaseUnavailable } from './faults.ts'
import { channelName, Listeners } from './listeners.ts'

const HEARTBEAT_MS = 10_000
const HEARTBEAT_TIMEOUT_MS = 5_000
const RETRY_FIRST_MS = 100
const RETRY_MAX_MS = 5_000

export class PostgresListener {
  #url: string
  #warn: (error: Error) => void
  #listeners = new Listeners()
  #client: Promise<pg.Client> | undefined
  /** The one whose loss matters. */
  #current: pg.Client | undefined
  #timer: NodeJS.Timeout | undefined
  #asked: Promise<unknown> = Promise.resolve()
  #presences = new Set<number>()
  #isClosed = false

  constructor(url: string, warn: (error: Error) => void) {
    this.#url = url
    this.#warn = warn
  }

  async listen(channel: string, heard: (payload: string) => void, gap: () => void): Promise<() => Promise<void>> {
    if (this.#isClosed) throw new DatabaseUnavailable('The database is closed.')
    const remove = this.#listeners.add(channel, heard, gap)
    try {
      this.#client ??= this.#connect()
      const client = await this.#client
      await this.#ask(client, `listen ${channelName(channel)}`)
    } catch (error) {
      remove()
      throw new DatabaseUnavailable('The database does not answer.', { cause: error })
    }
    return async () => {
      if (!remove()) return
      const client = await this.#client?.catch(() => undefined)
      // Lost or closed by now, it listens to nothing.
      if (client) await this.#ask(client, `unlisten ${channelName(channel)}`).catch(() => {})
    }
  }

  async present(number: number): Promise<void> {
    this.#presences.add(number)
    this.#client ??= this.#connect()
    await this.#hold(await this.#client, number)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    const client = await this.#client?.catch(() => undefined)
    await client?.end().catch(() => {})
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'flow listener',
      keepAlive: true,
      query_timeout: HEARTBEAT_TIMEOUT_MS,
      connectionTimeoutMillis: HEARTBEAT_TIMEOUT_MS,
    })
    client.on('error', (error) => this.#lose(client, error))
    client.on('end', () => this.#lose(client, new Error('the connection ended')))
    client.on('notification', ({ channel, payload = '' }) => this.#listeners.notified(channel, payload))
    try {
      await client.connect()
      for (const channel of this.#listeners.channels) await this.#ask(client, `listen ${channelName(channel)}`)
      for (const number of this.#presences) await this.#hold(client, number)
    } catch (error) {
      this.#client = undefined
      client.end().catch(() => {})
      throw error
    }
    this.#current = client
    this.#beat(client)
    return client
  }

  /** One question after the other: the driver takes no other before the last one is answered. */
  #ask(client: pg.Client, text: string, values?: unknown[]): Promise<unknown> {
    const asked = this.#asked.then(() => client.query(text, values))
    this.#asked = asked.catch(() => {})
    return asked
  }

  /** Whoever looks holds the lock for the length of a statement; that is waited for. */
  #hold(client: pg.Client, number: number): Promise<unknown> {
    return this.#ask(client, `select pg_advisory_lock(${presenceLock(raw('$1::integer')).text})`, [number])
  }

  /** A connection that died without a word is noticed here. */
  #beat(client: pg.Client): void {
    this.#timer = setTimeout(async () => {
      await this.#ask(client, 'select 1').then(
        () => this.#current === client && !this.#isClosed && this.#beat(client),
        (error) => this.#lose(client, error),
      )
    }, HEARTBEAT_MS)
    this.#timer.unref()
  }

  #lose(client: pg.Client, error: Error): void {
    if (this.#current !== client || this.#isClosed) return
    this.#current = undefined
    this.#client = undefined
    clearTimeout(this.#timer)
    client.end().catch(() => {})
    this.#warn(error)
    this.#retry(RETRY_FIRST_MS)
  }

  #retry(after_ms: number): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#client ??= this.#connect()
      this.#client.then(
        () => this.#listeners.missed(),
        () => this.#retry(Math.min(after_ms * 2, RETRY_MAX_MS)),
      )
    }, after_ms)
    this.#timer.unref()
  }
}
