/** At the start: what an older master key sealed for good is wrapped again under the newest, so that the older one can
 *  be taken out of FLOW_MASTER_KEY afterwards. A start with a key that opens nothing here is refused. */

import { BadConfig } from '../config.ts'
import type { Platform } from '../context.ts'
import { type Db, sql } from '../db/db.ts'
import { CannotOpen } from '../seal.ts'
import { jwks } from './tokens.ts'

type Sealed = { id: string; sealed: string }

/** Where secrets of this room are kept for longer than minutes. */
const places = [
  {
    read: (db: Db) => db.many<Sealed>(sql`select id, private_sealed as sealed from signing_keys`),
    write: (db: Db, row: Sealed, next: string) =>
      db.run(
        sql`update signing_keys set private_sealed = ${next} where id = ${row.id} and private_sealed = ${row.sealed}`,
      ),
  },
  {
    read: (db: Db) =>
      db.many<Sealed>(sql`select organization_id as id, client_secret_sealed as sealed from sso_settings`),
    write: (db: Db, row: Sealed, next: string) =>
      db.run(sql`
        update sso_settings set client_secret_sealed = ${next}
        where organization_id = ${row.id} and client_secret_sealed = ${row.sealed}`),
  },
]

/** How many secrets were wrapped again. Afterwards there is a key to sign access tokens with. */
export async function openSecrets(platform: Platform): Promise<number> {
  let wrapped = 0
  for (const { read, write } of places) {
    for (const row of await read(platform.database.platform)) {
      const next = wrapAgain(platform, row.sealed)
      // A row that was written meanwhile is under the newest key already.
      if (next) wrapped += await write(platform.database.platform, row, next)
    }
  }
  await jwks(platform)
  return wrapped
}

function wrapAgain(platform: Platform, sealed: string): string | undefined {
  try {
    return platform.seal.rewrap(sealed)
  } catch (error) {
    if (!(error instanceof CannotOpen)) throw error
    throw new BadConfig(`FLOW_MASTER_KEY: this is not the key of this database. ${error.message}`)
  }
}
