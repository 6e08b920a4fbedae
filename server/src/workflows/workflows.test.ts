import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'

type Client = Awaited<ReturnType<typeof newOrganization>>['alice']

const block = (alice: Client, slug: string, code: string, more: object = {}) =>
  alice.components.create({ type: 'code_block', name: slug, slug, config: { language: 'javascript', code, ...more } })
const node = (id: string, component_ref: string, more: object = {}) => ({
  id,
  type: 'code_block' as const,
  component_ref,
  ...more,
})
const edge = (source: string, target: string, more: object = {}) => ({ source, target, ...more })

test('a workflow runs people’s code over its input, and shows what became of each node', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'double', 'export const main = ({ n }) => ({ n: n * 2 })')
  const made = await alice.workflows.create({
    name: 'Twice doubled',
    slug: 'twice',
    workflow_type: 'sequential',
    nodes: [node('a', 'double'), node('b', 'double')],
    output: { result: '{{ nodes.b.output.n }}', said: 'got {{ nodes.b.output.n }}' },
  })

  const end = await alice.workflows.execute({ workflow_id: made.id, input: { n: 3 } }, { wait: 30 })

  assert.equal(end.status, 'completed')
  assert.deepEqual(end.output, { result: 12, said: 'got 12' })
  assert.deepEqual(
    end.nodes.map(({ id, status, attempt, input, output }) => ({ id, status, attempt, input, output })),
    [
      { id: 'a', status: 'completed', attempt: 1, input: { n: 3 }, output: { n: 6 } },
      { id: 'b', status: 'completed', attempt: 1, input: { n: 6 }, output: { n: 12 } },
    ],
  )
})
