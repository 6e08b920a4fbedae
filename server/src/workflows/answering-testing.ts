/** The hands of those whom nodes wait for, for tests that drive executions: they call addresses and answer tasks. */

import type { JsonValue } from '@flow/contract/common'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { tasks as tasksContract } from '@flow/contract/tasks'
import { compileWorkflow, type Graph } from '../components/workflow-rules.ts'
import { type Context, type Platform, within } from '../context.ts'
import { Failure } from '../failure.ts'
import { answerCallback, callbacksOf } from './callbacks.ts'
import * as tasks from './tasks.ts'

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

/** Answers the open task of a node in the name of the context's actor; false when there is none, or no longer. */
export async function answerTask(
  ctx: Context,
  at: { workflow_id: string; execution_id: string; node_id: string },
  data: JsonValue,
): Promise<boolean> {
  const input = tasksContract.complete.input.parse({ ...at, data })
  return ctx.db.tx((db) => tasks.complete(within(ctx, db), input)).then(() => true, refused)
}

/** False for what nobody waits for, or not any more. */
export function refused(error: unknown): false {
  if (error instanceof Failure && (error.code === 'NOT_FOUND' || error.code === 'CONFLICT')) return false
  throw error
}
