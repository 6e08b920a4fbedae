/** A rolling release: what another release of Flow has begun, an older or a newer one, while both are at work. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonValue } from '@flow/contract/common'
import { newId } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import { graphOf } from './answering-testing.ts'
import { callbacksOf } from './callbacks.ts'
import { executing } from './runs.ts'
import { block, statuses, until, workflow } from './testing.ts'

const { platform, fetch } = await testFlow()
const db = platform.database.platform

type Pinned = { organization: TestOrganization; workflow_id: string; content: object; input: JsonValue }

/** An execution as another release leaves it in the database: pinned to a snapshot that it wrote, and queued. */
async function queuedBy({ organization, workflow_id, content, input }: Pinned): Promise<string> {
  const { organization_id, workspace_id } = organization
  const id = newId()
  const digest = newId()
  const now = platform.clock.now().toISOString()
  await db.tx(async (inner) => {
    await inner.run(sql`
      insert into workflow_snapshots (organization_id, digest, content, created_at)
      values (${organization_id}, ${digest}, ${JSON.stringify(content)}::json, ${now})`)
    await inner.run(sql`
      insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
        trigger_type, created_at)
      values (${id}, ${organization_id}, ${workspace_id}, ${workflow_id}, '0.1.0', ${digest}, 'queued',
        ${JSON.stringify(input)}::json, 'manual', ${now})`)
    await inner.run(sql`
      insert into execution_events (organization_id, execution_id, seq, type, at)
      values (${organization_id}, ${id}, 1, 'execution.queued', ${now})`)
    const starter = { db: inner, organization_id, workspace_id }
    await platform.engine.start(starter, executing, { execution_id: id }, { id })
  })
  return id
}

async function newWorkflow() {
  const organization = await newOrganization()
  const { alice } = organization
  await block(alice, 'add', 'export const main = ({ n }) => ({ n: n + 1 })')
  const nodes = [{ id: 'anything', type: 'transform', output: null }]
  const { id: workflow_id } = await workflow(alice, { nodes })
  const look = (execution_id: string) => alice.workflows.getExecution({ workflow_id, execution_id })
  return { organization, workflow_id, look }
}

/** What the release of migration 0005 kept of a definition: no format, no schemas, no field that came later. */
const old = {
  config: {
    workflow_type: 'sequential',
    trigger_type: 'manual',
    trigger_config: {},
    nodes: [
      { id: 'a', type: 'code_block', component_ref: 'add', on_error: 'fail', join: 'all' },
      {
        id: 'b',
        type: 'code_block',
        component_ref: 'add',
        on_error: 'fail',
        join: 'any',
        retry: { max_attempts: 2, backoff_seconds: 1, multiplier: 2, max_backoff_seconds: 300 },
      },
      { id: 'c', type: 'wait', seconds: 0, on_error: 'fail', join: 'all' },
    ],
    edges: [],
    vars: {},
  },
  blocks: {
    add: {
      component_id: newId(),
      version: '0.1.0',
      config: { language: 'javascript', code: 'export const main = ({ n }) => ({ n: n + 1 })', entry_point: 'main' },
    },
  },
}

test('an execution that the release before has pinned and queued runs here', async () => {
  const { organization, workflow_id, look } = await newWorkflow()
  const id = await queuedBy({ organization, workflow_id, content: old, input: { n: 1 } })

  const ended = await until(
    () => look(id),
    ({ completed_at }) => completed_at !== null,
  )

  assert.deepEqual([ended.status, ended.output], ['completed', { n: 3 }], JSON.stringify(ended.error))
  assert.deepEqual(statuses(ended), { a: 'completed', b: 'completed', c: 'completed' })
})

/** What a newer release may keep: types, fields and languages that nobody knows here, and known ones in other shapes. */
const tomorrow = {
  format: 1000,
  config: {
    ...old.config,
    workflow_type: 'galaxy',
    nodes: [
      ...old.config.nodes,
      { id: 'd', type: 'teleport', to: { planet: 'Mars' }, when: { rule: 1 }, join: { quorum: 0.5 } },
      { id: 'e', type: 'human_task', title: ['?'], form: 7, cancels: 'all' },
      { id: 'f', type: 'map', items: [1, 2], input: '{{ n. }}' },
      { id: 'g', type: 'wait', until: 5 },
    ],
    edges: [
      { source: 'a', target: 'b', condition: ['yes'] },
      { from: 'a', to: 'b' },
    ],
    concurrency: { key: 3 },
  },
  blocks: { ...old.blocks, more: { config: { language: 'cobol' } }, less: null },
  schemas: { one: 5 },
}

