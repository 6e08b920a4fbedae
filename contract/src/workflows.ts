/** Workflows and their executions. A workflow is a component (the same id appears under `/components`) whose
 *  configuration stands flat beside its name. An execution is pinned to the definition it began with. */

import { z } from 'zod'
import { FieldError, Id, Json, list, listParameters, Page, Semver, Slug, Tag, Timestamp, text } from './common.ts'
import { WorkflowConfig, workflowFields } from './components/workflow.ts'
import { Execution, ExecutionEvent, ExecutionStatus, ExecutionSummary, Timeline } from './executions.ts'
import type { Domain } from './operation.ts'

export {
  Execution,
  ExecutionError,
  ExecutionEvent,
  ExecutionNode,
  ExecutionStatus,
  ExecutionSummary,
  NodeStatus,
  Timeline,
  TimelineSpan,
  WaitingFor,
} from './executions.ts'

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

const workflow_id = Id
const execution_id = Id
const written = {
  name: text(200),
  slug: Slug,
  description: z.string().max(2000),
  tags: z.array(Tag).max(50),
}
/** Executions have no text to search. */
const { search: _, ...executionsListed } = listParameters(['created_at', 'completed_at', 'duration_ms'])
const executionsFiltered = {
  ...executionsListed,
  status: list(ExecutionStatus).optional().describe('One status, or several with commas between.'),
  trigger: z
    .enum(['manual', 'webhook', 'schedule', 'event', 'workflow', 'replay', 'code'])
    .optional()
    .describe('What set it off.'),
  version: Semver.optional().describe('The version of the definition that it is pinned to.'),
  error_code: z.string().min(1).max(100).optional().describe('Such as `TIMEOUT`: those that failed by it.'),
  parent_execution_id: Id.optional().describe('The children of this execution.'),
  retry_of: Id.optional().describe('Those that take up this execution again.'),
  replay_id: Id.optional().describe('Those that this batch started.'),
  created_after: Timestamp.optional(),
  created_before: Timestamp.optional(),
  started_after: Timestamp.optional(),
  started_before: Timestamp.optional(),
  completed_after: Timestamp.optional(),
  completed_before: Timestamp.optional(),
}
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
    description: 'Sorted by `completed_at` or `duration_ms`, those that have not ended come last.',
    input: z.object({ workflow_id, ...executionsFiltered }),
    output: Page(ExecutionSummary),
  },
  listAllExecutions: {
    method: 'GET',
    path: '/executions',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the executions of all workflows of the workspace.',
    description: 'Sorted by `completed_at` or `duration_ms`, those that have not ended come last.',
    input: z.object({ workflow_id: Id.optional(), ...executionsFiltered }),
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
      'and what comes after it. The new execution is pinned to the same definition; what it keeps is `reused`. Tasks ' +
      'and children of nodes that run again are opened anew. Honours `Prefer: wait=N`.',
    status: 202,
    input: z.object({ workflow_id, execution_id, from_node: z.string().min(1).max(100).optional() }),
    output: Execution,
    refusals: [
      'CONFLICT: it has not ended, or it completed and no `from_node` is named.',
      'VALIDATION_ERROR: there is no such node.',
    ],
  },
  timeline: {
    method: 'GET',
    path: '/workflows/{workflow_id}/executions/{execution_id}/timeline',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Tell where the time of an execution went.',
    description:
      'Made of the stored events: one span for each attempt of a node, each wait and each pause, and those of the ' +
      'execution as a whole; with the nodes that made it as long as it was. Reads up to 20,000 events.',
    input: z.object({ workflow_id, execution_id }),
    output: Timeline,
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
