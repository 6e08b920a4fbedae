/** What an older master key sealed for good is wrapped again under the newest, so that the older one can be taken out of
 *  FLOW_MASTER_KEY afterwards. Each room names its places; the start goes through them. */

import { BadConfig } from './config.ts'
import type { Platform } from './context.ts'
import { type Database, raw, sql } from './db/db.ts'
import { CannotOpen } from './seal.ts'

/** A column of sealed texts, and the column that names their rows. Text of the program, never of a caller. */
export type SealedColumn = { table: string; key: string; column: string }

/** How many secrets were wrapped again. A key that opens nothing here is refused. */
export async function rewrap(
  { database, seal }: Pick<Platform, 'database' | 'seal'>,
  places: readonly SealedColumn[],
): Promise<number> {
  let wrapped = 0
  for (const place of places) {
    for (const row of await sealedIn(database, place)) {
      const next = wrapAgain(seal, row.sealed)
      // A row that was written meanwhile is under the newest key already.
      if (next) wrapped += await replace(database, place, row, next)
    }
  }
  return wrapped
}

type Sealed = { id: string; sealed: string }

const sealedIn = ({ platform }: Database, { table, key, column }: SealedColumn): Promise<Sealed[]> =>
  platform.many<Sealed>(sql`
    select ${raw(key)}::text as id, ${raw(column)} as sealed from ${raw(table)} where ${raw(column)} is not null`)

const replace = ({ platform }: Database, { table, key, column }: SealedColumn, row: Sealed, next: string) =>
  platform.run(sql`
    update ${raw(table)} set ${raw(column)} = ${next}
    where ${raw(key)}::text = ${row.id} and ${raw(column)} = ${row.sealed}`)

function wrapAgain(seal: Platform['seal'], sealed: string): string | undefined {
  try {
    return seal.rewrap(sealed)
  } catch (error) {
    if (!(error instanceof CannotOpen)) throw error
    throw new BadConfig(`FLOW_MASTER_KEY: this is not the key of this database. ${error.message}`)
  }
}
