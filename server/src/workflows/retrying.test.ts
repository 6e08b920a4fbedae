/** Executions that are taken up again: what they keep, and what becomes of those that their nodes had waited for. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Execution } from '@flow/contract/workflows'
import { compileWorkflow } from '../components/workflow-rules.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { keptOf } from './retry-rules.ts'
import type { NodeState, States } from './rules.ts'
import { block, edge, node, run, statuses, until, workflow } from './testing.ts'

const { fetch } = await testFlow()

const at = ({ workflow_id, id: execution_id }: Execution) => ({ workflow_id, execution_id })
const reused = ({ nodes }: Execution) => nodes.filter((one) => one.reused).map(({ id }) => id)

const graphOf = (nodes: object[], edges: object[]) =>
  compileWorkflow(WorkflowConfig.parse({ workflow_type: 'graph', nodes, edges })).graph
const step = (id: string, more: object = {}) => ({ id, type: 'transform', output: 1, ...more })
const completed = (...taken: number[]) => ({ status: 'completed' as const, attempt: 1, taken })

test('of another definition, results are kept of nodes that lead on by the same edges', () => {
  const before = graphOf(
    ['a', 'b', 'c'].map((id) => step(id)),
    [edge('a', 'b'), edge('b', 'c')],
  )
  const states: States = new Map<string, NodeState>([
    ['a', completed(0)],
    ['b', completed(1)],
    ['c', { status: 'failed', attempt: 1, taken: [] }],
  ])
  const kept = (nodes: object[], edges: object[]) =>
    keptOf({ graph: before, states, failed_by: 'c' }, graphOf(nodes, edges)).map(({ node_id, taken }) => [
      node_id,
      taken,
    ])

  // The edges have changed their places, and a node does otherwise what it did.
  const other = [step('c'), step('b', { output: 2 }), step('a'), step('d')]
  assert.deepEqual(kept(other, [edge('c', 'd'), edge('b', 'c'), edge('a', 'b')]), [
    ['a', [2]],
    ['b', [1]],
  ])
  // One leads elsewhere: it is run again, and what comes after it.
  assert.deepEqual(kept(other, [edge('a', 'b'), edge('b', 'd'), edge('d', 'c')]), [['a', [0]]])
  // One does another kind of thing, or is not there any more.
  const wait = { id: 'b', type: 'wait', seconds: 1 }
  assert.deepEqual(kept([step('a'), wait, step('c')], [edge('a', 'b'), edge('b', 'c')]), [['a', [0]]])
  assert.deepEqual(kept([step('x'), step('c')], [edge('x', 'c')]), [])
  // Something new comes before it.
  const more = [step('new'), ...['a', 'b', 'c'].map((id) => step(id))]
  assert.deepEqual(kept(more, [edge('new', 'a'), edge('a', 'b'), edge('b', 'c')]), [])
})

test('results that were taken over are told as such, and keep when they were made', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'fail', "export const main = () => { throw new Error('no') }")
  const failed = await run(alice, { nodes: [step('a'), node('b', 'fail')], edges: [edge('a', 'b')] })

  const retried = await alice.workflows.retryExecution(at(failed), { wait: 60 })

  assert.deepEqual([reused(failed), reused(retried)], [[], ['a']])
  assert.equal(retried.nodes[0]?.completed_at, failed.nodes[0]?.completed_at)
  const again = await alice.workflows.retryExecution({ ...at(retried), from_node: 'a' }, { wait: 60 })
  assert.deepEqual([again.retry_of, reused(again)], [retried.id, []])
  const { items } = await alice.workflows.listAllExecutions({ retry_of: failed.id })
  assert.deepEqual(
    items.map(({ id }) => id),
    [retried.id],
  )
})

test('what another node has cancelled is not run again, nor what led to it', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'dice', 'export const main = () => Math.random()')
  await block(alice, 'fail', "export const main = () => { throw new Error('no') }")
  const failed = await run(alice, {
    nodes: [
      node('quick', 'dice'),
      { id: 'slow', type: 'wait', seconds: 3600 },
      node('first', 'dice', { join: 'any', cancels: ['slow'] }),
      node('last', 'fail'),
    ],
    edges: [edge('quick', 'first'), edge('slow', 'first'), edge('first', 'last')],
  })
  const before = { quick: 'completed', slow: 'cancelled', first: 'completed', last: 'failed' }
  assert.deepEqual(statuses(failed), before)

  const retried = await alice.workflows.retryExecution(at(failed), { wait: 60 })

  assert.deepEqual([statuses(retried), reused(retried)], [before, ['quick', 'slow', 'first']])
  assert.equal(retried.nodes[2]?.output, failed.nodes[2]?.output)
})

test('a child that failed is begun anew, and one that completed is not', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'fail', "export const main = () => { throw new Error('no') }")
  const good = await workflow(alice, { slug: 'good', nodes: [step('a')] })
  const bad = await workflow(alice, { slug: 'bad', nodes: [node('a', 'fail')] })
  const child = (slug: string) => ({ id: slug, type: 'workflow', component_ref: slug })
  const failed = await run(alice, { nodes: [child('good'), child('bad')], edges: [edge('good', 'bad')] })

  const retried = await alice.workflows.retryExecution(at(failed), { wait: 60 })

  assert.deepEqual(statuses(retried), { good: 'completed', bad: 'failed' })
  const count = async (workflow_id: string) => (await alice.workflows.listExecutions({ workflow_id })).total
  assert.deepEqual([await count(good.id), await count(bad.id)], [1, 2])
  const of = async (parent: Execution) =>
    (await alice.workflows.listAllExecutions({ parent_execution_id: parent.id })).items.map(({ id }) => id)
  assert.deepEqual(await of(retried), [retried.nodes[1]?.child_execution_id])
})

test('a task that was answered stays so, and one that was cancelled is asked again', async () => {
  const { alice } = await newOrganization()
  const task = (id: string) => ({ id, type: 'human_task', title: id })
  const { id: workflow_id } = await workflow(alice, { nodes: [task('one'), task('two')], edges: [edge('one', 'two')] })
  const begun = await alice.workflows.execute({ workflow_id })
  const waitsFor = (execution_id: string, node_id: string) =>
    until(
      () => alice.workflows.getExecution({ workflow_id, execution_id }),
      ({ waiting_for: [one] }) => one?.kind === 'task' && one.node_id === node_id,
    )
  await waitsFor(begun.id, 'one')
  await alice.tasks.complete({ ...at(begun), node_id: 'one', data: { word: 'yes' } })
  await waitsFor(begun.id, 'two')
  await alice.workflows.cancelExecution(at(begun))

  const retried = await alice.workflows.retryExecution(at(begun))
  const waiting = await waitsFor(retried.id, 'two')
  assert.deepEqual([reused(waiting), waiting.nodes[0]?.output], [['one'], { word: 'yes' }])
  await assert.rejects(alice.tasks.complete({ ...at(begun), node_id: 'two', data: {} }), { code: 'CONFLICT' })
  await alice.tasks.complete({ ...at(retried), node_id: 'two', data: {} })

  // What is left of an execution is closed soon after its end.
  const { items } = await until(
    () => alice.tasks.list({ workflow_id }),
    (page) => page.items.every(({ status }) => status !== 'open'),
  )
  assert.deepEqual(items.map(({ status, node_id }) => `${node_id} ${status}`).sort(), [
    'one completed',
    'two cancelled',
    'two completed',
  ])
})

/** An execution that hands out an address, and waits for the call to it after another call. */
async function withAddress() {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, {
    workflow_type: 'sequential',
    nodes: [
      step('told', { output: { url: '{{ callbacks.answer }}' } }),
      { id: 'gate', type: 'webhook_wait' },
      { id: 'answer', type: 'webhook_wait' },
    ],
    output: '{{ nodes.answer.output.body }}',
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id })
  const look = (execution_id: string) => alice.workflows.getExecution({ workflow_id, execution_id })
  const waiting = (execution_id: string, id: string) =>
    until(
      () => look(execution_id),
      ({ waiting_for: [one] }) => one?.kind === 'callback' && one.node_id === id,
    )
  const begun = await waiting(execution_id, 'gate')
  const { url } = (begun.nodes[0]?.output ?? {}) as { url: string }
  const call = (url: string, body: unknown) =>
    fetch(new URL(url).pathname, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  const open = async (execution: Execution) => {
    const [one] = execution.waiting_for
    assert.ok(one?.kind === 'callback' && one.url)
    assert.equal((await call(one.url, {})).status, 200)
  }
  return { alice, begun, url, call, open, waiting, look }
}

