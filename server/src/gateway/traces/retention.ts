/** The end of traces: calls whose time is over are removed with what was said in them. What was billed for them stays in
 *  the ledger. Every replica does it; what one has in hand the others pass over, and a round ends after some seconds,
 *  whatever there is to do. */

import type { Platform } from '../../context.ts'
import * as store from './calls-store.ts'

const ROUND_EVERY_MS = 60_000
const ROUND_MS = 10_000

export function startRetention(platform: Platform): { stop(): Promise<void> } {
  let working: Promise<void> | undefined
  const isStopped = new AbortController()
  const timer = setInterval(() => {
    working ??= forgetCalls(platform, isStopped.signal)
      .then(() => undefined)
      .catch((err: unknown) => platform.log.warn({ err }, 'old calls of the gateway were not removed'))
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

/** Removes calls whose time is over, for some seconds at most. Gives how many. */
export async function forgetCalls(
  { database, clock }: Pick<Platform, 'database' | 'clock'>,
  signal?: AbortSignal,
): Promise<number> {
  const until = performance.now() + ROUND_MS
  let count = 0
  while (!signal?.aborted && performance.now() < until) {
    const removed = await store.removeExpired(database.platform, clock.now().toISOString())
    if (removed === 0) break
    count += removed
  }
  return count
}
