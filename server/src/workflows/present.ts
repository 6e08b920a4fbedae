/** How rows are told to people: a workflow flat, an execution with its nodes in the definition's order. Without I/O;
 *  what is told is read by presenting.ts. */

import type { Component } from '@flow/contract/components'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Execution, ExecutionError, ExecutionNode, WaitingFor, Workflow } from '@flow/contract/workflows'
import type { Graph, GraphNode } from '../components/workflow-rules.ts'
import type { SecretFields } from '../expressions/expressions.ts'
import { blankRow } from './memory.ts'
import type { Redaction, Secrets } from './redaction.ts'
import { joinInput } from './rules.ts'
import type { ExecutionRow, ToldNode } from './store.ts'
import { type Begun, type Others, waitingAtStart, waitingOfNode } from './waiting-for.ts'

const DAY_MS = 86_400_000

export function workflowOf(component: Component): Workflow {
  const { type: _, config, ...common } = component
  return { ...WorkflowConfig.parse(config), ...common }
}

/** How many bytes of JSON the inputs and outputs of nodes may come to in one answer, so that the whole stays below
 *  32 MiB: beside them it holds the execution's input (1 MiB), its output (4 Mi characters) and 1,000 errors. */
export const VALUES_BYTES_MAX = 16 * 1024 * 1024

/** What is read of an execution. */
export type Told = {
  row: ExecutionRow
  graph: Graph
  /** Those that were read within `VALUES_BYTES_MAX`; what they borrow has room in what that leaves. */
  nodes: ToldNode[]
  /** Only this node is told. */
  node?: string | undefined
  /** The nodes that have begun and not ended, by id. */
  begun: ReadonlyMap<string, Begun>
  others: Others
  /** The workflow of its parent, if that is there. */
  parent_workflow_id: string | null
  /** How long an execution is kept that says nothing of it; 0: for good. */
  retention_days: number
  /** What is secret in it, and how it is told without. */
  hidden?: Hidden | undefined
}
export type Hidden = { secrets: Secrets; redaction: Redaction }

export function executionOf(told: Told): Execution {
  const { row, graph, nodes, node, begun, others, hidden } = told
  const shown = graph.nodes.filter((at) => node === undefined || at.node.id === node)
  const byId = new Map(nodes.map((each) => [each.node_id, each]))
  const sources = sourcesOf(row, nodes)
  let left = VALUES_BYTES_MAX
  for (const at of shown) left -= ownBytes(byId.get(at.node.id))
  const tellNode = (at: GraphNode): ExecutionNode => {
    const stored = byId.get(at.node.id)
    const borrowed = borrowedBytes(stored, sources)
    const hasRoom = borrowed <= left
    if (hasRoom) left -= borrowed
    return nodeOf(at, stored, hasRoom ? sources : undefined, told)
  }
  const waiting = graph.nodes.flatMap((at) => waitingOfNode(at, begun.get(at.node.id), others))
  // The nodes were read a moment later than the row: it may have begun meanwhile.
  const atStart = waiting.length === 0 ? waitingAtStart(row, graph, others) : []
  return {
    id: row.id,
    workflow_id: row.workflow_id,
    workflow_version: row.workflow_version,
    status: row.status,
    waiting_for: tell([...atStart, ...waiting], hidden),
    input: tell(row.input, hidden, hidden?.secrets.input),
    output: tell(row.output ?? null, hidden, hidden?.secrets.output),
    error: errorOf(row.error, hidden),
    nodes: shown.map(tellNode),
    trigger: { ...row.trigger, type: row.trigger_type, by: row.started_by },
    parent: parentOf(told),
    retry_of: row.retry_of,
    replay_id: row.replay_id,
    priority: row.priority,
    cancel_requested_at: row.cancel_requested_at,
    waiting_until: row.waiting_until,
    created_at: row.created_at,
    started_at: row.started_at,
    completed_at: row.completed_at,
    duration_ms: between(row.started_at, row.completed_at),
    expires_at: expiryOf(told),
  }
}

