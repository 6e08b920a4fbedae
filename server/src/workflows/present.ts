/** How rows are told to people: a workflow flat, an execution with its nodes in the definition's order. */

import type { Component } from '@flow/contract/components'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Execution, ExecutionNode, Workflow } from '@flow/contract/workflows'
import type { Graph } from '../components/workflow-rules.ts'
import { blankRow } from './memory.ts'
import { joinInput } from './rules.ts'
import type { ExecutionRow, StoredNode } from './store.ts'

export function workflowOf(component: Component): Workflow {
  const { type: _, config, ...common } = component
  return { ...WorkflowConfig.parse(config), ...common }
}

export function executionOf(row: ExecutionRow, graph: Graph, nodes: StoredNode[]): Execution {
  const byId = new Map(nodes.map((node) => [node.node_id, node]))
  const sourceOf = (id: string) => (id === '' ? row.input : byId.get(id)?.output)
  return {
    id: row.id,
    workflow_id: row.workflow_id,
    workflow_version: row.workflow_version,
    status: row.status,
    input: row.input as Execution['input'],
    output: (row.output ?? null) as Execution['output'],
    error: row.error,
    nodes: graph.nodes.map(({ node }) => nodeOf(node, byId.get(node.id), sourceOf, row.completed_at !== null)),
    trigger: { ...row.trigger, type: row.trigger_type, by: row.started_by },
    retry_of: row.retry_of,
    cancel_requested_at: row.cancel_requested_at,
    waiting_until: row.waiting_until,
    created_at: row.created_at,
    started_at: row.started_at,
    completed_at: row.completed_at,
  }
}

type SourceOf = (id: string) => unknown
type Node = Graph['nodes'][number]['node']

function nodeOf(node: Node, stored: StoredNode | undefined, sourceOf: SourceOf, isOver: boolean): ExecutionNode {
  const row = stored ?? { ...blankRow(node.id), characters: 0 }
  const { attempt, error, items, due_at, started_at, completed_at } = row
  return {
    id: node.id,
    type: node.type,
    label: node.label ?? null,
    // What an execution that has ended never came to.
    status: stored?.status ?? (isOver ? 'skipped' : 'pending'),
    attempt,
    input: (joinInput(row.input, row.input_from, sourceOf) ?? null) as ExecutionNode['input'],
    output: (row.output ?? null) as ExecutionNode['output'],
    error,
    items,
    waiting_until: due_at,
    started_at,
    completed_at,
    duration_ms: started_at && completed_at ? Date.parse(completed_at) - Date.parse(started_at) : null,
  }
}
