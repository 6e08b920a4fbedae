/** How much of an execution one answer tells, and how the rest is read. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Execution } from '@flow/contract/workflows'
import { newOrganization, testFlow } from '../testing.ts'
import { block, node, run } from './testing.ts'

const MIB = 1024 * 1024

/** An execution as it is answered, and how many bytes that takes. */
async function read(key: string, { id, workflow_id }: Execution, query = '') {
  const { fetch } = await testFlow()
  const headers = { 'x-api-key': key }
  const response = await fetch(`/api/v1/workflows/${workflow_id}/executions/${id}${query}`, { headers })
  const text = await response.text()
  assert.equal(response.status, 200, text.slice(0, 500))
  return { bytes: Buffer.byteLength(text), execution: JSON.parse(text) as Execution }
}

test('a thousand nodes that get the same large input are told in an answer of bounded length', async () => {
  const { alice, admin } = await newOrganization()
  const nodes = Array.from({ length: 1000 }, (_, i) => ({ id: `n${i}`, type: 'condition', condition: 'true' }))
  const input = { text: 'x'.repeat(1_000_000) }
  const end = await run(alice, { workflow_type: 'parallel', nodes, output: null }, input)
  assert.equal(end.status, 'completed')

  const { bytes, execution } = await read(admin.api_key, end)

  assert.ok(bytes < 32 * MIB, String(bytes))
  const whole = execution.nodes.filter(({ omitted }) => omitted.length === 0)
  const referred = execution.nodes.filter(({ omitted }) => omitted.includes('input'))
  assert.deepEqual([whole.length, referred.length], [16, 984])
  for (const each of whole) assert.deepEqual(each.input, input)
  for (const { input, input_from, output, omitted } of referred) {
    assert.deepEqual(
      { input, input_from, output, omitted },
      {
        input: null,
        input_from: { '': '' },
        output: true,
        omitted: ['input'],
      },
    )
  }

  const single = await read(admin.api_key, end, '?node=n999')
  assert.deepEqual(
    single.execution.nodes.map((each) => ({ id: each.id, input: each.input, omitted: each.omitted })),
    [{ id: 'n999', input, omitted: [] }],
  )
})

test('of outputs that are too large together the small ones are told, and each large one by itself', async () => {
  const { alice, admin } = await newOrganization()
  await block(alice, 'write', "export const main = ({ n }) => 'ä'.repeat(n)")
  const nodes = [
    ...Array.from({ length: 10 }, (_, i) => node(`big${i}`, 'write', { input: { n: 1_000_000 } })),
    node('small', 'write', { input: { n: 3 } }),
    node('reads', 'write', { input: { n: 1, text: '{{ nodes.big9.output }}' } }),
  ]
  const edges = nodes.slice(0, 11).map(({ id }) => ({ source: id, target: 'reads' }))
  const end = await run(alice, { nodes, edges, output: null })
  assert.equal(end.status, 'completed', JSON.stringify(end.error))

  const { bytes, execution } = await read(admin.api_key, end)

  assert.ok(bytes < 32 * MIB, String(bytes))
  const omitted = Object.fromEntries(execution.nodes.map((each) => [each.id, each.omitted.join()]))
  assert.equal(execution.nodes.find(({ id }) => id === 'small')?.output, 'äää')
  assert.deepEqual(
    ['big0', 'big7', 'big8', 'big9', 'small', 'reads'].map((id) => omitted[id]),
    ['', '', 'output', 'output', '', 'input'],
  )
  const big9 = await read(admin.api_key, end, '?node=big9')
  assert.equal(big9.execution.nodes[0]?.output, 'ä'.repeat(1_000_000))
  const reads = await read(admin.api_key, end, '?node=reads')
  assert.deepEqual(reads.execution.nodes[0]?.input, { n: 1, text: 'ä'.repeat(1_000_000) })
})

test('a node that is not in the definition cannot be read', async () => {
  const { alice } = await newOrganization()
  const end = await run(alice, { nodes: [{ id: 'one', type: 'condition', condition: 'true' }] })
  const reading = alice.workflows.getExecution({ workflow_id: end.workflow_id, execution_id: end.id, node: 'two' })
  await assert.rejects(reading, {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'node', message: 'There is no node "two" in its definition.' }],
  })
})
