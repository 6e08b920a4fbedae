/** Workflows and their executions. A workflow is a component: its draft, its versions and what it refers to are kept by
 *  that room, and here it is told flat. An execution is pinned to the definition and the code it begins with, and runs
 *  durably (see interpreter.ts).
 *
 *  An execution: queued → running ↔ waiting → completed | failed | cancelled | timed_out. `execute` queues it, the
 *  interpreter does the rest; `cancelExecution` ends one that nobody runs, and tells whoever runs it otherwise. */

import type { Page } from '@flow/contract/common'
import type { Component } from '@flow/contract/components'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Parsed } from '@flow/contract/operation'
import type {
  workflows as contract,
  Execution,
  ExecutionEvent,
  ExecutionSummary,
  Workflow,
} from '@flow/contract/workflows'
import { assertBudget } from '../billing/billing.ts'
import * as components from '../components/components.ts'
import type { Context, Scope } from '../context.ts'
import { defineRun } from '../engine/engine.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import { admit, begin, byHand, type Definition, prepare, presentNew, type SetOff } from './beginning.ts'
import { effectsOfEnd } from './ending.ts'
import { interpret } from './interpreter.ts'
import { follow, untilEnded } from './live.ts'
import { executionOf, VALUES_BYTES_MAX, workflowOf } from './present.ts'
import { rerunOf, type States } from './rules.ts'
import { admitting, closing, executing, exporting, forgetting } from './runs.ts'
import { assertKnown, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'
import { close } from './waits.ts'

export type { SetOff } from './beginning.ts'
export { answerCallback } from './callbacks.ts'
export { causesOf } from './store.ts'

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
  },
})

/** How long a cancel waits for what runs to have stopped. */
const CANCEL_SECONDS = 2

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
  return workflowOf(await find(ctx, workflow_id))
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<Workflow> {
  const { workflow_id, name, slug, description, tags, version, ...sent } = input
  const before = await find(ctx, workflow_id)
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
  await find(ctx, workflow_id)
  const { count } = await store.countUnfinished(ctx, workflow_id)
  if (count > 0)
    throw conflict(`${count} of its executions ${count === 1 ? 'has' : 'have'} not ended; cancel those first.`)

  await components.remove(ctx, { component_id: workflow_id })
  await ctx.start(forgetting, { workflow_id })
}

export const execute = (ctx: Context, input: Parsed<Ops['execute']>): Promise<Execution> => startExecution(ctx, input)

/** Queues an execution of what is armed, or of the version that is named. */
export async function startExecution(
  ctx: Context,
  input: Parsed<Ops['execute']>,
  set_off: SetOff = { type: 'manual' },
): Promise<Execution> {
  const made = await prepare(ctx, await definitionOf(ctx, input), input.input, set_off)
  return presentNew(ctx, await begin(ctx, made))
}

export async function listExecutions(
  ctx: Context,
  input: Parsed<Ops['listExecutions']>,
): Promise<Page<ExecutionSummary>> {
  await find(ctx, input.workflow_id)
  return store.list(ctx, input)
}

export async function getExecution(ctx: Context, input: Parsed<Ops['getExecution']>): Promise<Execution> {
  return present(ctx, await findExecution(ctx, input), input.node)
}

export async function cancelExecution(ctx: Context, input: Parsed<Ops['cancelExecution']>): Promise<Execution> {
  const { id, status } = await findExecution(ctx, input)
  if (status === 'cancelled') return getExecution(ctx, input)

  // The claim first, then the execution: in the order in which the owner locks them.
  const isFree = await ctx.platform.engine.takeForNow(ctx.db, id)
  if ((await store.requestCancel(ctx, id)) === 0) {
    const now = await findExecution(ctx, input)
    if (now.status === 'cancelled') return present(ctx, now)
    throw conflict(`It has ended already: it is ${now.status}.`)
  }
  if (isFree) await endNow(ctx, id)

  return getExecution(ctx, input)
}

export async function retryExecution(ctx: Context, input: Parsed<Ops['retryExecution']>): Promise<Execution> {
  const before = await findExecution(ctx, input)
  if (!before.completed_at) throw conflict(`It has not ended: it is ${before.status}. Cancel it first.`)
  const pinnedTo = await snapshotOf(ctx.db, ctx.organization_id, before.snapshot)
  assertKnown(pinnedTo)
  const { graph } = pinnedTo
  if (input.from_node !== undefined && !graph.byId.has(input.from_node)) {
    throw invalid([{ field: 'from_node', message: `There is no node "${input.from_node}" in its definition.` }])
  }
  if (before.status === 'completed' && input.from_node === undefined) {
    throw conflict('It completed. Name the node to begin again from in "from_node".')
  }
  await assertBudget(ctx)
  const rows = await store.nodesOf(ctx.db, before.id)
  const states: States = new Map(rows.map((row) => [row.node_id, row]))
  // The node that the execution failed by is run again even where it gave a result: an edge of it was at fault.
  if (before.error?.node_id) states.delete(before.error.node_id)
  const again = rerunOf(graph, states, input.from_node)
  const kept = rows.map((row) => row.node_id).filter((id) => !again.has(id))

  const { workflow_id, workflow_version, snapshot, concurrency_key } = before
  const pinned = { workflow_id, workflow_version, snapshot, concurrency_key }
  const made = { ...pinned, input: JSON.stringify(before.input), retry_of: before.id }
  return present(ctx, await begin(ctx, { ...made, ...byHand }, (id) => store.copyNodes(ctx, before.id, id, kept)))
}

