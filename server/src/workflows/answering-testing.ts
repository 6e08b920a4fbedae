/** The hands of those whom nodes wait for, for tests that drive executions: they call addresses and answer tasks. */

import type { JsonValue } from '@flow/contract/common'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { compileWorkflow, type Graph } from '../components/workflow-rules.ts'
import type { Platform } from '../context.ts'
import { sql } from '../db/db.ts'
import { answerCallback, callbacksOf } from './callbacks.ts'
import { arrive } from './waits.ts'

export const graphOf = (definition: object): Graph => compileWorkflow(WorkflowConfig.parse(definition)).graph

/** The path of the address that a `webhook_wait` node of an execution waits at. */
export function addressOf(platform: Platform, definition: object, execution_id: string, node_id: string): string {
  const { [node_id]: url } = callbacksOf(platform, graphOf(definition), execution_id)
  if (url === undefined) throw new Error(`"${node_id}" has no address`)
  return new URL(url).pathname
}

/** Calls an address as the edge would. */
export function callAddress(platform: Platform, address: string, body: JsonValue): Promise<unknown> {
  const [signature = '', node_id = '', execution_id = ''] = address.split('/').reverse()
  const call = { execution_id, node_id, signature, method: 'POST', query: {}, body: { value: () => body } }
  return answerCallback(platform, call)
}

/** Answers the open task of a node, if there is one. */
export function answerTask(
  platform: Platform,
  at: { execution_id: string; node_id: string },
  data: JsonValue,
): Promise<boolean> {
  const { database, engine, clock } = platform
  const now = clock.now().toISOString()
  return database.platform.tx(async (db) => {
    const task = await db.maybe<{ id: string; organization_id: string; attempt: number }>(sql`
      select id, organization_id, attempt from tasks
      where execution_id = ${at.execution_id} and node_id = ${at.node_id} and status = 'open' for update`)
    if (!task) return false
    const { organization_id, attempt } = task
    const output = JSON.stringify(data)
    if (!(await arrive(engine, db, { ...at, organization_id, attempt }, { output, now }))) return false
    await db.run(sql`
      update tasks set status = 'completed', data = ${output}::json, ended_at = ${now} where id = ${task.id}`)
    return true
  })
}
