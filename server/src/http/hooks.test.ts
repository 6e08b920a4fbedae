import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import { Failure } from '../failure.ts'
import { testFlow } from '../testing.ts'
import { type CallbackCall, mountHooks } from './hooks.ts'
import { createMetrics } from './metrics.ts'

/** The doors alone, with a room that keeps what it is given. */
async function doors() {
  const { platform } = await testFlow()
  const app = new Hono()
  const calls: CallbackCall[] = []
  mountHooks(app, platform, createMetrics(), {
    methodsAt: async () => [],
    receive: async () => assert.fail('there is no webhook'),
    async answerCallback(_, call) {
      if (call.signature === 'wrong') throw new Failure('NOT_FOUND', 'Nobody waits for this.')
      calls.push(call)
      return { status: 200, body: { received: call.body.value() }, execution_id: call.execution_id }
    },
  })
  const ask = (path: string, init?: RequestInit) => app.fetch(new Request(`http://flow.test${path}`, init))
  return { ask, calls }
}

test('a callback comes to whoever waits for it, with any method and its body', async () => {
  const { ask, calls } = await doors()

  const posted = await ask('/hooks/waits/e-1/approve/abc?ok=1', {
    method: 'POST',
    body: '{"ok": true}',
    headers: { 'content-type': 'application/json' },
  })
  const got = await ask('/hooks/waits/e-1/approve/abc')

  assert.deepEqual(await posted.json(), { received: { ok: true } })
  assert.equal(posted.headers.get('x-execution-id'), 'e-1')
  assert.ok(posted.headers.get('ratelimit'))
  assert.deepEqual(await got.json(), { received: null })
  assert.deepEqual(
    calls.map(({ execution_id, node_id, signature, method, query }) => [
      execution_id,
      node_id,
      signature,
      method,
      query,
    ]),
    [
      ['e-1', 'approve', 'abc', 'POST', { ok: '1' }],
      ['e-1', 'approve', 'abc', 'GET', {}],
    ],
  )
})

test('who keeps guessing the signature of a callback is refused for a while', async () => {
  const { ask } = await doors()
  let response = await ask('/hooks/waits/e-1/approve/wrong')
  for (let tries = 0; response.status === 404 && tries < 100; tries++) {
    response = await ask('/hooks/waits/e-1/approve/wrong')
  }

  assert.equal(response.status, 429)
})
