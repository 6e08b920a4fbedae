/** Why an execution has not ended: a sentence, and what programs need to know. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Execution, WaitingFor } from '@flow/contract/workflows'
import type { PlatformClient } from '@flow/sdk'
import { newOrganization } from '../testing.ts'
import { block, edge, node, run, until, workflow } from './testing.ts'

const slow = 'export const main = () => new Promise((r) => setTimeout(() => r(1), 20000))'

/** Begins an execution of a new workflow, and gives what it waits for as soon as that is of this kind. */
async function waiting(alice: PlatformClient, kind: WaitingFor['kind'], definition: object) {
  const { id: workflow_id } = await workflow(alice, definition)
  const { id: execution_id } = await alice.workflows.execute({ workflow_id })
  const at = { workflow_id, execution_id }
  const get = () => alice.workflows.getExecution(at)
  const execution = await until(get, ({ waiting_for }) => waiting_for.some((one) => one.kind === kind))
  return { at, execution, one: oneOf(execution) }
}

function oneOf({ waiting_for }: Execution): WaitingFor {
  const [one] = waiting_for
  assert.ok(one && waiting_for.length === 1, JSON.stringify(waiting_for))
  return one
}

test('an execution that has ended waits for nothing, and neither do its nodes', async () => {
  const { alice } = await newOrganization()
  const ended = await run(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }] })

  assert.deepEqual([ended.waiting_for, ended.nodes[0]?.waiting_for], [[], []])
})

test('an execution that is accepted waits for a free worker', async () => {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }] })
  const begun = await alice.workflows.execute({ workflow_id })

  assert.deepEqual(begun.waiting_for, [
    { kind: 'queue', node_id: null, until: null, message: 'It waits for a free worker.' },
  ])
})

test('a node that waits for a time says until when', async () => {
  const { alice } = await newOrganization()
  const { execution, one } = await waiting(alice, 'time', {
    nodes: [{ id: 'p', type: 'wait', seconds: 3600, label: 'Pause' }],
  })

  assert.ok(one.until)
  assert.equal(one.until, execution.nodes[0]?.waiting_until)
  assert.equal(one.message, `"Pause" waits until ${one.until}.`)
  assert.deepEqual(execution.nodes[0]?.waiting_for, [one])
})

test('a node between two attempts says which one comes next, and when', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'broken', "export const main = () => { throw new Error('no') }")
  const { one } = await waiting(alice, 'retry', {
    nodes: [node('a', 'broken', { retry: { max_attempts: 3, backoff_seconds: 600 } })],
  })

  assert.ok(one.kind === 'retry')
  assert.deepEqual([one.node_id, one.attempt, one.max_attempts], ['a', 2, 3])
  assert.equal(one.message, `Attempt 1 of "a" failed; attempt 2 of 3 begins at ${one.until}.`)
})

test('a node at work says since when', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'slow', slow)
  const { at, one, execution } = await waiting(alice, 'code', { nodes: [node('a', 'slow')] })

  assert.ok(one.kind === 'code')
  assert.deepEqual([one.since, one.attempt], [execution.nodes[0]?.started_at, 1])
  assert.equal(one.message, `"a" is at work since ${one.since}.`)
  await alice.workflows.cancelExecution(at)
})