/** Refuses before the stream begins; once it has, there is no other answer to give. */
export async function events(ctx: Context, input: Parsed<Ops['events']>): Promise<AsyncIterable<StreamEvent>> {
  const { id } = await findExecution(ctx, input)
  return told(ctx, id, Number(input.after ?? 0))
}

async function* told(ctx: Context, execution_id: string, after: number): AsyncGenerator<StreamEvent> {
  const { signal, organization_id, platform } = ctx
  const of = { database: platform.database, organization_id, execution_id, signal }
  for await (const { seq, type, node_id, at, details } of follow(of, after)) {
    yield { id: String(seq), event: type, data: { execution_id, node_id, at, ...details } }
  }
}

type StreamEvent = { id: string; event: string; data: ExecutionEvent }

// ---- what they share

async function find(ctx: Context, workflow_id: string): Promise<Component> {
  const component = await components.get(ctx, { component_id: workflow_id }).catch((error: unknown) => {
    throw error instanceof Failure && error.code === 'NOT_FOUND' ? notFound('workflow', workflow_id) : error
  })
  if (component.type !== 'workflow') throw notFound('workflow', workflow_id)
  return component
}

async function findExecution(
  ctx: Context,
  at: { workflow_id: string; execution_id: string },
): Promise<store.ExecutionRow> {
  // What is left of a workflow that is gone is not there any more.
  await find(ctx, at.workflow_id)
  const row = await store.find(ctx, at.workflow_id, at.execution_id)
  if (!row) throw notFound('execution', at.execution_id)
  return row
}

async function present(ctx: Scope, row: store.ExecutionRow, node?: string): Promise<Execution> {
  const { graph } = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  if (node !== undefined && !graph.byId.has(node)) {
    throw invalid([{ field: 'node', message: `There is no node "${node}" in its definition.` }])
  }
  return executionOf(row, graph, await store.toldNodesOf(ctx.db, row.id, VALUES_BYTES_MAX, node), node)
}

/** What is to be run: the version that is named, else the newest published one, else the draft. */
async function definitionOf(ctx: Context, input: Parsed<Ops['execute']>): Promise<Definition> {
  const draft = await find(ctx, input.workflow_id)
  if (draft.status === 'archived') throw conflict(`"${draft.slug}" is archived: nothing of it is started any longer.`)
  const isDraft = input.version === 'draft' || (input.version === undefined && draft.published_version === null)
  if (isDraft) return { workflow_id: draft.id, version: draft.version, config: configOf(draft) }
  const ref = input.version ? `${draft.id}@${input.version}` : draft.id
  const found = await components.resolve(ctx, ref, 'workflow')
  if (!found) throw invalid([{ field: 'version', message: `There is no version ${input.version} of this workflow.` }])
  return { workflow_id: draft.id, version: found.version, config: found.config as WorkflowConfig }
}

/** The execution when it has ended, or when the time is over. */
export async function settled(
  ctx: Context,
  { id, workflow_id }: Pick<Execution, 'id' | 'workflow_id'>,
  seconds: number,
): Promise<Execution> {
  const { database } = ctx.platform
  await untilEnded({ database, organization_id: ctx.organization_id, execution_id: id, signal: ctx.signal }, seconds)
  return getExecution(ctx, { workflow_id, execution_id: id })
}

const whenWished = async (ctx: Context, begun: Execution): Promise<Execution> =>
  ctx.wait_seconds > 0 ? settled(ctx, begun, ctx.wait_seconds) : begun

/** What is waited for when the transaction is over. */
export const waits = {
  execute: whenWished,
  retryExecution: whenWished,
  async cancelExecution(ctx: Context, asked: Execution): Promise<Execution> {
    const end = asked.completed_at ? asked : await settled(ctx, asked, CANCEL_SECONDS)
    if (end.completed_at && end.status !== 'cancelled') throw conflict(`It has ended before: it is ${end.status}.`)
    return end
  },
}

/** Ends an execution that nobody runs, in this transaction. */
async function endNow(ctx: Context, execution_id: string): Promise<void> {
  const row = await store.cancelNow(ctx, execution_id)
  ctx.db.tell('flow_executions', `${execution_id}.`)
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  const spent = row.started_at ? await store.nodesOf(ctx.db, execution_id) : undefined
  const effects = effectsOfEnd(ctx, row, { status: 'cancelled', spent }, snapshot)
  for (const effect of effects) await effect(ctx.db)
  await ctx.start(closing, { execution_id })
}

/** The fields of a component's configuration are the workflow's own here. */
async function flat(work: Promise<Component>): Promise<Component> {
  return work.catch((error: unknown) => {
    if (!(error instanceof Failure) || error.code !== 'VALIDATION_ERROR') throw error
    throw invalid(error.details.map(({ field, message }) => ({ field: field.replace(/^config\./, ''), message })))
  })
}

function configOf(component: Component): WorkflowConfig {
  if (component.type !== 'workflow') throw notFound('workflow', component.id)
  return component.config
}

/** Only what was sent. */
const given = <Fields extends object>(fields: Fields): Partial<Fields> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>
