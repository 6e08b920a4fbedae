/** A process of Flow that runs executions for the crash tests, and may be told to die without notice at a moment of
 *  their writing. It takes its orders as JSON in its first argument and tells what it does, one JSON a line. What its
 *  code blocks are called for is written to a file, together with what is recorded, so that it survives the process. */

import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonValue } from '@flow/contract/common'
import { workflows as contract } from '@flow/contract/workflows'
import { readConfig } from '../config.ts'
import { type Context, contextOf, type Platform } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import type { Database, Db, Sql } from '../db/db.ts'
import { sql } from '../db/db.ts'
import { openPlatform } from '../platform.ts'
import * as workflows from './workflows.ts'

export type Who = { organization_id: string; workspace_id: string; user_id: string }
/** To die before the nth writing is sent, while it is on its way, or when it has been answered. */
export type Death = { at: number; when: 'before' | 'during' | 'after' }
export type Orders = {
  options: ConnectOptions
  data_directory: string
  who: Who
  workflow_id: string
  /** Where calls of code and records are written. */
  log: string
  input?: JsonValue
  /** Looks after this execution until it has ended, and tells how. */
  finish?: string
  /** Begins an execution, and dies. Without it, it begins none. */
  death?: Death
  /** Goes on running whatever there is. */
  stay?: boolean
}
export type Told =
  | { ready: true }
  | { begun: string }
  | {
      ended: {
        execution_id: string
        status: string
        output: JsonValue
        events: { type: string; node_id: string | null }[]
      }
    }
  | { writings: number }

export const tell = (told: Told) => console.log(JSON.stringify(told))

/** What is written in the name of a run: its claim, its records, its letting go. */
const isWriting = ({ text }: Sql) => /^\s*(with owned|insert into engine_claims|delete from engine_claims)/.test(text)

class Dying {
  #count = 0
  #death: Death | undefined
  readonly #log: string

  constructor(log: string) {
    this.#log = log
  }

  get count(): number {
    return this.#count
  }

  arm(death: Death | undefined): void {
    this.#count = 0
    this.#death = death
  }

  async write<Result>(statement: Sql, send: () => Promise<Result>): Promise<Result> {
    if (!isWriting(statement)) return send()
    this.#count += 1
    const death = this.#death?.at === this.#count ? this.#death : undefined
    if (death?.when === 'before') die()
    const sent = send()
    if (death?.when === 'during') setTimeout(die, Math.random() * 2)
    const result = await sent
    for (const line of keptBy(statement, result)) appendFileSync(this.#log, `kept ${line}\n`)
    if (death?.when === 'after') die()
    return result
  }
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // Nothing runs after this.
  for (;;);
}

/** The nodes and items that a record makes final, by the places of its parameters (see `record` in store.ts). */
function keptBy({ text, values }: Sql, result: unknown): string[] {
  if (!/^\s*with owned/.test(text)) return []
  // What is refused is not kept: the answer names the executions that were still ours.
  const ours = new Set((result as { run_id: string }[]).map((row) => row.run_id))
  const [, , ids = [], , nodes = [], statuses = []] = values as string[][]
  const [item_ids = [], , item_nodes = [], indexes = []] = values.slice(17, 21) as string[][]
  const kept = nodes.flatMap((node, i) =>
    statuses[i] === 'completed' && ours.has(ids[i] ?? '') ? [`${ids[i]}:${node}`] : [],
  )
  const items = item_nodes.map((node, i) => ({ id: item_ids[i] ?? '', line: `${item_ids[i]}:${node}:${indexes[i]}` }))
  return [...kept, ...items.flatMap(({ id, line }) => (ours.has(id) ? [line] : []))]
}

/** Every statement of the platform's handle goes by the one who may die. */
function watch(database: Database, dying: Dying): void {
  const watchRows = (db: Db) => {
    const { many, one, maybe, run } = db
    Object.assign(db, {
      many: (statement: Sql) => dying.write(statement, () => many(statement)),
      one: (statement: Sql) => dying.write(statement, () => one(statement)),
      maybe: (statement: Sql) => dying.write(statement, () => maybe(statement)),
      run: (statement: Sql) => dying.write(statement, () => run(statement)),
    })
  }
  const { platform } = database
  const { tx } = platform
  watchRows(platform)
  Object.assign(platform, {
    tx: (work: (db: Db) => Promise<unknown>, options?: object) =>
      tx((db) => {
        watchRows(db)
        return work(db)
      }, options),
  })
}

if (import.meta.main) {
  const orders = JSON.parse(process.argv[2] ?? '{}') as Orders
  const dying = new Dying(orders.log)
  const database = await connect({ ...orders.options, pool_max: 8 })
  watch(database, dying)
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
  const ctx = contextFor(platform, orders.who)
  await platform.engine.work(platform)
  tell({ ready: true })

  if (orders.finish) {
    await ended(ctx, orders.workflow_id, orders.finish, skip)
    tell({ writings: dying.count })
  }
  if (orders.death) {
    dying.arm(orders.death)
    const input = contract.execute.input.parse({ workflow_id: orders.workflow_id, input: orders.input ?? { n: 3 } })
    const { id } = await ctx.db.tx((db) => workflows.execute(inside(ctx, db), input))
    tell({ begun: id })
    await ended(ctx, orders.workflow_id, id, skip)
    tell({ writings: dying.count })
  }
  if (!orders.stay) process.exit(0)
}

/** Notes every call of code before it is made, by the key that its host would be told. */
function watchedRun({ sandbox }: Platform, log: string): Platform['sandbox']['run'] {
  return async (job) => {
    const context = await job.host?.('context', null)
    appendFileSync(log, `call ${(context as { idempotency_key: string }).idempotency_key}\n`)
    return sandbox.run(job)
  }
}

function contextFor(platform: Platform, { organization_id, workspace_id, user_id }: Who): Context {
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants: [] }
  return contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
}

function inside(ctx: Context, db: Db): Context {
  const within: Context = { ...ctx, db }
  within.start = (run, input, options) => ctx.platform.engine.start(within, run, input, options)
  return within
}

async function ended(
  ctx: Context,
  workflow_id: string,
  execution_id: string,
  skip: (until: string) => void,
): Promise<void> {
  for (;;) {
    const { status, output, waiting_until } = await workflows.getExecution(ctx, { workflow_id, execution_id })
    if (waiting_until !== null) skip(waiting_until)
    if (['completed', 'failed', 'cancelled', 'timed_out'].includes(status)) {
      const events = await ctx.db.many<{ type: string; node_id: string | null }>(
        sql`select type, node_id from execution_events where execution_id = ${execution_id} order by seq`,
      )
      return tell({ ended: { execution_id, status, output, events } })
    }
    await sleep(5)
  }
}
