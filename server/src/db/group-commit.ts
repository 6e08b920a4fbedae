/** Group commit: what is given within one turn of the event loop is written in one batch, and at most two batches are
 *  on their way. A commit costs about the same for one row as for a hundred, so under load each row costs little, and
 *  without load nothing waits. A batch that fails is written again without those at fault, or in halves where nobody
 *  knows whose fault it was: nobody fails for a neighbour. */

import { LRUCache } from 'lru-cache'
import type { Database, Db } from './db.ts'
import { DatabaseFault, DatabaseUnavailable } from './faults.ts'

export type GroupCommit<Item, Result> = (item: Item) => Promise<Result>

type Waiting<Item, Result> = { item: Item; since: number; resolve(result: Result): void; reject(error: unknown): void }

export type GroupCommitOptions<Item> = {
  /** Batches on their way at a time. */
  in_flight_max?: number
  items_max?: number
  /** What an item weighs, such as its characters, and how much a batch may. */
  weight?: (item: Item) => number
  weight_max?: number
  /** Whether what failed like this was not written, so that it may be written again. */
  mayRepeat?: (error: unknown) => boolean
  /** Who has waited for so long before the writing began is refused with `DatabaseUnavailable`. */
  wait_ms_max?: number
}

/** Thrown by `write`: these of the batch, by their places, cannot be written, or not beside the others. */
export class AtFault extends Error {
  readonly places: ReadonlySet<number>

  constructor(places: ReadonlySet<number>, cause: unknown) {
    super('Some of the batch are at fault.', { cause })
    this.places = places
  }
}

/** `write` gives one result for each item, in their order. */
export function groupCommit<Item, Result>(
  write: (items: Item[]) => Promise<Result[]>,
  options: GroupCommitOptions<Item> = {},
): GroupCommit<Item, Result> {
  const { in_flight_max = 2, items_max = 500, weight = () => 0, weight_max = 8 * 1024 * 1024 } = options
  const { mayRepeat = () => true, wait_ms_max } = options
  const waiting: Waiting<Item, Result>[] = []
  let in_flight = 0
  let is_scheduled = false
  let isExpiring = false

  const take = (): Waiting<Item, Result>[] => {
    let total = 0
    const end = waiting.findIndex(({ item }, i) => {
      total += weight(item)
      return i >= items_max || (i > 0 && total > weight_max)
    })
    return waiting.splice(0, end < 0 ? waiting.length : end)
  }

  const go = (): void => {
    is_scheduled = false
    while (waiting.length > 0 && in_flight < in_flight_max) {
      const batch = take()
      in_flight += 1
      void settle(batch).finally(() => {
        in_flight -= 1
        go()
      })
    }
  }

  const settle = async (batch: Waiting<Item, Result>[]): Promise<void> => {
    if (batch.length === 0) return
    try {
      const results = await write(batch.map(({ item }) => item))
      for (const [i, { resolve }] of batch.entries()) resolve(results[i] as Result)
    } catch (error) {
      if (batch.length === 1 || !mayRepeat(error)) {
        for (const { reject } of batch) reject(error)
      } else if (error instanceof AtFault) {
        const alone = batch.filter((_, i) => error.places.has(i))
        const others = batch.filter((_, i) => !error.places.has(i))
        await Promise.all([settle(others), ...alone.map((one) => settle([one]))])
      } else {
        const half = Math.ceil(batch.length / 2)
        await settle(batch.slice(0, half))
        await settle(batch.slice(half))
      }
    }
  }

  const expire = (ms: number): void => {
    if (isExpiring) return
    isExpiring = true
    const look = () => {
      isExpiring = false
      const until = performance.now() - ms
      while (waiting[0] && waiting[0].since <= until) waiting.shift()?.reject(late())
      if (waiting.length > 0) expire(ms)
    }
    setTimeout(look, ms).unref()
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, since: performance.now(), resolve, reject })
      if (in_flight >= in_flight_max && wait_ms_max !== undefined) expire(wait_ms_max)
      if (is_scheduled || in_flight >= in_flight_max) return
      is_scheduled = true
      // After this turn of the loop: everything that became ready in it goes along.
      setImmediate(go)
    })
}

const late = () => new DatabaseUnavailable('The database has more to do than it can.')

/** Runs `work` in a transaction that it shares with whatever else the organization asks for in the same turn of the loop.
 *  `characters`: how much it is about. */
export type Share = <Result>(
  organization_id: string,
  work: (db: Db) => Promise<Result>,
  characters: number,
) => Promise<Result>

type Work = { work: (db: Db) => Promise<unknown>; characters: number }

const ORGANIZATIONS = 1000
/** More than these go into the next transaction: while the database has one, the process prepares the other. */
const SHARING_MAX = 32

/** As long as anybody waits for a session. */
const WAIT_MS = 30_000

/** Transactions that are shared. Each work sees what the others of its transaction have done so far, opens no savepoint
 *  and waits for nothing but the database. When one of them fails, all is undone, the others are done again together and
 *  it by itself, so a work leaves nothing outside of the transaction. */
export function sharedTransactions(database: Pick<Database, 'of'>): Share {
  const lines = new LRUCache<string, GroupCommit<Work, unknown>>({ max: ORGANIZATIONS })
  const lineOf = (organization_id: string) => {
    const known = lines.get(organization_id)
    if (known) return known
    const write = (works: Work[]) => database.of(organization_id).tx((db) => all(works.map(({ work }) => work(db))))
    const line = groupCommit<Work, unknown>(write, {
      items_max: SHARING_MAX,
      weight: ({ characters }) => characters,
      wait_ms_max: WAIT_MS,
      mayRepeat: (error) => !isSpent(error),
    })
    lines.set(organization_id, line)
    return line
  }
  return <Result>(organization_id: string, work: (db: Db) => Promise<Result>, characters: number) =>
    lineOf(organization_id)({ work, characters }) as Promise<Result>
}

/** It is not known whether the transaction was committed, or it took all the time that there is. */
const isSpent = (error: unknown): boolean =>
  error instanceof DatabaseUnavailable || (error instanceof DatabaseFault && /^(57|53|55P03|25P03)/.test(error.code))

/** The transaction had failed already. */
const isAfterwards = (error: unknown): boolean => error instanceof DatabaseFault && error.code === '25P02'

/** The results when all have come to an end; else says who is at fault. */
async function all<Result>(works: Promise<Result>[]): Promise<Result[]> {
  const ends = await Promise.allSettled(works)
  const faults = ends.flatMap((end, place) =>
    end.status === 'rejected' ? [{ place, reason: end.reason as unknown }] : [],
  )
  const first = faults.find(({ reason }) => isSpent(reason)) ?? faults.find(({ reason }) => !isAfterwards(reason))
  if (first && (works.length === 1 || isSpent(first.reason))) throw first.reason
  if (first)
    throw new AtFault(new Set(faults.flatMap(({ place, reason }) => (isAfterwards(reason) ? [] : place))), first.reason)
  return Promise.all(works)
}
