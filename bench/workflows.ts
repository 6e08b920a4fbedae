/** What durable workflows cost: nodes per second, end to end, of a graph of ten nodes that part and meet, with 1, 16 and
 *  64 executions at a time; embedded, and on PostgreSQL with one process and with two. Against commits of a single row
 *  by as many clients, against the queue library's own bare jobs (send, fetch, complete) and, with `--peers`, against
 *  DBOS with each node a step on the same server. Nodes are conditions, which cost nothing, so that it is the engine
 *  that is measured; once they are code blocks, which is the sandbox, too.
 *
 *  Who asks is in the process that runs: a request is one transaction, without its HTTP (see triggers.ts for that).
 *  Seconds depend on what else the machine does; what an execution costs in processor and commits hardly does.
 *  BENCH_SECONDS says how long each is measured. */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Rate, rateFrom, table } from './measure.ts'
import { type Flow, startFlow } from './parts/flow.ts'
import type { Ids } from './parts/orders.ts'
import { openServer, type Server } from './parts/postgres.ts'

const NODES = 10
const AT_A_TIME = [1, 16, 64]
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
const run = promisify(execFile)
const withPeers = process.argv.includes('--peers')

type Row = { name: string; rate: Rate; factor: number }
type Rows = Record<number, Row[]>

const embedded = await onEmbedded()
for (const many of AT_A_TIME) print(`embedded, ${many} at a time`, embedded[many] ?? [])
const server = await openServer()
if (server) {
  try {
    const rows = await onServer(server)
    for (const many of AT_A_TIME) print(`PostgreSQL ${server.version}, ${many} at a time`, rows[many] ?? [])
  } finally {
    await server.close()
  }
}

