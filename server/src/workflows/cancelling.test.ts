/** Cancel reaches children that are in the middle of something, however many they are. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { until, workflow } from './testing.ts'

const { platform } = await testFlow()
const db = platform.database.platform

/** How often sessions of this database have waited for each other in a circle. */
async function circles(): Promise<number> {
  if (platform.database.mode === 'embedded') return 0
  // A session tells of it when it has been idle for a moment.
  await sleep(1500)
  const { deadlocks } = await db.one<{ deadlocks: number }>(
    sql`select deadlocks::int from pg_stat_database where datname = current_database()`,
  )
  return deadlocks
}

test('children that are busy end with their parent, and nobody waits in a circle for that', async () => {
  const { alice } = await newOrganization()
  const steps = Array.from({ length: 200 }, (_, i) => ({ id: `s${i}`, type: 'wait', seconds: 0 }))
  const child = await workflow(alice, { slug: 'busy', workflow_type: 'sequential', nodes: steps })
  const nodes = Array.from({ length: 30 }, (_, i) => ({ id: `c${i}`, type: 'workflow', component_ref: child.slug }))
  const { id: workflow_id } = await workflow(alice, { workflow_type: 'parallel', nodes, output: 'done' })
  for (let round = 0; round < 3; round++) {
    const { id } = await alice.workflows.execute({ workflow_id, input: {} })
    const busy = () =>
      db.many<{ id: string }>(sql`select id from executions where parent_execution_id = ${id} and status = 'running'`)
    await until(busy, (rows) => rows.length >= 20)
    await alice.workflows.cancelExecution({ workflow_id, execution_id: id })

    const children = () =>
      db.many<{ status: string; completed_at: string | null }>(
        sql`select status, completed_at from executions where parent_execution_id = ${id}`,
      )
    const ended = await until(children, (rows) => rows.every(({ completed_at }) => completed_at !== null))
    assert.deepEqual(new Set(ended.map(({ status }) => status)), new Set(['cancelled']))
  }
  assert.equal(await circles(), 0)
})
