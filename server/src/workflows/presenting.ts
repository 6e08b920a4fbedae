/** Reads what is told of executions, and tells it: a whole one, its events, its timeline. What is secret in it is told
 *  by nobody else. */

import type { Execution, ExecutionError, ExecutionEvent, Timeline } from '@flow/contract/workflows'
import { may, solutionsWith } from '../auth/auth.ts'
import type { Context } from '../context.ts'
import { invalid } from '../failure.ts'
import { callbacksOf } from './callbacks.ts'
import { follow } from './live.ts'
import { errorOf, executionOf, type Hidden, type Sources, sourcesOf, VALUES_BYTES_MAX } from './present.ts'
import * as others from './presenting-store.ts'
import { type NodeSecrets, Redaction, withNodes } from './redaction.ts'
import { joinInput } from './rules.ts'
import { type Snapshot, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'
import { timelineOf } from './timeline.ts'
import type { Begun } from './waiting-for.ts'

/** An execution as it is now, or of its nodes only one. */
export async function present(ctx: Context, row: store.ExecutionRow, node?: string): Promise<Execution> {
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  if (node !== undefined && !snapshot.graph.byId.has(node)) {
    throw invalid([{ field: 'node', message: `There is no node "${node}" in its definition.` }])
  }
  const nodes = await store.toldNodesOf(ctx.db, row.id, VALUES_BYTES_MAX, node)
  const open = node === undefined ? nodes.filter((each) => !each.completed_at) : undefined
  const begun = row.completed_at ? [] : (open ?? (await others.openNodesOf(ctx.db, row.id)))
  return tellAll(ctx, row, snapshot, { nodes, begun, node })
}

/** An execution that has just begun. */
export async function presentNew(ctx: Context, row: store.ExecutionRow): Promise<Execution> {
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  return tellAll(ctx, row, snapshot, { nodes: [], begun: [] })
}

type Read = { nodes: store.ToldNode[]; begun: (Begun & { node_id: string })[]; node?: string | undefined }

async function tellAll(ctx: Context, row: store.ExecutionRow, snapshot: Snapshot, read: Read): Promise<Execution> {
  const { graph } = snapshot
  const { nodes, begun, node } = read
  const { parent_execution_id } = row
  const isInLine = row.status === 'queued' && !row.is_admitted
  const children = await childrenOf(ctx, row, snapshot, nodes.length > 0)
  const tasks = begun.some(({ status }) => status === 'waiting') ? await others.openTasksOf(ctx, row.id) : []
  return executionOf({
    row,
    graph,
    nodes,
    node,
    begun: new Map(begun.map((each) => [each.node_id, each])),
    others: {
      children: new Map(children.map((child) => [child.parent_node_id, child])),
      tasks: new Map(tasks.map((task) => [task.node_id, task])),
      callbacks: mayRun(ctx) ? callbacksOf(ctx.platform, graph, row.id) : {},
      ahead: isInLine ? await others.countAhead(ctx, row) : 0,
    },
    parent_workflow_id: parent_execution_id ? await others.workflowOfExecution(ctx, parent_execution_id) : null,
    retention_days: ctx.platform.config.execution_retention_days,
    hidden: await hiddenOf(ctx, row, snapshot, { nodes, is_all: node === undefined, children }),
  })
}

/** Whether the caller may run workflows: in the workspace, or in each of the solutions that they see at all. */
function mayRun({ actor, workspace_id, solution_ids }: Context): boolean {
  if (may(actor, 'solutions.write', { workspace_id })) return true
  const theirs = solutionsWith(actor, 'solutions.write', workspace_id)
  return solution_ids?.every((id) => theirs.includes(id)) ?? false
}

const childrenOf = async (ctx: Context, row: store.ExecutionRow, { graph }: Snapshot, hasBegun: boolean) =>
  hasBegun && graph.nodes.some(({ node }) => node.type === 'workflow' || node.type === 'tool')
    ? others.childrenOf(ctx, row.id)
    : []

// ---- what is secret

/** `is_all`: a node that is not among them has not begun. */
type Known = { nodes: store.ToldNode[]; is_all: boolean; children: others.ChildRow[] }

/** What is to be hidden of an execution, with all its secrets known; undefined where nothing is marked. */
async function hiddenOf(
  ctx: Context,
  row: store.ExecutionRow,
  snapshot: Snapshot,
  known: Known,
): Promise<Hidden | undefined> {
  const secrets = withNodes(snapshot.secrets, await secretsOfChildren(ctx, known.children))
  if (!secrets) return undefined
  const redaction = new Redaction()
  redaction.learn(secrets.input, row.input)
  redaction.learn(secrets.output, row.output)
  const sources = sourcesOf(row, known.nodes)
  for (const [node_id, marked] of secrets.nodes) {
    const read = await valuesOf(ctx, row, node_id, known, sources)
    if (!read) continue
    redaction.learn(marked.output, read.output)
    redaction.learn(marked.input, read.input)
  }
  return { secrets, redaction }
}

/** The input and output of a node: from what was read already, if they are there. */
async function valuesOf(ctx: Context, row: store.ExecutionRow, node_id: string, known: Known, sources: Sources) {
  const inputOf = ({ input, input_from }: store.ToldNode, from: Sources) =>
    joinInput(input, input_from, (id) => from.get(id)?.value)
  const found = known.nodes.find((one) => one.node_id === node_id)
  if (!found && known.is_all) return undefined
  const isWhole = (one: store.ToldNode) =>
    one.has_input && one.has_output && Object.values(one.input_from ?? {}).every((id) => sources.has(id))
  if (found && isWhole(found)) return { input: inputOf(found, sources), output: found.output }
  const read = await store.toldNodesOf(ctx.db, row.id, Number.MAX_SAFE_INTEGER, node_id)
  const whole = read.find((one) => one.node_id === node_id)
  return whole && { input: inputOf(whole, sourcesOf(row, read)), output: whole.output }
}

/** What a child's own schemas mark is secret in the node that began it as well. */
async function secretsOfChildren(ctx: Context, children: others.ChildRow[]): Promise<Map<string, NodeSecrets>> {
  const found = new Map<string, NodeSecrets>()
  for (const { parent_node_id, snapshot } of children) {
    const { secrets } = await snapshotOf(ctx.db, ctx.organization_id, snapshot)
    const { input, output } = secrets ?? {}
    if (input || output) found.set(parent_node_id, { ...(input ? { input } : {}), ...(output ? { output } : {}) })
  }
  return found
}

/** What is hidden of an execution as it is now, for those who tell something else of it than its values. */
export async function hiddenNow(ctx: Context, before: store.ExecutionRow): Promise<Hidden | undefined> {
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, before.snapshot)
  const children = await childrenOf(ctx, before, snapshot, true)
  if (!snapshot.secrets && children.length === 0) return undefined
  const row = (await store.find(ctx, before.workflow_id, before.id)) ?? before
  return hiddenOf(ctx, row, snapshot, { nodes: [], is_all: false, children })
}

