/** `human_task`: asks people, and waits until one of them has answered. */

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
    const after = (seconds: number | undefined) =>
      seconds === undefined ? null : new Date(call.now.getTime() + seconds * 1000).toISOString()
    const due_at = after(due_seconds)
    const task = {
      id: newId(),
      ...call.about,
      attempt: call.attempt,
      title: tellable(String(title)).slice(0, TITLE_MAX),
      description: description === undefined ? null : tellable(String(description)),
      form: form ?? null,
      assignees: assigneesOf(assignees),
      role: role ?? null,
      due_at,
      remind_at: after(remind_seconds),
    }
    const until = [on_due === 'expire' ? due_at : null, after(call.at.node.timeout_seconds)]
      .filter((time) => time !== null)
      .sort()[0]
    return { waits: { ...(until ? { until } : {}), open: (db) => openTask({ ...call.ctx, db }, task) } }
  },
  due({ node }) {
    const isExpiry = node.type === 'human_task' && node.on_due === 'expire'
    if (!isExpiry) throw new NodeFailure('TIMEOUT', `Nobody answered within ${node.timeout_seconds} seconds.`)
    throw new NodeFailure('EXPIRED', 'Nobody answered before the task was due.', { is_final: true })
  },
}

/** An expression may give several at once. */
function assigneesOf(assignees: unknown[]): string[] {
  const named = assignees.flat().filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  return [...new Set(named.map((one) => tellable(one).trim().toLowerCase()))].slice(0, 100)
}
