/** Schedules fire when they are due. Every replica looks; whoever takes the row of a schedule starts its executions
 *  and sets its next time in one transaction, so each time fires once, and a process that is killed in the middle has
 *  done nothing. */

import type { Platform } from '../context.ts'
import { fireOrTell } from './fire.ts'
import { dueTimes } from './rules.ts'
import * as store from './store.ts'

const LOOK_MS = 500
const BATCH = 100
/** At midnight many are due at once; requests want their connections to the database, too. */
const AT_A_TIME = 4

export type Scheduler = { stop(): Promise<void> }

export function startScheduler(platform: Platform): Scheduler {
  let working: Promise<unknown> | undefined
  const timer = setInterval(() => {
    working ??= fireDue(platform)
      .catch((err: unknown) => platform.log.error({ err }, 'schedules could not be looked after'))
      .finally(() => {
        working = undefined
      })
  }, LOOK_MS).unref()
  return {
    async stop() {
      clearInterval(timer)
      await working
    },
  }
}

/** Fires what is due at this moment, and says how many executions that began. */
export async function fireDue(platform: Platform): Promise<number> {
  const now = platform.clock.now()
  let count = 0
  for (;;) {
    const due = await store.due(platform.database.platform, now.toISOString(), BATCH)
    const rest = due.values()
    const fired: number[] = []
    const fireSome = async () => {
      for (const one of rest) fired.push(...(await fireOrLeave(platform, one, now)))
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, fireSome))
    count += fired.reduce((sum, each) => sum + each, 0)
    if (due.length < BATCH || fired.length === 0) return count
  }
}

/** How many executions it began. Nothing when it is left to others, or to the next look: one that has a fault keeps
 *  nothing from the rest. */
const fireOrLeave = (platform: Platform, one: store.Due, now: Date): Promise<number[]> =>
  fireOne(platform, one, now).then(
    (fired) => (fired === undefined ? [] : [fired]),
    (err: unknown) => {
      platform.log.error({ err, workflow_id: one.workflow_id }, 'a schedule could not fire')
      return []
    },
  )

/** Undefined when another replica has it in hand, or has done it. */
function fireOne(platform: Platform, one: store.Due, now: Date): Promise<number | undefined> {
  const { organization_id, workspace_id, workflow_id } = one
  return platform.database.of(organization_id).tx(async (db) => {
    const at = { db, organization_id, workspace_id, now: now.toISOString() }
    const row = await store.takeDue(at, workflow_id)
    if (row?.type !== 'schedule' || !row.next_at) return undefined
    const { times, next } = dueTimes(row.config, new Date(row.next_at), now)

    await store.setNext(at, workflow_id, next?.toISOString() ?? null)
    let fired = 0
    for (const time of times) {
      const scheduled_for = time.toISOString()
      const firing = { workflow_id, trigger: row, cause: scheduled_for, detail: { scheduled_for } }
      if (await fireOrTell(platform, db, one, firing)) fired += 1
    }
    return fired
  })
}
