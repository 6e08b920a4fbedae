/** What is pure goes on before it is recorded; whoever looks sees what they would have seen otherwise. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { block, edge, node, run, statuses, until, workflow } from './testing.ts'

const { platform } = await testFlow()
const db = platform.database.platform

const eventsOf = (id: string) =>
  db.many<{ seq: number; type: string; node_id: string | null }>(
    sql`select seq, type, node_id from execution_events where execution_id = ${id} order by seq`,
  )

test('when code is called, all that led to it is recorded', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'slow',
    'export const main = () => { const until = Date.now() + 400; while (Date.now() < until); return 1 }',
  )
  const nodes = [
    ...Array.from({ length: 30 }, (_, i) => ({ id: `p${i}`, type: 'transform', output: `{{ ${i} }}` })),
    node('calls', 'slow', { input: {} }),
  ]
  const { id: workflow_id } = await workflow(alice, { workflow_type: 'sequential', nodes })
  const { id } = await alice.workflows.execute({ workflow_id, input: {} })
  const rows = () =>
    db.many<{ node_id: string; completed_at: string | null }>(
      sql`select node_id, completed_at from execution_nodes where execution_id = ${id}`,
    )

  // The moment its row is seen first, it is about to be called.
  const seen = await until(rows, (all) => all.some(({ node_id }) => node_id === 'calls'))
  assert.equal(seen.filter(({ completed_at }) => completed_at !== null).length, 30)
  const end = await until(
    () => alice.workflows.getExecution({ workflow_id, execution_id: id }),
    ({ completed_at }) => completed_at !== null,
  )

  assert.equal(end.status, 'completed')
  const events = await eventsOf(id)
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  )
  for (const at of nodes.map((one) => one.id)) {
    const types = events.filter(({ node_id }) => node_id === at).map(({ type }) => type)
    assert.deepEqual(types, ['node.started', 'node.completed'], at)
  }
})

test('what is pure cancels what runs, and whoever waits for one of both goes on once', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'hangs', 'export const main = () => { for (;;); }')
  const end = await run(alice, {
    nodes: [
      node('runs', 'hangs', { input: {} }),
      { id: 'pause', type: 'wait', seconds: 1 },
      { id: 'ends', type: 'condition', condition: 'true', cancels: ['runs'] },
      { id: 'first', type: 'transform', output: 'once', join: 'any' },
    ],
    edges: [edge('pause', 'ends'), edge('ends', 'first'), edge('runs', 'first')],
    output: '{{ nodes.first.output }}',
  })

  assert.deepEqual([end.status, end.output], ['completed', 'once'], JSON.stringify(end.error))
  assert.deepEqual(statuses(end), { runs: 'cancelled', pause: 'completed', ends: 'completed', first: 'completed' })
  const events = (await eventsOf(end.id)).filter(({ node_id }) => node_id === 'first')
  assert.deepEqual(
    events.map(({ type }) => type),
    ['node.started', 'node.completed'],
  )
})

test('what is pure and fails leads where its error is routed, with all that came before it', async () => {
  const { alice } = await newOrganization()
  const end = await run(alice, {
    nodes: [
      { id: 'one', type: 'transform', output: { n: 'text' } },
      { id: 'checks', type: 'validation', schema: { properties: { n: { type: 'number' } } }, on_error: 'route' },
      { id: 'good', type: 'transform', output: 'good' },
      { id: 'bad', type: 'transform', output: '{{ nodes.checks.error.code }}' },
    ],
    edges: [edge('one', 'checks'), edge('checks', 'good'), edge('checks', 'bad', { on: 'error' })],
    output: '{{ nodes.bad.output }}',
  })

  assert.deepEqual([end.status, end.output], ['completed', 'INVALID_INPUT'], JSON.stringify(end.error))
  assert.deepEqual(statuses(end), { one: 'completed', checks: 'failed', good: 'skipped', bad: 'completed' })
})

test('outputs of what is pure are limited together, and those before the limit are kept', async () => {
  const { alice } = await newOrganization()
  const text = 'x'.repeat(900_000)
  const nodes = Array.from({ length: 25 }, (_, i) => ({
    id: `p${i}`,
    type: 'transform',
    output: { a: '{{ input.text }}', b: '{{ input.text }}', c: '{{ input.text }}', d: i },
  }))
  const end = await run(alice, { workflow_type: 'sequential', nodes, output: null }, { text })

  assert.deepEqual([end.status, end.error?.code], ['failed', 'OUTPUT_TOO_LARGE'])
  const kept = end.nodes.filter(({ status }) => status === 'completed').length
  assert.equal(kept, Math.floor((64 * 1024 * 1024) / (3 * text.length)))
  assert.equal(end.nodes[kept]?.status, 'failed')
})
