/** The process that is measured: the rooms without their HTTP, on the database that its environment names. A request is
 *  one transaction, as at the edge. It does what it is ordered to (see orders.ts) and ends with whoever started it. */

import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { workflows as contract } from '@flow/contract/workflows'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import * as components from '../../server/src/components/components.ts'
import { readConfig } from '../../server/src/config.ts'
import { type Context, contextOf, within } from '../../server/src/context.ts'
import { connect } from '../../server/src/db/connect.ts'
import { type Db, sql } from '../../server/src/db/db.ts'
import { sharedTransactions } from '../../server/src/db/group-commit.ts'
import { createFirstOrganization } from '../../server/src/organizations/first.ts'
import { openPlatform } from '../../server/src/platform.ts'
import { untilEnded } from '../../server/src/workflows/live.ts'
import * as workflows from '../../server/src/workflows/workflows.ts'
import { sample } from '../measure.ts'
import type { Answer, Ids, Load, Name, Order, Orders, Spent, Who } from './orders.ts'

/** How many executions are accepted in one transaction, where it matters only that they are there. */
const BATCH = 100
const WAIT_SECONDS = 86_400

const config = readConfig()
const database = await connect({ ...config, directory: config.data_directory, pool_max: config.database_pool })
const platform = await openPlatform(config, { database })
const share = sharedTransactions(database)
const signal = new AbortController().signal
let ctx: Context | undefined

function enter({ organization_id, workspace_id, user_id }: Who): Context {
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'bench', organization_id, grants: [] }
  ctx = contextOf(platform, database.of(organization_id), { actor, organization_id, workspace_id })
  return ctx
}

function entered(): Context {
  if (!ctx) throw new Error('nobody has entered')
  return ctx
}

function request<Result>(work: (inside: Context) => Promise<Result>): Promise<Result> {
  const outside = entered()
  const inside = (db: Db) => work(Object.assign(within(outside, db), { now: platform.clock.now().toISOString() }))
  return share(outside.organization_id, inside, 0)
}

// ---- what there is to run

/** Parted and met again, three times: `n0`, then two side by side, then one, and so on to `n9`. */
function diamonds(node: (id: string) => object) {
  const nodes = Array.from({ length: 10 }, (_, i) => node(`n${i}`))
  const edges = [0, 3, 6].flatMap((i) => [
    { source: `n${i}`, target: `n${i + 1}` },
    { source: `n${i}`, target: `n${i + 2}` },
    { source: `n${i + 1}`, target: `n${i + 3}` },
    { source: `n${i + 2}`, target: `n${i + 3}` },
  ])
  return { nodes, edges }
}

async function make(slug: string, definition: object): Promise<string> {
  const input = contract.create.input.parse({ name: slug, slug, ...definition })
  return (await request((inside) => workflows.create(inside, input))).id
}

async function prepare(): Promise<{ who: Who; ids: Ids }> {
  const who = await createFirstOrganization(platform)
  if (!who) throw new Error('This bench needs an empty database.')
  const { organization_id, workspace_id, user_id } = who
  enter(who)
  const described = { type: 'code_block' as const, name: 'Bench', slug: 'bench-block', description: '', tags: [] }
  const code = { language: 'javascript', code: 'export const main = ({ n }) => n + 1' }
  await request((inside) => components.create(inside, { ...described, version: '0.1.0', config: code }))
  const condition = (id: string) => ({ id, type: 'condition', condition: 'size(input.text) > 3' })
  const block = (id: string) => ({ id, type: 'code_block', component_ref: 'bench-block', input: { n: 1 } })
  const ids = {
    conditions: await make('bench-conditions', diamonds(condition)),
    code: await make('bench-code', diamonds(block)),
    single: await make('bench-single', { nodes: [condition('n0')] }),
    waiting: await make('bench-waiting', { nodes: [{ id: 'n0', type: 'wait', seconds: WAIT_SECONDS }] }),
  }
  return { who: { organization_id, workspace_id, user_id }, ids }
}

const begin = (inside: Context, workflow_id: string) =>
  workflows.execute(inside, contract.execute.input.parse({ workflow_id, input: { text: 'hello' } }))

async function execute(workflow_id: string): Promise<void> {
  const { id } = await request((inside) => begin(inside, workflow_id))
  const { organization_id } = entered()
  await untilEnded({ database, organization_id, execution_id: id, signal }, 60)
}

