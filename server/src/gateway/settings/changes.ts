/** Changes of the gateway's settings come one after the other in an organization, and every process hears of each. */

import type { Context } from '../../context.ts'
import { type Db, sql } from '../../db/db.ts'
import { DatabaseFault } from '../../db/faults.ts'
import { conflict } from '../../failure.ts'
import { openPolicies, tellChange } from '../policies/policies.ts'

export type At = { db: Db; organization_id: string }

/** Begins a change: what is read from here on is still so when it commits. */
export async function change(ctx: Context): Promise<void> {
  await count(ctx)
  tellChange(ctx.db, ctx.organization_id)
}

/** Holds the organization's row until the transaction ends. */
const count = (at: At): Promise<number> =>
  at.db.run(sql`
    insert into gateway_settings as s (organization_id, version) values (${at.organization_id}, 1)
    on conflict (organization_id) do update set version = s.version + 1`)

/** After the commit: whoever was answered finds what they have changed, in this process at once. */
export async function settled<Answer>(ctx: Context, answer: Answer): Promise<Answer> {
  openPolicies(ctx.platform).changed(ctx.organization_id)
  return answer
}

/** Does it in a savepoint, and says what is wrong where it is there already. */
export const orTaken = <Row>(ctx: Context, write: (at: At) => Promise<Row>, taken: string): Promise<Row> =>
  ctx.db
    .tx((db) => write({ db, organization_id: ctx.organization_id }))
    .catch((thrown: unknown) => {
      if (thrown instanceof DatabaseFault && thrown.code === '23505') throw conflict(taken)
      throw thrown
    })
