/** Tasks: what nodes of the type `human_task` ask people to do. A task is opened with its node, and ends once: completed
 *  by a person, expired, or cancelled with its execution. */

import { z } from 'zod'
import { Role } from './access.ts'
import { Email, Flag, Id, Json, listParameters, Page, Timestamp, text } from './common.ts'
import { JsonSchema } from './json-schema.ts'
import type { Domain } from './operation.ts'

export const TaskStatus = z.enum(['open', 'completed', 'expired', 'cancelled']).meta({ id: 'TaskStatus' })
export type TaskStatus = z.infer<typeof TaskStatus>

export const Delegation = z
  .object({
    by: Id.describe('The user who passed the task on.'),
    at: Timestamp,
    from: z.array(z.string()).describe('Who was asked before.'),
    to: z.array(z.string()),
    note: z.string().nullable(),
  })
  .meta({ id: 'Delegation' })
export type Delegation = z.infer<typeof Delegation>

const data = z.record(z.string(), Json)

export const Task = z
  .object({
    id: Id,
    workflow_id: Id,
    execution_id: Id,
    node_id: z.string(),
    attempt: z.int().min(1).describe('Another attempt of the node opens another task.'),
    title: z.string(),
    description: z.string().nullable(),
    form: JsonSchema.nullable().describe('What `data` has to fit. Null: any object does.'),
    assignees: z.array(z.string()).describe('Who is asked: e-mail addresses and ids of users, in lower case.'),
    role: Role.nullable().describe('Whoever has this role in the workspace is asked, too.'),
    status: TaskStatus,
    due_at: Timestamp.nullable(),
    is_overdue: z.boolean().describe('It is open, and its due date is over.'),
    data: data.nullable().describe('What was answered; it is the output of the node.'),
    completed_by: Id.nullable(),
    delegations: z.array(Delegation),
    created_at: Timestamp,
    ended_at: Timestamp.nullable(),
  })
  .meta({ id: 'Task', description: 'What a person is asked to do for an execution.' })
export type Task = z.infer<typeof Task>

/** Tasks have no text to search. */
const { search: _, ...listed } = listParameters(['created_at', 'due_at'])
const node = { workflow_id: Id, execution_id: Id, node_id: z.string().min(1).max(100) }
const ended = 'CONFLICT: the task is not open any more: it was completed, has expired, or was cancelled.'
const seen =
  'Whoever may read workflows in the workspace (`solutions.read`) sees every task of it, others those that they are asked ' +
  'to answer, by name or by their role.'

export const tasks = {
  list: {
    method: 'GET',
    path: '/tasks',
    permission: 'organization.read',
    summary: 'List the tasks of the workspace.',
    description: `${seen} \`assignee=me\` is the caller's inbox.`,
    input: z.object({
      ...listed,
      status: TaskStatus.optional(),
      assignee: z
        .union([z.literal('me'), Email, Id])
        .optional()
        .describe(
          'Who is asked: an e-mail address or the id of a user, by name; or `me`, by name or by a role of the caller.',
        ),
      workflow_id: Id.optional(),
      execution_id: Id.optional(),
      overdue: Flag.optional().describe('Whether they are open beyond their due date.'),
    }),
    output: Page(Task),
  },
  get: {
    method: 'GET',
    path: '/tasks/{task_id}',
    permission: 'organization.read',
    summary: 'Read a task.',
    description: seen,
    input: z.object({ task_id: Id }),
    output: Task,
  },
  complete: {
    method: 'POST',
    path: '/workflows/{workflow_id}/executions/{execution_id}/tasks/{node_id}/complete',
    permission: 'organization.read',
    summary: 'Answer the task that a node waits for; its execution goes on with the data.',
    description:
      'For the assignees, members with the role of the task in its workspace, and admins. Where neither assignees nor a ' +
      'role are named: for whoever may run workflows (`solutions.write`). An API key that is narrowed to scopes needs ' +
      '`solutions.write` among them. The first answer counts; what was accepted is durable.',
    input: z.object({ ...node, data: data.describe('The answer; it has to fit `form`.') }),
    output: Task,
    refusals: [
      'FORBIDDEN: others are asked.',
      ended,
      'VALIDATION_ERROR: the data does not fit `form`; `details` names the fields, such as `data.amount`.',
    ],
  },
  delegate: {
    method: 'POST',
    path: '/workflows/{workflow_id}/executions/{execution_id}/tasks/{node_id}/delegate',
    permission: 'organization.read',
    summary: 'Pass a task on: others are asked instead of its assignees.',
    description: 'For the assignees and admins. Who is asked now is told by e-mail, where Flow sends any.',
    input: z.object({
      ...node,
      assignees: z
        .array(z.union([Email, Id]))
        .min(1)
        .max(50)
        .describe('Active members of the organization.'),
      note: text(2000).optional().describe('For those who are asked now.'),
    }),
    output: Task,
    refusals: [
      'FORBIDDEN: the caller is neither an assignee nor an admin.',
      'CONFLICT: the task is not open any more, or it was passed on 100 times.',
      'VALIDATION_ERROR: somebody is no active member; `details` names them, such as `assignees[1]`.',
    ],
  },
} as const satisfies Domain
