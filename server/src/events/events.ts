/** The platform's own events: what happened, told to those who asked to hear it. The door of the room.
 *
 *  An event is written into an outbox by the very statement or transaction that makes it true, and only where somebody
 *  listens; a dispatcher takes it from there and hands it to each listener in one transaction. So what happened is
 *  never told without being true, is told exactly once to each listener, and costs next to nothing where nobody wants
 *  to know. Who listens, and what hearing means, is the matter of the rooms above: they keep an interest
 *  (`keepInterest`) and say once what becomes of events for their kind (`onEvent`). */

import type { DataOf, EventPattern, EventType } from '@flow/contract/events'
import { newId } from '../context.ts'
import type { Db } from '../db/db.ts'
import { keptInterest } from './interest.ts'
import * as store from './store.ts'

export { startDispatcher } from './dispatcher.ts'
export { type Hear, type Heard, onEvent } from './hearers.ts'
export { type Wanted, wantedOf } from './interest.ts'
export { put, ring } from './store.ts'

export type PlatformEvent = {
  id: string
  organization_id: string
  /** Null: it concerns the organization as a whole. */
  workspace_id: string | null
  type: EventType
  data: DataOf<EventType>
  /** When it happened: ISO 8601, UTC, milliseconds. */
  at: string
  /** How many events lie behind it. Whatever a listener causes is one deeper. */
  depth: number
}

/** What a listener wants to hear from now on; what it wanted before is replaced. Without a workspace it hears of all. */
export const keepInterest = async (
  at: { db: Db; organization_id: string; workspace_id: string | null },
  kind: string,
  listener_id: string,
  event_types: readonly EventPattern[],
): Promise<void> => {
  await store.keep(at, kind, listener_id, event_types)
  await store.spread(at.db, at.organization_id)
  keptInterest(at.organization_id)
}

/** A listener wants to hear nothing any longer. */
export const dropInterest = async (
  at: { db: Db; organization_id: string },
  kind: string,
  listener_id: string,
): Promise<void> => {
  await store.drop(at, kind, listener_id)
}

export type News = { [Type in EventType]: { type: Type; data: DataOf<Type> } }[EventType]

/** Tells what the caller's transaction makes true. */
export async function emit(
  at: { db: Db; organization_id: string; workspace_id: string | null; now: string },
  news: News[],
  depth = 0,
): Promise<void> {
  const { organization_id, workspace_id, now } = at
  const events = news.map((each) => ({ ...each, id: newId(), organization_id, workspace_id, at: now, depth }))
  await store.putAll(at.db, events)
}
