/** Waiting for an execution, and what is said to whoever asks again. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'
import { block, node, run, workflow } from './testing.ts'

async function asking() {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  const execute = (workflow_id: string, more: Record<string, string>) =>
    fetch(`/api/v1/workflows/${workflow_id}/execute`, {
      method: 'POST',
      headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json', ...more },
      body: '{"input":{"n":1}}',
    })
  return { alice, admin, execute }
}

type Told = { id: string; status: string; output: unknown; completed_at: string | null }

test('a replayed execute waits as long as its caller does, and is answered with the end', async () => {
  const { alice, execute } = await asking()
  await block(alice, 'slow', 'export const main = (input) => new Promise((r) => setTimeout(() => r(input), 500))')
  const { id } = await workflow(alice, { nodes: [node('a', 'slow')] })
  const key = { 'idempotency-key': 'once' }

  const first = await execute(id, key)
  const replayed = await execute(id, { ...key, prefer: 'wait=30' })

  const [begun, end] = [(await first.json()) as Told, (await replayed.json()) as Told]
  assert.deepEqual([first.status, begun.completed_at], [202, null])
  assert.deepEqual([replayed.status, replayed.headers.get('idempotent-replayed')], [200, 'true'])
  assert.equal(replayed.headers.get('preference-applied'), 'wait=30')
  assert.deepEqual([end.id, end.status, end.output], [begun.id, 'completed', { n: 1 }])
  assert.equal((await alice.workflows.listExecutions({ workflow_id: id })).total, 1)
})

test('cancelling what has completed is refused and changes nothing', async () => {
  const { alice } = await asking()
  await block(alice, 'pass', 'export const main = (input) => input')
  const end = await run(alice, { nodes: [node('a', 'pass')] })
  const at = { workflow_id: end.workflow_id, execution_id: end.id }
  const told = async () => {
    const events = []
    for await (const event of alice.workflows.events(at)) events.push(event)
    return { execution: await alice.workflows.getExecution(at), events }
  }
  const before = await told()

  await assert.rejects(alice.workflows.cancelExecution(at), { status: 409, code: 'CONFLICT' })

  assert.equal(before.execution.status, 'completed')
  assert.deepEqual(await told(), before)
})
