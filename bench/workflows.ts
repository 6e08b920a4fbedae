/** What durable workflows cost: nodes per second of a 10-node graph, with 1, 16 and 64 executions at a time, against
 *  the queue library's own bare jobs (send, fetch, complete) and against commits of a single row. Once with nodes that
 *  cost nothing (conditions), which is the engine's own speed, and once with code blocks, which is the sandbox's, too.
 *  First the engine alone, over executions that were accepted beforehand; last from execute to its end for one node. DATABASE_URL measures a PostgreSQL instead of the embedded database. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { workflows as contract } from '@flow/contract/workflows'
import { PgBoss } from 'pg-boss'
import * as components from '../server/src/components/components.ts'
import { readConfig } from '../server/src/config.ts'
import { contextOf, newId } from '../server/src/context.ts'
import { connect } from '../server/src/db/connect.ts'
import { sql } from '../server/src/db/db.ts'
import { createFirstOrganization } from '../server/src/organizations/first.ts'
import { openPlatform } from '../server/src/platform.ts'
import { untilEnded } from '../server/src/workflows/live.ts'
import * as workflows from '../server/src/workflows/workflows.ts'
import { type Rate, rateOf, table } from './measure.ts'

const NODES = 10
const SECONDS = Number(process.env.BENCH_SECONDS ?? 4)

const directory = await mkdtemp(join(tmpdir(), 'flow-bench-'))
const { DATABASE_URL, FLOW_DURABILITY } = process.env
const config = readConfig({
  FLOW_DATA_DIR: directory,
  FLOW_LOG_LEVEL: 'warn',
  FLOW_MASTER_KEY: randomBytes(32).toString('base64'),
  DATABASE_URL,
  FLOW_DURABILITY,
})
const database = await connect({ ...config, directory, pool_max: config.database_pool })
const platform = await openPlatform(config, { database })
const first = await createFirstOrganization(platform)
if (!first) throw new Error('This bench needs an empty database.')
const { organization_id, workspace_id, user_id } = first
const actor = { kind: 'user' as const, id: user_id, user_id, name: 'bench', organization_id, grants: [] }
const ctx = contextOf(platform, database.of(organization_id), { actor, organization_id, workspace_id })

/** A request of the API without its HTTP: one transaction. */
const request = <Result>(work: (inside: typeof ctx) => Promise<Result>): Promise<Result> =>
  ctx.db.tx((db) => {
    const inside = { ...ctx, db, now: platform.clock.now().toISOString() }
    inside.start = (run, input, options) => platform.engine.start(inside, run, input, options)
    return work(inside)
  })

const node = (id: string, type: 'condition' | 'code_block') =>
  type === 'condition'
    ? { id, type, condition: 'size(input.text) > 3' }
    : { id, type, component_ref: 'bench-block', input: { n: 1 } }

async function makeWorkflow(slug: string, type: 'condition' | 'code_block', count: number): Promise<string> {
  const ids = Array.from({ length: count }, (_, i) => `n${i}`)
  // Two branches that part and meet, over and over: a graph, not a line.
  const edges = ids.slice(1).map((id, i) => ({ source: ids[i - (i % 3 === 2 ? 1 : 0)] ?? 'n0', target: id }))
  const nodes = ids.map((id) => node(id, type))
  const input = contract.create.input.parse({ name: slug, slug, nodes, edges })
  return (await request((inside) => workflows.create(inside, input))).id
}

await request((inside) =>
  components.create(inside, {
    type: 'code_block',
    name: 'Bench',
    slug: 'bench-block',
    description: '',
    tags: [],
    version: '0.1.0',
    config: { language: 'javascript', code: 'export const main = ({ n }) => n + 1' },
  }),
)
const ids = {
  conditions: await makeWorkflow('bench-conditions', 'condition', NODES),
  code: await makeWorkflow('bench-code', 'code_block', NODES),
  single: await makeWorkflow('bench-single', 'condition', 1),
}

const signal = new AbortController().signal
async function execute(workflow_id: string): Promise<void> {
  const input = contract.execute.input.parse({ workflow_id, input: { text: 'hello' } })
  const { id } = await request((inside) => workflows.execute(inside, input))
  await untilEnded({ database, organization_id, execution_id: id, signal }, 60)
}

/** Executions that were accepted before anybody runs them: the engine alone, with as many at a time as it takes. */
async function drain(): Promise<number> {
  const input = contract.execute.input.parse({ workflow_id: ids.conditions, input: { text: 'hello' } })
  await rateOf(() => request((inside) => workflows.execute(inside, input)), 16, SECONDS)
  const open = () =>
    database.platform.one<{ count: number }>(
      sql`select count(*)::int as count from executions where completed_at is null`,
    )
  const { count: waiting } = await open()
  const began = performance.now()
  await platform.engine.work(platform)
  while ((await open()).count > 0) await sleep(50)
  return (waiting * NODES * 1000) / (performance.now() - began)
}
console.log(`\n${database.mode}: ${Math.round(await drain()).toLocaleString('en')} nodes/s, accepted beforehand`)

const boss = new PgBoss({
  db: database.bossDatabase(),
  schema: 'pgboss',
  backend: database.mode === 'embedded' ? 'pglite' : 'postgres',
  migrate: false,
  supervise: false,
  schedule: false,
  registerInstance: false,
})
await boss.start()
await boss.createQueue('bench')
async function bareJob(): Promise<void> {
  await boss.send('bench', { n: 1 })
  const [job] = await boss.fetch('bench')
  if (job) await boss.complete('bench', job.id)
}
const commit = () =>
  database.platform.run(sql`
    insert into workflow_snapshots (organization_id, digest, content, created_at)
    values (${organization_id}, ${newId()}, '{}', now())`)

for (const at_a_time of [1, 16, 64]) {
  const commits = await rateOf(commit, at_a_time, SECONDS / 2)
  const jobs = await rateOf(bareJob, at_a_time, SECONDS / 2)
  const conditions = await rateOf(() => execute(ids.conditions), at_a_time, SECONDS)
  const code = await rateOf(() => execute(ids.code), at_a_time, SECONDS)
  const row = (name: string, rate: Rate, factor: number) => {
    const units = rate.per_second * factor
    return [name, units, rate.p50_ms, rate.p99_ms, units / commits.per_second, units / jobs.per_second]
  }
  console.log(`\n${database.mode} (${database.durability}), ${at_a_time} at a time`)
  table(
    ['', 'per second', 'p50 ms', 'p99 ms', '× commits', '× bare jobs'],
    [
      row('commits of one row', commits, 1),
      row('bare jobs of the queue', jobs, 1),
      row('nodes, 10 conditions each', conditions, NODES),
      row('nodes, 10 code blocks each', code, NODES),
    ],
  )
}

const single = await rateOf(() => execute(ids.single), 1, SECONDS)
console.log(
  `\nfrom execute to its end, one node: p50 ${single.p50_ms.toFixed(1)} ms, p99 ${single.p99_ms.toFixed(1)} ms`,
)

await boss.stop({ graceful: false, close: false })
await platform.close(2000)
await rm(directory, { recursive: true, force: true })
process.exit(0)