/** The value, or what of it may be told. Its shape stays: only texts and what is marked are replaced. */
export const tell = <Value>(value: Value, hidden: Hidden | undefined, fields?: SecretFields): Value =>
  hidden ? (hidden.redaction.tell(value, fields) as Value) : value

export const errorOf = (error: ExecutionError | null, hidden: Hidden | undefined): ExecutionError | null =>
  error && hidden ? { ...error, message: hidden.redaction.message(error.message) } : error

function parentOf({ row, parent_workflow_id }: Told): Execution['parent'] {
  const { parent_execution_id: execution_id, parent_node_id: node_id } = row
  return execution_id && node_id ? { execution_id, node_id, workflow_id: parent_workflow_id } : null
}

function expiryOf({ row, retention_days }: Told): string | null {
  const isUndated = row.retention_days === null && retention_days > 0 && row.completed_at !== null
  if (row.expires_at || !isUndated) return row.expires_at
  return new Date(Date.parse(row.completed_at ?? '') + retention_days * DAY_MS).toISOString()
}

const between = (from: string | null, to: string | null): number | null =>
  from && to ? Date.parse(to) - Date.parse(from) : null

/** What inputs are borrowed from, by id: values that are there, with their lengths. */
export type Sources = ReadonlyMap<string, { value: unknown; bytes: number }>

export function sourcesOf(row: Pick<ExecutionRow, 'input'>, nodes: ToldNode[]): Sources {
  const sources = new Map<string, { value: unknown; bytes: number }>()
  for (const each of nodes) {
    if (each.has_output) sources.set(each.node_id, { value: each.output, bytes: each.output_bytes })
  }
  const isBorrowed = nodes.some(({ input_from }) => Object.values(input_from ?? {}).includes(''))
  if (isBorrowed) sources.set('', { value: row.input, bytes: Buffer.byteLength(JSON.stringify(row.input)) })
  return sources
}

const ownBytes = (stored: ToldNode | undefined): number =>
  (stored?.has_input ? stored.input_bytes : 0) + (stored?.has_output ? stored.output_bytes : 0)

/** How much longer an answer is by what an input borrows; without end where a source is not there. */
function borrowedBytes(stored: ToldNode | undefined, sources: Sources): number {
  const ids = Object.values(stored?.input_from ?? {})
  return ids.reduce((sum, id) => sum + (sources.get(id)?.bytes ?? Infinity), 0)
}

/** `sources`: absent where what the input borrows has no room. */
function nodeOf(at: GraphNode, stored: ToldNode | undefined, sources: Sources | undefined, told: Told): ExecutionNode {
  const { node } = at
  const { hidden, others } = told
  const row = stored ?? { ...blankRow(node.id), has_input: true, has_output: true, reused: false }
  const { attempt, input_from, items, due_at, started_at, completed_at } = row
  const hasInput = row.has_input && sources !== undefined
  const input = hasInput ? joinInput(row.input, input_from, (id) => sources.get(id)?.value) : null
  const secrets = hidden?.secrets.nodes.get(node.id)
  const waiting_for: WaitingFor[] = waitingOfNode(at, told.begun.get(node.id), others)
  return {
    id: node.id,
    type: node.type,
    label: node.label ?? null,
    // What an execution that has ended never came to.
    status: stored?.status ?? (told.row.completed_at ? 'skipped' : 'pending'),
    attempt,
    reused: row.reused,
    input: tell(input ?? null, hidden, secrets?.input) as ExecutionNode['input'],
    input_from,
    output: tell(row.output ?? null, hidden, secrets?.output) as ExecutionNode['output'],
    omitted: [...(hasInput ? [] : ['input' as const]), ...(row.has_output ? [] : ['output' as const])],
    error: errorOf(row.error, hidden),
    items,
    waiting_for: tell(waiting_for, hidden),
    waiting_until: due_at,
    child_execution_id: others.children.get(node.id)?.id ?? null,
    started_at,
    completed_at,
    duration_ms: between(started_at, completed_at),
  }
}
