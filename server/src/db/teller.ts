/** Tells other processes, in statements of its own: what is told in the transaction that it is about makes every such
 *  commit wait for every other one (PostgreSQL has one lock for them, held until the disk has answered). What is told
 *  while a statement is on its way goes together with the next one. */

import { raw, type Sql, sql } from './db.ts'

export type Note = { channel: string; payload: string }

export class Teller {
  readonly #send: (statement: Sql) => Promise<unknown>
  readonly #warn: (error: Error) => void
  #waiting = new Map<string, Note>()
  #sending: Promise<void> | undefined

  constructor(send: (statement: Sql) => Promise<unknown>, warn: (error: Error) => void) {
    this.#send = send
    this.#warn = warn
  }

  tell(notes: Iterable<Note>): void {
    for (const note of notes) this.#waiting.set(`${note.channel} ${note.payload}`, note)
    if (this.#waiting.size > 0) this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined))
  }

  /** Resolves when everything is told. */
  async flush(): Promise<void> {
    while (this.#sending) await this.#sending
  }

  async #sendAll(): Promise<void> {
    // What else happens in this turn goes along.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.size > 0) {
      const notes = [...this.#waiting.values()]
      this.#waiting.clear()
      const channels = notes.map(({ channel }) => channel)
      const payloads = notes.map(({ payload }) => payload)
      const told = sql`select count(pg_notify(channel, payload)) from unnest(${channels}::text[], ${payloads}::text[])`
      // Whoever listens looks for themselves now and then, too.
      await this.#send(sql`${told}${raw(' as t (channel, payload)')}`).catch(this.#warn)
    }
  }
}
