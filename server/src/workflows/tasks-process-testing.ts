/** A process that begins an execution, answers its task, and dies in the very moment in which the answer is accepted,
 *  when it has told the id of the execution; or one that goes on with it, and tells how it ended. */

import { writeSync } from 'node:fs'
import { tasks as tasksContract } from '@flow/contract/tasks'
import { workflows as workflowsContract } from '@flow/contract/workflows'
import { readConfig } from '../config.ts'
import { contextOf, systemClock, within } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import { openPlatform } from '../platform.ts'
import * as tasks from './tasks.ts'
import { until } from './testing.ts'
import * as workflows from './workflows.ts'

export type Answering = {
  options: ConnectOptions
  data_directory: string
  who: { organization_id: string; workspace_id: string; user_id: string }
  workflow_id: string
  /** What to answer, and to die then. */
  word?: string
  /** The execution to go on with. */
  finish?: string
}

if (import.meta.main) {
  const { options, data_directory, who, workflow_id, word, finish } = JSON.parse(process.argv[2] ?? '') as Answering
  const database = await connect({ ...options, pool_max: 8 })
  const config = readConfig({ FLOW_DATA_DIR: data_directory, FLOW_LOG_LEVEL: 'fatal', FLOW_SANDBOX_WORKERS: '1' })
  const platform = await openPlatform(config, { database, clock: systemClock })
  const { organization_id, workspace_id, user_id } = who
  const grants = [{ role: 'admin' as const, scope: 'organization' as const }]
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants }
  const ctx = contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
  await platform.engine.work(platform)

  const started = workflowsContract.execute.input.parse({ workflow_id })
  const execution_id = finish ?? (await ctx.db.tx((db) => workflows.execute(within(ctx, db), started))).id
  const execution = () => workflows.getExecution(ctx, { workflow_id, execution_id })
  if (finish === undefined) {
    await until(execution, ({ status }) => status === 'waiting')
    const answer = { workflow_id, execution_id, node_id: 'ask', data: { word } }
    const input = tasksContract.complete.input.parse(answer)
    await ctx.db.tx((db) => tasks.complete(within(ctx, db), input))
    writeSync(1, execution_id)
    process.kill(process.pid, 'SIGKILL')
  }
  const { status, output } = await until(execution, ({ completed_at }) => completed_at !== null)
  const { items } = await tasks.list(ctx, tasksContract.list.input.parse({ execution_id }))
  writeSync(1, JSON.stringify({ status, output, task: items[0]?.status }))
  process.exit(0)
}
