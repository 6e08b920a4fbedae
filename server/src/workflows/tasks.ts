/** What people are asked to do: they find it, answer it, and pass it on. The node that asks opens the task (see
 *  waits.ts) and goes on by the arrival that an answer is.
 *
 *  A task: open → completed | expired | cancelled. `complete` ends it with what a person says, the interpreter when its
 *  time is over (`expired`), and the end of its node or its execution (`cancelled`). An answer and the end of the time
 *  meet at the arrival: the first counts, the other one is refused. An answer that was accepted is in the database
 *  together with the wish that the execution go on, so no end of a process loses it. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { tasks as contract, Delegation, Task } from '@flow/contract/tasks'
import { may } from '../auth/auth.ts'
import type { Context } from '../context.ts'
import { compileJsonSchema, secretFieldsOf } from '../expressions/expressions.ts'
import { conflict, type Failure, forbidden, invalid, notFound } from '../failure.ts'
import { membersNamed } from '../users/users.ts'
import { fieldOf } from './beginning.ts'
import { telling } from './runs.ts'
import './tasks-mail.ts'
import { type Asker, maySee, rolesIn, seesByBeingAsked, whyNotAnswer, whyNotDelegate } from './tasks-rules.ts'
import * as store from './tasks-store.ts'
import { arrive } from './waits.ts'

type Ops = typeof contract

const DELEGATIONS_MAX = 100

export async function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Task>> {
  const { assignee, ...wanted } = input
  const asker = await askerOf(ctx)
  const { limit, offset } = input
  if (!asker.may_read && !seesByBeingAsked(asker)) return { items: [], total: 0, limit, offset }
  const named = assignee === undefined || assignee === 'me' ? [] : [{ names: await namesOf(ctx, assignee), roles: [] }]
  const inbox = assignee === 'me' || !asker.may_read ? [asker] : []
  const page = await store.list(ctx, { ...wanted, asked: [...named, ...inbox] })
  return { ...page, items: page.items.map(told) }
}

export async function get(ctx: Context, { task_id }: Parsed<Ops['get']>): Promise<Task> {
  const task = await store.find(ctx, task_id)
  if (!task || !maySee(await askerOf(ctx), task)) throw notFound('task', task_id)
  return told(task)
}

export async function complete(ctx: Context, input: Parsed<Ops['complete']>): Promise<Task> {
  const { id, form } = await openTaskOf(ctx, input, whyNotAnswer)
  if (form) assertFits(form, input.data)

  const { execution_id, node_id, attempt } = await holdOpen(ctx, id)
  const output = JSON.stringify(input.data)
  const completed = await store.complete(ctx, id, output, ctx.actor.user_id)
  const at = { organization_id: ctx.organization_id, execution_id, node_id, attempt }
  const isFirst = await arrive(ctx.platform.engine, ctx.db, at, { output, now: ctx.now })
  if (!isFirst) throw conflict('It has expired a moment ago.')

  return told(completed)
}

/** What its form marks as secret in the answer is for the node alone. */
function told(task: Task): Task {
  const hide = task.data && task.form && secretFieldsOf(task.form)
  return hide ? { ...task, data: hide(task.data) as Task['data'] } : task
}

export async function delegate(ctx: Context, input: Parsed<Ops['delegate']>): Promise<Task> {
  const { id } = await openTaskOf(ctx, input, whyNotDelegate)
  const to = await membersOf(ctx, input.assignees)
  const { assignees: from, delegations } = await holdOpen(ctx, id)
  if (delegations.length >= DELEGATIONS_MAX) throw conflict(`It was passed on ${DELEGATIONS_MAX} times. Answer it.`)

  const delegation: Delegation = { by: ctx.actor.user_id, at: ctx.now, from, to, note: input.note ?? null }
  const delegated = await store.delegate(ctx, id, delegation)
  if (ctx.platform.mail.configured) await ctx.start(telling, { task_id: id, is_reminder: false })

  return delegated
}

// ---- what they share

async function askerOf({ actor, workspace_id, db, organization_id }: Context): Promise<Asker> {
  const [member] = await membersNamed({ db, organization_id }, [actor.user_id])
  return {
    names: member ? [member.user_id, member.email] : [actor.user_id],
    roles: rolesIn(actor, workspace_id),
    may_read: may(actor, 'solutions.read', { workspace_id }),
    may_write: may(actor, 'solutions.write', { workspace_id }),
    ...(actor.scopes ? { scopes: actor.scopes } : {}),
  }
}

/** How somebody may be written among assignees. */
async function namesOf(ctx: Context, name: string): Promise<string[]> {
  const [member] = await membersNamed(ctx, [name])
  return member ? [member.user_id, member.email] : [name]
}

type OfNode = { workflow_id: string; execution_id: string; node_id: string }

/** The open task of a node, for whoever may do that with it. */
async function openTaskOf(
  ctx: Context,
  { workflow_id, execution_id, node_id }: OfNode,
  whyNot: typeof whyNotAnswer,
): Promise<Task> {
  const task = await store.findOfNode(ctx, { workflow_id, execution_id, node_id })
  if (!task) throw notFound('task of the node', node_id)
  const refusal = whyNot(await askerOf(ctx), task)
  if (refusal !== undefined) throw forbidden(refusal)
  if (task.status !== 'open') throw await hasEnded(ctx, task)
  return task
}

/** The task, which nobody else ends before this transaction does. */
async function holdOpen(ctx: Context, task_id: string): Promise<Task> {
  const { is_waited_for, ...task } = await store.hold(ctx, task_id)
  if (task.status !== 'open') throw await hasEnded(ctx, task)
  if (!is_waited_for) throw conflict('Nobody waits for its answer any more.')
  return task
}

async function hasEnded(ctx: Context, { status, completed_by, ended_at }: Task): Promise<Failure> {
  if (status === 'expired') return conflict(`It expired at ${ended_at}.`)
  if (status !== 'completed') return conflict(`It was cancelled at ${ended_at}.`)
  const [member] = await membersNamed(ctx, completed_by ? [completed_by] : [])
  return conflict(`It was completed by ${member?.email ?? 'a former member'} at ${ended_at}.`)
}

function assertFits(form: Record<string, unknown>, data: object): void {
  const faults = compileJsonSchema(form, { tells_all: true })(data)
  if (faults.length === 0) return
  throw invalid(faults.map(({ place, message }) => ({ field: `data${fieldOf(place)}`, message: `It ${message}.` })))
}

/** The e-mail addresses of those who are named; each is an active member. */
async function membersOf(ctx: Context, names: string[]): Promise<string[]> {
  const members = await membersNamed(ctx, names)
  const found = names.map((name) => members.find(({ user_id, email }) => user_id === name || email === name))
  const faults = found.flatMap((member, i) =>
    member ? [] : [{ field: `assignees[${i}]`, message: `"${names[i]}" is no active member of the organization.` }],
  )
  if (faults.length > 0) throw invalid(faults)
  return [...new Set(found.flatMap((member) => (member ? [member.email] : [])))]
}
