/** A process of Flow that runs executions for the crash tests, and may be told to die without notice at a moment of
 *  their writing. It takes its orders as JSON in its first argument and tells what it does, one JSON a line. Whoever is
 *  waited for (people, callers) it plays itself. What its code blocks are called for is written to a file, together
 *  with what is recorded, so that it survives the process. */

import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonValue } from '@flow/contract/common'
import { workflows as contract } from '@flow/contract/workflows'
import { readConfig } from '../config.ts'
import { type Context, contextOf, type Platform, within } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import { createMetrics } from '../http/metrics.ts'
import { openPlatform } from '../platform.ts'
import { attend, type Left, leftOf, type Tree, treeOf, treesAfter } from './attending-testing.ts'
import { type Death, Dying, watch } from './dying-testing.ts'
import * as workflows from './workflows.ts'

export type Who = { organization_id: string; workspace_id: string; user_id: string }
export type Beginning = { workflow_id: string; input: JsonValue; death: Death }
export type Orders = {
  options: ConnectOptions
  data_directory: string
  who: Who
  /** Where calls of code and records are written. */
  log: string
  /** Looks after all executions there are until they have ended, and tells of those that came after this one. */
  finish?: { after: string }
  /** Begins executions, one after the other, and dies in one of them. */
  begin?: Beginning[]
  /** Waits for this execution, and tells how it ended. */
  await?: string
  /** Its code may ask the platform for things. */
  asks?: boolean
  /** Goes on running whatever there is. */
  stay?: boolean
}
export type Told =
  | { ready: true }
  | { begun: string }
  /** An execution with its children, and how many writings it took from its beginning, if it was begun here. */
  | { ended: Tree[]; writings?: number }
  /** Everything there is has ended. */
  | { left: Left }

const tell = (told: Told) => console.log(JSON.stringify(told))

if (import.meta.main) {
  const orders = JSON.parse(process.argv[2] ?? '{}') as Orders
  const dying = new Dying(orders.log)
  const database = watch(await connect({ ...orders.options, pool_max: 8 }), dying)
  let ahead_ms = 0
  // Real time, which jumps over every rest.
  const clock = { now: () => new Date(performance.timeOrigin + performance.now() + ahead_ms) }
  const skip = (until: string) => {
    ahead_ms += Math.max(0, Date.parse(until) - clock.now().getTime())
  }
  const config = readConfig({
    FLOW_DATA_DIR: orders.data_directory,
    FLOW_LOG_LEVEL: 'fatal',
    FLOW_SANDBOX_WORKERS: '1',
  })
  const opened = await openPlatform(config, { database, clock })
  const platform: Platform = { ...opened, sandbox: { ...opened.sandbox, run: watchedRun(opened, orders.log) } }
  if (orders.asks) (await import('../app.ts')).createApp(platform, createMetrics(), { draining: false })
  const ctx = contextFor(platform, orders.who)
  await platform.engine.work(platform)
  tell({ ready: true })

  if (orders.finish) {
    await attend(ctx, orders.log, skip)
    for (const ended of await treesAfter(database.platform, orders.finish.after)) tell({ ended })
  }
  for (const { workflow_id, input, death } of orders.begin ?? []) {
    dying.arm(death)
    const parsed = contract.execute.input.parse({ workflow_id, input })
    const { id } = await ctx.db.tx((db) => workflows.execute(within(ctx, db), parsed))
    appendFileSync(orders.log, `begun ${id}\n`)
    tell({ begun: id })
    await attend(ctx, orders.log, skip)
    const writings = dying.count
    tell({ ended: await treeOf(database.platform, id), writings })
  }
  if (orders.await) {
    await untilEnded(ctx, orders.await)
    tell({ ended: await treeOf(database.platform, orders.await) })
  }
  if (orders.finish) tell({ left: await leftOf(database.platform) })
  if (!orders.stay) process.exit(0)
}

/** Notes every call of code before it is made, by the key that its host would be told. */
function watchedRun({ sandbox }: Platform, log: string): Platform['sandbox']['run'] {
  return async (job) => {
    // What was broken off before it began is called by nobody.
    if (job.signal?.aborted) return sandbox.run(job)
    const context = await job.host?.('context', null)
    appendFileSync(log, `call ${(context as { idempotency_key: string }).idempotency_key}\n`)
    return sandbox.run(job)
  }
}

function contextFor(platform: Platform, { organization_id, workspace_id, user_id }: Who): Context {
  const grants = [{ role: 'admin' as const, scope: 'organization' as const }]
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants }
  return contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
}

async function untilEnded({ platform }: Context, execution_id: string): Promise<void> {
  for (;;) {
    const [root] = await treeOf(platform.database.platform, execution_id)
    if (root?.completed_at) return
    await sleep(5)
  }
}
