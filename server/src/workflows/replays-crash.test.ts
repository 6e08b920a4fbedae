/** `kill -9` in the midst of a batch, again and again: in the end each of its executions was started exactly once. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { replays as replaysContract } from '@flow/contract/replays'
import { workflows as workflowsContract } from '@flow/contract/workflows'
import { readConfig } from '../config.ts'
import { contextOf, systemClock, within } from '../context.ts'
import { connect } from '../db/connect.ts'
import { sql } from '../db/db.ts'
import { testModes } from '../db/testing.ts'
import { openPlatform } from '../platform.ts'
import { type Made, prepare } from './crash-testing.ts'
import type { Replaying } from './replays-process-testing.ts'
import * as workflows from './workflows.ts'

const TOTAL = 150
const definition = { nodes: [{ id: 'a', type: 'transform', output: '{{ input.n }}' }] }

/** A batch over so many executions, in a database that nobody has open. */
async function makeBatch({ options, data_directory, who, workflow_id }: Made): Promise<void> {
  const database = await connect({ ...options, pool_max: 4 })
  const config = readConfig({ FLOW_DATA_DIR: data_directory, FLOW_LOG_LEVEL: 'fatal', FLOW_SANDBOX_WORKERS: '1' })
  const platform = await openPlatform(config, { database, clock: systemClock })
  const { organization_id, workspace_id, user_id } = who
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants: [] }
  const ctx = contextOf(platform, database.of(organization_id), { actor, organization_id, workspace_id })
  const input = workflowsContract.execute.input.parse({ workflow_id, input: { n: 1 } })
  const { id } = await ctx.db.tx((db) => workflows.execute(within(ctx, db), input))
  const cancelled = { workflow_id, execution_id: id }
  await ctx.db.tx((db) => workflows.cancelExecution(within(ctx, db), cancelled))
  await database.platform.run(sql`
    insert into executions (id, organization_id, workspace_id, workflow_id, workflow_version, snapshot, status, input,
      trigger_type, created_at, completed_at)
    select gen_random_uuid(), organization_id, workspace_id, workflow_id, workflow_version, snapshot, 'failed',
      json_build_object('n', i), 'manual', created_at, created_at
    from executions, generate_series(1, ${TOTAL}::integer) i where id = ${id}`)
  const wish = { workflow_id, filter: {}, definition: 'pinned', mode: 'restart' }
  const batch = replaysContract.create.input.parse(wish)
  await ctx.db.tx((db) => workflows.replays.create(within(ctx, db), batch))
  await platform.close(0)
}

function begin(orders: Replaying) {
  const program = join(import.meta.dirname, 'replays-process-testing.ts')
  const child = spawn(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { child, lines: createInterface({ input: child.stdout }) }
}

const gone = (child: ChildProcess) =>
  new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })

for (const mode of testModes) {
  test(`each execution of a batch is started exactly once, however often its process is killed (${mode})`, async () => {
    const made = await prepare(mode, {}, definition)
    await makeBatch(made)
    for (const threshold of [1, 40, 90]) {
      const { child, lines } = begin(made)
      for await (const line of lines) if (Number(line) >= threshold) break
      child.kill('SIGKILL')
      await gone(child)
    }
    // Where several may share a database, two of them go on at once.
    const last = (mode === 'embedded' ? [1] : [1, 2]).map(() => {
      const { child, lines } = begin(made)
      lines.resume()
      return child
    })
    await Promise.all(last.map(gone))
    for (const { exitCode } of last) assert.equal(exitCode, 0)

    const database = await connect({ ...made.options, pool_max: 2 })
    const found = await database.platform.many<{ status: string; count: number; different: number }>(sql`
      select e.status, count(*)::int as count, count(distinct e.retry_of)::int as different
      from executions e join replayed_executions p on p.started_as = e.id and p.execution_id = e.retry_of
      where e.replay_id = p.replay_id group by e.status`)
    const { strays } = await database.platform.one<{ strays: number }>(
      sql`select count(*)::int - ${TOTAL}::integer as strays from executions where replay_id is not null`,
    )
    const batch = await database.platform.one(sql`select status, total, started, refused from replays`)
    await database.close()
    await made.remove()

    assert.deepEqual(found, [{ status: 'completed', count: TOTAL, different: TOTAL }])
    assert.equal(strays, 0)
    assert.deepEqual(batch, { status: 'completed', total: TOTAL, started: TOTAL, refused: 0 })
  })
}
