/** Stories of batches that run executions again. What `kill -9` does to one is in replays-crash.test.ts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Replay } from '@flow/contract/replays'
import type { PlatformClient } from '@flow/sdk'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { block, edge, node, run, until, workflow } from './testing.ts'

const { platform, fetch } = await testFlow()

const odd = "export const main = ({ n }) => { if (n % 2) throw new Error('odd'); return n }"
const dice = 'export const main = () => Math.random()'

/** A workflow that throws a dice, and then fails for odd numbers. */
async function flaky(alice: PlatformClient, more: object = {}) {
  await block(alice, 'dice', dice)
  const code = await block(alice, 'even', odd)
  const { id: workflow_id } = await workflow(alice, {
    nodes: [node('a', 'dice'), node('b', 'even', { input: { n: '{{ input.n }}' } })],
    edges: [edge('a', 'b')],
    ...more,
  })
  const start = (n: number) => alice.workflows.execute({ workflow_id, input: { n } }, { wait: 60 })
  const mend = () =>
    alice.components.update({
      component_id: code.id,
      config: { language: 'javascript', code: 'export const main = ({ n }) => n' },
    })
  return { workflow_id, start, mend }
}

const ended = (alice: PlatformClient, { workflow_id, id }: Pick<Replay, 'workflow_id' | 'id'>) =>
  until(
    () => alice.replays.get({ workflow_id, replay_id: id ?? '' }),
    ({ status, started, executions }) =>
      status === 'completed' && executions.completed + executions.failed + executions.cancelled === started,
  )

test('all that failed is taken up again as one batch, which says how far it has come', async () => {
  const { alice, admin } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  const before = [await start(1), await start(2), await start(3)]

  const made = await alice.replays.create({ workflow_id, filter: {}, definition: 'pinned', mode: 'from_failure' })
  assert.deepEqual([made.total, made.started, made.created_by, made.filter], [2, 0, admin.user_id, {}])
  const told = await ended(alice, made)

  assert.deepEqual([told.started, told.refused, told.executions.failed, told.failed_to_start], [2, 0, 2, []])
  assert.ok(told.completed_at)
  const { items } = await alice.workflows.listExecutions({ workflow_id, replay_id: told.id ?? '', order: 'asc' })
  assert.deepEqual(
    items.map(({ retry_of, priority, trigger }) => [retry_of, priority, trigger.type]),
    [before[0], before[2]].map((one) => [one?.id, -100, 'replay']),
  )
  const first = await alice.workflows.getExecution({ workflow_id, execution_id: items[0]?.id ?? '' })
  assert.deepEqual([first.nodes[0]?.reused, first.nodes[0]?.output], [true, before[0]?.nodes[0]?.output])
  const { items: batches } = await alice.replays.list({ workflow_id, status: 'completed' })
  const { executions, failed_to_start, ...summary } = told
  assert.deepEqual(batches, [summary])
})

test('what failed is taken up on the latest definition, and keeps the results of before', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start, mend } = await flaky(alice)
  const failed = [await start(1), await start(3)]
  await mend()

  const made = await alice.replays.create({ workflow_id, filter: {}, definition: 'latest', mode: 'from_failure' })
  const { executions } = await ended(alice, made)

  assert.equal(executions.completed, 2)
  const { items } = await alice.workflows.listExecutions({ workflow_id, status: 'completed', order: 'asc' })
  for (const [i, { id: execution_id }] of items.entries()) {
    const execution = await alice.workflows.getExecution({ workflow_id, execution_id })
    assert.equal(execution.nodes[0]?.output, failed[i]?.nodes[0]?.output)
    assert.deepEqual([execution.nodes[0]?.reused, execution.nodes[1]?.reused], [true, false])
    assert.equal(execution.output, [1, 3][i])
  }
})

test('on the latest definition each input is checked, and each refusal is told', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start, mend } = await flaky(alice)
  const [first, second] = [await start(1), await start(3)]
  await mend()
  const input_schema = { type: 'object', properties: { n: { type: 'integer', maximum: 2 } } }
  await alice.workflows.update({ workflow_id, input_schema, output: { n: '{{ nodes.b.output }}' } })

  const made = await alice.replays.create({ workflow_id, filter: {}, definition: 'latest', mode: 'restart' })
  const told = await ended(alice, made)

  assert.deepEqual([told.total, told.started, told.refused], [2, 1, 1])
  assert.deepEqual(told.failed_to_start, [
    { execution_id: second.id, code: 'VALIDATION_ERROR', message: '"input.n" must be <= 2.' },
  ])
  const { items } = await alice.workflows.listExecutions({ workflow_id, replay_id: told.id ?? '' })
  assert.deepEqual(
    items.map(({ retry_of, status }) => [retry_of, status]),
    [[first.id, 'completed']],
  )
})

