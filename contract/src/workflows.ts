/** Workflows and their executions. A workflow is a component (the same id appears under `/components`) whose
 *  configuration stands flat beside its name. An execution is pinned to the definition it began with. */

import { z } from 'zod'
import { FieldError, Id, Json, listParameters, Page, Semver, Slug, Tag, Timestamp, text } from './common.ts'
import { WorkflowConfig, workflowFields } from './components/workflow.ts'
import type { Domain } from './operation.ts'

export const Workflow = z
  .object({
    id: Id,
    name: text(200),
    slug: Slug.describe('Names the workflow inside its workspace.'),
    description: z.string().max(2000),
    tags: z.array(Tag).max(50),
    status: z.enum(['draft', 'published', 'deprecated', 'archived']),
    status_reason: z.string().nullable().describe('Why it was deprecated or archived.'),
    version: Semver.describe('The version that the draft will become.'),
    published_version: Semver.nullable(),
    warnings: z.array(FieldError).describe('What the draft uses that is deprecated or archived.'),
    ...WorkflowConfig.shape,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Id,
  })
  .meta({ id: 'Workflow' })
export type Workflow = z.infer<typeof Workflow>

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

export const ExecutionNode = z
  .object({
    id: z.string(),
    type: z.string(),
    label: z.string().nullable(),
    status: NodeStatus,
    attempt: z.int().min(0).describe('1 for the first; 0 when it has not begun.'),
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
    waiting_until: Timestamp.nullable(),
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
    type: z.string(),
    by: Id.nullable().describe('The user who started it.'),
    scheduled_for: Timestamp.optional().describe('The time of a schedule that it stands for.'),
    delivery_id: z.string().optional().describe("The sender's name for the webhook's delivery."),
    event_id: Id.optional().describe('The event that it is the answer to.'),
    event_type: z.string().optional(),
    causes: z.array(Id).optional().describe('The workflows that led to the event.'),
  }),
  retry_of: Id.nullable().describe('The execution that this one takes up again.'),
  cancel_requested_at: Timestamp.nullable(),
  waiting_until: Timestamp.nullable().describe('When a waiting execution goes on by itself.'),
  created_at: Timestamp,
  started_at: Timestamp.nullable(),
  completed_at: Timestamp.nullable(),
}

export const ExecutionSummary = z
  .object(summary)
  .meta({ id: 'ExecutionSummary', description: 'An execution without its input, output and nodes.' })
export type ExecutionSummary = z.infer<typeof ExecutionSummary>

export const Execution = z
  .object({
    ...summary,
    input: Json.nullable(),
    output: Json.nullable().describe('The result, when it is completed.'),
    nodes: z.array(ExecutionNode).describe("In the definition's order."),
  })
  .meta({ id: 'Execution' })
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

const workflow_id = Id
const execution_id = Id
const written = {
  name: text(200),
  slug: Slug,
  description: z.string().max(2000),
  tags: z.array(Tag).max(50),
}
/** Executions have no text to search. */
const { search: _, ...executionsListed } = listParameters(['created_at', 'completed_at'])
const definition =
  'VALIDATION_ERROR: the definition is not sound; `details` names every fault, such as `nodes[2].component_ref`.'

