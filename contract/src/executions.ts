/** What an execution of a workflow is, as it is told: its nodes, what it waits for, its events, where its time went. The
 *  operations on it are in workflows.ts. */

import { z } from 'zod'
import { Id, Json, Semver, Timestamp } from './common.ts'

export const ExecutionStatus = z
  .enum(['queued', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'timed_out'])
  .meta({ id: 'ExecutionStatus' })
export type ExecutionStatus = z.infer<typeof ExecutionStatus>

export const NodeStatus = z
  .enum(['pending', 'running', 'waiting', 'retrying', 'completed', 'failed', 'skipped', 'cancelled'])
  .meta({ id: 'NodeStatus' })
export type NodeStatus = z.infer<typeof NodeStatus>

export const ExecutionError = z
  .object({
    code: z.string().describe('For programs, such as `CODE_FAILED` or `TIMEOUT`.'),
    message: z.string().describe('For people.'),
    node_id: z.string().nullable().describe('The node that failed.'),
  })
  .meta({ id: 'ExecutionError' })
export type ExecutionError = z.infer<typeof ExecutionError>

const waits = {
  node_id: z.string(),
  until: Timestamp.nullable().describe('When it goes on, or gives up, by itself.'),
  message: z.string().describe('A sentence for people.'),
}
const whole = { ...waits, node_id: z.null(), until: z.null() }

export const WaitingFor = z
  .discriminatedUnion('kind', [
    z
      .object({
        kind: z.literal('queue'),
        ...waits,
        node_id: z.string().nullable().describe('The node for which something has come; null before the first one.'),
        until: z.null(),
      })
      .describe('It could go on, and waits for a free worker.'),
    z
      .object({
        kind: z.literal('turn'),
        ...whole,
        limit: z.int().describe('How many of its workflow run at a time.'),
        key: z.string().describe('What they are counted apart by; empty without `concurrency.key`.'),
        ahead: z.int().describe('How many begin before it.'),
      })
      .describe('`concurrency` of its workflow: others come first.'),
    z
      .object({ kind: z.literal('code'), ...waits, until: z.null(), since: Timestamp, attempt: z.int() })
      .describe('The node is at work.'),
    z.object({ kind: z.literal('time'), ...waits, until: Timestamp }).describe('A `wait`.'),
    z
      .object({
        kind: z.literal('retry'),
        ...waits,
        until: Timestamp,
        attempt: z.int().describe('The next one.'),
        max_attempts: z.int(),
      })
      .describe('An attempt failed, and the next one is due then.'),
    z
      .object({
        kind: z.literal('task'),
        ...waits,
        task_id: Id,
        title: z.string(),
        assignees: z.array(z.string()),
        role: z.string().nullable(),
        due_at: Timestamp.nullable(),
      })
      .describe('A `human_task`: somebody has to answer.'),
    z
      .object({
        kind: z.literal('callback'),
        ...waits,
        method: z.string(),
        url: z.string().nullable().describe('Told to those who may run workflows: whoever has it may answer.'),
      })
      .describe('A `webhook_wait`: somebody has to call.'),
    z
      .object({
        kind: z.literal('child'),
        ...waits,
        execution_id: Id,
        workflow_id: Id,
        status: ExecutionStatus,
      })
      .describe('The execution of another workflow has to end.'),
  ])
  .meta({ id: 'WaitingFor' })
export type WaitingFor = z.infer<typeof WaitingFor>

export const ExecutionNode = z
  .object({
    id: z.string(),
    type: z.string(),
    label: z.string().nullable(),
    status: NodeStatus,
    attempt: z.int().min(0).describe('1 for the first; 0 when it has not begun.'),
    reused: z.boolean().describe('Its result was taken over from the execution that this one takes up again.'),
    input: Json.nullable(),
    input_from: z
      .record(z.string(), z.string())
      .nullable()
      .describe(
        'Where the input comes from as it is: `{"": "parse"}` is the output of the node `parse`, `{"rows": "parse"}` ' +
          "stands for one field; the empty id is the execution's input. Null where all of it is its own.",
      ),
    output: Json.nullable(),
    omitted: z
      .array(z.enum(['input', 'output']))
      .describe('What is null here only because the answer would be too large.'),
    error: ExecutionError.nullable(),
    items: z
      .object({ total: z.int(), completed: z.int(), failed: z.int() })
      .nullable()
      .describe('How far a `map` has come.'),
    waiting_for: z.array(WaitingFor).describe('Why it has not ended, if it has begun.'),
    waiting_until: Timestamp.nullable(),
    child_execution_id: Id.nullable().describe('Of a `workflow` node: the execution that its last attempt began.'),
    started_at: Timestamp.nullable(),
    completed_at: Timestamp.nullable(),
    duration_ms: z.number().nullable(),
  })
  .meta({ id: 'ExecutionNode' })
export type ExecutionNode = z.infer<typeof ExecutionNode>