test('a definition that cannot be run any more refuses each of them, with the reason', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  await start(1)
  const { items } = await alice.components.list({ type: 'code_block', search: 'even' })
  await alice.components.update({ component_id: items[0]?.id ?? '', slug: 'renamed' })

  const made = await alice.replays.create({ workflow_id, filter: {}, definition: 'latest', mode: 'restart' })
  const told = await ended(alice, made)

  assert.deepEqual([told.started, told.refused], [0, 1])
  assert.match(told.failed_to_start[0]?.message ?? '', /needs components that are not there/)
})

test('a filter names executions, or says what they have in common', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  const [failed, good] = [await start(1), await start(2)]
  const count = async (filter: Replay['filter']) => {
    const made = await alice.replays.create({
      workflow_id,
      filter,
      definition: 'pinned',
      mode: 'restart',
      dry_run: true,
    })
    return made.total
  }

  assert.equal(await count({}), 1)
  assert.equal(await count({ status: ['completed', 'failed'] }), 2)
  assert.equal(await count({ ids: [good.id] }), 1)
  assert.equal(await count({ ids: [good.id, failed.id], status: ['completed'] }), 1)
  assert.deepEqual([await count({ error_code: 'CODE_FAILED' }), await count({ error_code: 'TIMEOUT' })], [1, 0])
  assert.deepEqual([await count({ version: '0.1.0' }), await count({ version: '0.2.0' })], [1, 0])
  assert.deepEqual([await count({ trigger: 'manual' }), await count({ trigger: 'event' })], [1, 0])
  assert.deepEqual(
    [await count({ created_before: failed.created_at }), await count({ created_after: '2020-01-01T00:00:00.000Z' })],
    [0, 1],
  )
})

test('a batch that is only tried makes nothing and starts nothing', async () => {
  const { alice, admin } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  await start(1)
  const response = await fetch(`/api/v1/workflows/${workflow_id}/replays`, {
    method: 'POST',
    headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json' },
    body: JSON.stringify({ filter: {}, definition: 'pinned', mode: 'restart', dry_run: true }),
  })

  assert.deepEqual([response.status, response.headers.get('location')], [202, null])
  const { id, total, started } = (await response.json()) as Replay
  assert.deepEqual([id, total, started], [null, 1, 0])
  assert.equal((await alice.replays.list({ workflow_id })).total, 0)
  assert.equal((await alice.workflows.listExecutions({ workflow_id })).total, 1)
})

test('a batch of nothing, of what has not ended, or of what is not there is refused', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  const good = await start(2)
  const waiting = await workflow(alice, { nodes: [{ id: 'p', type: 'wait', seconds: 3600 }] })
  const open = await alice.workflows.execute({ workflow_id: waiting.id })
  const create = (filter: Replay['filter'], id = workflow_id) =>
    alice.replays.create({ workflow_id: id, filter, definition: 'pinned', mode: 'restart' })

  await assert.rejects(create({}), { code: 'CONFLICT', message: 'No execution that has ended matches the filter.' })
  await assert.rejects(create({ ids: [open.id] }, waiting.id), {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'filter.ids[0]', message: 'It has not ended.' }],
  })
  await assert.rejects(create({ ids: [good.id, open.id] }), {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'filter.ids[1]', message: `This workflow has no execution "${open.id}".` }],
  })
  const unknown = { ...{ colour: 'red' } } as Replay['filter']
  await assert.rejects(create(unknown), { code: 'VALIDATION_ERROR' })
})

test('an execution that completed has nothing to be taken up, and says so', async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  const good = await start(2)

  const filter = { ids: [good.id] }
  const made = await alice.replays.create({ workflow_id, filter, definition: 'pinned', mode: 'from_failure' })
  const told = await ended(alice, made)

  assert.deepEqual(told.failed_to_start, [
    {
      execution_id: good.id,
      code: 'CONFLICT',
      message: 'It completed: there is nothing to take up. The mode "restart" runs it again.',
    },
  ])
})

/** So many failed executions of a new workflow. */
async function failures(alice: PlatformClient, count: number, definition: object) {
  const seed = await run(alice, { nodes: [{ id: 'a', type: 'transform', output: '{{ 1 / 0 }}' }] })
  const { id: workflow_id } = await workflow(alice, definition)
  const { id } = await alice.workflows.execute({ workflow_id })
  await alice.workflows.cancelExecution({ workflow_id, execution_id: id })
  await platform.database.platform.run(sql`
    insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
      error, trigger_type, created_at, started_at, completed_at, concurrency_key)
    select gen_random_uuid(), organization_id, workspace_id, workflow_id, workflow_version, snapshot, 'failed', '{}',
      '{"code": "TIMEOUT", "message": "", "node_id": null}', 'manual', created_at, created_at, created_at, concurrency_key
    from executions, generate_series(1, ${count}::integer) where id = ${id}`)
  assert.equal(seed.status, 'failed')
  return workflow_id
}

