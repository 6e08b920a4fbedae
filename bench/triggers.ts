/** What comes from outside, through HTTP, at one real server on PostgreSQL, which runs what it accepts at the same time:
 *  executions asked for with a key, and signed calls of a webhook; against the same server answering a constant and
 *  against commits of a single row by as many clients. Then how late 1,000 schedules are that are due in the same
 *  second, until their executions run. Client and server share the machine: the ratios are what counts. */

import { createHmac, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PlatformClient } from '@flow/sdk'
import pg from 'pg'
import { Pool } from 'undici'
import { quantile, type Rate, rateOf, table } from './measure.ts'
import { openServer, type Server } from './parts/postgres.ts'
import { replicasOn } from './parts/servers.ts'

const AT_A_TIME = [1, 16, 64]
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2)
const SCHEDULES = Number(process.env.BENCH_SCHEDULES ?? 1000)
const PATIENCE_MS = 60_000
const nodes = [{ id: 'one', type: 'condition' as const, condition: 'true' }]

const server = await openServer()
if (server) await measure(server).finally(server.close)

async function measure(server: Server): Promise<void> {
  const url = await server.newDatabase()
  const replicas = replicasOn(url)
  const eye = new pg.Pool({ connectionString: url, max: Math.max(...AT_A_TIME) })
  try {
    const flow = await replicas.start()
    const client = replicas.client(flow)
    const calls = await callsOf(client, flow.url, replicas.api_key())
    for (const many of AT_A_TIME) {
      const rates = { 'commits of one row': await rateOf(commitOf(eye), many, SECONDS / 2) }
      const http = new Pool(flow.url, { connections: many })
      for (const [name, call] of Object.entries(calls)) {
        Object.assign(rates, { [name]: await rateOf(() => call(http), many, SECONDS) })
        await untilIdle(eye)
      }
      await http.close()
      print(`PostgreSQL ${server.version}, ${many} at a time`, rates)
    }
    await schedules(client, eye)
  } finally {
    await eye.end()
    await replicas.remove()
  }
}

type Call = (http: Pool) => Promise<void>

async function callsOf(client: PlatformClient, base: string, api_key: string): Promise<Record<string, Call>> {
  const { id: execute_id } = await client.workflows.create({ name: 'Asked', slug: 'asked', nodes })
  const { id: workflow_id } = await client.workflows.create({
    name: 'Called',
    slug: 'called',
    nodes,
    trigger_type: 'webhook',
    trigger_config: { path: 'called', signature: 'standard', input: '{{ request.body }}' },
  })
  const { secret } = await client.triggers.setSecret({ workflow_id })
  const { url } = await client.triggers.get({ workflow_id })
  const hook = new URL(url ?? base).pathname
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const json = { 'content-type': 'application/json' }
  const send = async (http: Pool, method: 'GET' | 'POST', path: string, headers: object, body?: string) => {
    const answer = await http.request({ method, path, headers: { ...headers }, body })
    const text = await answer.body.text()
    if (answer.statusCode >= 300) throw new Error(`${path} answers ${answer.statusCode}: ${text}`)
  }
  return {
    'GET /healthz': (http) => send(http, 'GET', '/healthz', {}),
    'POST /workflows/{id}/execute': (http) =>
      send(
        http,
        'POST',
        `/api/v1/workflows/${execute_id}/execute`,
        { 'x-api-key': api_key, ...json },
        '{"input":{"a":1}}',
      ),
    'signed calls of a webhook': (http) => {
      const id = `msg_${randomUUID()}`
      const timestamp = String(Math.floor(Date.now() / 1000))
      const body = '{"a":1}'
      const signature = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
      const signed = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
      return send(http, 'POST', hook, { ...signed, ...json }, body)
    },
  }
}

function commitOf(eye: pg.Pool): () => Promise<unknown> {
  const made = eye.query('create table if not exists bench_commits (id uuid primary key)')
  return async () => {
    await made
    await eye.query({ name: 'commit', text: 'insert into bench_commits values ($1)', values: [randomUUID()] })
  }
}

/** Until what was accepted has ended, so that the next one finds the server as this one did. */
async function untilIdle(eye: pg.Pool): Promise<void> {
  const until = performance.now() + PATIENCE_MS
  while (performance.now() < until) {
    const { rowCount } = await eye.query('select from executions where completed_at is null limit 1')
    if (rowCount === 0) return
    await sleep(50)
  }
}

function print(title: string, rates: Record<string, Rate>): void {
  const [commits, constant] = [rates['commits of one row'], rates['GET /healthz']]
  console.log(`\n${title}`)
  table(
    ['', 'per second', 'p50 ms', 'p99 ms', '× commits', '× a constant'],
    Object.entries(rates).map(([name, rate]) => [
      name,
      rate.per_second,
      rate.p50_ms,
      rate.p99_ms,
      rate.per_second / (commits?.per_second ?? 0),
      rate.per_second / (constant?.per_second ?? 0),
    ]),
  )
}

// ---- schedules

async function schedules(client: PlatformClient, eye: pg.Pool): Promise<void> {
  const making = await make(client, 'trial', Math.ceil(SCHEDULES / 20))
  const due = new Date(Math.ceil((Date.now() + making * 40 + 3000) / 1000) * 1000)
  const [month, day, hour, minute, second] = [
    due.getUTCMonth() + 1,
    due.getUTCDate(),
    due.getUTCHours(),
    due.getUTCMinutes(),
    due.getUTCSeconds(),
  ]
  const cron = `${second} ${minute} ${hour} ${day} ${month} *`
  await make(client, 'due', SCHEDULES, { trigger_type: 'schedule', trigger_config: { cron } })
  if (Date.now() > due.getTime()) console.log('The making of the schedules took longer than foreseen.')

  const until = due.getTime() + PATIENCE_MS
  const begun = () =>
    eye.query<{ ms: number }>(
      `select extract(epoch from started_at - $1)::float8 * 1000 as ms from executions
       where trigger_type = 'schedule' and started_at is not null`,
      [due],
    )
  while (Date.now() < until && (await begun()).rows.length < SCHEDULES) await sleep(200)
  const late = (await begun()).rows.map(({ ms }) => ms)
  console.log(`\n${late.length} of ${SCHEDULES} schedules that are due in the same second`)
  const last = Math.max(...late)
  table(
    ['', 'first ms', 'p50 ms', 'max ms', 'per second'],
    [
      [
        'from the second to the start of the execution',
        Math.min(...late),
        quantile(late, 0.5),
        last,
        (late.length * 1000) / last,
      ],
    ],
  )
}

/** How long it took, in milliseconds. */
async function make(client: PlatformClient, name: string, count: number, more: object = {}): Promise<number> {
  const began = performance.now()
  const rest = Array.from({ length: count }, (_, i) => `${name}-${i}`).values()
  const some = async () => {
    for (const slug of rest) await client.workflows.create({ name: slug, slug, nodes, ...more })
  }
  await Promise.all(Array.from({ length: 8 }, some))
  return performance.now() - began
}