export const workflows = {
  list: {
    method: 'GET',
    path: '/workflows',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the workflows of the workspace.',
    input: z.object({
      ...listParameters(['created_at', 'updated_at', 'name', 'slug']),
      status: Workflow.shape.status.optional(),
      tag: Tag.optional(),
    }),
    output: Page(Workflow),
  },
  create: {
    method: 'POST',
    path: '/workflows',
    permission: 'solutions.write',
    summary: 'Create a workflow.',
    description:
      'The definition is checked as a whole: references, ids, cycles, nodes that cannot be reached, expressions. ' +
      'Conditions and mappings are CEL. Numbers in JSON are doubles there: `input.count / 2` is 1.5 for 3.',
    creates: '/workflows/{workflow_id}',
    input: z.object({
      ...written,
      description: written.description.default(''),
      tags: written.tags.default([]),
      version: Semver.default('0.1.0'),
      ...WorkflowConfig.shape,
    }),
    output: Workflow,
    refusals: ['CONFLICT: the slug is taken.', definition],
  },
  get: {
    method: 'GET',
    path: '/workflows/{workflow_id}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read the draft of a workflow.',
    input: z.object({ workflow_id }),
    output: Workflow,
  },
  update: {
    method: 'PUT',
    path: '/workflows/{workflow_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Update the draft of a workflow: what is sent replaces, what is not sent stays.',
    description: 'Executions that have begun go on with the definition they began with.',
    input: z.object({
      workflow_id,
      ...z.object({ ...written, ...workflowFields, version: Semver }).partial().shape,
    }),
    output: Workflow,
    refusals: ['CONFLICT: the slug is taken, or the workflow is archived.', definition],
  },
  remove: {
    method: 'DELETE',
    path: '/workflows/{workflow_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Delete a workflow and its executions.',
    input: z.object({ workflow_id }),
    refusals: ['CONFLICT: others use it, or executions have not ended; cancel those first.'],
  },
  execute: {
    method: 'POST',
    path: '/workflows/{workflow_id}/execute',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Start an execution.',
    description:
      'Accepted means durable: the execution survives the end of any process, and a node whose result is recorded ' +
      'never runs again. Runs the newest published version, or the draft where nothing is published. ' +
      '`Prefer: wait=N` answers 200 with the end if it comes within N seconds (at most 60).',
    status: 202,
    input: z.object({
      workflow_id,
      input: Json.default({}).describe('Any JSON; most workflows take an object.'),
      version: z
        .union([z.literal('draft'), Semver])
        .optional()
        .describe('A published version, or `draft` for the definition as it is being edited.'),
    }),
    output: Execution,
    refusals: ['VALIDATION_ERROR: the input does not fit `input_schema`.', 'CONFLICT: a component it needs is gone.'],
  },
  listExecutions: {
    method: 'GET',
    path: '/workflows/{workflow_id}/executions',
    permission: 'solutions.read',
    narrows: true,
    summary: "List a workflow's executions.",
    input: z.object({
      workflow_id,
      ...executionsListed,
      status: ExecutionStatus.optional(),
      created_after: Timestamp.optional(),
      created_before: Timestamp.optional(),
    }),
    output: Page(ExecutionSummary),
  },
  getExecution: {
    method: 'GET',
    path: '/workflows/{workflow_id}/executions/{execution_id}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read an execution with the result of each node.',
    description:
      'The inputs and outputs of nodes are told up to 16 MiB of JSON together, short ones first. What has no room is null ' +
      'and named in `omitted`; read it with `node`, one node at a time.',
    input: z.object({
      workflow_id,
      execution_id,
      node: z.string().min(1).max(100).optional().describe('Tell only this node: the others are left out of `nodes`.'),
    }),
    output: Execution,
    refusals: ['VALIDATION_ERROR: there is no such node.'],
  },
  cancelExecution: {
    method: 'POST',
    path: '/workflows/{workflow_id}/executions/{execution_id}/cancel',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Cancel an execution.',
    description:
      'Reaches waits and running code, and answers when it has (within 2 seconds, else with what is so far). ' +
      'Cancelling twice is the same as cancelling once.',
    input: z.object({ workflow_id, execution_id }),
    output: Execution,
    refusals: ['CONFLICT: it has ended already, otherwise than by being cancelled.'],
  },
  retryExecution: {
    method: 'POST',
    path: '/workflows/{workflow_id}/executions/{execution_id}/retry',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Take up an execution that has ended: a new one that keeps the results before the retried node.',
    description:
      'Without `from_node` the nodes that failed or never ran are run, and what comes after them. With it, that node ' +
      'and what comes after it. The new execution is pinned to the same definition. Honours `Prefer: wait=N`.',
    status: 202,
    input: z.object({ workflow_id, execution_id, from_node: z.string().min(1).max(100).optional() }),
    output: Execution,
    refusals: [
      'CONFLICT: it has not ended, or it completed and no `from_node` is named.',
      'VALIDATION_ERROR: there is no such node.',
    ],
  },
  events: {
    method: 'GET',
    path: '/workflows/{workflow_id}/executions/{execution_id}/events',
    permission: 'solutions.read',
    narrows: true,
    summary: "Follow an execution's events; the stream ends after the last one.",
    description:
      'Events are stored: whoever comes back with `Last-Event-ID` (or `after`) misses nothing, also after a restart.',
    streams: true,
    input: z.object({
      workflow_id,
      execution_id,
      after: z
        .string()
        .regex(/^\d{1,15}$/, 'Use the id of an event.')
        .optional()
        .describe('Go on after this event.'),
    }),
    output: ExecutionEvent,
  },
} as const satisfies Domain
