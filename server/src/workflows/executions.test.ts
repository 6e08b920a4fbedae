import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlatformClient } from '@flow/sdk'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { block, context, edge, node, run, statuses, until, workflow } from './testing.ts'

const hourGlass = { id: 'pause', type: 'wait', seconds: 86_400 }
const slow = 'export const main = () => new Promise((r) => setTimeout(() => r(1), 20000))'
const pass = 'export const main = (input) => input'

/** An execution of a new workflow, not waited for. */
async function begin(alice: PlatformClient, definition: object, input = {}) {
  const { id } = await workflow(alice, definition)
  const { id: execution_id } = await alice.workflows.execute({ workflow_id: id, input })
  const at = { workflow_id: id, execution_id }
  return { at, get: () => alice.workflows.getExecution(at) }
}

test('execute is accepted at once, or answered with the end for whoever waits', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  await block(alice, 'pass', pass)
  const { id } = await workflow(alice, { nodes: [node('a', 'pass')] })
  const post = (prefer?: string) =>
    fetch(`/api/v1/workflows/${id}/execute`, {
      method: 'POST',
      headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json', ...(prefer ? { prefer } : {}) },
      body: '{"input":{"n":1}}',
    })

  const [now, ended] = [await post(), await post('wait=30')]
  assert.deepEqual([now.status, ended.status, ended.headers.get('preference-applied')], [202, 200, 'wait=30'])
  const first = (await now.json()) as { status: string; nodes: { status: string }[] }
  assert.deepEqual([first.status, first.nodes[0]?.status], ['queued', 'pending'])
  assert.equal(((await ended.json()) as { status: string }).status, 'completed')
})

test('cancel reaches running code, and is the same when it is said twice', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'slow', slow)
  await block(alice, 'pass', pass)
  const { at, get } = await begin(alice, { nodes: [node('a', 'slow'), node('b', 'pass')], edges: [edge('a', 'b')] })
  await until(get, ({ nodes }) => nodes[0]?.status === 'running')

  const cancelled = await alice.workflows.cancelExecution(at)
  assert.deepEqual([cancelled.status, statuses(cancelled)], ['cancelled', { a: 'cancelled', b: 'skipped' }])
  const again = await alice.workflows.cancelExecution(at)
  assert.deepEqual(again, cancelled)
})

test('cancel reaches an execution that rests, without anybody running it', async () => {
  const { alice } = await newOrganization()
  const { at, get } = await begin(alice, { nodes: [hourGlass] })
  await until(get, ({ status }) => status === 'waiting')

  const cancelled = await alice.workflows.cancelExecution(at)
  assert.deepEqual([cancelled.status, statuses(cancelled)], ['cancelled', { pause: 'cancelled' }])
  const types = []
  for await (const { event } of alice.workflows.events(at)) types.push(event)
  assert.deepEqual(types.slice(-2), ['node.cancelled', 'execution.cancelled'])
})

test('many cancels at the same moment end an execution once', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', pass)
  for (let round = 0; round < 5; round++) {
    const { at } = await begin(alice, { nodes: [node('a', 'pass'), hourGlass], edges: [edge('a', 'pause')] })
    const answers = await Promise.all([1, 2, 3].map(() => alice.workflows.cancelExecution(at)))
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['cancelled', 'cancelled', 'cancelled'],
    )
    const ends = []
    for await (const { event } of alice.workflows.events(at)) if (event === 'execution.cancelled') ends.push(event)
    assert.equal(ends.length, 1)
  }
})

test('an execution that has ended is not cancelled', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', pass)
  const end = await run(alice, { nodes: [node('a', 'pass')] })
  const refused = alice.workflows.cancelExecution({ workflow_id: end.workflow_id, execution_id: end.id })
  await assert.rejects(refused, { code: 'CONFLICT', message: 'It has ended already: it is completed.' })
})

