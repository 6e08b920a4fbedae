/** Slows guessing down, and locks nobody out (rules.ts says how much). Attempts are counted before the password is
 *  looked at, so that a thousand at the same moment count as a thousand; a right one is taken back. The counts are in
 *  the database: they hold for all replicas and survive a restart. */

import { createHmac } from 'node:crypto'
import type { Platform } from '../context.ts'
import { tooMany } from '../failure.ts'
import { networkOf, type SlowDownSubject, slowDown, waitSeconds } from './rules.ts'
import * as store from './session-store.ts'

export type Attempt = { email: string; address: string; isUsualAddress: boolean }

type Subject = { kind: SlowDownSubject; digest: Buffer }

/** Counts an attempt, or refuses it with the time to wait. Call `forgive` when it was right. */
export async function countAttempt(platform: Platform, attempt: Attempt): Promise<void> {
  const subjects = subjectsOf(platform, attempt)
  const now = platform.clock.now()
  await platform.database.platform.tx(async (db) => {
    const counted = await store.countFailures(
      db,
      subjects.map(({ kind, digest }) => ({
        subject: digest,
        forgotten_at: later(now, slowDown[kind].forgotten_seconds),
      })),
      now.toISOString(),
    )
    // A refused attempt is not counted: the transaction takes it back.
    const open_at = Math.max(...counted.map((row) => Date.parse(row.open_at)))
    if (open_at > now.getTime()) {
      throw tooMany('Too many failed sign-ins. Wait, then try again.', Math.ceil((open_at - now.getTime()) / 1000))
    }
    await store.openAgain(
      db,
      subjects.map(({ kind, digest }) => {
        const failures = counted.find((row) => digest.equals(row.subject))?.failures ?? 1
        return { subject: digest, open_at: later(now, waitSeconds(kind, failures)) }
      }),
    )
  })
}

/** Takes an attempt back that was right, and forgets the failures before it that were this person's own. */
export async function forgive(platform: Platform, attempt: Attempt): Promise<void> {
  const subjects = subjectsOf(platform, attempt)
  const own = subjects.filter(({ kind }) => kind === 'pair').map(({ digest }) => digest)
  const shared = subjects.filter(({ kind }) => kind !== 'pair').map(({ digest }) => digest)
  await store.forgetFailures(platform.database.platform, own, shared, platform.clock.now().toISOString())
}

/** Always in this order, so that two attempts that share subjects wait for each other instead of locking up. */
function subjectsOf(platform: Platform, { email, address, isUsualAddress }: Attempt): Subject[] {
  const key = platform.seal.derive('failed sign-ins')
  const network = networkOf(address)
  const digest = (...parts: string[]) => createHmac('sha256', key).update(JSON.stringify(parts)).digest()
  return [
    ...(isUsualAddress ? [] : [{ kind: 'account' as const, digest: digest('account', email) }]),
    { kind: 'address', digest: digest('address', network) },
    { kind: 'pair', digest: digest('pair', email, network) },
  ]
}

const later = (now: Date, seconds: number) => new Date(now.getTime() + seconds * 1000).toISOString()
