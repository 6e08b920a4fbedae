/** This process as one that has leases, and those that had some and are gone. A process says that it lives; when it does
 *  no longer, the others give back its share of the limits and count its money as spent, with a line in the ledger for
 *  each of its callers. Should it come back, it learns of it with the next thing that it writes, and begins anew: its
 *  calls of before are paid for by those lines and cost nothing more. */

import type { Logger } from 'pino'
import { enter } from '../../billing/billing.ts'
import { type Clock, newId } from '../../context.ts'
import type { Database, Db } from '../../db/db.ts'
import * as store from './store.ts'

const BEAT_MS = 1_000
/** Nobody is given up by a process that has not itself reached the database for so long: the others may have been without
 *  it, too, and need a moment to say that they live. */
const SURE_MS = 10_000
const FORGET_MS = 60_000
const RATES_KEPT_MS = 600_000

/** Of this process; the embedded database belongs to one, so all others are gone. */
const own = new Set<string>()

export type Holder = {
  /** The id under which is leased: written, before anybody has it. */
  here(): Promise<string>
  /** It was given up: what is leased here is leased no more. */
  lost(id: string): void
  /** Nothing is leased any more. */
  leave(): Promise<void>
}

export function openHolder(
  { database, log, clock }: { database: Database; log: Logger; clock: Clock },
  tell: { lost(): void },
): Holder {
  const { platform } = database
  const isAlone = database.mode === 'embedded'
  let id: Promise<string> | undefined
  let current: string | undefined
  let reached_since: number | undefined
  let forgotten_at = 0

  const join = async () => {
    const fresh = newId()
    own.add(fresh)
    const { number } = await platform.tx(async (db) => {
      if (isAlone) await bury(db, clock, await store.holdersBut(db, [...own]))
      return store.addHolder(db, fresh)
    })
    await database.present(number)
    current = fresh
    return fresh
  }
  const lost = (whose: string) => {
    if (whose !== current) return
    current = undefined
    log.warn({ holder_id: whose }, 'this process was taken for dead; what it had leased counts as spent')
    own.delete(whose)
    id = undefined
    tell.lost()
  }
  const beat = async () => {
    const mine = current
    if (mine && (await store.beat(platform, mine)) === 0) lost(mine)
    reached_since ??= performance.now()
    if (!isAlone && performance.now() - reached_since > SURE_MS) await lookAfterOthers()
    if (performance.now() - forgotten_at < FORGET_MS) return
    forgotten_at = performance.now()
    await store.forgetRates(platform, new Date(clock.now().getTime() - RATES_KEPT_MS).toISOString())
  }
  const lookAfterOthers = () =>
    platform.tx(async (db) => {
      const gone = (await store.silentHolders(db)).filter((one) => !own.has(one.id))
      if (gone.length === 0) return
      await bury(db, clock, gone)
      log.warn({ holder_ids: gone.map((one) => one.id) }, 'a process is gone; what it had leased for calls is settled')
    })

  let beating: Promise<void> | undefined
  const timer = setInterval(() => {
    beating ??= beat()
      .catch((err: unknown) => {
        log.warn({ err }, 'the database does not answer; calls go on from what is leased')
        reached_since = undefined
      })
      .finally(() => {
        beating = undefined
      })
  }, BEAT_MS).unref()
  if (isAlone) {
    // Those before are gone already, whether anybody calls or not.
    here().catch((err: unknown) => log.warn({ err }, 'what was leased before was not settled yet'))
  }

  function here(): Promise<string> {
    id ??= join().catch((error: unknown) => {
      id = undefined
      throw error
    })
    return id
  }
  return {
    here,
    lost,
    async leave() {
      clearInterval(timer)
      await beating
      const mine = await id?.catch(() => undefined)
      if (!mine) return
      await platform.tx(async (db) => store.removeHolder(db, mine))
      own.delete(mine)
    },
  }
}

/** What these had leased and not settled is spent; the rest of what they had is free. */
export async function bury(db: Db, clock: Clock, gone: { id: string }[]): Promise<void> {
  const now = clock.now().toISOString()
  const day = now.slice(0, 10)
  for (const { id } of gone) {
    const leases = (await store.leasesOf(db, id)).filter(({ nanocredits }) => nanocredits > 0)
    await enter(
      db,
      leases.flatMap(({ organization_id, workspace_id, user_id, nanocredits }) => {
        if (workspace_id === null) return []
        const line = { id: newId(), organization_id, workspace_id, user_id, request_id: null, created_at: now }
        const what = { service_type: 'llm_call' as const, resource_type: LEASE, resource_id: id, usage_quantity: 0 }
        return [{ ...line, ...what, nanocredits }]
      }),
    )
    await store.addSpend(db, spentOf(leases, day))
    await store.removeHolder(db, id)
  }
}

/** What the ledger calls the line of a process that died. */
export const LEASE = 'lease'

type Lease = Awaited<ReturnType<typeof store.leasesOf>>[number]

function spentOf(leases: Lease[], day: string): store.Spent[] {
  const sums = new Map<string, store.Spent>()
  for (const { organization_id, nanocredits, ...lease } of leases) {
    const subjects: [string, string | null][] = [
      ['organization', lease.model === null ? organization_id : null],
      ['workspace', lease.workspace_id],
      ['user', lease.user_id],
      ['key', lease.key_id],
      ['model', lease.model],
    ]
    for (const [kind, subject_id] of subjects) {
      if (subject_id !== null) store.addTo(sums, { organization_id, kind, subject_id, day, nanocredits })
    }
  }
  return [...sums.values()]
}
