/** Workflows and their executions: the door of the room. A workflow is a component: its draft, its versions and what it
 *  refers to are kept by that room, and here it is told flat. What is done with executions is in executions.ts, with
 *  many of them at once in replays.ts; what runs them is interpreter.ts. */

import type { Page } from '@flow/contract/common'
import type { Component } from '@flow/contract/components'
import type { Parsed } from '@flow/contract/operation'
import type { workflows as contract, Workflow } from '@flow/contract/workflows'
import * as components from '../components/components.ts'
import type { Context } from '../context.ts'
import { defineRun } from '../engine/engine.ts'
import { conflict, Failure, invalid } from '../failure.ts'
import { admit } from './beginning.ts'
import { configOf, findWorkflow } from './finding.ts'
import { interpret } from './interpreter.ts'
import { workflowOf } from './present.ts'
import * as batches from './replays-store.ts'
import { admitting, closing, executing, exporting, forgetting } from './runs.ts'
import * as store from './store.ts'
import { close } from './waits.ts'

export type { SetOff } from './beginning.ts'
export { answerCallback } from './callbacks.ts'
export {
  cancelExecution,
  events,
  execute,
  getExecution,
  listAllExecutions,
  listExecutions,
  retryExecution,
  settled,
  startExecution,
  timeline,
  waits,
} from './executions.ts'
export * as replays from './replays.ts'
export { startRetention } from './retention.ts'
export { causesOf } from './store.ts'

/** Executions are asked for by many at a time. */
export const shares = ['execute'] as const

type Ops = typeof contract

defineRun({ ...executing, work: (ctx, { execution_id }) => interpret(ctx, execution_id) })
defineRun({ ...closing, work: close })
defineRun({ ...admitting, work: admit })
defineRun({
  ...exporting,
  // Loaded when there is something to send: the library takes 25 MB and a quarter of a second.
  work: async (ctx, input) => (await import('./tracing.ts')).exportTrace(ctx, input),
})
defineRun({
  ...forgetting,
  async work(ctx, { workflow_id }) {
    while ((await store.forgetSome(ctx, workflow_id)) > 0) ctx.signal.throwIfAborted()
    await batches.forget(ctx, workflow_id)
  },
})

export async function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Workflow>> {
  const page = await components.list(ctx, { ...input, type: 'workflow' })
  return { ...page, items: page.items.map(workflowOf) }
}

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<Workflow> {
  const { name, slug, description, tags, version, ...config } = input
  const made = await flat(components.create(ctx, { type: 'workflow', name, slug, description, tags, version, config }))
  return workflowOf(made)
}

export async function get(ctx: Context, { workflow_id }: Parsed<Ops['get']>): Promise<Workflow> {
  return workflowOf(await findWorkflow(ctx, workflow_id))
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<Workflow> {
  const { workflow_id, name, slug, description, tags, version, ...sent } = input
  const before = await findWorkflow(ctx, workflow_id)
  const isRedefined = Object.values(sent).some((value) => value !== undefined)

  const updated = await flat(
    components.update(ctx, {
      component_id: workflow_id,
      ...given({ name, slug, description, tags, version }),
      ...(isRedefined ? { config: { ...configOf(before), ...given(sent) } } : {}),
    }),
  )
  return workflowOf(updated)
}

export async function remove(ctx: Context, { workflow_id }: Parsed<Ops['remove']>): Promise<undefined> {
  await findWorkflow(ctx, workflow_id)
  await batches.cancelAll(ctx, workflow_id)
  const { count } = await store.countUnfinished(ctx, workflow_id)
  if (count > 0)
    throw conflict(`${count} of its executions ${count === 1 ? 'has' : 'have'} not ended; cancel those first.`)

  await components.remove(ctx, { component_id: workflow_id })
  await ctx.start(forgetting, { workflow_id })
}

/** The fields of a component's configuration are the workflow's own here. */
async function flat(work: Promise<Component>): Promise<Component> {
  return work.catch((error: unknown) => {
    if (!(error instanceof Failure) || error.code !== 'VALIDATION_ERROR') throw error
    throw invalid(error.details.map(({ field, message }) => ({ field: field.replace(/^config\./, ''), message })))
  })
}

/** Only what was sent. */
const given = <Fields extends object>(fields: Fields): Partial<Fields> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>