const summary = {
  id: Id,
  workflow_id: Id,
  workflow_version: Semver.describe('The version of the definition it is pinned to.'),
  status: ExecutionStatus,
  error: ExecutionError.nullable(),
  trigger: z.object({
    type: z
      .string()
      .describe(
        '`manual`, `webhook`, `schedule`, `event`, `workflow` of a child, `replay` of a batch, `code` of a code block.',
      ),
    by: Id.nullable().describe('The user who started it.'),
    scheduled_for: Timestamp.optional().describe('The time of a schedule that it stands for.'),
    delivery_id: z.string().optional().describe("The sender's name for the webhook's delivery."),
    event_id: Id.optional().describe('The event that it is the answer to.'),
    event_type: z.string().optional(),
    causes: z.array(Id).optional().describe('The workflows that led to the event.'),
  }),
  parent: z
    .object({ execution_id: Id, workflow_id: Id.nullable(), node_id: z.string() })
    .nullable()
    .describe('Of a child: the node that waits for it. `workflow_id` is null when that execution is there no more.'),
  retry_of: Id.nullable().describe('The execution that this one takes up again.'),
  replay_id: Id.nullable().describe('The batch that started it.'),
  priority: z.int().describe('Of queued executions, those with more come first.'),
  cancel_requested_at: Timestamp.nullable(),
  waiting_until: Timestamp.nullable().describe('When a waiting execution goes on by itself.'),
  created_at: Timestamp,
  started_at: Timestamp.nullable(),
  completed_at: Timestamp.nullable(),
  duration_ms: z.number().nullable().describe('From its start to its end.'),
  expires_at: Timestamp.nullable().describe('When it is deleted, by `retention_days` or as the operator has set.'),
}

export const ExecutionSummary = z
  .object(summary)
  .meta({ id: 'ExecutionSummary', description: 'An execution without its input, output and nodes.' })
export type ExecutionSummary = z.infer<typeof ExecutionSummary>

export const Execution = z
  .object({
    ...summary,
    waiting_for: z.array(WaitingFor).describe('Why it has not ended: all that it waits for at this moment.'),
    input: Json.nullable(),
    output: Json.nullable().describe('The result, when it is completed.'),
    nodes: z.array(ExecutionNode).describe("In the definition's order."),
  })
  .meta({
    id: 'Execution',
    description:
      'What a schema marks as secret (`writeOnly`, `x-secret`, or the format `password`) is told as `[secret]`, ' +
      'wherever it appears.',
  })
export type Execution = z.infer<typeof Execution>

export const ExecutionEvent = z
  .object({
    execution_id: Id,
    node_id: z.string().nullable(),
    at: Timestamp,
    attempt: z.int().optional(),
    duration_ms: z.number().optional(),
    error: ExecutionError.optional(),
    items: z.object({ total: z.int(), completed: z.int(), failed: z.int() }).optional(),
    waiting_until: Timestamp.optional(),
  })
  .meta({
    id: 'ExecutionEvent',
    description:
      'The data of one event. Events: `execution.queued`, `.started`, `.waiting`, `.resumed`, `.completed`, `.failed`, ' +
      '`.cancelled`, `.timed_out`; `node.started`, `.progress`, `.waiting`, `.retrying`, `.completed`, `.failed`, ' +
      '`.skipped`, `.cancelled`.',
  })
export type ExecutionEvent = z.infer<typeof ExecutionEvent>

export const TimelineSpan = z
  .object({
    node_id: z.string().nullable().describe('Null: the execution as a whole.'),
    attempt: z.int().nullable(),
    kind: z
      .enum(['queue', 'run', 'wait', 'retry_pause'])
      .describe(
        '`queue`: it could have begun and had not; `run`: it was at work; `wait`: it waited for a time, a person, a ' +
          'call or a child; `retry_pause`: between two attempts.',
      ),
    started_at: Timestamp,
    ended_at: Timestamp.nullable().describe('Null: it goes on.'),
    duration_ms: z.number().describe('So far, where it goes on.'),
    status: z
      .enum(['open', 'completed', 'failed', 'cancelled', 'interrupted'])
      .describe('How it ended. `interrupted`: its process was gone, and the attempt was made again.'),
    error: ExecutionError.nullable(),
  })
  .meta({ id: 'TimelineSpan' })
export type TimelineSpan = z.infer<typeof TimelineSpan>

export const Timeline = z
  .object({
    execution_id: Id,
    status: ExecutionStatus,
    started_at: Timestamp.describe('When it was accepted.'),
    ended_at: Timestamp.nullable(),
    total_ms: z.number().describe('From when it was accepted to its end, or until now.'),
    totals: z
      .object({ queue_ms: z.number(), run_ms: z.number(), wait_ms: z.number() })
      .describe('The spans of the execution as a whole, added up.'),
    spans: z.array(TimelineSpan).describe('In the order in which they began.'),
    is_complete: z.boolean().describe('False: there are more events than are read, and the last spans are missing.'),
    critical_path: z
      .array(
        z.object({
          node_id: z.string(),
          ready_at: Timestamp.describe('When it could have begun.'),
          ended_at: Timestamp.nullable(),
          duration_ms: z.number(),
          share: z.number().describe('Of the whole, from 0 to 1.'),
        }),
      )
      .describe('The nodes that made it as long as it was, in their order: each began when the one before had ended.'),
  })
  .meta({ id: 'Timeline', description: 'Where the time of an execution went.' })
export type Timeline = z.infer<typeof Timeline>
