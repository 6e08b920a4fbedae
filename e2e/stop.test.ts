/** How the server is stopped: by Ctrl-C in a terminal, by a supervisor, and what becomes of what was under way. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PlatformClient } from '@flow/sdk'
import { startServer } from './server.ts'

/** An execution whose code block computes when this returns, and would for some seconds more. */
async function computing(flow: PlatformClient) {
  const code = 'export const main = () => { for (const until = Date.now() + 5000; Date.now() < until; ); return 42 }'
  await flow.components.create({
    type: 'code_block',
    name: 'Busy',
    slug: 'busy',
    config: { language: 'javascript', code },
  })
  const nodes = [{ id: 'busy', type: 'code_block' as const, component_ref: 'busy' }]
  const { id: workflow_id } = await flow.workflows.create({ name: 'Busy', slug: 'busy-flow', nodes })
  const { id: execution_id } = await flow.workflows.execute({ workflow_id })
  const at = { workflow_id, execution_id }
  while ((await flow.workflows.getExecution(at)).nodes[0]?.status !== 'running') await sleep(20)
  await sleep(1500)
  return at
}

for (const [way, tell] of [
  ['Ctrl-C', pressKeys],
  ['a supervisor that tells every process', tellAll],
] as const) {
  test(`${way} ends the server without a complaint, and what it ran completes after the next start`, async (t) => {
    const server = await startServer()
    t.after(server.remove)
    const flow = await server.client()
    const at = await computing(flow)
    const before = server.output().length

    const code = await tell(server)
    const told = server.output().slice(before)
    await server.start()

    assert.equal(code, 0)
    assert.equal(told, '')
    for await (const _ of flow.workflows.events(at)) {
      // The stream ends when the execution does.
    }
    const { status, output } = await flow.workflows.getExecution(at)
    assert.deepEqual([status, output], ['completed', 42])
  })
}

type Server = Awaited<ReturnType<typeof startServer>>

/** The terminal tells the group, and npm passes on what it was told itself. */
async function pressKeys(server: Server): Promise<number | null> {
  const end = server.interrupt()
  await sleep(100)
  await server.interrupt()
  return end
}

/** The workers first, so that they would be missed. Where the system does not tell them, the server alone. */
async function tellAll(server: Server): Promise<number | null> {
  const pid = server.pid()
  const started = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  for (const worker of started.split(' ').filter(Boolean)) process.kill(Number(worker), 'SIGTERM')
  return server.stop()
}

/** A workflow that only waits, as long as told. */
async function waiting(flow: PlatformClient, seconds: number) {
  const nodes = [{ id: 'pause', type: 'wait' as const, seconds }]
  const { id } = await flow.workflows.create({ name: 'Pause', slug: 'pause', nodes })
  return id
}

test('a caller that waits for an execution is answered 202 when the server is stopped', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const flow = await server.client()
  const workflow_id = await waiting(flow, 20)
  const answer = fetch(`${server.url}/api/v1/workflows/${workflow_id}/execute`, {
    method: 'POST',
    headers: { ...(await server.credential()), 'content-type': 'application/json', prefer: 'wait=30' },
    body: '{}',
  })
  while ((await flow.workflows.listExecutions({ workflow_id, status: 'waiting' })).total === 0) await sleep(20)

  const code = await server.stop()

  const response = await answer
  const told = (await response.json()) as { status: string; completed_at: string | null }
  assert.equal(code, 0)
  assert.equal(response.status, 202)
  assert.deepEqual([told.status, told.completed_at], ['waiting', null])
})

test('whoever follows an execution is let go without its end, and hears the rest from the next server', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const flow = await server.client()
  const workflow_id = await waiting(flow, 5)
  const { id } = await flow.workflows.execute({ workflow_id })
  const follow = async (more: Record<string, string> = {}) => {
    const headers = { ...(await server.credential()), ...more }
    const answer = await fetch(`${server.url}/api/v1/workflows/${workflow_id}/executions/${id}/events`, { headers })
    return answer.text()
  }
  const first = follow()
  while ((await flow.workflows.getExecution({ workflow_id, execution_id: id })).status !== 'waiting') await sleep(20)
  await sleep(300)

  const code = await server.stop()
  const heard = await first
  await server.start()
  const last = [...heard.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? 'none'
  const rest = await follow({ 'last-event-id': last })

  assert.equal(code, 0)
  assert.match(heard, /^event: node\.started$/m)
  assert.doesNotMatch(heard, /^event: end$/m)
  assert.match(rest, /^event: execution\.completed$/m)
  assert.match(rest, /^event: end$/m)
  assert.equal((await follow()).replaceAll(': still here\n\n', ''), heard + rest.replace('retry: 1000\n\n', ''))
})
