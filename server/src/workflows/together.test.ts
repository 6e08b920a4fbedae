/** Executions that are asked for at the same time are accepted together, and each as if it had come alone. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Execution } from '@flow/contract/workflows'
import { FlowError } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'
import { until, workflow } from './testing.ts'

const definition = {
  nodes: [{ id: 'a', type: 'condition', condition: 'input.n > 0' }],
  input_schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
}
const attempt = (work: Promise<Execution>) =>
  work.catch((error: unknown) => {
    assert.ok(error instanceof FlowError)
    return error.code
  })

test('of many that are asked for at once, the good ones run once each, and the bad ones are refused', async () => {
  const { alice, member } = await newOrganization()
  const viewer = await member('viewer')
  const { id: workflow_id } = await workflow(alice, definition)
  const inputs = Array.from({ length: 40 }, (_, n) => (n % 10 === 7 ? { n: 'seven' } : { n }))
  const made = await Promise.all([
    ...inputs.map((input) => attempt(alice.workflows.execute({ workflow_id, input }))),
    attempt(alice.workflows.execute({ workflow_id: crypto.randomUUID(), input: { n: 1 } })),
    attempt(viewer.client.workflows.execute({ workflow_id, input: { n: 1 } })),
  ])

  const refused = made.filter((one) => typeof one === 'string')
  assert.deepEqual(refused.sort(), ['FORBIDDEN', 'NOT_FOUND', ...Array(4).fill('VALIDATION_ERROR')])
  const list = () => alice.workflows.listExecutions({ workflow_id, status: 'completed', limit: 100 })
  const { items } = await until(list, ({ total }) => total === 36)
  assert.equal((await alice.workflows.listExecutions({ workflow_id })).total, 36)
  assert.deepEqual(
    items.map(({ id }) => id).sort(),
    made.flatMap((one) => (typeof one === 'string' ? [] : [one.id])).sort(),
  )
  const ended = await Promise.all(
    items.map(({ id }) => alice.workflows.getExecution({ workflow_id, execution_id: id })),
  )
  assert.deepEqual(
    ended.map(({ input }) => (input as { n: number }).n).sort((a, b) => a - b),
    inputs.flatMap(({ n }) => (typeof n === 'number' ? [n] : [])),
  )
  const { total } = await alice.audit.list({ event_type: 'workflows.execute', outcome: 'success' })
  assert.equal(total, 36, 'each is noted')
})

test('of those with one idempotency key among others, one begins and the others are told of it', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, definition)
  const post = async (key: string, n: number) => {
    const response = await fetch(`/api/v1/workflows/${workflow_id}/execute`, {
      method: 'POST',
      headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ input: { n } }),
    })
    return { status: response.status, body: (await response.json()) as { id?: string } }
  }
  const keys = ['a', 'b', 'a', 'c', 'a', 'b', 'd', 'a']
  const answers = await Promise.all(keys.map((key) => post(key, 1)))
  for (const { status } of answers) assert.ok(status === 202 || status === 409, String(status))
  for (const key of new Set(keys)) {
    const ids = answers.flatMap(({ body }, i) => (keys[i] === key && body.id ? [body.id] : []))
    assert.equal(new Set(ids).size, 1, `"${key}" began one`)
  }
  assert.equal((await post('a', 2)).status, 422, 'for another body it is refused')
  assert.equal((await alice.workflows.listExecutions({ workflow_id })).total, 4)
})

test('a line that lets one begin at a time holds for those that come together', async () => {
  const { alice } = await newOrganization()
  const waits = { nodes: [{ id: 'a', type: 'wait', seconds: 86_400 }], concurrency: { limit: 2 } }
  const { id: workflow_id } = await workflow(alice, waits)
  await Promise.all(Array.from({ length: 12 }, () => alice.workflows.execute({ workflow_id, input: {} })))
  const count = async (status: 'queued' | 'waiting') =>
    (await alice.workflows.listExecutions({ workflow_id, status })).total
  await until(
    () => count('waiting'),
    (waiting) => waiting === 2,
  )
  assert.equal(await count('queued'), 10)
})

test('an input that is too large is refused, whatever it is sent with, and nobody else is the worse for it', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  const { id } = await workflow(alice, { nodes: [{ id: 'a', type: 'condition', condition: 'true' }] })
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const post = async (workflow_id: string, body: string) =>
    (await fetch(`/api/v1/workflows/${workflow_id}/execute`, { method: 'POST', headers, body })).status
  // Four characters that are twenty-one when they are written again.
  const large = `{"input":[${Array(60_000).fill('1e20').join()}]}`
  const statuses = await Promise.all([
    post(id, large),
    post(crypto.randomUUID(), large),
    post(id, '{"input":{}}'),
    post(crypto.randomUUID(), '{"input":{}}'),
  ])
  assert.deepEqual(statuses, [413, 413, 202, 404])
})

test('each of the refusals that come together is noted', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  // What is asked for may be longer than an index of the database takes.
  const long = Array.from({ length: 300 }, () => crypto.randomUUID()).join('')
  const ids = [crypto.randomUUID(), long, crypto.randomUUID()]
  await Promise.all(
    ids.map((id) => fetch(`/api/v1/workflows/${id}/execute`, { method: 'POST', headers, body: '{"input":{}}' })),
  )
  const { items } = await alice.audit.list({ event_type: 'workflows.execute', outcome: 'failure' })
  assert.deepEqual(items.map(({ resource_id }) => resource_id).sort(), ids.map((id) => id.slice(0, 500)).sort())
})
