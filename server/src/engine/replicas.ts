/** This process among the others: it says that it is alive, gives back what those had claimed who no longer say so,
 *  and puts what has become due into the queue. Nobody leads; whoever comes first does it.
 *
 *  The embedded database belongs to one process, so every other replica it knows of is gone, and nobody has to be
 *  told that this one lives. */

import type { Logger } from 'pino'
import { type Clock, newId } from '../context.ts'
import type { Database, Db } from '../db/db.ts'
import * as claims from './claims.ts'
import { lanes, type Queue } from './queue.ts'

const LOOK_MS = 250
const BEAT_MS = 500
/** Silent for so long, a replica counts as gone. Its stopped process may go on: its tokens are worth nothing then. */
const silence = { seconds: 3, seconds_without_lock: 0.75 }

export type Replica = ReturnType<typeof openReplica>

export function openReplica(parts: { database: Database; log: Logger; clock: Clock; queue: Queue }) {
  const { database, log, clock, queue } = parts
  const { platform } = database
  const isAlone = database.mode === 'embedded'
  let id = newId()
  let timers: NodeJS.Timeout[] = []
  let lost: () => void = () => {}
  /** When the last beat was sent that was answered with "alive", by this process's clock. */
  let alive_at = Number.NEGATIVE_INFINITY
  let beating: Promise<void> | undefined
  /** Its share of what is started here and need not be queued: none while there is a process left that would lose what
   *  it takes over of that, and that is so until it was looked. */
  let share = isAlone ? 1 : 0
  /** Those of which that was told already. */
  let buried: ReadonlySet<string> = new Set()

  const join = async (onLost: () => void) => {
    lost = onLost
    const { number } = await platform.tx(async (db) => {
      const others = isAlone ? await claims.allReplicas(db) : []
      if (others.length > 0)
        await giveBack(
          db,
          others.map((one) => one.id),
        )
      return claims.addReplica(db, id)
    })
    await database.present(number)
    timers = [every(LOOK_MS, look)]
    if (!isAlone) timers.push(every(BEAT_MS, beat))
  }

  const every = (ms: number, work: () => Promise<void>): NodeJS.Timeout => {
    let is_busy = false
    const timer = setInterval(async () => {
      if (is_busy) return
      is_busy = true
      await work().catch((err: unknown) => log.error({ err }, 'the engine could not look after its runs'))
      is_busy = false
    }, ms)
    return timer.unref()
  }

  const beat = (): Promise<void> => {
    beating ??= beatOnce().finally(() => {
      beating = undefined
    })
    return beating
  }

  const beatOnce = async () => {
    const sent_at = performance.now()
    if ((await claims.beat(platform, id)) > 0) {
      alive_at = sent_at
      return
    }
    // The others have given us up, and given away what was ours: nothing of it may go on.
    log.warn({ replica_id: id }, 'this process was taken for dead; it begins anew')
    id = newId()
    lost()
    await database.present((await claims.addReplica(platform, id)).number)
  }

  const look = async () => {
    const now = clock.now().toISOString()
    const { timers, replicas, older, silent } = await claims.look(platform, now, isAlone ? undefined : silence)
    share = older ? 0 : 1 / Math.max(1, replicas)
    if (timers) await ring(now)
    if (silent) await bury()
  }

  const ring = (now: string) =>
    platform.tx(async (db) => {
      const due = await claims.takeTimers(db, now)
      if (due.length === 0) return
      await queue.send(
        db,
        due.map(({ job }) => job),
      )
      for (const lane of lanes) if (due.some(({ job }) => job.lane === lane)) claims.tell(db, lane)
    })

  const bury = () =>
    platform.tx(async (db) => {
      const silent = await claims.silentReplicas(db, silence)
      if (silent.length === 0) return
      const ids = silent.map((one) => one.id)
      const count = await giveBack(db, ids)
      // One that stands still in the middle of a claim is looked after until that is over.
      if (count > 0 || !buried.isSupersetOf(new Set(ids))) {
        log.warn({ replica_ids: ids, runs: count }, 'a process is gone; what it ran goes on here')
      }
      buried = new Set(ids)
    })

  /** The runs of these replicas go back into the queue. It counts as a failure: a run that ends every process that
   *  takes it must not do so for ever. */
  const giveBack = async (db: Db, ids: string[]): Promise<number> => {
    await claims.giveUp(db, ids)
    const rows = await claims.removeOf(db, ids)
    await queue.fail(db, rows, 'The process that ran it is gone.')
    for (const lane of lanes) if (rows.some((row) => row.lane === lane)) claims.tell(db, lane)
    await claims.removeReplicas(db, ids)
    return rows.length
  }

  return {
    join,
    id: () => id,
    /** The part of its places that this process may fill by itself: what is more is left to all. */
    share: () => share,
    /** Resolves when nobody can have taken over yet what this process has claimed, or when it has learned of it: it
     *  may have stood still without noticing. */
    async sure(): Promise<void> {
      let seconds = silence.seconds_without_lock
      while (!isAlone && performance.now() - alive_at > seconds * 1000) {
        await beat()
        // A slow database is no reason to ask it again and again.
        seconds = silence.seconds
      }
    },
    /** Nothing more is looked after; what is still claimed goes to others. */
    async leave(): Promise<void> {
      for (const timer of timers) clearInterval(timer)
      await platform.tx((db) => giveBack(db, [id]))
    },
  }
}
