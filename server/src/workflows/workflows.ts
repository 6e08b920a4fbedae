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
import { assertBudget, debit } from '../billing/billing.ts'
import * as components from '../components/components.ts'
import type { Graph } from '../components/workflow-rules.ts'
import { type Context, newId, type Scope } from '../context.ts'
import { defineRun } from '../engine/engine.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import { interpret, usagesOf } from './interpreter.ts'
import { follow, untilEnded } from './live.ts'
import { executionOf, VALUES_BYTES_MAX, workflowOf } from './present.ts'
import { rerunOf, type States } from './rules.ts'
import { pin, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'

type Ops = typeof contract

/** Runs an execution. It fails only when the process or the database does, so it may come back often. */
export const runExecution = defineRun<{ execution_id: string }>({
  name: 'workflows.execute',
  lane: 'executions',
  retry: { max_attempts: 100, backoff_seconds: 0 },
  work: (ctx, { execution_id }) => interpret(ctx, execution_id),
})

/** Removes what is left of a workflow that is gone, a few executions at a time. */
export const forgetExecutions = defineRun<{ workflow_id: string }>({
  name: 'workflows.forget',
  async work(ctx, { workflow_id }) {
    while ((await store.forgetSome(ctx, workflow_id)) > 0) ctx.signal.throwIfAborted()
  },
})

const INPUT_CHARACTERS = 1024 * 1024
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
  await ctx.start(forgetExecutions, { workflow_id })
}

export const execute = (ctx: Context, input: Parsed<Ops['execute']>): Promise<Execution> => startExecution(ctx, input)

/** What sets an execution off, when it is not a caller of `execute`. `depth`: how many events lie behind it. */
export type SetOff = { type: string; detail?: store.TriggerDetail; depth?: number }

/** Queues an execution of what is armed, or of the version that is named. */
export async function startExecution(
  ctx: Context,
  input: Parsed<Ops['execute']>,
  { type, detail, depth }: SetOff = { type: 'manual' },
): Promise<Execution> {
  const { version, config } = await definitionOf(ctx, input)
  const text = JSON.stringify(input.input)
  if (text.length > INPUT_CHARACTERS) throw new Failure('PAYLOAD_TOO_LARGE', 'The input has more than 1 MiB of JSON.')
  await assertBudget(ctx)
  const snapshot = await pin(ctx, config)
  const { graph } = await snapshotOf(ctx.db, ctx.organization_id, snapshot)
  assertFits(graph, input.input)

  return begin(ctx, {
    workflow_id: input.workflow_id,
    workflow_version: version,
    snapshot,
    input: text,
    retry_of: null,
    trigger_type: type,
    trigger: detail ?? null,
    event_depth: depth ?? 0,
  })
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
  const { graph } = await snapshotOf(ctx.db, ctx.organization_id, before.snapshot)
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

  const { workflow_id, workflow_version, snapshot } = before
  const made = { workflow_id, workflow_version, snapshot, input: JSON.stringify(before.input), retry_of: before.id }
  return begin(ctx, { ...made, ...byHand }, (id) => store.copyNodes(ctx, before.id, id, kept))
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
async function definitionOf(
  ctx: Context,
  input: Parsed<Ops['execute']>,
): Promise<{ version: string; config: WorkflowConfig }> {
  const draft = await find(ctx, input.workflow_id)
  const isDraft = input.version === 'draft' || (input.version === undefined && draft.published_version === null)
  if (isDraft) return { version: draft.version, config: configOf(draft) }
  const ref = input.version ? `${draft.id}@${input.version}` : draft.id
  const found = await components.resolve(ctx, ref, 'workflow')
  if (!found) throw invalid([{ field: 'version', message: `There is no version ${input.version} of this workflow.` }])
  return { version: found.version, config: found.config as WorkflowConfig }
}

function assertFits(graph: Graph, input: unknown): void {
  const faults = graph.checkInput?.(input) ?? []
  if (faults.length === 0) return
  throw invalid(faults.map(({ place, message }) => ({ field: `input${fieldOf(place)}`, message: `It ${message}.` })))
}

/** `/rows/3/name` as `.rows[3].name`. */
const fieldOf = (place: string): string =>
  place
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll('~1', '/').replaceAll('~0', '~')}`))
    .join('')

type Beginning = Pick<
  store.ExecutionRow,
  'workflow_id' | 'workflow_version' | 'snapshot' | 'retry_of' | 'trigger_type' | 'trigger' | 'event_depth'
> & { input: string }

const byHand = { trigger_type: 'manual', trigger: null, event_depth: 0 }

/** Queues an execution; whoever is willing to wait is answered when it has ended. */
async function begin(ctx: Context, made: Beginning, prepare?: (id: string) => Promise<unknown>): Promise<Execution> {
  const { actor, request_id } = ctx
  const started_by = actor.kind === 'system' ? null : actor.user_id
  const row = await store.insert(ctx, { id: newId(), ...made, started_by, request_id })
  await prepare?.(row.id)
  await ctx.start(runExecution, { execution_id: row.id }, { id: row.id })
  if (prepare) return present(ctx, row)
  return executionOf(row, (await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)).graph, [])
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
  const { workspace_id, now, request_id } = ctx
  const row = await store.cancelNow(ctx, execution_id)
  if (!row.started_at) return
  const at = { db: ctx.db, organization_id: ctx.organization_id, workspace_id, now, request_id }
  for (const usage of usagesOf(row, await store.nodesOf(ctx.db, execution_id))) await debit(at, usage)
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
