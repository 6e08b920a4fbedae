/** The letters about tasks, as durable runs: when people are asked, when a task is passed on to them, and when they are
 *  to be reminded. One run finds out whom to tell, once, and starts another for each of them, so that a mail server
 *  that is down delays letters and repeats none. A task that has ended in the meantime is not mailed, nor is
 *  whoever is not asked any more. Only active members are written to: whatever a workflow computes, it cannot send
 *  letters to strangers. */

import { within } from '../context.ts'
import { defineRun } from '../engine/engine.ts'
import { membersNamed, membersWithRole } from '../users/users.ts'
import { telling } from './runs.ts'
import { isNamed } from './tasks-rules.ts'
import * as store from './tasks-store.ts'

/** Of those who have a role, so many are told. */
const RECIPIENTS_MAX = 50

defineRun({
  ...telling,
  async work(ctx, { task_id, is_reminder }) {
    await ctx.db.tx(async (db) => {
      const inside = within(ctx, db)
      const task = await store.takeAnnouncement(inside, task_id, is_reminder)
      if (!task) return
      const { assignees, role, workspace_id } = task
      const named = await membersNamed(inside, assignees)
      const isByRole = assignees.length === 0 && role !== null
      const told = isByRole ? await membersWithRole(inside, role, workspace_id, RECIPIENTS_MAX) : named
      for (const { user_id } of told) await inside.start(mailTask, { task_id, user_id, is_reminder })
    })
  },
})

const mailTask = defineRun<{ task_id: string; user_id: string; is_reminder: boolean }>({
  name: 'workflows.mail_task',
  lane: 'calls',
  // Tried for some fifteen hours.
  retry: { max_attempts: 40, backoff_seconds: 2, max_backoff_seconds: 1800 },
  async work(ctx, { task_id, user_id, is_reminder }) {
    const { mail, config } = ctx.platform
    const [[member], task] = await Promise.all([membersNamed(ctx, [user_id]), store.openOne(ctx, task_id)])
    if (!mail.configured || !member || !task) return
    if (task.assignees.length > 0 && !isNamed({ names: [member.email, member.user_id] }, task)) return

    const [by] = await membersNamed(
      ctx,
      task.delegations.slice(-1).map(({ by }) => by),
    )
    const link = `${config.public_url}/api/v1/tasks/${task_id}`
    const passed_on_by = by?.name || by?.email
    await mail.send({
      to: member.email,
      subject: subjectOf(task, is_reminder),
      text: textOf(task, { link, passed_on_by, is_reminder }),
    })
  },
})

/** A line, whatever the title is computed from. */
const lineOf = (text: string) => text.replace(/[\s\p{Cc}]+/gu, ' ').trim()

const subjectOf = ({ title }: store.Letter, is_reminder: boolean) =>
  `${is_reminder ? 'Reminder: you' : 'You'} are asked to answer: ${lineOf(title)}`

type Around = { link: string; passed_on_by: string | undefined; is_reminder: boolean }

function textOf({ title, description, due_at, delegations }: store.Letter, around: Around): string {
  const note = delegations.at(-1)?.note
  return [
    around.is_reminder
      ? 'A workflow on Flow still waits for your answer:'
      : 'A workflow on Flow waits for your answer:',
    lineOf(title),
    ...(description ? [description] : []),
    ...(around.passed_on_by ? [`${around.passed_on_by} has passed it on to you${note ? `:\n${note}` : '.'}`] : []),
    ...(due_at ? [`It is due by ${due_at.slice(0, 16).replace('T', ' ')} UTC.`] : []),
    `What is asked, and in which form:\n${around.link}`,
  ].join('\n\n')
}
