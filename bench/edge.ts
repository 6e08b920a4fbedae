/** What the whole edge costs: reading one component and creating one over HTTP, against the same framework answering
 *  a constant and against the bare SQL statement. Client and server share this process, so rates are lower than a
 *  server's own; the ratios are what counts. DATABASE_URL measures a PostgreSQL instead of the embedded database. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { Pool } from 'undici'
import { createApp } from '../server/src/app.ts'
import { readConfig } from '../server/src/config.ts'
import { newId } from '../server/src/context.ts'
import { connect } from '../server/src/db/connect.ts'
import { sql } from '../server/src/db/db.ts'
import { listen } from '../server/src/http/listen.ts'
import { createMetrics } from '../server/src/http/metrics.ts'
import { createFirstOrganization } from '../server/src/organizations/first.ts'
import { openPlatform } from '../server/src/platform.ts'
import { type Rate, rateOf, table } from './measure.ts'

const directory = await mkdtemp(join(tmpdir(), 'flow-bench-'))
const { DATABASE_URL } = process.env
const key = randomBytes(32).toString('base64')
const config = readConfig({
  FLOW_DATA_DIR: directory,
  FLOW_LOG_LEVEL: 'silent',
  FLOW_RATE_LIMIT_PER_MINUTE: '100000000',
  FLOW_MASTER_KEY: key,
  DATABASE_URL,
})
const database = await connect({ ...config, directory, pool_max: config.database_pool })
const platform = await openPlatform(config, { database })
const first = await createFirstOrganization(platform)
if (!first) throw new Error('This bench needs an empty database.')

const flow = await listen(createApp(platform, createMetrics(), { draining: false }), '127.0.0.1', 0)
const constant = new Hono().get('/constant', (c) => c.json({ id: 'constant' }))
const framework = await listen(constant, '127.0.0.1', 0)
const toFlow = new Pool(`http://127.0.0.1:${flow.port}`, { connections: 16 })
const toFramework = new Pool(`http://127.0.0.1:${framework.port}`, { connections: 16 })
const headers = { 'x-api-key': first.api_key, 'content-type': 'application/json' }

const block = (slug: string) => ({
  type: 'code_block',
  name: 'Bench',
  slug,
  config: { language: 'javascript', code: 'export const main = () => 1' },
})
const create = async () => {
  const body = JSON.stringify(block(`bench-${newId()}`))
  const answer = await toFlow.request({ method: 'POST', path: '/api/v1/components', headers, body })
  const made = (await answer.body.json()) as { id: string }
  if (answer.statusCode !== 201) throw new Error(JSON.stringify(made))
  return made
}
const { id } = await create()
const get = async (pool: Pool, path: string) => {
  const answer = await pool.request({ method: 'GET', path, headers })
  await answer.body.text()
  if (answer.statusCode !== 200) throw new Error(`${path} answers ${answer.statusCode}`)
}

const db = platform.database.of(first.organization_id)
const { organization_id, workspace_id, user_id } = first
const config_json = JSON.stringify(block('x').config)
const select = () => db.one(sql`select * from components where id = ${id} and workspace_id = ${workspace_id}`)
const insert = () =>
  db.run(sql`
    insert into components (id, organization_id, workspace_id, type, name, slug, version, config, created_at, updated_at,
      created_by)
    values (${newId()}, ${organization_id}, ${workspace_id}, 'code_block', 'Bench', ${newId()}, '0.1.0', ${config_json},
      now(), now(), ${user_id})`)

for (const at_a_time of [1, 16]) {
  const rates: Record<string, Rate> = {
    'the framework, a constant': await rateOf(() => get(toFramework, '/constant'), at_a_time),
    'bare select by id': await rateOf(select, at_a_time),
    'GET /components/{id}': await rateOf(() => get(toFlow, `/api/v1/components/${id}`), at_a_time),
    'bare insert': await rateOf(insert, at_a_time),
    'POST /components': await rateOf(create, at_a_time),
  }
  const constantRate = rates['the framework, a constant']?.per_second ?? 0
  const rows = Object.entries(rates).map(([name, rate]) => {
    const bare = rates[name.startsWith('POST') ? 'bare insert' : 'bare select by id']?.per_second ?? 0
    const isRequest = name.includes('/')
    return [
      name,
      rate.per_second,
      rate.p50_ms,
      rate.p99_ms,
      constantRate / rate.per_second,
      isRequest ? bare / rate.per_second : '',
    ]
  })
  console.log(`${platform.database.mode}, ${at_a_time} at a time`)
  table(['', 'per second', 'p50 ms', 'p99 ms', 'constant / this', 'bare SQL / this'], rows)
}

await Promise.all([toFlow.close(), toFramework.close(), flow.close(1000), framework.close(1000)])
await platform.close(1000)
await rm(directory, { recursive: true, force: true })
