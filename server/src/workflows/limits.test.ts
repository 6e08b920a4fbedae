/** What is larger than may be: it fails where it would be made, at once, and nothing of it is kept. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Execution } from '@flow/contract/workflows'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { block, edge, node, run, statuses } from './testing.ts'

const million = { s: 'x'.repeat(1_000_000) }
const times = (count: number, text = '{{ input.s }}') =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`o${i}`, text]))
const condition = (input: object) => ({ id: 'asks', type: 'condition', condition: 'true', input })

/** The characters of JSON that are kept of an execution beside its own input. */
async function kept({ id }: Execution): Promise<number> {
  const { platform } = await testFlow()
  const { characters } = await platform.database.platform.one<{ characters: number }>(sql`
    select (select coalesce(sum(length(coalesce(input::text, '')) + length(coalesce(output::text, ''))), 0)
        from execution_nodes where execution_id = ${id})
      + (select coalesce(length(output::text), 0) from executions where id = ${id}) as characters`)
  return Number(characters)
}

test('an input that multiplies what it is given fails its node, and is kept nowhere', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')
  for (const count of [9, 350, 700]) {
    for (const asks of [condition(times(count)), node('asks', 'pass', { input: times(count) })]) {
      const end = await run(alice, { workflow_type: 'single', nodes: [asks] }, million)
      const message = 'The input: It comes to more than 8388608 characters of JSON.'
      assert.deepEqual(end.error, { code: 'INPUT_TOO_LARGE', message, node_id: 'asks' })
      assert.deepEqual([end.nodes[0]?.attempt, end.nodes[0]?.input], [1, null])
      assert.ok((await kept(end)) < 100)
    }
  }
})

test('others are answered while executions ask for more than they may have', async () => {
  const { alice } = await newOrganization()
  const { alice: bob } = await newOrganization()
  const greedy = Array.from({ length: 5 }, () =>
    run(alice, { workflow_type: 'single', nodes: [condition(times(700))] }, million),
  )
  const modest = await run(bob, { workflow_type: 'single', nodes: [condition({ n: '{{ input.n }}' })] }, { n: 1 })
  assert.equal(modest.status, 'completed')
  for (const end of await Promise.all(greedy)) assert.equal(end.error?.code, 'INPUT_TOO_LARGE')
})

test('inputs within the limit of a node are bounded all together', async () => {
  const { alice } = await newOrganization()
  const nodes = Array.from({ length: 10 }, (_, i) => ({ ...condition(times(8)), id: `n${i}` }))
  const end = await run(alice, { workflow_type: 'sequential', nodes }, million)
  const message = 'The inputs of this execution have more than 64 MiB of JSON together.'
  assert.deepEqual(end.error, { code: 'INPUT_TOO_LARGE', message, node_id: 'n8' })
})

test('an output of the workflow that multiplies what it is given fails the execution', async () => {
  const { alice } = await newOrganization()
  for (const output of [times(5), times(700), '{{ [input.s, input.s, input.s, input.s, input.s] }}']) {
    const definition = { workflow_type: 'single', nodes: [condition({})], output }
    const end = await run(alice, definition, million)
    assert.deepEqual([end.status, end.error?.code, end.error?.node_id], ['failed', 'OUTPUT_TOO_LARGE', null])
    assert.equal(end.output, null)
    assert.ok((await kept(end)) < 100)
  }
})

test('outputs up to 4 MiB of JSON are kept', async () => {
  const { alice } = await newOrganization()
  const definition = { workflow_type: 'single', nodes: [condition(times(4))], output: times(4) }
  const end = await run(alice, definition, million)
  assert.deepEqual([end.status, Object.keys(end.output ?? {}).length], ['completed', 4])
  assert.ok((await kept(end)) > 8_000_000)
})

test('the items of a map and what each is given are bounded, too', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'length', 'export const main = (input) => JSON.stringify(input).length')
  const map = (more: object) => ({
    workflow_type: 'single',
    nodes: [{ id: 'each', type: 'map', component_ref: 'length', items: '{{ [1, 2] }}', ...more }],
  })
  const [items, inputs, skipped] = [
    await run(alice, map({ items: '{{ [1, 2, 3, 4, 5].map(i, input.s) }}' }), million),
    await run(alice, map({ input: times(700), concurrency: 1 }), million),
    await run(alice, map({ input: times(700), on_item_error: 'skip' }), million),
  ]
  assert.deepEqual([items.error?.code, items.error?.node_id], ['INPUT_TOO_LARGE', 'each'])
  assert.deepEqual(inputs.error, {
    code: 'INPUT_TOO_LARGE',
    message: 'Item 0: The input: It comes to more than 8388608 characters of JSON.',
    node_id: 'each',
  })
  assert.deepEqual([skipped.status, skipped.output], ['completed', [null, null]])
})

test('a refused input is not tried again, and goes where failures are routed', async () => {
  const { alice } = await newOrganization()
  const retry = { max_attempts: 5, backoff_seconds: 0 }
  const nodes = [
    { ...condition(times(700)), retry, on_error: 'route' },
    { ...condition({}), id: 'after' },
  ]
  const end = await run(alice, { nodes, edges: [edge('asks', 'after', { on: 'error' })] }, million)
  assert.deepEqual([end.status, statuses(end)], ['completed', { asks: 'failed', after: 'completed' }])
  assert.equal(end.nodes[0]?.attempt, 1)
})

test('a fault of an evaluation is told the first time, whatever it is', async () => {
  const { alice } = await newOrganization()
  const wait = { workflow_type: 'single', nodes: [{ id: 'pause', type: 'wait', until: '{{ input.at }}' }] }
  const end = await run(alice, wait, { at: { toString: 1, valueOf: 1 } })
  assert.deepEqual(end.error, {
    code: 'EXPRESSION_FAILED',
    message: 'The time: It cannot be evaluated.',
    node_id: 'pause',
  })
})

test('what a failure quotes cannot keep the failure from being recorded', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'odd', 'export const main = () => { throw new Error("a\\u0000b\\ud800") }')
  await block(alice, 'keys', 'export const main = () => ({ "a\\u0000b": 1 })')
  const definition = { workflow_type: 'single', nodes: [node('a', 'keys')], output: '{{ nodes.a.output.x }}' }
  const output = await run(alice, definition)
  assert.deepEqual([output.status, output.error?.code], ['failed', 'EXPRESSION_FAILED'])
  assert.match(output.error?.message ?? '', /it has: a.b/)

  const each = { id: 'each', type: 'map', component_ref: 'odd', items: '{{ [1, 2] }}', on_item_error: 'skip' }
  const items = await run(alice, { workflow_type: 'single', nodes: [each] })
  assert.deepEqual([items.status, items.nodes[0]?.items], ['completed', { total: 2, completed: 0, failed: 2 }])
})
