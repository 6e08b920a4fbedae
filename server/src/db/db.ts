/** The database as the rooms see it: one interface, two engines behind it (embedded.ts, postgres.ts).
 *
 *  A `Db` is always bound to one tenant: every session that runs its statements carries the organization's id
 *  in `app.org`, and row-level security shows no other rows. `platform` is the handle of code that works across
 *  organizations (sign-in, the engine). Rows come in wire form: timestamps as ISO 8601 UTC strings with
 *  milliseconds, `bigint` and `numeric` as numbers, `jsonb` parsed. */

import type { BossDatabase } from './boss.ts'

/** A statement and its parameters. Write it with the tag `sql`; a `Sql` inside a `Sql` is spliced in. */
export type Sql = { readonly text: string; readonly values: readonly unknown[] }

export interface Db {
  /** All rows. */
  many<Row>(statement: Sql): Promise<Row[]>
  /** The one row; anything else is a fault. */
  one<Row>(statement: Sql): Promise<Row>
  /** The first row, if there is any. */
  maybe<Row>(statement: Sql): Promise<Row | undefined>
  /** How many rows the statement changed. */
  run(statement: Sql): Promise<number>
  /** The same, for whoever does not need to know: in a transaction nobody waits for the answer but its end, which travels
   *  right behind and commits nothing when the statement fails; outside of one it is `run`. */
  send(statement: Sql): Promise<void>
  /** Runs `work` in one transaction, or in a savepoint when this is a transaction already. It commits when the
   *  promise resolves and rolls back when it rejects. No statement of anybody else can slip in between. */
  tx<Result>(work: (db: Db) => Promise<Result>, options?: TransactionOptions): Promise<Result>
  /** Tells whoever listens to the channel, in every replica, when the transaction has committed; outside of one at
   *  once. It may be lost with the process: what is told must also be found by who looks. */
  tell(channel: string, payload: string): void
  /** Asks together what is asked of this handle by the same function in one turn of the loop, mostly by several requests
   *  that share a transaction: `ask` gets all the items and gives an answer for each, in their order. In a transaction it
   *  fails for all of them together, as the transaction does; outside of one each is then asked alone. */
  gather<Item, Answer>(ask: Gathered<Item, Answer>, item: Item): Promise<Answer>
  /** Calls `heard` when the transaction has ended, with whether it is known to have committed; outside of one at once. */
  whenOver(heard: (isCommitted: boolean) => void): void
}

export type Gathered<Item, Answer> = (db: Db, items: Item[]) => Promise<Answer[]>

export { DatabaseFault, DatabaseUnavailable } from './faults.ts'
export { asOne } from './gathering.ts'
export { texts } from './values.ts'

export type TransactionOptions = { isolation?: 'read committed' | 'repeatable read' }

export interface Database {
  readonly mode: 'embedded' | 'postgres'
  /** Whether an acknowledged commit survives the loss of power, not only of the process. */
  readonly durability: 'fsync' | 'process'
  /** The handle of one organization: statements see its rows only. */
  of(organization_id: string): Db
  /** The handle that sees all rows. For sign-in, the engine and the start; never for a request's own work. */
  readonly platform: Db
  /** Calls `heard` for each `tell` and each committed `pg_notify` on the channel, from any replica; `gap` whenever some may have been missed. */
  listen(channel: string, heard: (payload: string) => void, gap?: () => void): Promise<() => Promise<void>>
  /** Holds the lock `number` in a session of this process's own for as long as the process lives: whoever finds it free
   *  (`presenceLock`) knows that the process is gone. The embedded database has nobody else who could look. */
  present(number: number): Promise<void>
  /** The queue library's view of this database: outside of any tenant, statements as node-postgres runs them. */
  bossDatabase(): BossDatabase
  /** Waits for statements in flight, then lets go of every connection, file and lock. */
  close(): Promise<void>
}

export function sql(parts: TemplateStringsArray, ...values: unknown[]): Sql {
  let text = parts[0] ?? ''
  const flat: unknown[] = []
  for (const [i, value] of values.entries()) {
    if (isSql(value)) {
      const offset = flat.length
      text += value.text.replace(/\$(\d+)/g, (_, n) => `$${Number(n) + offset}`)
      flat.push(...value.values)
    } else {
      flat.push(value)
      text += `$${flat.length}`
    }
    text += parts[i + 1] ?? ''
  }
  return { text, values: flat }
}

/** The advisory lock of a process (see `present`), as two integers. */
export const presenceLock = (number: Sql): Sql => sql`hashtext('flow presence'), ${number}`

/** Several statements' parts in one, for example conditions joined with `and`. */
export function join(parts: Sql[], separator: string): Sql {
  return parts.reduce((all, part, i) => (i === 0 ? part : sql`${all}${raw(separator)}${part}`), raw(''))
}

/** Text that is part of the program, such as a column's name from a fixed list. Never text from a caller. */
export const raw = (text: string): Sql => ({ text, values: [] })

/** A value for a `jsonb` column. Plain arrays and objects would otherwise become PostgreSQL arrays. */
export const json = (value: unknown): string | null =>
  value === undefined || value === null ? null : JSON.stringify(value)

const isSql = (value: unknown): value is Sql =>
  typeof value === 'object' && value !== null && 'text' in value && 'values' in value && Array.isArray(value.values)