test('an execution that a newer release has pinned is left to it, and is none the worse for it', async () => {
  const { organization, workflow_id, look } = await newWorkflow()
  const id = await queuedBy({ organization, workflow_id, content: tomorrow, input: { n: 1 } })
  const failures = async () => {
    const job = await db.maybe<{ retry_count: number }>(
      sql`select retry_count from pgboss.job where data ->> 'run_id' = ${id}`,
    )
    return job?.retry_count ?? 0
  }
  const rests = async () =>
    (await db.maybe<{ due_at: string }>(sql`select due_at from engine_timers where run_id = ${id}`))?.due_at

  const first = await until(rests, (due_at) => due_at !== undefined)
  const second = await until(rests, (due_at) => due_at !== undefined && due_at !== first)
  assert.ok(second)
  const left = await look(id)
  assert.deepEqual([left.status, left.started_at, left.error], ['queued', null, null])
  assert.equal(await failures(), 0)
  assert.deepEqual(await db.many(sql`select type from execution_events where execution_id = ${id}`), [
    { type: 'execution.queued' },
  ])
  assert.deepEqual(await db.many(sql`select node_id from execution_nodes where execution_id = ${id}`), [])

  // What this release does not understand it does not answer for, either.
  const address = new URL(callbacksOf(platform, graphOf({ nodes: [{ id: 'c', type: 'webhook_wait' }] }), id).c ?? '')
  assert.equal((await fetch(address.pathname, { method: 'POST' })).status, 503)

  // A process that understands it comes. This one remembers what it has compiled, so it gets another digest.
  const known = newId()
  await db.run(sql`
    insert into workflow_snapshots (organization_id, digest, content, created_at)
    values (${organization.organization_id}, ${known}, ${JSON.stringify({ ...old, format: 2 })}::json, now())`)
  await db.run(sql`update executions set snapshot = ${known} where id = ${id}`)
  const ended = await until(
    () => look(id),
    ({ completed_at }) => completed_at !== null,
  )
  assert.deepEqual([ended.status, ended.output], ['completed', { n: 3 }], JSON.stringify(ended.error))
})

test('a run whose name this release does not know is left to others', async () => {
  const id = newId()
  const unknown = { ...executing, name: 'workflows.of-tomorrow' }
  await platform.engine.start({ db }, unknown, { execution_id: id }, { id })
  const rests = async () =>
    await db.maybe<{ due_at: string; job: { message: { run: string } } }>(
      sql`select due_at, job from engine_timers where run_id = ${id}`,
    )

  const first = await until(rests, (timer) => timer !== undefined)
  const second = await until(rests, (timer) => timer !== undefined && timer.due_at !== first?.due_at)

  assert.equal(second?.job.message.run, 'workflows.of-tomorrow')
  const claims = () => db.many(sql`select token from engine_claims where run_id = ${id}`)
  await until(claims, (rows) => rows.length === 0)
  const jobs = await db.many(
    sql`select retry_count from pgboss.job where data ->> 'run_id' = ${id} and retry_count > 0`,
  )
  assert.deepEqual(jobs, [])
})

test('a wait of thirty days holds no claim meanwhile, and goes on when its time has come', async () => {
  const { clock } = await testFlow()
  const { alice } = await newOrganization()
  const made = await workflow(alice, {
    workflow_type: 'sequential',
    nodes: [
      { id: 'month', type: 'wait', seconds: 30 * 86_400 },
      { id: 'after', type: 'transform', output: 'a month later' },
    ],
  })
  const { id } = await alice.workflows.execute({ workflow_id: made.id })
  const look = () => alice.workflows.getExecution({ workflow_id: made.id, execution_id: id })
  const waiting = await until(look, ({ status }) => status === 'waiting')
  const claimed = () => db.many<{ token: number }>(sql`select token from engine_claims where run_id = ${id}`)
  await until(claimed, (rows) => rows.length === 0)
  const days = (Date.parse(waiting.waiting_until ?? '') - Date.parse(waiting.created_at)) / 86_400_000
  assert.ok(days >= 30 && days < 30.01)

  clock.advance(29 * 86_400)
  await sleep(600)
  assert.deepEqual([(await look()).status, await claimed()], ['waiting', []])
  clock.advance(86_400)
  const ended = await until(look, ({ completed_at }) => completed_at !== null)

  assert.deepEqual([ended.status, ended.output], ['completed', 'a month later'])
})
