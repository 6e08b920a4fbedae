/** The end of executions, told with a clock that is put forward. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlatformClient } from '@flow/sdk'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { forgetExpired, forgetSnapshots } from './retention.ts'
import { run, until, workflow } from './testing.ts'

const DAY = 86_400
const { platform, clock } = await testFlow()

const one = { nodes: [{ id: 'a', type: 'transform', output: 1 }] }
const at = ({ workflow_id, id: execution_id }: { workflow_id: string; id: string }) => ({ workflow_id, execution_id })
const isThere = (alice: PlatformClient, execution: { workflow_id: string; id: string }) =>
  alice.workflows.getExecution(at(execution)).then(
    () => true,
    () => false,
  )
const with_days = (execution_retention_days: number) => ({
  ...platform,
  config: { ...platform.config, execution_retention_days },
})

test('an execution is removed with its journal when its time is over, and not before', async () => {
  const { alice, organization_id } = await newOrganization()
  const short = await run(alice, { ...one, retention_days: 1 })
  const long = await run(alice, { ...one, retention_days: 3 })
  assert.equal(Date.parse(short.expires_at ?? '') - Date.parse(short.completed_at ?? ''), DAY * 1000)

  clock.advance(DAY - 60)
  await forgetExpired(platform)
  assert.deepEqual([await isThere(alice, short), await isThere(alice, long)], [true, true])
  clock.advance(120)
  await forgetExpired(platform)

  assert.deepEqual([await isThere(alice, short), await isThere(alice, long)], [false, true])
  const db = platform.database.of(organization_id)
  const left = await db.many<{ execution_id: string }>(sql`
    select execution_id from execution_nodes union all select execution_id from execution_events`)
  assert.deepEqual([...new Set(left.map(({ execution_id }) => execution_id))], [long.id])
})

test('executions of workflows that say nothing are kept as long as the operator has set', async () => {
  const { alice } = await newOrganization()
  const ended = await run(alice, one)
  const days = (Date.parse(ended.expires_at ?? '') - Date.parse(ended.completed_at ?? '')) / (DAY * 1000)
  assert.equal(days, 90)

  clock.advance(10 * DAY)
  await forgetExpired(platform)
  await forgetExpired(with_days(0))
  assert.equal(await isThere(alice, ended), true)
  // It counts as it is set now.
  await forgetExpired(with_days(9))

  assert.equal(await isThere(alice, ended), false)
})

test('what has not ended is kept, however old it is', async () => {
  const { alice } = await newOrganization()
  const nodes = [{ id: 'answer', type: 'webhook_wait' }]
  const { id: workflow_id } = await workflow(alice, { nodes, retention_days: 1 })
  const begun = await alice.workflows.execute({ workflow_id })
  await until(
    () => alice.workflows.getExecution(at(begun)),
    ({ status }) => status === 'waiting',
  )

  clock.advance(200 * DAY)
  await forgetExpired(platform)
  assert.equal(await isThere(alice, begun), true)
  const cancelled = await alice.workflows.cancelExecution(at(begun))
  assert.equal(Date.parse(cancelled.expires_at ?? '') - Date.parse(cancelled.completed_at ?? ''), DAY * 1000)
  clock.advance(2 * DAY)
  await forgetExpired(platform)

  assert.equal(await isThere(alice, begun), false)
})

test("several replicas that remove at the same time get in nobody's way", async () => {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, { ...one, retention_days: 1 })
  for (let i = 0; i < 4; i++) await alice.workflows.execute({ workflow_id }, { wait: 60 })
  await platform.database.platform.run(sql`
    insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
      trigger_type, created_at, completed_at, expires_at)
    select gen_random_uuid(), organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, '{}',
      'manual', created_at, completed_at, expires_at
    from executions, generate_series(1, 100) where workflow_id = ${workflow_id}`)
  const count = async () => (await alice.workflows.listExecutions({ workflow_id })).total
  assert.equal(await count(), 404)
  clock.advance(2 * DAY)

  const removed = await Promise.all([1, 2, 3].map(() => forgetExpired(platform)))

  const rest = await forgetExpired(platform)
  assert.equal(await count(), 0)
  assert.ok(removed.reduce((sum, one) => sum + one, rest) >= 404)
})

test('a snapshot goes a day after the last execution that was pinned to it, unless another one is begun', async () => {
  const { alice, organization_id } = await newOrganization()
  const db = platform.database.of(organization_id)
  const count = async () => (await db.many(sql`select digest from workflow_snapshots`)).length
  const { id: workflow_id } = await workflow(alice, { ...one, retention_days: 1 })
  const execute = () => alice.workflows.execute({ workflow_id }, { wait: 60 })
  await execute()
  clock.advance(2 * DAY)
  await forgetSnapshots(platform)
  assert.equal(await count(), 1)

  await forgetExpired(platform)
  await forgetSnapshots(platform)
  clock.advance(DAY - 60)
  await forgetSnapshots(platform)
  assert.equal(await count(), 1, 'not before a day')
  // Begun in time: the day counts from its own end.
  assert.equal((await execute()).status, 'completed')
  clock.advance(DAY)
  await forgetSnapshots(platform)
  assert.equal(await count(), 1, 'it is in use again')

  clock.advance(2 * DAY)
  await forgetExpired(platform)
  await forgetSnapshots(platform)
  clock.advance(DAY + 60)
  await forgetSnapshots(platform)
  assert.equal(await count(), 0)
  assert.equal((await execute()).status, 'completed', 'and it is made again when it is wanted')
})

test('batches are removed when they were over for as long as executions are kept', async () => {
  const { alice } = await newOrganization()
  const ended = await run(alice, { ...one, retention_days: 3650 })
  const { workflow_id } = ended
  const filter = { ids: [ended.id] }
  await alice.replays.create({ workflow_id, filter, definition: 'pinned', mode: 'restart' })
  const list = () => alice.replays.list({ workflow_id })
  await until(list, ({ items: [one] }) => one?.status === 'completed')

  clock.advance(89 * DAY)
  await forgetExpired(platform)
  assert.equal((await list()).total, 1)
  clock.advance(2 * DAY)
  await forgetExpired(platform)

  assert.equal((await list()).total, 0)
  assert.equal(await isThere(alice, ended), true)
})