test('a batch of more than ten thousand is refused', async () => {
  const { alice } = await newOrganization()
  const workflow_id = await failures(alice, 10_001, { nodes: [{ id: 'p', type: 'wait', seconds: 3600 }] })
  const wish = { workflow_id, filter: {}, definition: 'pinned', mode: 'restart' } as const

  await assert.rejects(alice.replays.create(wish), {
    code: 'VALIDATION_ERROR',
    details: [
      {
        field: 'filter',
        message: 'More than 10000 executions match, which is too many for one batch. Narrow it down.',
      },
    ],
  })
})

test('those that wait take no place from those that could begin', async () => {
  const { alice } = await newOrganization()
  const workflow_id = await failures(alice, 260, { nodes: [{ id: 'p', type: 'wait', seconds: 3600 }] })
  const wish = { workflow_id, filter: {}, definition: 'pinned', mode: 'restart' } as const
  const { id } = await alice.replays.create(wish)
  const get = () => alice.replays.get({ workflow_id, replay_id: id ?? '' })

  const told = await until(get, ({ executions }) => executions.waiting === 260)

  assert.deepEqual([told.status, told.started], ['completed', 260])
})

test('a batch has only so many at work at a time, and starts no more when it is cancelled', async () => {
  const { alice, member } = await newOrganization()
  const line = { concurrency: { limit: 1 }, nodes: [{ id: 'p', type: 'webhook_wait' }] }
  const workflow_id = await failures(alice, 400, line)
  const wish = { workflow_id, filter: {}, definition: 'pinned', mode: 'restart' } as const
  const { id } = await alice.replays.create(wish)
  const at = { workflow_id, replay_id: id ?? '' }
  const full = await until(
    () => alice.replays.get(at),
    ({ executions }) => executions.waiting === 1 && executions.queued >= 199,
  )
  assert.ok(full.started <= 201 && full.status === 'running', JSON.stringify(full))
  const { client: viewer } = await member('viewer')
  await assert.rejects(viewer.replays.cancel(at), { code: 'FORBIDDEN' })

  const [one, other] = await Promise.all([alice.replays.cancel(at), alice.replays.cancel(at)])

  assert.deepEqual([one.status, other.status], ['cancelled', 'cancelled'])
  assert.ok(one.completed_at)
  const { total } = await alice.workflows.listExecutions({ workflow_id, replay_id: at.replay_id })
  assert.equal(total, one.started)
  assert.equal((await alice.replays.cancel(at)).started, one.started)
})

test('a batch that was started to its end cannot be cancelled, and goes with its workflow', async () => {
  const { alice, organization_id } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  await start(1)
  const made = await alice.replays.create({ workflow_id, filter: {}, definition: 'pinned', mode: 'restart' })
  await ended(alice, made)
  const at = { workflow_id, replay_id: made.id ?? '' }
  await assert.rejects(alice.replays.cancel(at), { code: 'CONFLICT', message: 'All of it was started already.' })

  await alice.workflows.remove({ workflow_id })

  await assert.rejects(alice.replays.get(at), { code: 'NOT_FOUND' })
  const db = platform.database.of(organization_id)
  const rows = () => db.many(sql`select id from replays union all select execution_id from replayed_executions`)
  await until(rows, (left) => left.length === 0)
})

test("another organization's batches are not found, nor is a batch of another workflow", async () => {
  const { alice } = await newOrganization()
  const { workflow_id, start } = await flaky(alice)
  await start(1)
  const { id } = await alice.replays.create({ workflow_id, filter: {}, definition: 'pinned', mode: 'restart' })
  const { alice: stranger } = await newOrganization()
  const other = await workflow(alice, { nodes: [{ id: 'a', type: 'transform', output: 1 }] })
  const replay_id = id ?? ''

  await assert.rejects(stranger.replays.get({ workflow_id, replay_id }), { code: 'NOT_FOUND' })
  await assert.rejects(stranger.replays.list({ workflow_id }), { code: 'NOT_FOUND' })
  await assert.rejects(alice.replays.get({ workflow_id: other.id, replay_id }), { code: 'NOT_FOUND' })
  await assert.rejects(alice.replays.cancel({ workflow_id: other.id, replay_id }), { code: 'NOT_FOUND' })
})