test('an execution is pinned to the definition and the code it began with', async () => {
  const { clock } = await testFlow()
  const { alice } = await newOrganization()
  const code = await block(alice, 'speak', "export const main = () => 'old'")
  const { at, get } = await begin(alice, { workflow_type: 'sequential', nodes: [hourGlass, node('say', 'speak')] })
  await until(get, ({ status }) => status === 'waiting')

  await alice.components.update({
    component_id: code.id,
    config: { language: 'javascript', code: "export const main = () => 'new'" },
  })
  await alice.workflows.update({
    workflow_id: at.workflow_id,
    nodes: [node('other', 'speak')],
    workflow_type: 'single',
  })
  clock.advance(90_000)

  assert.equal((await until(get, ({ status }) => status === 'completed')).output, 'old')
  const next = await alice.workflows.execute({ workflow_id: at.workflow_id }, { wait: 60 })
  assert.deepEqual([next.output, Object.keys(statuses(next))], ['new', ['other']])
})

test('what is published is run, unless the draft or a version is named', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', pass)
  const speaks = (word: string) => ({ nodes: [{ ...node('a', 'pass'), input: { word } }] })
  const code = (await alice.components.list({ type: 'code_block' })).items[0]
  await alice.components.publish({ component_id: code?.id ?? '' })
  const { id } = await workflow(alice, speaks('first'))
  await alice.components.publish({ component_id: id, version: '0.1.0' })
  await alice.workflows.update({ workflow_id: id, ...speaks('second') })

  const word = async (version?: string) => {
    const { output, workflow_version } = await alice.workflows.execute(
      { workflow_id: id, version: version as 'draft' },
      { wait: 60 },
    )
    return [(output as { word: string }).word, workflow_version]
  }
  assert.deepEqual(await word(), ['first', '0.1.0'])
  assert.deepEqual(await word('0.1.0'), ['first', '0.1.0'])
  assert.deepEqual(await word('draft'), ['second', '0.1.1'])
  await assert.rejects(word('7.0.0'), { code: 'VALIDATION_ERROR' })
})

test('an execution is taken up again where it failed, and keeps what came before', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'dice', 'export const main = () => Math.random()')
  // Fails in the first execution only: the second one has another id.
  await block(
    alice,
    'once',
    `${context}; export const main = async ({ fails_in }) => { const { execution_id } = await context(); if (fails_in === 'any') throw new Error('no'); return execution_id }`,
  )
  const { id } = await workflow(alice, {
    nodes: [node('a', 'dice'), node('b', 'once', { input: { fails_in: '{{ input.fails_in }}' } }), node('c', 'dice')],
    edges: [edge('a', 'b'), edge('a', 'c')],
  })
  const failed = await alice.workflows.execute({ workflow_id: id, input: { fails_in: 'any' } }, { wait: 60 })
  assert.equal(failed.status, 'failed')

  const retried = await alice.workflows.retryExecution({ workflow_id: id, execution_id: failed.id }, { wait: 60 })
  assert.equal(retried.retry_of, failed.id)
  assert.equal(retried.status, 'failed')
  assert.equal(retried.nodes[0]?.output, failed.nodes[0]?.output)
  const good = await alice.workflows.execute({ workflow_id: id, input: { fails_in: 'none' } }, { wait: 60 })
  const at = { workflow_id: id, execution_id: good.id }
  await assert.rejects(alice.workflows.retryExecution(at), { code: 'CONFLICT' })
  await assert.rejects(alice.workflows.retryExecution({ ...at, from_node: 'x' }), { code: 'VALIDATION_ERROR' })
  const fromC = await alice.workflows.retryExecution({ ...at, from_node: 'c' }, { wait: 60 })
  assert.deepEqual(
    fromC.nodes.map(({ output }, i) => output === good.nodes[i]?.output),
    [true, true, false],
  )
})

