/** What docs/running.md promises of many replicas, from outside: two servers on one PostgreSQL behind a proxy, of which
 *  one is stopped and the other killed while people work. Without a PostgreSQL there is only ever one. */

import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlatformClient } from '@flow/sdk'
import { onServer } from '../server/src/db/testing.ts'
import { type RunningServer, startServer } from './server.ts'

const EXECUTIONS = 200
const AT_A_TIME = 16
const { FLOW_TEST_DATABASE_URL } = process.env
const skip = FLOW_TEST_DATABASE_URL ? false : 'needs FLOW_TEST_DATABASE_URL'

/** An empty database, which is dropped when the test is over. */
async function newDatabase(t: TestContext): Promise<string> {
  const name = `flow_e2e_${randomUUID().replaceAll('-', '')}`
  await onServer((client) => client.query(`create database ${name}`))
  t.after(() => onServer((client) => client.query(`drop database ${name} with (force)`)))
  const url = new URL(FLOW_TEST_DATABASE_URL ?? '')
  url.pathname = `/${name}`
  return url.href
}

/** Hands each connection to the next server that takes it: what any proxy does, less the reading of health. */
async function startProxy(t: TestContext, servers: RunningServer[]): Promise<string> {
  const open = new Set<Socket>()
  let next = 0
  const proxy = createServer((caller) => {
    open.add(caller.on('error', () => {}).on('close', () => open.delete(caller)))
    const reach = (tries: number) => {
      next += 1
      const { port } = new URL(servers[next % servers.length]?.url ?? '')
      const server = connect(Number(port), '127.0.0.1')
      let isOpen = false
      server.once('connect', () => {
        isOpen = true
        caller.pipe(server).pipe(caller)
      })
      server.on('error', () => (isOpen || tries === 1 ? caller.destroy() : reach(tries - 1)))
      server.on('close', () => isOpen && caller.destroy())
    }
    reach(servers.length)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    for (const socket of open) socket.destroy()
    proxy.close()
  })
  const address = proxy.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

const block = (slug: string, code: string) => ({ name: slug, slug, config: { language: 'javascript' as const, code } })

/** Computes, waits, and computes for a while: there is always something at each of the stages. */
async function makeWorkflow(flow: PlatformClient): Promise<string> {
  await flow.codeBlocks.create(block('double', 'export const main = ({ n }) => 2 * n'))
  const nap = 'export const main = ({ n }) => new Promise((done) => setTimeout(() => done(n + 1), 100))'
  await flow.codeBlocks.create(block('nap', nap))
  const call = (id: string, component_ref: string, n: string) => ({
    id,
    type: 'code_block' as const,
    component_ref,
    input: { n },
  })
  const { id } = await flow.workflows.create({
    name: 'Count',
    slug: 'count',
    workflow_type: 'sequential',
    nodes: [
      call('doubled', 'double', '{{ input.n }}'),
      { id: 'pause', type: 'wait', seconds: 2 },
      ...['a', 'b', 'c'].map((id, i, all) => call(id, 'nap', `{{ nodes.${all[i - 1] ?? 'doubled'}.output }}`)),
    ],
  })
  return id
}

test('one replica is stopped and another killed, and every execution completes', {
  skip,
  timeout: 90_000,
}, async (t) => {
  const DATABASE_URL = await newDatabase(t)
  const FLOW_MASTER_KEY = randomBytes(32).toString('base64')
  const environment = { DATABASE_URL, FLOW_MASTER_KEY, FLOW_LOG_LEVEL: 'error' }
  // Both begin on an empty database; one of them makes the first organization and prints its key.
  const [one, two] = await Promise.all([startServer(environment), startServer(environment)])
  t.after(() => Promise.all([one.remove(), two.remove()]))
  const keys = [...`${one.output()}${two.output()}`.matchAll(/API key\s+(\S+)/g)].map(([, key]) => key)
  assert.equal(keys.length, 1)
  const base_url = await startProxy(t, [one, two])
  const flow = new PlatformClient({ base_url, auth_token: keys[0] ?? '', max_retries: 5 })
  const workflow_id = await makeWorkflow(flow)

  const began: string[] = []
  const numbers = Array.from({ length: EXECUTIONS }, (_, n) => n).values()
  const some = async () => {
    for (const n of numbers) {
      began.push((await flow.workflows.execute({ workflow_id, input: { n } })).id)
      await sleep(AT_A_TIME * 25)
    }
  }
  const begunAll = Promise.all(Array.from({ length: AT_A_TIME }, some))
  const begun = async (count: number) => {
    while (began.length < count) await sleep(20)
  }
  const mishaps = async () => {
    await begun(EXECUTIONS / 4)
    assert.equal(await one.stop(), 0)
    await one.start()
    await begun(EXECUTIONS / 2)
    await two.kill()
    await two.start()
  }
  await Promise.all([begunAll, mishaps()])

  const left = async () => {
    const { total } = await flow.workflows.listExecutions({ workflow_id, status: 'completed', limit: 1 })
    return EXECUTIONS - total
  }
  while ((await left()) > 0) await sleep(100)
  const all = await Promise.all(began.map((execution_id) => flow.workflows.getExecution({ workflow_id, execution_id })))
  // Asked again by the client when its connection broke, none was begun twice.
  assert.equal((await flow.workflows.listExecutions({ workflow_id, limit: 1 })).total, EXECUTIONS)
  for (const { input, output } of all) assert.equal(output, 2 * (input as { n: number }).n + 3)
})
