/** Where the time went: from events that are written down here, and in stories. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { compileWorkflow } from '../components/workflow-rules.ts'
import { newOrganization, testFlow } from '../testing.ts'
import type { NodeTimes, TimedEvent } from './presenting-store.ts'
import { block, edge, node, run, until, workflow } from './testing.ts'
import { type Recorded, timelineOf } from './timeline.ts'

/** A moment, in milliseconds after the execution was accepted. */
const ms = (after: number) => new Date(Date.UTC(2026, 0, 31) + after).toISOString()

const graphOf = (nodes: object[], edges: object[]) =>
  compileWorkflow(WorkflowConfig.parse({ workflow_type: 'graph', nodes, edges })).graph

const step = (id: string, more: object = {}) => ({ id, type: 'transform', output: 1, ...more })

const event = (after: number, type: string, node_id: string | null = null, details: object | null = null) =>
  ({ type, node_id, at: ms(after), details }) satisfies TimedEvent

const times = (node_id: string, from: number, to: number | null, more: Partial<NodeTimes> = {}): NodeTimes => ({
  node_id,
  status: to === null ? 'running' : 'completed',
  taken: [],
  started_at: ms(from),
  completed_at: to === null ? null : ms(to),
  reused: false,
  ...more,
})

const recorded = (more: Partial<Recorded> & Pick<Recorded, 'graph'>, end: number | null): Recorded => ({
  row: {
    id: 'e',
    status: end === null ? 'running' : 'completed',
    error: null,
    created_at: ms(0),
    started_at: ms(10),
    completed_at: end === null ? null : ms(end),
  },
  nodes: [],
  events: [],
  now: ms(1000),
  ...more,
})

const lines = ({ spans }: ReturnType<typeof timelineOf>) =>
  spans.map(({ node_id, attempt, kind, duration_ms, status }) =>
    [node_id ?? '-', attempt ?? '-', kind, duration_ms, status].join(' '),
  )

test('each attempt is a span, and so is the pause between two', () => {
  const error = { code: 'CODE_FAILED', message: 'no', node_id: 'a' }
  const events = [
    event(0, 'execution.queued'),
    event(10, 'execution.started'),
    event(10, 'node.started', 'a', { attempt: 1 }),
    event(40, 'node.retrying', 'a', { attempt: 1, error }),
    event(100, 'node.started', 'a', { attempt: 2 }),
    event(150, 'node.completed', 'a', { attempt: 2 }),
    event(155, 'execution.completed'),
  ]
  const graph = graphOf([step('a')], [])
  const told = timelineOf(recorded({ graph, events, nodes: [times('a', 10, 150)] }, 155))

  assert.deepEqual(lines(told), [
    '- - queue 10 completed',
    '- - run 145 completed',
    'a 1 run 30 failed',
    'a 1 retry_pause 60 completed',
    'a 2 run 50 completed',
  ])
  assert.deepEqual(told.spans[2]?.error, error)
  assert.deepEqual([told.total_ms, told.totals], [155, { queue_ms: 10, run_ms: 145, wait_ms: 0 }])
})

test('an attempt that its process did not end is told as interrupted, and made again', () => {
  const events = [
    event(0, 'execution.queued'),
    event(10, 'execution.started'),
    event(10, 'node.started', 'a', { attempt: 1 }),
    event(500, 'node.started', 'a', { attempt: 1 }),
    event(600, 'node.completed', 'a', { attempt: 1 }),
  ]
  const told = timelineOf(recorded({ graph: graphOf([step('a')], []), events }, null))

  assert.deepEqual(lines(told), [
    '- - queue 10 completed',
    '- - run 990 open',
    'a 1 run 490 interrupted',
    'a 1 run 100 completed',
  ])
})

test('waits of a node and rests of the execution are told apart from work', () => {
  const events = [
    event(0, 'execution.queued'),
    event(10, 'execution.started'),
    event(10, 'node.started', 'p', { attempt: 1 }),
    event(12, 'node.waiting', 'p', { waiting_until: ms(300) }),
    event(15, 'execution.waiting', null, { waiting_until: ms(300) }),
    event(310, 'execution.resumed'),
    event(311, 'node.completed', 'p', { attempt: 1 }),
    event(312, 'execution.completed'),
  ]
  const graph = graphOf([{ id: 'p', type: 'wait', seconds: 1 }], [])
  const told = timelineOf(recorded({ graph, events, nodes: [times('p', 10, 311)] }, 312))

  assert.deepEqual(lines(told), [
    '- - queue 10 completed',
    '- - run 5 completed',
    'p 1 run 2 completed',
    'p 1 wait 299 completed',
    '- - wait 295 completed',
    '- - run 2 completed',
  ])
  assert.deepEqual(told.totals, { queue_ms: 10, run_ms: 7, wait_ms: 295 })
})

test('a node that could have begun and had not was queued', () => {
  const graph = graphOf([step('a'), step('b')], [edge('a', 'b')])
  const events = [event(10, 'node.started', 'a', { attempt: 1 }), event(70, 'node.started', 'b', { attempt: 1 })]
  const nodes = [times('a', 10, 50, { taken: [0] }), times('b', 70, null)]
  const told = timelineOf(recorded({ graph, events, nodes }, null))

  assert.ok(lines(told).includes('b 1 queue 20 completed'))
})