test('an address that was handed out before stays good for the execution that goes on in its place', async () => {
  const { alice, begun, url, call, open, waiting, look } = await withAddress()
  await alice.workflows.cancelExecution(at(begun))
  assert.equal((await call(url, 'nobody')).status, 409)

  const retried = await alice.workflows.retryExecution(at(begun))
  await open(await waiting(retried.id, 'gate'))
  await waiting(retried.id, 'answer')
  const answer = await call(url, 'yes')

  assert.deepEqual([answer.status, ((await answer.json()) as { execution_id: string }).execution_id], [200, retried.id])
  const ended = await until(
    () => look(retried.id),
    ({ completed_at }) => completed_at !== null,
  )
  assert.equal(ended.output, 'yes')
  assert.equal((await call(url, 'again')).status, 409)
})

test('a call that came before its node began is not lost when the execution is taken up again', async () => {
  const { alice, begun, url, call, open, waiting, look } = await withAddress()
  assert.equal((await call(url, 'early')).status, 200)
  await alice.workflows.cancelExecution(at(begun))

  const retried = await alice.workflows.retryExecution(at(begun))
  await open(await waiting(retried.id, 'gate'))

  const ended = await until(
    () => look(retried.id),
    ({ completed_at }) => completed_at !== null,
  )
  assert.equal(ended.output, 'early')
})

test('an execution that runs again from its beginning has addresses of its own', async () => {
  const { alice, begun, url, call, waiting } = await withAddress()
  await alice.workflows.cancelExecution(at(begun))

  const again = await alice.workflows.retryExecution({ ...at(begun), from_node: 'told' })
  await waiting(again.id, 'gate')

  assert.deepEqual(reused(again), [])
  assert.equal((await call(url, 'late')).status, 409)
})
