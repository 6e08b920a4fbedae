/** What 100,000 executions cost that wait for tomorrow: rows and no memory. How long it takes until they wait, how the
 *  database grows, and what a process that starts then holds and uses while nothing happens; its peer is the same
 *  process before there was anything. Once embedded, where the database is a part of the process, and on PostgreSQL.
 *  BENCH_WAITING says how many; embedded it is a tenth of that. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processorSeconds, residentMb, table } from './measure.ts'
import { type Flow, startFlow } from './parts/flow.ts'
import { openServer } from './parts/postgres.ts'

const COUNT = Number(process.env.BENCH_WAITING ?? 100_000)
const EMBEDDED_SHARE = 0.1
const IDLE_SECONDS = 5
/** Until what was begun at the start is done. */
const SETTLE_MS = 2000
/** So many are asked for at once. */
const BATCH = 2000
/** After so long it is measured with those that wait by then. */
const PATIENCE_SECONDS = 100

type Seen = { mb: number; bytes: number; cpu: number }
type Measured = { count: number; seconds: number; before: Seen; after: Seen }

const directory = await mkdtemp(join(tmpdir(), 'flow-bench-'))
const measured: Record<string, Measured> = {}
measured.embedded = await measure(Math.round(COUNT * EMBEDDED_SHARE), { FLOW_DATA_DIR: join(directory, 'embedded') })
const server = await openServer()
if (server) {
  try {
    measured[`PostgreSQL ${server.version}`] = await measure(COUNT, {
      DATABASE_URL: await server.newDatabase(),
      FLOW_MASTER_KEY: randomBytes(32).toString('base64'),
      FLOW_DATA_DIR: join(directory, 'postgres'),
    })
  } finally {
    await server.close()
  }
}
await rm(directory, { recursive: true, force: true })

const mebi = 1024 * 1024
table(
  ['', ...Object.keys(measured)],
  [
    row('executions that wait', ({ count }) => count),
    row('begun and at rest, per second', ({ count, seconds }) => count / seconds),
    row('MB of the process, before', ({ before }) => before.mb),
    row('MB of the process, after', ({ after }) => after.mb),
    row('KiB of the process for each', ({ count, before, after }) => ((after.mb - before.mb) * 1024) / count),
    row('MiB of the database, before', ({ before }) => before.bytes / mebi),
    row('MiB of the database, after', ({ after }) => after.bytes / mebi),
    row('bytes of the database for each', ({ count, before, after }) => (after.bytes - before.bytes) / count),
    row('processor while nothing waits, %', ({ before }) => before.cpu * 100),
    row('processor while they wait, %', ({ after }) => after.cpu * 100),
    row('the second of these / the first', ({ before, after }) => after.cpu / before.cpu),
  ],
)

function row(name: string, of: (one: Measured) => number): (string | number)[] {
  return [name, ...Object.values(measured).map(of)]
}

/** Each looked at in a process that has done nothing before: neither made the database nor begun executions. */
async function measure(count: number, environment: Record<string, string>): Promise<Measured> {
  const { who, ids } = await inProcess(environment, (flow) => flow.ask('prepare', null))
  const enter = async (flow: Flow) => {
    await flow.ask('enter', who)
    await flow.ask('work', null)
  }
  const begun = await inProcess(environment, async (flow) => {
    await enter(flow)
    const before = await look(flow)
    const began = performance.now()
    const waiting = await beginAll(flow, ids.waiting, count, began)
    return { before, count: waiting, seconds: (performance.now() - began) / 1000 }
  })
  return inProcess(environment, async (flow) => {
    await enter(flow)
    return { ...begun, after: await look(flow) }
  })
}

async function inProcess<Result>(environment: Record<string, string>, work: (flow: Flow) => Promise<Result>) {
  const flow = await startFlow(environment)
  return work(flow).finally(flow.stop)
}

/** Begins them and waits until they wait; gives how many do. */
async function beginAll(flow: Flow, workflow_id: string, count: number, began: number): Promise<number> {
  const isLate = () => performance.now() - began > PATIENCE_SECONDS * 1000
  let begun = 0
  while (begun < count && !isLate()) {
    const some = Math.min(BATCH, count - begun)
    await flow.ask('accept', { workflow_id, count: some })
    begun += some
  }
  for (;;) {
    const waiting = await flow.ask('waiting', null)
    if (waiting >= begun || isLate()) return waiting
    await sleep(200)
  }
}

async function look(flow: Flow): Promise<Seen> {
  await sleep(SETTLE_MS)
  const bytes = await flow.ask('bytes', null)
  const used = (await processorSeconds(flow.pid)) ?? 0
  await sleep(IDLE_SECONDS * 1000)
  const cpu = (((await processorSeconds(flow.pid)) ?? 0) - used) / IDLE_SECONDS
  return { mb: (await residentMb(flow.pid)) ?? 0, bytes, cpu }
}
