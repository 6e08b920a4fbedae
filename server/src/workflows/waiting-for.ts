/** Why an execution has not ended: what each of its nodes waits for, and what it waits for as a whole. Without I/O. */

import type { WaitingFor } from '@flow/contract/workflows'
import type { Graph, GraphNode } from '../components/workflow-rules.ts'
import type { ChildRow, TaskRow } from './presenting-store.ts'
import type { ExecutionRow, NodeRow } from './store.ts'

/** A node that has begun and not ended. */
export type Begun = Pick<NodeRow, 'status' | 'attempt' | 'due_at' | 'started_at'>

/** Whom it waits for besides time: by the node's id. */
export type Others = {
  children: ReadonlyMap<string, ChildRow>
  tasks: ReadonlyMap<string, TaskRow>
  /** The addresses of `webhook_wait` nodes, for those who may know them. */
  callbacks: Readonly<Record<string, string>>
  /** How many are before it in its line. */
  ahead: number
}

export const nobody: Others = { children: new Map(), tasks: new Map(), callbacks: {}, ahead: 0 }

/** What the execution waits for before any of its nodes may begin. */
export function waitingAtStart(row: ExecutionRow, { config }: Graph, { ahead }: Others): WaitingFor[] {
  if (row.status !== 'queued') return []
  const whole = { node_id: null, until: null }
  if (row.is_admitted || row.concurrency_key === null) {
    return [{ kind: 'queue', ...whole, message: 'It waits for a free worker.' }]
  }
  const { limit = 1 } = config.concurrency ?? {}
  const key = row.concurrency_key
  const others = ahead === 1 ? '1 other begins' : `${ahead} others begin`
  const line = key === '' ? '' : ` with the key ${key}`
  const message = `It waits for its turn: at most ${limit} run at a time${line}, and ${others} before it.`
  return [{ kind: 'turn', ...whole, limit, key, ahead, message }]
}

/** What a node waits for that has begun. */
export function waitingOfNode(at: GraphNode, stored: Begun | undefined, others: Others): WaitingFor[] {
  if (!stored) return []
  const { node } = at
  const name = `"${node.label ?? node.id}"`
  const { status, attempt, due_at: until } = stored
  const max_attempts = node.retry?.max_attempts ?? 1
  if (status === 'retrying' && until) {
    const message = `Attempt ${attempt} of ${name} failed; attempt ${attempt + 1} of ${max_attempts} begins at ${until}.`
    return [{ kind: 'retry', node_id: node.id, until, attempt: attempt + 1, max_attempts, message }]
  }
  if (status === 'waiting') return [waitOf(at, name, stored, others)]
  if (status !== 'running' || !stored.started_at) return []
  const which = attempt > 1 ? `, in attempt ${attempt} of ${max_attempts}` : ''
  const message = `${name} is at work since ${stored.started_at}${which}.`
  return [{ kind: 'code', node_id: node.id, until: null, since: stored.started_at, attempt, message }]
}

function waitOf({ node }: GraphNode, name: string, { due_at: until }: Begun, others: Others): WaitingFor {
  const limit = until ? `, until ${until} at the latest` : ''
  const child = others.children.get(node.id)
  if (child) {
    const { id: execution_id, workflow_id, status } = child
    const message = `${name} waits for the execution ${execution_id} of another workflow, which is ${status}${limit}.`
    return { kind: 'child', node_id: node.id, until, execution_id, workflow_id, status, message }
  }
  const task = others.tasks.get(node.id)
  if (node.type === 'human_task' && task) {
    const { id: task_id, title, assignees, role, due_at } = task
    const message = `${name} waits for ${peopleOf(task)} to answer the task "${title}"${limit}.`
    return { kind: 'task', node_id: node.id, until, task_id, title, assignees, role, due_at, message }
  }
  if (node.type === 'webhook_wait') {
    const { method } = node
    const message = `${name} waits for somebody to call its address with ${method}${limit}.`
    return { kind: 'callback', node_id: node.id, until, method, url: others.callbacks[node.id] ?? null, message }
  }
  if (node.type === 'wait' && until) {
    return { kind: 'time', node_id: node.id, until, message: `${name} waits until ${until}.` }
  }
  const message = `What ${name} waited for has come; it goes on when a worker is free.`
  return { kind: 'queue', node_id: node.id, until: null, message }
}

const NAMED_MAX = 3

function peopleOf({ assignees, role }: TaskRow): string {
  const named = assignees.slice(0, NAMED_MAX)
  const others = assignees.length - named.length
  const all = [
    ...named,
    ...(others > 0 ? [`${others} other${others === 1 ? '' : 's'}`] : []),
    ...(role ? [`anybody with the role ${role}`] : []),
  ]
  if (all.length === 0) return 'anybody who may run workflows'
  return all.join(', ').replace(/, ([^,]*)$/, ' or $1')
}
