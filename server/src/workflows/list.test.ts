/** Lists of executions: of a workflow, of a workspace; by what they are and when they were. And what a list asks the
 *  database for, when there are very many. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExecutionSummary } from '@flow/contract/workflows'
import { contextOf } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import * as lists from './lists-store.ts'
import { block, edge, node, run, until, workflow } from './testing.ts'

const { platform } = await testFlow()

const idsOf = ({ items }: { items: ExecutionSummary[] }) => items.map(({ id }) => id)

/** One that completes, one that fails and one that waits. */
async function three({ alice }: TestOrganization) {
  await block(alice, 'even', "export const main = ({ n }) => { if (n % 2) throw new Error('odd'); return n }")
  const { id: workflow_id } = await workflow(alice, {
    nodes: [node('a', 'even'), { id: 'p', type: 'wait', seconds: 3600, when: 'input.n == 4' }],
    edges: [edge('a', 'p')],
  })
  const start = (n: number, wait = 60) => alice.workflows.execute({ workflow_id, input: { n } }, { wait })
  const [completed, failed, waiting] = [await start(2), await start(1), await start(4, 0)]
  const at = { workflow_id, execution_id: waiting.id }
  await until(
    () => alice.workflows.getExecution(at),
    ({ status }) => status === 'waiting',
  )
  return { workflow_id, completed, failed, waiting }
}

test('executions are listed by one status or by several', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { workflow_id, completed, failed, waiting } = await three(organization)
  const by = async (status: string) => idsOf(await alice.workflows.listExecutions({ workflow_id, status }))

  assert.deepEqual(await by('failed'), [failed.id])
  assert.deepEqual(await by('failed,timed_out'), [failed.id])
  assert.deepEqual(await by('completed,failed'), [failed.id, completed.id])
  assert.deepEqual(await by('waiting, queued'), [waiting.id])
  assert.deepEqual(await by('waiting,failed'), [waiting.id, failed.id])
  assert.deepEqual(await by('cancelled'), [])
  await assert.rejects(by('failed,broken'), { code: 'VALIDATION_ERROR' })
})

test('executions are listed by what set them off, by version and by the code of their error', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { workflow_id, failed } = await three(organization)
  const list = async (more: object) => (await alice.workflows.listExecutions({ workflow_id, ...more })).total

  assert.deepEqual([await list({ trigger: 'manual' }), await list({ trigger: 'schedule' })], [3, 0])
  assert.deepEqual([await list({ version: '0.1.0' }), await list({ version: '9.0.0' })], [3, 0])
  assert.deepEqual([await list({ error_code: 'CODE_FAILED' }), await list({ error_code: 'TIMEOUT' })], [1, 0])
  assert.equal(await list({ error_code: 'CODE_FAILED', status: 'completed' }), 0)
  assert.equal(failed.error?.code, 'CODE_FAILED')
  await assert.rejects(list({ trigger: 'moon' }), { code: 'VALIDATION_ERROR' })
})

test('executions are listed by when they were made, began and ended', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { workflow_id, completed, failed, waiting } = await three(organization)
  const list = async (more: object) => idsOf(await alice.workflows.listExecutions({ workflow_id, ...more }))
  const [first, second] = [completed.completed_at ?? '', failed.completed_at ?? '']

  assert.deepEqual(await list({ completed_before: second }), [completed.id])
  assert.deepEqual(await list({ completed_after: first }), [failed.id])
  assert.deepEqual(await list({ started_after: first }), [waiting.id, failed.id])
  assert.deepEqual(await list({ started_before: first }), [completed.id])
  assert.deepEqual(await list({ created_after: first, created_before: waiting.created_at }), [failed.id])
})

test('executions are sorted by their end or by how long they took, those that go on last', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { workflow_id, completed, failed, waiting } = await three(organization)
  const by = (sort: 'completed_at' | 'duration_ms', order: 'asc' | 'desc') =>
    alice.workflows.listExecutions({ workflow_id, sort, order })

  assert.deepEqual(idsOf(await by('completed_at', 'desc')), [failed.id, completed.id, waiting.id])
  assert.deepEqual(idsOf(await by('completed_at', 'asc')), [completed.id, failed.id, waiting.id])
  const { items } = await by('duration_ms', 'asc')
  assert.equal(items.at(-1)?.id, waiting.id)
  assert.deepEqual(
    items.map(({ duration_ms }) => duration_ms),
    [...[completed.duration_ms ?? 0, failed.duration_ms ?? 0].sort((a, b) => a - b), null],
  )
})

test('the executions of a workspace are listed over all its workflows, and nobody else sees them', async () => {
  const organization = await newOrganization()
  const { alice, member } = organization
  const { workflow_id, completed, failed, waiting } = await three(organization)
  const other = await run(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }] })
  const { client: viewer } = await member('viewer')
  const { alice: stranger } = await newOrganization()

  assert.deepEqual(idsOf(await viewer.workflows.listAllExecutions()), [other.id, waiting.id, failed.id, completed.id])
  assert.deepEqual(idsOf(await alice.workflows.listAllExecutions({ workflow_id, status: 'failed' })), [failed.id])
  assert.equal((await stranger.workflows.listAllExecutions()).total, 0)
  assert.equal((await stranger.workflows.listAllExecutions({ workflow_id })).total, 0)
  await assert.rejects(stranger.workflows.listExecutions({ workflow_id }), { code: 'NOT_FOUND' })
})