test('a wait that was cancelled is waited for again when the execution is taken up', async () => {
  const { clock } = await testFlow()
  const { alice } = await newOrganization()
  await block(alice, 'dice', 'export const main = () => Math.random()')
  const { at, get } = await begin(alice, {
    workflow_type: 'sequential',
    nodes: [node('a', 'dice'), hourGlass, node('b', 'dice')],
  })
  await until(get, ({ status }) => status === 'waiting')
  const running = alice.workflows.retryExecution(at)
  await assert.rejects(running, { code: 'CONFLICT' })
  const cancelled = await alice.workflows.cancelExecution(at)

  const retried = await alice.workflows.retryExecution(at)
  const look = () => alice.workflows.getExecution({ ...at, execution_id: retried.id })
  await until(look, ({ status }) => status === 'waiting')
  clock.advance(90_000)
  const end = await until(look, ({ status }) => status === 'completed')
  assert.equal(end.nodes[0]?.output, cancelled.nodes[0]?.output)
})

test('events are told as they come, to the last, and to whoever comes back after one of them', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  await block(alice, 'nap', 'export const main = () => new Promise((r) => setTimeout(() => r(1), 60))')
  const { at } = await begin(alice, {
    workflow_type: 'sequential',
    nodes: [node('a', 'nap'), { id: 'p', type: 'wait', seconds: 0.05 }, node('b', 'nap')],
  })
  const all = []
  for await (const event of alice.workflows.events(at)) all.push(event)

  assert.deepEqual(
    all.map(({ event, data }) => [event, data.node_id].filter(Boolean).join(' ')),
    [
      'execution.queued',
      'execution.started',
      'node.started a',
      'node.completed a',
      'node.started p',
      'node.waiting p',
      'node.completed p',
      'node.started b',
      'node.completed b',
      'execution.completed',
    ],
  )
  assert.deepEqual(
    all.map(({ id }) => Number(id)),
    all.map((_, i) => i + 1),
  )
  const path = `/api/v1/workflows/${at.workflow_id}/executions/${at.execution_id}/events`
  for (const after of [0, 4, 9, 10, 99]) {
    const response = await fetch(path, { headers: { 'x-api-key': admin.api_key, 'last-event-id': String(after) } })
    const ids = [...(await response.text()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
    assert.deepEqual(
      ids,
      all.map((_, i) => i + 1).filter((id) => id > after),
    )
  }
})

test('an execution that has ended its process too often is ended itself', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const { at, get } = await begin(alice, { nodes: [hourGlass] })
  await until(get, ({ status }) => status === 'waiting')

  // As it comes back after twenty processes that were killed with the job in hand.
  const wake = sql`
    update engine_timers set due_at = now(), job = jsonb_set(job, '{message,lost}', '20')
    where run_id = ${at.execution_id}`
  await until(
    () => platform.database.platform.run(wake),
    (count) => count === 1,
  )

  const end = await until(get, ({ completed_at }) => completed_at !== null)
  assert.deepEqual([end.status, end.error?.code, statuses(end)], ['failed', 'CRASHED', { pause: 'cancelled' }])
})

test('executions are listed by status and time, without what they hold', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'even', "export const main = ({ n }) => { if (n % 2) throw new Error('odd'); return n }")
  const { id: workflow_id } = await workflow(alice, { nodes: [node('a', 'even')] })
  for (const n of [1, 2, 3]) await alice.workflows.execute({ workflow_id, input: { n } }, { wait: 60 })

  const failed = await alice.workflows.listExecutions({ workflow_id, status: 'failed' })
  assert.deepEqual([failed.total, failed.items.map(({ error }) => error?.node_id)], [2, ['a', 'a']])
  assert.ok(!('output' in (failed.items[0] ?? {})))
  const page = await alice.workflows.listExecutions({ workflow_id, order: 'asc', limit: 1, offset: 1 })
  assert.deepEqual([page.total, page.items.map(({ status }) => status)], [3, ['completed']])
})

