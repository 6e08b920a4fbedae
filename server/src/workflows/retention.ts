/** The end of executions: those whose time is over are removed with all that is kept of them, then the snapshots that no
 *  execution refers to, and the batches that were over as long ago. Every replica does it; what one has in hand the others
 *  pass over, and a round ends after some seconds, whatever there is to do. */

import type { Platform } from '../context.ts'
import * as store from './retention-store.ts'

const ROUND_EVERY_MS = 60_000
const ROUND_MS = 10_000
/** Snapshots cost little: it is enough to look for them every so many rounds. */
const SNAPSHOT_ROUNDS = 60

export function startRetention(platform: Platform): { stop(): Promise<void> } {
  let rounds = 0
  let working: Promise<void> | undefined
  const isStopped = new AbortController()
  const round = async () => {
    await forgetExpired(platform, isStopped.signal)
    if (rounds++ % SNAPSHOT_ROUNDS === 0) await forgetSnapshots(platform)
  }
  const timer = setInterval(() => {
    working ??= round()
      .catch((err: unknown) => platform.log.warn({ err }, 'old executions were not removed'))
      .finally(() => {
        working = undefined
      })
  }, ROUND_EVERY_MS).unref()
  return {
    async stop() {
      clearInterval(timer)
      isStopped.abort()
      await working
    },
  }
}

/** Removes executions whose time is over, for some seconds at most. Gives how many. */
export async function forgetExpired(
  { database, clock, config }: Pick<Platform, 'database' | 'clock' | 'config'>,
  signal?: AbortSignal,
): Promise<number> {
  const until = performance.now() + ROUND_MS
  const days = config.execution_retention_days
  let count = 0
  while (!signal?.aborted && performance.now() < until) {
    const removed = await store.removeExpired(database.platform, clock.now().toISOString(), days)
    if (removed === 0) break
    count += removed
  }
  if (days > 0) await store.removeReplays(database.platform, clock.now().toISOString(), days)
  return count
}

/** Removes snapshots that no execution has referred to for a day. Gives how many. */
export async function forgetSnapshots({ database, clock }: Pick<Platform, 'database' | 'clock'>): Promise<number> {
  const now = clock.now().toISOString()
  await store.markOrphans(database.platform, now)
  return store.removeOrphans(database.platform, now)
}
