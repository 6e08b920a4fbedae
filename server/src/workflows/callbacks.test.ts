import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileWorkflow } from '../components/workflow-rules.ts'
import { newId } from '../context.ts'
import { testFlow } from '../testing.ts'
import { callbacksOf, isSigned } from './callbacks.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

test('an address is good in one spelling: whatever its last character is made, it is another address', async () => {
  const { platform } = await testFlow()
  const node = { id: 'answer', type: 'webhook_wait' as const, method: 'POST' as const }
  const config = { workflow_type: 'graph', nodes: [node], edges: [], vars: {}, trigger_type: 'manual' }
  const { graph } = compileWorkflow(config as unknown as Parameters<typeof compileWorkflow>[0])
  const id = newId()
  const signature = callbacksOf(platform, graph, id).answer?.split('/').at(-1) ?? ''
  const good = [...LETTERS].filter((last) => isSigned(platform, id, 'answer', signature.slice(0, -1) + last))

  assert.deepEqual(good, [signature.slice(-1)])
  assert.equal(isSigned(platform, newId(), 'answer', signature), false)
  assert.equal(isSigned(platform, id, 'other', signature), false)
})
