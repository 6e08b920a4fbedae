/** Empties the outbox: takes events that nobody else has in hand, hands them to each kind of listeners, and is done
 *  with them, in one transaction. Every replica has one; they share the work by the locks on the rows. When the
 *  listeners of a kind throw over a batch, each of its events is handed alone, so that one listener's fault keeps
 *  nothing from the others; what still fails comes back later, for that listener only. */

import type { Platform } from '../context.ts'
import type { Db } from '../db/db.ts'
import { type Heard, hearerOf } from './hearers.ts'
import * as store from './store.ts'

/** Without a notification it is looked all the same: one may get lost with a connection. */
const LOOK_MS = 2000
const BATCH = 200
/** After so many failures an event is given up: about a day, the pauses doubling up to an hour. */
const FAILURES_MAX = 34
const PAUSE_SECONDS_MAX = 3600

export type Dispatcher = { stop(): Promise<void> }

export function startDispatcher(platform: Platform): Dispatcher {
  let isStopped = false
  let hasNews = false
  let working: Promise<void> | undefined

  const work = async () => {
    while (hasNews && !isStopped) {
      hasNews = false
      const count = await dispatch(platform).catch((err: unknown) => {
        platform.log.error({ err }, 'events could not be dispatched')
        return 0
      })
      if (count === BATCH) hasNews = true
    }
    working = undefined
  }
  const look = () => {
    hasNews = true
    if (!isStopped) working ??= work()
  }

  const listening = platform.database.listen('flow_events', look, look)
  listening.catch((err: unknown) =>
    platform.log.error({ err }, 'nobody tells the dispatcher of events; it looks itself'),
  )
  const timer = setInterval(look, LOOK_MS).unref()
  look()
  return {
    async stop() {
      isStopped = true
      clearInterval(timer)
      await listening.then(
        (unlisten) => unlisten(),
        () => {},
      )
      await working
    },
  }
}

/** How many events were taken. */
function dispatch(platform: Platform): Promise<number> {
  const { database, clock } = platform
  return database.platform.tx(async (db) => {
    const now = clock.now().toISOString()
    const taken = await store.take(db, now, BATCH)
    const byKind = Map.groupBy(
      taken.flatMap((event) => event.listeners.map(({ kind, listener_id }) => ({ kind, event, listener_id }))),
      ({ kind }) => kind,
    )
    for (const [kind, heard] of byKind) await hand({ db, platform, now }, kind, heard)
    return taken.length
  })
}

type Handed = { event: store.Taken; listener_id: string }
type At = { db: Db; platform: Platform; now: string }

async function hand(at: At, kind: string, handed: Handed[]): Promise<void> {
  const inside = async (heard: Heard[]) => {
    const hear = hearerOf(kind)
    // Another replica may have a newer release, which knows this kind.
    if (!hear) throw new Error(`nobody hears events for "${kind}" in this release`)
    await at.db.tx((db) => hear({ ...at, db }, heard))
  }
  const isDone = await inside(handed).then(
    () => true,
    () => false,
  )
  if (isDone) return

  for (const one of handed) {
    await inside([one]).catch((err: unknown) => putOff(at, kind, one, err))
  }
}

async function putOff({ db, platform, now }: At, kind: string, { event, listener_id }: Handed, err: unknown) {
  const about = { err, kind, listener_id, event_id: event.id, failures: event.failures + 1 }
  if (about.failures > FAILURES_MAX) {
    platform.log.error(about, 'a listener never took an event; it is given up')
    return
  }
  platform.log.warn(about, 'a listener could not take an event; it comes again')
  const seconds = Math.min(2 ** event.failures, PAUSE_SECONDS_MAX)
  await store.putOff(db, event, listener_id, new Date(Date.parse(now) + seconds * 1000).toISOString())
}