test('a workflow is a component with the same id, and is changed as one', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', pass)
  const made = await workflow(alice, { nodes: [node('a', 'pass')], vars: { x: 1 } })
  const component = await alice.components.get({ component_id: made.id })
  assert.deepEqual([component.type, component.slug], ['workflow', made.slug])

  const updated = await alice.workflows.update({ workflow_id: made.id, name: 'Renamed', vars: { y: 2 } })
  assert.deepEqual([updated.name, updated.vars, updated.nodes.length], ['Renamed', { y: 2 }, 1])
  const wrong = alice.workflows.update({ workflow_id: made.id, edges: [edge('a', 'b')] })
  await assert.rejects(wrong, {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'edges[0].target', message: 'There is no node "b".' }],
  })
  await assert.rejects(alice.workflows.get({ workflow_id: crypto.randomUUID() }), { code: 'NOT_FOUND' })
  const code = (await alice.components.list({ type: 'code_block' })).items[0]
  await assert.rejects(alice.workflows.get({ workflow_id: code?.id ?? '' }), { code: 'NOT_FOUND' })
})

test('a workflow goes with its executions, when all of them have ended', async () => {
  const { alice } = await newOrganization()
  const { at, get } = await begin(alice, { nodes: [hourGlass] })
  await until(get, ({ status }) => status === 'waiting')
  const { workflow_id } = at
  await assert.rejects(alice.workflows.remove({ workflow_id }), {
    code: 'CONFLICT',
    message: '1 of its executions has not ended; cancel those first.',
  })

  await alice.workflows.cancelExecution(at)
  await alice.workflows.remove({ workflow_id })
  await assert.rejects(get(), { code: 'NOT_FOUND' })
})

test('each execution is billed once, however it ends', async () => {
  const { alice, organization_id } = await newOrganization()
  await block(alice, 'fail', "export const main = () => { throw new Error('no') }")
  await block(alice, 'pass', pass)
  const nodes = (ref: string) => ({ workflow_type: 'single', nodes: [node('a', ref)] })
  const ends = [await run(alice, nodes('pass')), await run(alice, nodes('fail'))]
  const resting = await begin(alice, { nodes: [hourGlass] })
  await until(resting.get, ({ status }) => status === 'waiting')
  await alice.workflows.cancelExecution(resting.at)

  const { items } = await alice.billing.listTransactions({ org_id: organization_id, service_type: 'workflow_run' })
  const billed = items.map(({ resource_id }) => resource_id).sort()
  assert.deepEqual(billed, [...ends.map(({ workflow_id }) => workflow_id), resting.at.workflow_id].sort())
  const code = await alice.billing.listTransactions({ org_id: organization_id, service_type: 'code_run' })
  assert.equal(code.total, 2)
})

test('a megabyte of text goes in, and through', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'lines',
    "export const main = ({ csv }) => ({ rows: csv.split('\\n').map((line, i) => ({ i, line })) })",
  )
  await block(alice, 'count', 'export const main = ({ rows }) => rows.length')
  const csv = Array.from({ length: 5000 }, (_, i) => `${i},${'x'.repeat(110)}`).join('\n')
  const end = await run(
    alice,
    {
      workflow_type: 'sequential',
      nodes: [node('lines', 'lines'), node('count', 'count', { input: { rows: '{{ nodes.lines.output.rows }}' } })],
    },
    { csv },
  )
  assert.deepEqual([end.status, end.output], ['completed', 5000])
})

test('a hundred executions at once all end, each with its own result', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'add', 'export const main = ({ n }) => ({ n: n + 1 })')
  const { id: workflow_id } = await workflow(alice, {
    workflow_type: 'sequential',
    nodes: ['a', 'b', 'c'].map((id) => node(id, 'add')),
  })
  const ends = await Promise.all(
    Array.from({ length: 100 }, (_, n) => alice.workflows.execute({ workflow_id, input: { n } }, { wait: 60 })),
  )
  assert.deepEqual(
    ends.map(({ output }) => (output as { n: number }).n),
    ends.map((_, n) => n + 3),
  )
})
