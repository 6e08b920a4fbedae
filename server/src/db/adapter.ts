/** What db.ts needs of an engine, and nothing more: one statement on any session, or a session for oneself.
 *  Two adapters exist, embedded.ts and postgres.ts; transactions, savepoints and handles are written once, above. */

import type { Database, Sql } from './db.ts'
import type { Note } from './teller.ts'

export type Row = Record<string, unknown>
/** What one statement brought: its rows, how many it changed, and its command's name such as `COMMIT`. */
export type Answer = { rows: Row[]; changed: number; command: string }

/** Who reads the rows: our rooms the contract's wire form, the queue library what node-postgres gives by default. */
export type Reading = 'wire' | 'driver'

export type Tenant = string
/** The tenant that sees every row. */
export const PLATFORM: Tenant = '*'

/** One conversation with PostgreSQL, for one holder. */
export interface Session {
  /** One statement, prepared. */
  query(statement: Sql, reading?: Reading): Promise<Answer>
  /** Any number of statements without parameters, in one implicit transaction unless the text says otherwise. */
  script(text: string, reading?: Reading): Promise<Answer[]>
  /** The last script of this holder (`commit`): the next one may follow before it is answered. */
  finish(text: string): Promise<Answer[]>
}

export interface Adapter {
  readonly mode: Database['mode']
  readonly durability: Database['durability']
  /** One statement on any session that shows the tenant's rows. */
  once(tenant: Tenant, statement: Sql, reading?: Reading): Promise<Answer>
  /** A session that nobody else uses until `work` settles. A transaction left open is rolled back. */
  hold<Result>(tenant: Tenant, work: (session: Session) => Promise<Result>): Promise<Result>
  listen: Database['listen']
  /** Says something on channels, soon. */
  tell(notes: Note[]): void
  present: Database['present']
  close(): Promise<void>
}
