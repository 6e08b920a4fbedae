/** `human_task`: asks people, and waits until one of them has answered. */

import type { WorkflowNode } from '@flow/contract/components/workflow'
import { newId } from '../../context.ts'
import { openTask } from '../waits.ts'
import { fieldsOf, type Kind, NodeFailure, nodeOf, tellable } from './node.ts'

type Fields = { title: unknown; description?: unknown; assignees: unknown[] }

const TITLE_MAX = 500

export const humanTask: Kind = {
  hasOwnLimit: true,
  opens: true,
  async perform(call) {
    const { form, role, due_seconds, remind_seconds, on_due } = nodeOf(call, 'human_task')
    const { title, description, assignees } = fieldsOf<Fields>(call)
    const now = call.now.toISOString()
    const after = (seconds: number | undefined) =>
      seconds === undefined ? null : new Date(call.now.getTime() + seconds * 1000).toISOString()
    const due_at = after(due_seconds)
    const named = assigneesOf(assignees)
    if (assignees.length > 0 && named.length === 0 && !role) {
      // Nobody named on purpose means anybody; an expression that gives nobody does not.
      const message = 'Its "assignees" come to nobody, and it names no role.'
      throw new NodeFailure('NO_ASSIGNEES', message, { is_final: true })
    }
    const task = {
      id: newId(),
      ...call.about,
      attempt: call.attempt,
      title: tellable(String(title)).slice(0, TITLE_MAX),
      description: description === undefined ? null : tellable(String(description)),
      form: form ?? null,
      assignees: named,
      role: role ?? null,
      due_at,
      remind_at: after(remind_seconds),
    }
    const until = [on_due === 'expire' ? due_at : null, after(call.at.node.timeout_seconds)]
      .filter((time) => time !== null)
      .sort()[0]
    return { waits: { ...(until ? { until } : {}), open: (db) => openTask({ ...call.ctx, db, now }, task) } }
  },
  due({ node }) {
    if (!isExpiry(node)) throw new NodeFailure('TIMEOUT', `Nobody answered within ${node.timeout_seconds} seconds.`)
    throw new NodeFailure('EXPIRED', 'Nobody answered before the task was due.', { is_final: true })
  },
}

/** Whether the due date, and not the timeout, is what comes first. */
function isExpiry(node: WorkflowNode): boolean {
  if (node.type !== 'human_task' || node.on_due !== 'expire' || node.due_seconds === undefined) return false
  return node.timeout_seconds === undefined || node.due_seconds <= node.timeout_seconds
}

/** An expression may give several at once. */
function assigneesOf(assignees: unknown[]): string[] {
  const named = assignees.flat().filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  return [...new Set(named.map((one) => tellable(one).trim().toLowerCase()))].slice(0, 100)
}
