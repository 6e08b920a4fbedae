/** Following an execution: its events are rows, and a notification only says when to look. Whoever follows reads what
 *  is stored after what they have seen, so nothing is missed, whatever happened in between. */

import type { Database, Db } from '../db/db.ts'
import * as store from './store.ts'

/** Without a notification it is looked all the same: one may get lost with a connection. */
const LOOK_MS = 2000
const PAGE = 500
const CHANNEL = 'flow_executions'

/** Waits for news of an execution, for some time at most, or until the signal. */
type Await = (execution_id: string, ms: number, signal?: AbortSignal) => Promise<void>

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
  const waiting = new Map<string, Set<() => void>>()
  const wake = (id: string) => {
    for (const resolve of waiting.get(id) ?? []) resolve()
  }
  const wakeAll = () => {
    for (const id of [...waiting.keys()]) wake(id)
  }
  await database.listen(CHANNEL, (ids) => ids.split(' ').forEach(wake), wakeAll)

  return (id, ms, signal) =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        const all = waiting.get(id)
        all?.delete(done)
        if (all?.size === 0) waiting.delete(id)
        resolve()
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
  while (!signal.aborted) {
    // Asked for before it is looked: what is written in between wakes at once.
    const next = news(execution_id, LOOK_MS, signal)
    const events = await store.eventsAfter(db, organization_id, execution_id, seen, PAGE)
    for (const event of events) {
      yield event
      seen = event.seq
      if (isLast(event.type)) return
    }
    if (events.length === 0 && (await hasEnded(db, execution_id))) return
    if (events.length < PAGE) await next
  }
}

/** For whoever comes after the last event. */
async function hasEnded(db: Db, execution_id: string): Promise<boolean> {
  const execution = await store.load(db, execution_id)
  return !execution || execution.completed_at !== null
}

/** Waits until the execution has ended, for some seconds at most. */
export async function untilEnded(of: Followed, seconds: number): Promise<void> {
  const { database, organization_id, execution_id, signal } = of
  const db = database.of(organization_id)
  const news = await awaitOf(database)
  const until = performance.now() + seconds * 1000
  for (;;) {
    const left = until - performance.now()
    const next = news(execution_id, Math.max(0, Math.min(LOOK_MS, left)), signal)
    if (left <= 0 || signal.aborted || (await hasEnded(db, execution_id))) return
    await next
  }
}