test('a child names its parent, the parent its child, and a list finds the children', async () => {
  const { alice } = await newOrganization()
  await workflow(alice, { slug: 'inner', nodes: [{ id: 'a', type: 'transform', output: 1 }] })
  const parent = await run(alice, { nodes: [{ id: 'child', type: 'workflow', component_ref: 'inner' }] })

  const { items } = await alice.workflows.listAllExecutions({ parent_execution_id: parent.id })

  const [child] = items
  assert.ok(child && items.length === 1)
  const named = { execution_id: parent.id, workflow_id: parent.workflow_id, node_id: 'child' }
  assert.deepEqual(child.parent, named)
  assert.equal(parent.nodes[0]?.child_execution_id, child.id)
  const read = await alice.workflows.getExecution({ workflow_id: child.workflow_id, execution_id: child.id })
  assert.deepEqual([read.parent, parent.parent], [named, null])
})

test('an item of a list says the same of an execution as the execution itself', async () => {
  const { alice } = await newOrganization()
  const ended = await run(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }], priority: 7, retention_days: 2 })
  const { items } = await alice.workflows.listExecutions({ workflow_id: ended.workflow_id })
  const { input, output, nodes, waiting_for, ...summary } = ended

  assert.deepEqual(items, [summary])
  assert.equal(summary.priority, 7)
  assert.equal(Date.parse(summary.expires_at ?? '') - Date.parse(summary.completed_at ?? ''), 2 * 86_400_000)
})

test('none of the usual lists reads a whole table', async () => {
  const { organization_id, workspace_id, admin, alice } = await newOrganization()
  const made = await workflow(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }] })
  const seed = await alice.workflows.execute({ workflow_id: made.id }, { wait: 60 })
  await manyLike(seed.id, 30_000)
  const actor = {
    kind: 'user' as const,
    id: admin.user_id,
    user_id: admin.user_id,
    name: '',
    organization_id,
    grants: [],
  }
  const db = platform.database.of(organization_id)
  const statements: { text: string; values: readonly unknown[] }[] = []
  const many = async (statement: (typeof statements)[number]) => {
    statements.push(statement)
    return []
  }
  const watched = { ...db, many }
  const at = contextOf(platform, watched as typeof db, { actor, organization_id, workspace_id })
  const page = { limit: 25, offset: 0, sort: 'created_at', order: 'desc' } as const
  const asked: lists.Listed[] = [
    { ...page, workflow_id: made.id, status: ['failed'] },
    { ...page, workflow_id: made.id, status: ['queued', 'running', 'waiting'] },
    { ...page, workflow_id: made.id, error_code: 'TIMEOUT' },
    { ...page, workflow_id: made.id, created_after: '2025-12-31T23:00:00.000Z' },
    { ...page, workflow_id: made.id, completed_after: '2025-12-31T23:00:00.000Z' },
    { ...page, status: ['failed', 'timed_out'] },
    { ...page, status: ['waiting'] },
    { ...page, created_after: '2025-12-31T23:00:00.000Z' },
    { ...page, parent_execution_id: seed.id },
    { ...page, retry_of: seed.id },
    { ...page, replay_id: seed.id },
  ]
  for (const one of asked) await lists.list(at, one, 90)

  for (const [i, { text, values }] of statements.entries()) {
    const rows = await db.many<Record<string, string>>({ text: `explain ${text}`, values })
    const plan = rows.map((row) => Object.values(row)[0]).join('\n')
    assert.doesNotMatch(plan, /Seq Scan on executions/, `${JSON.stringify(asked[i])}\n${plan}`)
  }
})

/** So many executions like this one, of ten workflows, over a year; one in a hundred failed, one in a thousand waits. */
async function manyLike(id: string, count: number): Promise<void> {
  await platform.database.platform.run(sql`
    insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
      error, trigger_type, created_at, started_at, completed_at)
    select gen_random_uuid(), e.organization_id, e.workspace_id,
      case when i % 10 = 0 then e.workflow_id else gen_random_uuid() end, e.workflow_version, e.snapshot,
      case when i % 1000 = 0 then 'waiting' when i % 100 = 10 then 'failed' else 'completed' end, '{}',
      case when i % 100 = 10 then '{"code": "TIMEOUT", "message": "", "node_id": null}'::jsonb end, 'manual', t.at, t.at,
      case when i % 1000 <> 0 then t.at + interval '1 second' end
    from executions e, generate_series(1, ${count}::integer) i,
      lateral (select timestamptz '2026-01-01' - make_interval(mins => i) as at) t
    where e.id = ${id}`)
  await platform.database.platform.run(sql`analyze executions`)
}