async function onEmbedded(): Promise<Rows> {
  const directory = await mkdtemp(join(tmpdir(), 'flow-bench-'))
  const { FLOW_DURABILITY = 'fsync' } = process.env
  const flow = await startFlow({ FLOW_DATA_DIR: directory, FLOW_DURABILITY })
  try {
    const { ids } = await flow.ask('prepare', null)
    await drain('embedded', flow, ids)
    await costs('embedded', flow, ids)
    return await series(AT_A_TIME, async (many) => [...(await grounds(flow, many)), ...(await ours([flow], ids, many))])
  } finally {
    await flow.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function onServer(server: Server): Promise<Rows> {
  const directory = await mkdtemp(join(tmpdir(), 'flow-bench-'))
  const DATABASE_URL = await server.newDatabase()
  const FLOW_MASTER_KEY = randomBytes(32).toString('base64')
  const environment = { DATABASE_URL, FLOW_MASTER_KEY, FLOW_DATA_DIR: directory }
  const flows = [await startFlow(environment)]
  try {
    const [first] = flows
    if (!first) return {}
    const { who, ids } = await first.ask('prepare', null)
    await drain('PostgreSQL', first, ids)
    await costs('PostgreSQL', first, ids)
    const alone: Rows = await series(AT_A_TIME, async (many) => [
      ...(await grounds(first, many)),
      ...(await ours(flows, ids, many)),
    ])
    const second = await startFlow(environment)
    flows.push(second)
    await second.ask('enter', who)
    await second.ask('work', null)
    const both: Rows = await series(
      AT_A_TIME.filter((many) => many > 1),
      async (many) => [await executed('nodes, two processes', flows, ids.conditions, many)],
    )
    await Promise.all(flows.splice(0).map((flow) => flow.stop()))
    const peers = withPeers ? await dbos(server) : {}
    for (const many of AT_A_TIME) alone[many]?.push(...(both[many] ?? []), ...(peers[many] ?? []))
    return alone
  } finally {
    await Promise.all(flows.map((flow) => flow.stop()))
    await rm(directory, { recursive: true, force: true })
  }
}

async function series<Key extends number | string, Value>(keys: readonly Key[], of: (key: Key) => Promise<Value>) {
  const values = {} as Record<Key, Value>
  for (const key of keys) values[key] = await of(key)
  return values
}

async function grounds(flow: Flow, at_a_time: number): Promise<Row[]> {
  const load = { at_a_time, seconds: SECONDS / 2 }
  return [
    { name: 'commits of one row', rate: rateFrom([await flow.ask('commits', load)]), factor: 1 },
    { name: 'bare jobs of the queue library', rate: rateFrom([await flow.ask('jobs', load)]), factor: 1 },
  ]
}

async function ours(flows: Flow[], ids: Ids, many: number): Promise<Row[]> {
  const rows = [await executed('nodes, conditions', flows, ids.conditions, many)]
  rows.push(await executed('nodes, code blocks', flows, ids.code, many))
  if (many === 1) rows.push(await executed('executions of one node', flows, ids.single, many, 1))
  return rows
}

/** The clients are shared out among the processes. */
async function executed(name: string, flows: Flow[], workflow_id: string, many: number, factor = NODES): Promise<Row> {
  const load = { workflow_id, at_a_time: Math.ceil(many / flows.length), seconds: SECONDS }
  const samples = await Promise.all(flows.map((flow) => flow.ask('execute', load)))
  return { name, rate: rateFrom(samples), factor }
}

/** Executions that were accepted before anybody runs them: the engine alone. It works from then on. */
async function drain(name: string, flow: Flow, ids: Ids): Promise<void> {
  const count = Math.round(1000 * SECONDS)
  await flow.ask('accept', { workflow_id: ids.conditions, count })
  const began = performance.now()
  await flow.ask('work', null)
  while ((await flow.ask('unfinished', null)) > 0) await sleep(20)
  const per_second = (count * NODES * 1000) / (performance.now() - began)
  console.log(`${name}: ${Math.round(per_second).toLocaleString('en')} nodes/s over executions accepted beforehand`)
}

/** What an execution costs whatever else the machine does: processor and commits, while many are asked for. */
async function costs(name: string, flow: Flow, ids: Ids): Promise<void> {
  const [at_a_time] = AT_A_TIME.slice(-1)
  const rows = await series(['conditions', 'code', 'single'] as const, async (kind) => {
    const before = await flow.ask('spent', null)
    await flow.ask('execute', { workflow_id: ids[kind], at_a_time: at_a_time ?? 1, seconds: SECONDS })
    // The server counts its commits with some delay.
    await sleep(1500)
    const after = await flow.ask('spent', null)
    const each = (of: 'flow_ms' | 'server_ms' | 'commits') =>
      (after[of] - before[of]) / Math.max(1, after.executions - before.executions)
    return [each('flow_ms'), each('server_ms'), each('commits')]
  })
  const names = { conditions: 'ten conditions', code: 'ten code blocks (without the sandbox)', single: 'one condition' }
  console.log(`\n${name}: what an execution costs, ${at_a_time} at a time`)
  table(
    ['', 'ms of processor in Flow', 'in the server', 'commits'],
    Object.entries(names).map(([kind, name]) => [name, ...(rows[kind as keyof typeof names] ?? [])]),
  )
}

async function dbos(server: Server): Promise<Rows> {
  const peers = join(import.meta.dirname, 'peers')
  await run('npm', ['ci', '--prefix', peers, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  const orders = { url: await server.newDatabase(), at_a_time: AT_A_TIME, seconds: SECONDS }
  const { stdout } = await run(process.execPath, ['--no-warnings', join(peers, 'dbos.ts'), JSON.stringify(orders)])
  const rates = JSON.parse(stdout.trim().split('\n').at(-1) ?? '[]') as Rate[]
  const row = (rate: Rate): Row => ({ name: 'steps of DBOS', rate, factor: NODES })
  return Object.fromEntries(AT_A_TIME.map((many, i) => [many, rates[i] ? [row(rates[i])] : []]))
}

function print(title: string, rows: Row[]): void {
  const of = (name: string) => rows.find((row) => row.name.startsWith(name))
  const speed = (row: Row | undefined) => (row ? row.rate.per_second * row.factor : undefined)
  const against = (row: Row, other: Row | undefined) => {
    const ground = speed(other)
    return ground === undefined ? '' : (speed(row) ?? 0) / ground
  }
  console.log(`\n${title}`)
  table(
    ['', 'per second', 'p50 ms', 'p99 ms', '× commits', '× bare jobs', '× one process', '× DBOS'],
    rows.map((row) => [
      row.name,
      speed(row) ?? 0,
      row.rate.p50_ms,
      row.rate.p99_ms,
      against(row, of('commits')),
      against(row, of('bare jobs')),
      row.name.startsWith('nodes') ? against(row, of('nodes, conditions')) : '',
      row.name.startsWith('nodes') ? against(row, of('steps of DBOS')) : '',
    ]),
  )
}
