/** Following an execution: its events are rows, and a notification only says when to look. Whoever follows reads what
 *  is stored after what they have seen, so nothing is missed, whatever happened in between. */

import type { Database } from '../db/db.ts'
import * as store from './store.ts'

/** Without a notification it is looked all the same: one may get lost with a connection. */
const LOOK_MS = 2000
const PAGE = 500
const CHANNEL = 'flow_executions'

/** Waits for news of an execution (or with a dot behind its id for its end), for some time at most, or until the
 *  signal. */
type Await = (execution_id: string, ms: number, signal?: AbortSignal) => Promise<'told' | 'silence'>

const listeners = new WeakMap<Database, Promise<Await>>()

function awaitOf(database: Database): Promise<Await> {
  const known = listeners.get(database)
  if (known) return known
  const listening = listen(database)
  // A listener that could not be made is made anew when it is next wanted.
  listening.catch(() => listeners.delete(database))
  listeners.set(database, listening)
  return listening
}

async function listen(database: Database): Promise<Await> {
  const waiting = new Map<string, Set<(how?: 'told') => void>>()
  const wake = (id: string) => {
    for (const resolve of waiting.get(id) ?? []) resolve('told')
  }
  const wakeAll = () => {
    for (const all of [...waiting.values()]) for (const resolve of all) resolve()
  }
  const heard = (ids: string) => {
    for (const id of ids.split(' ')) {
      wake(id)
      if (id.endsWith('.')) wake(id.slice(0, -1))
    }
  }
  await database.listen(CHANNEL, heard, wakeAll)

  return (id, ms, signal) =>
    new Promise((resolve) => {
      const done = (how?: unknown) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        const all = waiting.get(id)
        all?.delete(done)
        if (all?.size === 0) waiting.delete(id)
        resolve(how === 'told' ? 'told' : 'silence')
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done, { once: true })
      waiting.set(id, (waiting.get(id) ?? new Set()).add(done))
      if (signal?.aborted) done()
    })
}

const isLast = (type: string): boolean => /^execution\.(completed|failed|cancelled|timed_out)$/.test(type)

export type Followed = { database: Database; organization_id: string; execution_id: string; signal: AbortSignal }

/** The events after `after`, as they come; ends with the last one. */
export async function* follow(of: Followed, after: number): AsyncGenerator<store.StoredEvent> {
  const { database, organization_id, execution_id, signal } = of
  const db = database.of(organization_id)
  const news = await awaitOf(database)
  let seen = after
  let isOver = false
  while (!signal.aborted) {
    // Asked for before it is looked: what is written in between wakes at once.
    const next = news(execution_id, LOOK_MS, signal)
    const events = await store.eventsAfter(db, organization_id, execution_id, seen, PAGE)
    for (const event of events) {
      yield event
      seen = event.seq
      if (isLast(event.type)) return
    }
    // For whoever comes after the last event. It may have come between the two looks, so there is a third.
    if (events.length === 0 && isOver) return
    if (events.length === 0) isOver = await db.gather(store.hasEnded, execution_id)
    if (events.length < PAGE && !isOver) await next
  }
}

/** Waits until the execution has ended, for some seconds at most. */
export async function untilEnded(of: Followed, seconds: number): Promise<void> {
  const { database, organization_id, execution_id, signal } = of
  const db = database.of(organization_id)
  const news = await awaitOf(database)
  const until = performance.now() + seconds * 1000
  for (;;) {
    const left = until - performance.now()
    const next = news(`${execution_id}.`, Math.max(0, Math.min(LOOK_MS, left)), signal)
    if (left <= 0 || signal.aborted || (await db.gather(store.hasEnded, execution_id))) return
    if ((await next) === 'told') return
  }
}
