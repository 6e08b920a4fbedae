/** What an operator relies on: logs, health, metrics and a stop that loses nothing. */

import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from './server.ts'

test('a request that is under way when the server is stopped is answered', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const flow = await server.client()
  const waiting = { id: 'pause', type: 'wait' as const, seconds: 1 }
  const workflow = await flow.workflows.create({ name: 'Pause', slug: 'pause', nodes: [waiting] })

  const answer = flow.workflows.execute({ workflow_id: workflow.id }, { wait: 2 })
  await new Promise((go) => setTimeout(go, 300))
  const code = await server.stop()

  const execution = await answer
  assert.equal(code, 0)
  await server.start()
  const path = { workflow_id: workflow.id, execution_id: execution.id }
  for await (const _ of flow.workflows.events(path)) {
    // The stream ends when the execution does.
  }
  assert.equal((await flow.workflows.getExecution(path)).status, 'completed')
})

test('every request is a line in the log, with its id and without a secret', async (t) => {
  const server = await startServer({ FLOW_LOG_LEVEL: 'info' })
  t.after(server.remove)
  const flow = await server.client()
  const request_id = crypto.randomUUID()
  const { api_key } = JSON.parse(await readFile(join(server.directory, 'admin.json'), 'utf8')) as { api_key: string }

  await flow.components.list({}, { request_id })
  const { access_token } = await flow.auth.login({ email: 'ada@example.com', password: 'a password for tests' })
  await server.stop()

  const [printedOnce, ...lines] = server.output().split(/^(?=\{)/m)
  const line = lines
    .map((text) => JSON.parse(text.split('\n')[0] ?? ''))
    .find((entry) => entry.request_id === request_id)
  assert.equal(line?.operation, 'components.list')
  assert.equal(line?.status, 200)
  assert.ok(printedOnce?.includes(api_key) || server.output().includes(api_key), 'the first start prints the key once')
  const logged = lines.map((text) => text.split('\n')[0]).join('\n')
  for (const secret of [api_key, access_token, 'a password for tests']) assert.ok(!logged.includes(secret))
})

test('metrics are for who has the token, or come from a port of their own', async (t) => {
  const server = await startServer({ FLOW_METRICS_TOKEN: 'a token for metrics' })
  t.after(server.remove)
  await (await server.client()).components.list()

  const without = await fetch(`${server.url}/metrics`)
  const withToken = await fetch(`${server.url}/metrics`, { headers: { authorization: 'Bearer a token for metrics' } })

  assert.equal(without.status, 401)
  assert.match(await withToken.text(), /flow_http_requests_total\{operation="components.list",status="200"\} 1/)
})

test('what holds secrets on the disk is readable by its owner only', async (t) => {
  const server = await startServer()
  t.after(server.remove)

  for (const name of ['admin.json', 'master.key']) {
    assert.equal((await stat(join(server.directory, name))).mode & 0o077, 0, name)
  }
})
