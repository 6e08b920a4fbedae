/** What becomes of events, by the kind of who listens. */

import type { Platform } from '../context.ts'
import type { Db } from '../db/db.ts'
import type { PlatformEvent } from './events.ts'

/** An event for one listener. */
export type Heard = { event: PlatformEvent; listener_id: string }

/** What becomes of events for the listeners of a kind: called in the dispatcher's transaction (`at.db`, which sees all
 *  organizations). What it writes is there if and only if the events are gone from the outbox. It may find that a
 *  listener is no longer there, and then does nothing; when it throws, the events come again later. */
export type Hear = (at: { db: Db; platform: Platform; now: string }, heard: Heard[]) => Promise<void>

const hearers = new Map<string, Hear>()

/** Says what becomes of events for a kind of listeners. Call it where a module is loaded, once for each kind. */
export function onEvent(kind: string, hear: Hear): void {
  if (hearers.has(kind)) throw new Error(`events for "${kind}" are heard twice`)
  hearers.set(kind, hear)
}

export const hearerOf = (kind: string): Hear | undefined => hearers.get(kind)
