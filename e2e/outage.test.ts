/** The database is away for half a minute, over a line that is really cut, while calls of models go on over real sockets:
 *  they are answered within what is leased, and not one of them is free. */

import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlatformClient } from '@flow/sdk'
import { onServer } from '../server/src/db/testing.ts'
import { openUpstream, says } from '../server/src/gateway/call/upstream-testing.ts'
import { startServer } from './server.ts'

const USUAL_MS = 10_000
const AWAY_MS = 30_000
const { FLOW_TEST_DATABASE_URL } = process.env
const skip = FLOW_TEST_DATABASE_URL ? false : 'needs FLOW_TEST_DATABASE_URL'

/** A line to the database that can be cut: what is open breaks, and nothing new gets through. */
async function startLine(t: TestContext, database: URL) {
  const open = new Set<Socket>()
  const line = { isCut: false, cut: () => {} }
  line.cut = () => {
    line.isCut = true
    for (const socket of open) socket.destroy()
  }
  const server = createServer((caller) => {
    if (line.isCut) return caller.destroy()
    const other = connect(Number(database.port || 5432), database.hostname)
    for (const [one, to] of [
      [caller, other],
      [other, caller],
    ] as const) {
      open.add(one)
      one
        .on('error', () => {})
        .on('close', () => {
          open.delete(one)
          to.destroy()
        })
      one.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    line.cut()
    server.close()
  })
  const address = server.address()
  return { line, port: typeof address === 'object' && address ? address.port : 0 }
}

test('the database is away for thirty seconds: calls go on within the leases, and all are paid', {
  skip,
}, async (t) => {
  const name = `flow_e2e_${randomUUID().replaceAll('-', '')}`
  await onServer((client) => client.query(`create database ${name}`))
  t.after(() => onServer((client) => client.query(`drop database ${name} with (force)`)))
  const url = new URL(FLOW_TEST_DATABASE_URL ?? '')
  const { line, port } = await startLine(t, new URL(url))
  url.pathname = `/${name}`
  url.port = String(port)
  const server = await startServer({
    DATABASE_URL: url.href,
    FLOW_MASTER_KEY: randomBytes(32).toString('base64'),
    FLOW_ALLOWED_HOSTS: '127.0.0.1',
    FLOW_LOG_LEVEL: 'fatal',
  })
  t.after(() => server.remove())
  const key = /API key\s+(\S+)/.exec(server.output())?.[1] ?? ''
  const person = {
    email: server.environment.FLOW_ADMIN_EMAIL ?? '',
    password: server.environment.FLOW_ADMIN_PASSWORD ?? '',
  }
  const of = { base_url: server.url, auth_token: key }
  const { organization_id: org_id } = await new PlatformClient(of).auth.login(person)
  const flow = new PlatformClient({ ...of, org_id })
  const upstream = await openUpstream(says('Good day.'))
  await flow.gateway.providers.create({ name: 'far', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  // Credits for a million tokens; the provider counts ten for each call.
  await flow.gateway.prices.create({ model: 'far/*', input: 1, output: 1 })
  await flow.gateway.budgets.create({ subject: { kind: 'organization' }, credits: 1_000_000 })

  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  const body = JSON.stringify({ model: 'far/m', messages: [{ role: 'user', content: 'Hello?' }], max_tokens: 5 })
  const ask = async (): Promise<number> => {
    const response = await fetch(`${server.url}/api/v1/gateway/v1/chat/completions`, { method: 'POST', headers, body })
    const text = await response.text()
    if (response.status === 200) assert.match(text, /Good day\./)
    else t.diagnostic(text)
    return response.status
  }
  let answered = 0
  const askFor = async (ms: number) => {
    const until = performance.now() + ms
    while (performance.now() < until) {
      assert.equal(await ask(), 200, `call ${answered + 1}, ${Math.round(until - performance.now())} ms before the end`)
      answered += 1
      await sleep(100)
    }
  }
  // How fast it is spent says how much is leased.
  await askFor(USUAL_MS)
  line.cut()
  await askFor(AWAY_MS)
  assert.equal((await fetch(`${server.url}/readyz`)).ok, false, 'the database was away')
  line.isCut = false

  const debited = async () => (await flow.organizations.getUsage({ group_by: 'model' })).credits_debited
  const wanted = (answered * 10) / 1e6
  for (let tries = 0; Math.abs((await debited().catch(() => 0)) - wanted) > 1e-9; tries += 1) {
    assert.ok(tries < 300, `${await debited()} of ${wanted} credits are paid`)
    await sleep(100)
  }
  assert.equal(upstream.got.length, answered)
  assert.equal(await ask(), 200)
})