// ---- events, and what is made of them

export type StreamEvent = { id: string; event: string; data: ExecutionEvent }

export async function* tellEvents(ctx: Context, row: store.ExecutionRow, after: number): AsyncGenerator<StreamEvent> {
  const { signal, organization_id, platform } = ctx
  const execution_id = row.id
  const of = { database: platform.database, organization_id, execution_id, signal }
  for await (const { seq, type, node_id, at, details } of follow(of, after)) {
    const told: { error?: ExecutionError } = details ?? {}
    // What is secret is read for each of them: more of it may have come up meanwhile.
    const error = told.error && errorOf(told.error, await hiddenNow(ctx, row))
    yield { id: String(seq), event: type, data: { execution_id, node_id, at, ...told, ...(error ? { error } : {}) } }
  }
}

const EVENTS_MAX = 20_000

export async function presentTimeline(ctx: Context, row: store.ExecutionRow): Promise<Timeline> {
  const { graph } = await snapshotOf(ctx.db, ctx.organization_id, row.snapshot)
  const [events, nodes] = await Promise.all([
    others.timedEvents(ctx.db, row.id, EVENTS_MAX + 1),
    others.nodeTimesOf(ctx.db, row.id),
  ])
  const told = timelineOf({ row, graph, nodes, events: events.slice(0, EVENTS_MAX), now: ctx.now })
  const isComplete = events.length <= EVENTS_MAX
  if (!told.spans.some(({ error }) => error)) return { ...told, is_complete: isComplete }
  const hidden = await hiddenNow(ctx, row)
  const spans = told.spans.map((span) => ({ ...span, error: errorOf(span.error, hidden) }))
  return { ...told, spans, is_complete: isComplete }
}
