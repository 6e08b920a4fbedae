/** How rows are told to people: a workflow flat, an execution with its nodes in the definition's order. */

import type { Component } from '@flow/contract/components'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Execution, ExecutionNode, Workflow } from '@flow/contract/workflows'
import type { Graph } from '../components/workflow-rules.ts'
import { blankRow } from './memory.ts'
import { joinInput } from './rules.ts'
import type { ExecutionRow, ToldNode } from './store.ts'

export function workflowOf(component: Component): Workflow {
  const { type: _, config, ...common } = component
  return { ...WorkflowConfig.parse(config), ...common }
}

/** How many bytes of JSON the inputs and outputs of nodes may come to in one answer, so that the whole stays below
 *  32 MiB: beside them it holds the execution's input (1 MiB), its output (4 Mi characters) and 1,000 errors. */
export const VALUES_BYTES_MAX = 16 * 1024 * 1024

/** The nodes are those that were read within `VALUES_BYTES_MAX`; what they borrow has room in what that leaves. With
 *  `node` only that one is told. */
export function executionOf(row: ExecutionRow, graph: Graph, nodes: ToldNode[], node?: string): Execution {
  const told = graph.nodes.filter((at) => node === undefined || at.node.id === node)
  const byId = new Map(nodes.map((each) => [each.node_id, each]))
  const sources = sourcesOf(row, nodes)
  let left = VALUES_BYTES_MAX
  for (const at of told) left -= ownBytes(byId.get(at.node.id))
  return {
    id: row.id,
    workflow_id: row.workflow_id,
    workflow_version: row.workflow_version,
    status: row.status,
    input: row.input as Execution['input'],
    output: (row.output ?? null) as Execution['output'],
    error: row.error,
    nodes: told.map((at) => {
      const stored = byId.get(at.node.id)
      const borrowed = borrowedBytes(stored, sources)
      const hasRoom = borrowed <= left
      if (hasRoom) left -= borrowed
      return nodeOf(at.node, stored, hasRoom ? sources : undefined, row.completed_at !== null)
    }),
    trigger: { ...row.trigger, type: row.trigger_type, by: row.started_by },
    retry_of: row.retry_of,
    cancel_requested_at: row.cancel_requested_at,
    waiting_until: row.waiting_until,
    created_at: row.created_at,
    started_at: row.started_at,
    completed_at: row.completed_at,
  }
}

/** What inputs are borrowed from, by id: values that are there, with their lengths. */
type Sources = ReadonlyMap<string, { value: unknown; bytes: number }>

function sourcesOf(row: ExecutionRow, nodes: ToldNode[]): Sources {
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

type Node = Graph['nodes'][number]['node']

/** `sources`: absent where what the input borrows has no room. */
function nodeOf(node: Node, stored: ToldNode | undefined, sources: Sources | undefined, isOver: boolean) {
  const row = stored ?? { ...blankRow(node.id), has_input: true, has_output: true }
  const { attempt, input_from, error, items, due_at, started_at, completed_at } = row
  const hasInput = row.has_input && sources !== undefined
  const input = hasInput ? joinInput(row.input, input_from, (id) => sources.get(id)?.value) : null
  return {
    id: node.id,
    type: node.type,
    label: node.label ?? null,
    // What an execution that has ended never came to.
    status: stored?.status ?? (isOver ? 'skipped' : 'pending'),
    attempt,
    input: (input ?? null) as ExecutionNode['input'],
    input_from,
    output: (row.output ?? null) as ExecutionNode['output'],
    omitted: [...(hasInput ? [] : ['input' as const]), ...(row.has_output ? [] : ['output' as const])],
    error,
    items,
    waiting_until: due_at,
    started_at,
    completed_at,
    duration_ms: started_at && completed_at ? Date.parse(completed_at) - Date.parse(started_at) : null,
  } satisfies ExecutionNode
}
