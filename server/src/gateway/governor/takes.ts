/** Whatever is taken from the database: one round at a time, and in it all that is wanted by then, in one transaction.
 *  Whoever waits for a round knows afterwards what they got; what they got is written before they hear of it. A round
 *  whose end nobody learned may have been committed: then more is leased than is used here, and never less. */

import type { Database, Db } from '../../db/db.ts'
import type { Holder } from './holder.ts'
import * as store from './store.ts'

/** Something that takes a share. */
export type Taker = {
  organization_id: string
  /** Asks, in the round's transaction; gives what is to be done when it is committed. */
  ask(db: Db, holder_id: string): Promise<() => void>
  /** The round failed: what was asked for did not come. */
  failed(): void
}

export type Takes = {
  /** Resolves after the next round that begins from now on. */
  round(taker: Taker): Promise<void>
}

export function openTakes(database: Database, holder: Holder): Takes {
  let wanting = new Set<Taker>()
  let next: Promise<void> | undefined
  let current: Promise<void> = Promise.resolve()

  const run = async () => {
    const takers = [...wanting]
    wanting = new Set()
    next = undefined
    const holder_id = await holder.here().catch((error: unknown) => {
      for (const taker of takers) taker.failed()
      throw error
    })
    try {
      const heard = await database.platform.tx(async (db) => {
        if (!(await store.isHolding(db, holder_id))) return undefined
        await store.lock(db, [...new Set(takers.map(({ organization_id }) => organization_id))])
        return Promise.all(takers.map((taker) => taker.ask(db, holder_id)))
      })
      if (!heard) return holder.lost(holder_id)
      for (const hear of heard) hear()
    } catch (error) {
      for (const taker of takers) taker.failed()
      throw error
    }
  }

  return {
    round(taker) {
      wanting.add(taker)
      if (next) return next
      const before = current
      next = before.catch(() => {}).then(run)
      current = next
      return next
    },
  }
}
