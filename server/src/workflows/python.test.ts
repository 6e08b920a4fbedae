import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization } from '../testing.ts'
import { block, edge, node, run } from './testing.ts'

test('a node and a map run code blocks in Python, with their schemas around them', async () => {
  const { alice } = await newOrganization()
  const python = { language: 'python' }
  await block(alice, 'split', 'def main(text):\n    return {"words": text.split()}', python)
  await block(alice, 'measure', 'async def main(word):\n    return {"word": word, "length": len(word)}', {
    ...python,
    output_schema: { properties: { length: { maximum: 7 } } },
  })
  const words = {
    nodes: [
      node('split', 'split'),
      {
        id: 'each',
        type: 'map',
        component_ref: 'measure',
        items: '{{ nodes.split.output.words }}',
        input: { word: '{{ item }}' },
      },
    ],
    edges: [edge('split', 'each')],
  }
  const execution = await run(alice, words, { text: 'durable code runs' })
  assert.equal(execution.status, 'completed', JSON.stringify(execution.error))
  assert.deepEqual(execution.output, [
    { word: 'durable', length: 7 },
    { word: 'code', length: 4 },
    { word: 'runs', length: 4 },
  ])
})

test('a node in Python knows where it runs, and fails with the line of its own code', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'told', 'def main():\n    return flow.call("context")', { language: 'python' })
  await block(alice, 'wrong', 'def main():\n\n    raise ValueError("no such ticket")', { language: 'python' })

  const told = await run(alice, { nodes: [node('told', 'told')], edges: [] })
  const context = told.output as Record<string, unknown>
  assert.equal(context.execution_id, told.id)
  assert.equal(typeof context.idempotency_key, 'string')

  const wrong = await run(alice, { nodes: [node('wrong', 'wrong')], edges: [] })
  assert.equal(wrong.status, 'failed')
  assert.equal(wrong.error?.code, 'CODE_FAILED')
  assert.equal(wrong.error?.message, 'ValueError: no such ticket (line 3)')
})
