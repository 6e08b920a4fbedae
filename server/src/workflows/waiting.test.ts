/** Stories of nodes that wait for others: for a call from outside, for a child, for their turn. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'
import { block, edge, node, run, statuses, until, workflow } from './testing.ts'

const { fetch } = await testFlow()

test('an address that is handed out is good for one call, which the node waits for', async () => {
  const { alice } = await newOrganization()
  const made = await workflow(alice, {
    nodes: [
      { id: 'ask', type: 'transform', output: { url: '{{ callbacks.answer }}' } },
      { id: 'answer', type: 'webhook_wait' },
      { id: 'told', type: 'transform', output: '{{ nodes.answer.output.body.word }}' },
    ],
    edges: [edge('ask', 'answer'), edge('answer', 'told')],
  })
  const begun = await alice.workflows.execute({ workflow_id: made.id })
  const at = { workflow_id: made.id, execution_id: begun.id }
  const waiting = await until(
    () => alice.workflows.getExecution(at),
    ({ status }) => status === 'waiting',
  )
  const [asked] = waiting.nodes
  assert.ok(asked)
  const { url } = asked.output as { url: string }
  const path = new URL(url).pathname
  const call = () =>
    fetch(path, { method: 'POST', body: '{"word":"yes"}', headers: { 'content-type': 'application/json' } })
  const [wrong, ...answers] = [await fetch(path.replace(/.$/, '_'), { method: 'POST' }), await call(), await call()]

  assert.equal(wrong?.status, 404)
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 409],
  )
  const ended = await until(
    () => alice.workflows.getExecution(at),
    ({ completed_at }) => completed_at !== null,
  )
  assert.equal(ended.output, 'yes')
})

test('a child runs with an execution of its own, and its result is the output of the node', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'twice', 'export const main = ({ n }) => 2 * n')
  await workflow(alice, { slug: 'doubling', nodes: [node('twice', 'twice')] })

  const ended = await run(
    alice,
    { nodes: [{ id: 'child', type: 'workflow', component_ref: 'doubling', input: { n: '{{ input.n }}' } }] },
    { n: 21 },
  )

  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  assert.equal(ended.output, 42)
})

test('a child that fails fails its node', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'broken', 'export const main = () => { throw new Error("no luck") }')
  await workflow(alice, { slug: 'failing', nodes: [node('broken', 'broken')] })

  const ended = await run(alice, { nodes: [{ id: 'child', type: 'workflow', component_ref: 'failing' }] })

  assert.equal(ended.status, 'failed')
  assert.equal(ended.error?.code, 'CHILD_FAILED')
  assert.match(ended.error?.message ?? '', /no luck/)
})

test('cancelling a parent cancels the child that it waits for', async () => {
  const { alice } = await newOrganization()
  const child = await workflow(alice, { slug: 'sleeper', nodes: [{ id: 'sleep', type: 'wait', seconds: 3600 }] })
  const parent = await workflow(alice, { nodes: [{ id: 'child', type: 'workflow', component_ref: 'sleeper' }] })
  const { id } = await alice.workflows.execute({ workflow_id: parent.id })
  const children = () => alice.workflows.listExecutions({ workflow_id: child.id }).then(({ items }) => items)
  await until(children, (items) => items[0]?.status === 'waiting')

  const cancelled = await alice.workflows.cancelExecution({ workflow_id: parent.id, execution_id: id })

  assert.equal(cancelled.status, 'cancelled')
  await until(children, (items) => items[0]?.status === 'cancelled')
})

test('an execution waits for its turn where its workflow runs only so many at a time', async () => {
  const { alice } = await newOrganization()
  const made = await workflow(alice, {
    nodes: [{ id: 'hold', type: 'webhook_wait' }],
    concurrency: { limit: 1, key: 'input.customer' },
  })
  const start = async (customer: string) =>
    (await alice.workflows.execute({ workflow_id: made.id, input: { customer } })).id
  const [first, second, other] = [await start('a'), await start('a'), await start('b')]
  const statusOf = async (execution_id: string) =>
    (await alice.workflows.getExecution({ workflow_id: made.id, execution_id })).status
  await until(
    () => statusOf(first),
    (status) => status === 'waiting',
  )
  await until(
    () => statusOf(other),
    (status) => status === 'waiting',
  )

  assert.equal(await statusOf(second), 'queued')
  await alice.workflows.cancelExecution({ workflow_id: made.id, execution_id: first })
  await until(
    () => statusOf(second),
    (status) => status === 'waiting',
  )
})

test('what a node cancels ends with it, and a join of n starts with the nth', async () => {
  const { alice } = await newOrganization()
  const ended = await run(alice, {
    nodes: [
      { id: 'a', type: 'transform', output: 1 },
      { id: 'b', type: 'transform', output: 2 },
      { id: 'c', type: 'wait', seconds: 3600 },
      { id: 'two', type: 'transform', output: 'enough', join: { count: 2 }, cancels: ['c'] },
      { id: 'never', type: 'transform', output: 3, when: 'nodes.two.output == "too little"' },
    ],
    edges: [edge('a', 'two'), edge('b', 'two'), edge('c', 'two'), edge('two', 'never')],
    output: '{{ nodes.two.output }}',
  })

  assert.equal(ended.output, 'enough')
  assert.deepEqual(statuses(ended), {
    a: 'completed',
    b: 'completed',
    c: 'cancelled',
    two: 'completed',
    never: 'skipped',
  })
})

test('what is cancelled while its waiting is written stays cancelled', async () => {
  const { alice } = await newOrganization()
  // The chain goes on while the waits are written, and each of its nodes cancels one: some at that very moment.
  const steps = Array.from({ length: 200 }, (_, i) => i)
  const ended = await run(alice, {
    nodes: [
      { id: 'begin', type: 'transform', output: null },
      ...steps.map((i) => ({ id: `wait_${i}`, type: 'wait', seconds: 3600 })),
      ...steps.map((i) => ({ id: `step_${i}`, type: 'transform', output: i, join: 'any', cancels: [`wait_${i}`] })),
    ],
    edges: [
      ...steps.map((i) => edge(`wait_${i}`, `step_${i}`)),
      ...steps.map((i) => edge(i === 0 ? 'begin' : `step_${i - 1}`, `step_${i}`)),
    ],
    output: '{{ nodes.step_199.output }}',
  })

  assert.equal(ended.status, 'completed')
  assert.equal(ended.output, 199)
})