test('a node that waits for people names the task and who may answer', async () => {
  const { alice } = await newOrganization()
  const task = { id: 'ok', type: 'human_task', title: 'Approve it', role: 'admin', timeout_seconds: 3600 }
  const assignees = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}@example.com`)
  const { one } = await waiting(alice, 'task', { nodes: [{ ...task, assignees }] })
  const { one: open } = await waiting(alice, 'task', { nodes: [{ id: 'ok', type: 'human_task', title: 'Anybody' }] })

  assert.ok(one.kind === 'task')
  assert.equal((await alice.tasks.get({ task_id: one.task_id })).title, 'Approve it')
  assert.deepEqual([one.assignees.length, one.role], [5, 'admin'])
  const people = 'a@example.com, b@example.com, c@example.com, 2 others or anybody with the role admin'
  assert.equal(
    one.message,
    `"ok" waits for ${people} to answer the task "Approve it", until ${one.until} at the latest.`,
  )
  assert.equal(open.message, '"ok" waits for anybody who may run workflows to answer the task "Anybody".')
})

test('the address of a node that waits for a call is told to those who may run workflows, and to nobody else', async () => {
  const { alice, member } = await newOrganization()
  const { client: viewer } = await member('viewer')
  const { at, one } = await waiting(alice, 'callback', {
    nodes: [{ id: 'answer', type: 'webhook_wait', method: 'PUT' }],
  })
  const seen = oneOf(await viewer.workflows.getExecution(at))

  assert.ok(one.kind === 'callback' && seen.kind === 'callback')
  assert.match(one.url ?? '', new RegExp(`/hooks/waits/${at.execution_id}/answer/`))
  assert.deepEqual(seen, { ...one, url: null })
  assert.equal(one.message, '"answer" waits for somebody to call its address with PUT.')
})

test('a node that waits for a child names it, and what has become of it so far', async () => {
  const { alice } = await newOrganization()
  const inner = await workflow(alice, { slug: 'inner', nodes: [{ id: 'p', type: 'wait', seconds: 3600 }] })
  const { at, one, execution } = await waiting(alice, 'child', {
    nodes: [{ id: 'child', type: 'workflow', component_ref: 'inner' }],
  })

  assert.ok(one.kind === 'child')
  assert.deepEqual([one.workflow_id, one.execution_id], [inner.id, execution.nodes[0]?.child_execution_id])
  const get = () => alice.workflows.getExecution(at)
  const later = oneOf(await until(get, ({ waiting_for: [one] }) => one?.kind === 'child' && one.status === 'waiting'))
  assert.equal(
    later.message,
    `"child" waits for the execution ${one.execution_id} of another workflow, which is waiting.`,
  )
})

test('an execution that waits for its turn says how many come before it', async () => {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, {
    concurrency: { limit: 1, key: 'input.customer' },
    nodes: [{ id: 'p', type: 'wait', seconds: 3600 }],
  })
  const start = async (customer: string) => (await alice.workflows.execute({ workflow_id, input: { customer } })).id
  const get = (execution_id: string) => alice.workflows.getExecution({ workflow_id, execution_id })
  const first = await start('a')
  await until(
    () => get(first),
    ({ status }) => status === 'waiting',
  )
  const [second, third] = [await start('a'), await start('a')]

  const turns = [oneOf(await get(second)), oneOf(await get(third))]
  assert.deepEqual(
    turns.map((one) => one.kind === 'turn' && [one.limit, one.key, one.ahead]),
    [
      [1, 'a', 0],
      [1, 'a', 1],
    ],
  )
  assert.equal(
    turns[1]?.message,
    'It waits for its turn: at most 1 run at a time with the key a, and 1 other begins before it.',
  )
})

test('all that an execution waits for is told, also where only one node is asked for', async () => {
  const { alice } = await newOrganization()
  const pause = (id: string) => ({ id, type: 'wait', seconds: 3600 })
  const { id: workflow_id } = await workflow(alice, {
    nodes: [{ id: 'a', type: 'transform', output: 1 }, pause('b'), pause('c')],
    edges: [edge('a', 'b'), edge('a', 'c')],
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id })
  const at = { workflow_id, execution_id }
  const all = await until(
    () => alice.workflows.getExecution(at),
    ({ status }) => status === 'waiting',
  )
  const alone = await alice.workflows.getExecution({ ...at, node: 'b' })

  assert.deepEqual(
    all.waiting_for.map(({ node_id }) => node_id),
    ['b', 'c'],
  )
  assert.deepEqual(alone.waiting_for, all.waiting_for)
  assert.deepEqual(
    alone.nodes.map(({ id, waiting_for }) => [id, waiting_for.length]),
    [['b', 1]],
  )
})
