/** Whoever watches one replica sees what another one does: every event, in order, and without asking again when the one
 *  that did it is killed. Without a PostgreSQL there is only ever one replica. */

import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { PlatformClient } from '@flow/sdk'
import { onServer } from '../server/src/db/testing.ts'
import { startServer } from './server.ts'

const EXECUTIONS = 3
const NODES = 12
const { FLOW_TEST_DATABASE_URL } = process.env
const skip = FLOW_TEST_DATABASE_URL ? false : 'needs FLOW_TEST_DATABASE_URL'

async function newDatabase(t: TestContext): Promise<string> {
  const name = `flow_e2e_${randomUUID().replaceAll('-', '')}`
  await onServer((client) => client.query(`create database ${name}`))
  t.after(() => onServer((client) => client.query(`drop database ${name} with (force)`)))
  const url = new URL(FLOW_TEST_DATABASE_URL ?? '')
  url.pathname = `/${name}`
  return url.href
}

type Seen = { id: string; event: string; node_id: string | null }

/** Follows an execution to its end; `seen` grows meanwhile. */
function watch(flow: PlatformClient, at: { workflow_id: string; execution_id: string }) {
  const seen: Seen[] = []
  const ended = (async () => {
    for await (const { id, event, data } of flow.workflows.events(at)) {
      seen.push({ id: id ?? '', event, node_id: data.node_id })
    }
  })()
  return { seen, ended }
}

test('a client of one replica sees what another one does, and what goes on when that is killed', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const environment = {
    DATABASE_URL: await newDatabase(t),
    FLOW_MASTER_KEY: randomBytes(32).toString('base64'),
    FLOW_LOG_LEVEL: 'error',
  }
  const doer = await startServer(environment)
  t.after(doer.remove)
  const auth_token = /API key\s+(\S+)/.exec(doer.output())?.[1] ?? ''
  const client = (base_url: string) => new PlatformClient({ base_url, auth_token, max_retries: 0 })
  const flow = client(doer.url)
  const code = 'export const main = ({ n }) => new Promise((done) => setTimeout(() => done({ n: n + 1 }), 400))'
  await flow.codeBlocks.create({ name: 'nap', slug: 'nap', config: { language: 'javascript', code } })
  const { id: workflow_id } = await flow.workflows.create({
    name: 'Naps',
    slug: 'naps',
    workflow_type: 'sequential',
    nodes: Array.from({ length: NODES }, (_, i) => ({
      id: `n${i}`,
      type: 'code_block' as const,
      component_ref: 'nap',
    })),
  })
  const watcher = await startServer(environment)
  t.after(watcher.remove)
  // Stopped while they begin, so that it is the other one who runs them.
  process.kill(watcher.pid(), 'SIGSTOP')
  const begun = Array.from({ length: EXECUTIONS }, () => flow.workflows.execute({ workflow_id, input: { n: 0 } }))
  const places = (await Promise.all(begun)).map(({ id }) => ({ workflow_id, execution_id: id }))
  const running = async () => (await flow.workflows.listExecutions({ workflow_id, status: 'running' })).total
  while ((await running()) < EXECUTIONS) await new Promise((go) => setTimeout(go, 20))
  process.kill(watcher.pid(), 'SIGCONT')

  const watched = places.map((at) => watch(client(watcher.url), at))
  while (watched.some(({ seen }) => !seen.some(({ node_id }) => node_id === 'n2'))) {
    await new Promise((go) => setTimeout(go, 20))
  }
  await doer.kill()
  await Promise.all(watched.map(({ ended }) => ended))

  for (const [i, { seen }] of watched.entries()) {
    const ids = seen.flatMap(({ id }) => (id === '' ? [] : [Number(id)]))
    assert.deepEqual(
      ids,
      ids.map((_, k) => k + 1),
    )
    const completed = seen.filter(({ event }) => event === 'node.completed').map(({ node_id }) => node_id)
    assert.deepEqual(
      completed,
      Array.from({ length: NODES }, (_, n) => `n${n}`),
    )
    assert.ok(seen.some(({ event }) => event === 'execution.completed'))
    // Who comes when all is over is told the same.
    const again = watch(client(watcher.url), places[i] ?? { workflow_id, execution_id: '' })
    await again.ended
    assert.deepEqual(again.seen, seen)
  }
})