test('the critical path goes by the slower branch where all are waited for', () => {
  const graph = graphOf(
    ['start', 'slow', 'fast', 'sync'].map((id) => step(id)),
    [edge('start', 'slow'), edge('start', 'fast'), edge('slow', 'sync'), edge('fast', 'sync')],
  )
  const nodes = [
    times('start', 10, 50, { taken: [0, 1] }),
    times('slow', 50, 450, { taken: [2] }),
    times('fast', 50, 60, { taken: [3] }),
    times('sync', 450, 500),
  ]
  const { critical_path, total_ms } = timelineOf(recorded({ graph, nodes }, 500))

  assert.deepEqual(
    critical_path.map(({ node_id, duration_ms, share }) => [node_id, duration_ms, share]),
    [
      ['start', 40, 0.08],
      ['slow', 400, 0.8],
      ['sync', 50, 0.1],
    ],
  )
  assert.equal(total_ms, 500)
})

test('the critical path goes by whoever came first where one is enough, and passes over what was skipped', () => {
  const nodes = ['start', 'slow', 'fast', 'first', 'never', 'last'].map((id) =>
    step(id, id === 'first' ? { join: 'any' } : {}),
  )
  const edges = [
    edge('start', 'slow'),
    edge('start', 'fast'),
    edge('slow', 'first'),
    edge('fast', 'first'),
    edge('first', 'never', { condition: 'false' }),
    edge('never', 'last'),
    edge('first', 'last'),
  ]
  const graph = graphOf(nodes, edges)
  const rows = [
    times('start', 10, 20, { taken: [0, 1] }),
    times('slow', 20, 90, { taken: [2] }),
    times('fast', 20, 40, { taken: [3] }),
    times('first', 40, 60, { taken: [6] }),
    times('never', 60, 61, { status: 'skipped' }),
    times('last', 62, 100),
  ]
  const { critical_path } = timelineOf(recorded({ graph, nodes: rows }, 100))

  assert.deepEqual(
    critical_path.map(({ node_id }) => node_id),
    ['start', 'fast', 'first', 'last'],
  )
})

test('the critical path of a failed execution ends with the node that it failed by', () => {
  const graph = graphOf([step('a'), step('b'), step('c')], [edge('a', 'b'), edge('a', 'c')])
  const nodes = [
    times('a', 10, 20, { taken: [0, 1] }),
    times('b', 20, 80, { status: 'failed' }),
    times('c', 20, 81, { status: 'cancelled' }),
  ]
  const of = recorded({ graph, nodes }, 82)
  const error = { code: 'CODE_FAILED', message: 'no', node_id: 'b' }
  const { critical_path } = timelineOf({ ...of, row: { ...of.row, status: 'failed', error } })

  assert.deepEqual(
    critical_path.map(({ node_id }) => node_id),
    ['a', 'b'],
  )
})

test("what was taken over from another execution took none of this one's time", () => {
  const graph = graphOf([step('a'), step('b')], [edge('a', 'b')])
  const nodes = [times('a', -500, -400, { taken: [0], reused: true }), times('b', 12, 40)]
  const { critical_path } = timelineOf(recorded({ graph, nodes }, 50))

  assert.deepEqual(
    critical_path.map(({ node_id, ready_at, duration_ms }) => [node_id, ready_at, duration_ms]),
    [['b', ms(10), 30]],
  )
})

test("an execution's timeline has its attempts, its pause and its wait, in the order in which they began", async () => {
  const { alice } = await newOrganization()
  const { clock } = await testFlow()
  await block(
    alice,
    'flaky',
    "export const main = async () => { const { attempt } = await flow.call('context'); if (attempt === 1) throw new Error('once') }",
  )
  const { id: workflow_id } = await workflow(alice, {
    nodes: [
      node('a', 'flaky', { retry: { max_attempts: 2, backoff_seconds: 0.05 } }),
      { id: 'p', type: 'wait', seconds: 3600 },
    ],
    edges: [edge('a', 'p')],
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id })
  const at = { workflow_id, execution_id }
  const get = () => alice.workflows.getExecution(at)
  await until(get, ({ status }) => status === 'waiting')
  const before = await alice.workflows.timeline(at)
  assert.deepEqual([before.ended_at, before.critical_path.at(-1)?.node_id], [null, 'p'])
  clock.advance(3600)
  await until(get, ({ status }) => status === 'completed')

  const told = await alice.workflows.timeline(at)

  const kinds = told.spans.filter(({ node_id, kind }) => node_id && kind !== 'queue')
  assert.deepEqual(
    kinds.map(({ node_id, attempt, kind, status }) => [node_id, attempt, kind, status].join(' ')),
    ['a 1 run failed', 'a 1 retry_pause completed', 'a 2 run completed', 'p 1 run completed', 'p 1 wait completed'],
  )
  assert.equal(told.spans.find(({ status }) => status === 'failed')?.error?.code, 'CODE_FAILED')
  assert.ok(told.totals.wait_ms > 3_500_000, JSON.stringify(told.totals))
  assert.ok(told.spans.every((span, i) => (told.spans[i - 1]?.started_at ?? '') <= span.started_at))
  assert.ok(told.spans.every(({ ended_at }) => ended_at !== null))
  assert.deepEqual(
    told.critical_path.map(({ node_id }) => node_id),
    ['a', 'p'],
  )
})

test('whoever may read sees a timeline, and nobody of another organization', async () => {
  const { alice, member } = await newOrganization()
  const { id: execution_id, workflow_id } = await run(alice, { nodes: [step('a')] })
  const { client: viewer } = await member('viewer')
  const { alice: stranger } = await newOrganization()

  assert.equal((await viewer.workflows.timeline({ workflow_id, execution_id })).is_complete, true)
  await assert.rejects(stranger.workflows.timeline({ workflow_id, execution_id }), { code: 'NOT_FOUND' })
})
