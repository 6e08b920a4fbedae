/** What the OpenAPI document says of the gateway's mouths is what they do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gateway } from '@flow/contract/gateway'
import type { Operation } from '@flow/contract/operation'
import { newOrganization, testFlow } from '../../testing.ts'

const { fetch } = await testFlow()
const { admin } = await newOrganization()
const mouths: [string, Operation][] = Object.entries(gateway)

const messages = [{ role: 'user', content: 'Hello' }]
const bodies: Record<string, Record<string, unknown>> = {
  chatCompletion: { model: 'flow/echo', messages },
  completion: { model: 'flow/echo', prompt: 'Hello' },
  response: { model: 'flow/echo', input: 'Hello' },
  message: { model: 'flow/echo', messages, max_tokens: 100 },
  countTokens: { model: 'flow/echo', messages },
  embeddings: { model: 'flow/hash-embedding-384', input: ['Hello'] },
  rerank: { model: 'flow/hash-rerank-384', query: 'Hello', documents: ['Goodbye', 'Hello there'] },
}

const ask = (name: string, { method, path }: Operation, more: Record<string, unknown> = {}, key = admin.api_key) =>
  fetch(`/api/v1${path.replace('{model_id}', 'flow/echo')}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(method === 'POST' ? { body: JSON.stringify({ ...bodies[name], ...more }) } : {}),
  })

for (const [name, operation] of mouths) {
  test(`${name} answers what is described`, async () => {
    const response = await ask(name, operation)

    assert.equal(response.status, 200, await response.clone().text())
    operation.output?.parse(await response.json())
    if (operation.method === 'POST') operation.input.parse(bodies[name])
  })

  test(`${name} refuses in the format that is described`, async () => {
    const stranger = await ask(name, operation, {}, 'fl_nobody')
    const asked = [stranger]
    if (operation.method === 'POST') asked.push(await ask(name, operation, { model: 'nobody/none' }))

    assert.deepEqual(
      asked.map(({ status }) => status),
      [401, 404].slice(0, asked.length),
    )
    for (const response of asked) operation.mouth?.errors.parse(await response.json())
    const wrong = await fetch(`/api/v1${operation.path.replace('{model_id}', 'flow/echo')}`, { method: 'PUT' })
    assert.equal(wrong.status, 405)
    assert.match(wrong.headers.get('allow') ?? '', new RegExp(operation.method))
  })
}

test('what streams when it is asked to says so in its type', async () => {
  for (const [name, operation] of mouths) {
    if (!operation.mouth?.streams) continue
    const response = await ask(name, operation, { stream: true })

    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/, name)
    assert.match(await response.text(), /^(event: .*\n)?data: \{/)
  }
})