/** Several transactions at a time, as from several callers. */
async function accept(workflow_id: string, count: number): Promise<void> {
  let left = count
  const some = async () => {
    while (left > 0) {
      const batch = Math.min(BATCH, left)
      left -= batch
      await request(async (inside) => {
        for (let i = 0; i < batch; i += 1) await begin(inside, workflow_id)
      })
    }
  }
  await Promise.all(Array.from({ length: 4 }, some))
}

const count = async (which: string): Promise<number> =>
  (
    await database.platform.one<{ count: number }>(
      which === 'waiting'
        ? sql`select count(*)::int as count from executions where status = 'waiting'`
        : sql`select count(*)::int as count from executions where completed_at is null`,
    )
  ).count

// ---- what it is compared with

/** One row and one commit, each client on a connection of its own where there are connections. */
async function commits({ at_a_time, seconds }: Load) {
  const { organization_id } = entered()
  const insert =
    'insert into workflow_snapshots (organization_id, digest, content, created_at) values ($1, $2, $3, now())'
  if (!config.database_url) {
    const commit = () => database.platform.run({ text: insert, values: [organization_id, randomUUID(), '{}'] })
    return sample(commit, at_a_time, seconds)
  }
  const pool = new pg.Pool({ connectionString: config.database_url, max: at_a_time })
  const commit = () => pool.query({ name: 'commit', text: insert, values: [organization_id, randomUUID(), '{}'] })
  return sample(commit, at_a_time, seconds).finally(() => pool.end())
}

async function jobs({ at_a_time, seconds }: Load) {
  const embedded = { db: database.bossDatabase(), backend: 'pglite' as const }
  const boss = new PgBoss({
    ...(config.database_url ? { connectionString: config.database_url, max: at_a_time } : embedded),
    schema: 'pgboss',
    migrate: false,
    supervise: false,
    schedule: false,
    registerInstance: false,
  })
  boss.on('error', (error) => console.error(error))
  await boss.start()
  await boss.createQueue('bench')
  const job = async () => {
    await boss.send('bench', { n: 1 })
    const [mine] = await boss.fetch('bench')
    if (mine) await boss.complete('bench', mine.id)
  }
  return sample(job, at_a_time, seconds).finally(() =>
    boss.stop({ graceful: false, close: config.database_url !== undefined }),
  )
}

const bytes = async (): Promise<number> =>
  (await database.platform.one<{ bytes: number }>(sql`select pg_database_size(current_database())::float8 as bytes`))
    .bytes

/** A hundredth of a second, in which Linux counts. */
const TICK_MS = 10

/** The processor's time of another process; none where its files cannot be read. */
async function processorOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [user = 0, system = 0] = text.split(') ')[1]?.split(' ').slice(11, 13).map(Number) ?? []
  return (user + system) * TICK_MS
}

async function spent(): Promise<Spent> {
  const { user, system } = process.cpuUsage()
  const sessions = await database.platform.many<{ pid: number }>(
    sql`select pid from pg_stat_activity where datname = current_database() and pid is not null`,
  )
  const server = config.database_url ? await Promise.all(sessions.map(({ pid }) => processorOf(pid))) : []
  const counted = await database.platform.one<{ commits: number; executions: number }>(sql`
    select (select xact_commit::float8 from pg_stat_database where datname = current_database()) as commits,
      (select count(*)::int from executions where completed_at is not null) as executions`)
  return { flow_ms: (user + system) / 1000, server_ms: server.reduce((sum, ms) => sum + ms, 0), ...counted }
}

// ---- orders

const does: { [N in Name]: (asked: Orders[N]['asked']) => Promise<Orders[N]['answer']> } = {
  prepare,
  enter: async (who) => {
    enter(who)
    return null
  },
  work: () => platform.engine.work(platform).then(() => null),
  execute: ({ workflow_id, at_a_time, seconds }) => sample(() => execute(workflow_id), at_a_time, seconds),
  accept: ({ workflow_id, count }) => accept(workflow_id, count).then(() => null),
  unfinished: () => count('unfinished'),
  waiting: () => count('waiting'),
  commits,
  jobs,
  bytes,
  spent,
  async stop() {
    await platform.close(2000)
    process.exit(0)
  },
}

const reply = (answer: Answer) => process.send?.(answer)

process.on('message', ({ number, name, asked }: Order) => {
  // Orders come from a bench, which sends each with what it asks for.
  const work = does[name] as (asked: unknown) => Promise<unknown>
  work(asked).then(
    (answer) => reply({ number, answer }),
    (error: unknown) =>
      reply({ number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
process.on('disconnect', () => process.exit(1))
