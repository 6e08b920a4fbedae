/** How long it takes from `kill -9` of a process to the first node of its executions in another one. Two real servers on
 *  one PostgreSQL; whoever has executions is killed, and started again for the next time. Its peer is the start of a
 *  process: what one would wait for where there is only one. BENCH_KILLS says how often. */

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { RunningServer } from '../e2e/server.ts'
import { quantile, table } from './measure.ts'
import { openServer, type Server } from './parts/postgres.ts'
import { replicasOn } from './parts/servers.ts'

const KILLS = Number(process.env.BENCH_KILLS ?? 20)
const EXECUTIONS = 4
const NODES = 200
const NODE_MS = 25
/** So that some of it is recorded. */
const BEGIN_MS = 300
const PATIENCE_MS = 20_000
/** What the killed one had sent just before may still be committed. */
const LAST_BREATH_MS = 5

const server = await openServer()
if (server) await measure(server).finally(server.close)

async function measure(server: Server): Promise<void> {
  const url = await server.newDatabase()
  const replicas = replicasOn(url)
  const eye = new pg.Client({ connectionString: url })
  try {
    let victim = await replicas.start()
    await eye.connect()
    const flow = replicas.client(victim)
    const code = `export const main = () => new Promise((done) => setTimeout(done, ${NODE_MS}))`
    await flow.codeBlocks.create({ name: 'Nap', slug: 'nap', config: { language: 'javascript', code } })
    const nodes = Array.from({ length: NODES }, (_, i) => ({
      id: `n${i}`,
      type: 'code_block' as const,
      component_ref: 'nap',
    }))
    const long = { name: 'Long', slug: 'long', workflow_type: 'sequential' as const, nodes }
    const { id: workflow_id } = await flow.workflows.create(long)
    let other = await replicas.start()

    const takeovers: number[] = []
    const starts: number[] = []
    for (let i = 0; i < KILLS; i += 1) {
      const client = replicas.client(victim)
      await Promise.all(Array.from({ length: EXECUTIONS }, () => client.workflows.execute({ workflow_id })))
      await sleep(BEGIN_MS)
      const took = await killed(eye, victim)
      if (took !== undefined) takeovers.push(took)
      const began = performance.now()
      await victim.start()
      starts.push(performance.now() - began)
      // The other one has all of them now: it is the next.
      ;[victim, other] = [other, victim]
    }
    print(server, takeovers, starts)
  } finally {
    await eye.end().catch(() => {})
    await replicas.remove()
  }
}

/** Kills it; how many milliseconds later the first node of what it had ran elsewhere. */
async function killed(eye: pg.Client, victim: RunningServer): Promise<number | undefined> {
  const before = await eye.query<{ run_id: string; replica_id: string }>('select run_id, replica_id from engine_claims')
  const at = Date.now()
  await victim.kill()
  const until = performance.now() + PATIENCE_MS
  while (performance.now() < until) {
    await sleep(20)
    const { rows: alive } = await eye.query<{ id: string }>('select id from engine_replicas')
    // Whoever is missing now is the one that was killed.
    const lost = before.rows.filter(({ replica_id }) => !alive.some(({ id }) => id === replica_id))
    const { rows } = await eye.query<{ at: Date | null }>(
      'select min(at) as at from execution_events where execution_id = any($1) and at > $2',
      [lost.map(({ run_id }) => run_id), new Date(at + LAST_BREATH_MS)],
    )
    if (rows[0]?.at) return rows[0].at.getTime() - at
  }
  return undefined
}

function print({ version }: Server, takeovers: number[], starts: number[]): void {
  const start = quantile(starts, 0.5)
  const row = (name: string, values: number[]) => {
    const middle = quantile(values, 0.5)
    return [name, String(values.length), middle, quantile(values, 0.99), Math.max(...values), middle / start]
  }
  table(
    [`PostgreSQL ${version}`, 'times', 'p50 ms', 'p99 ms', 'max ms', '× a start'],
    [row('kill -9 to the first node elsewhere', takeovers), row('start of a process until it is ready', starts)],
  )
}
