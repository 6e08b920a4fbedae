/** Replays: many executions of a workflow are run again as one batch, which survives the end of any process. */

import { z } from 'zod'
import { Id, listParameters, Page, Semver, Timestamp } from './common.ts'
import { ExecutionStatus } from './executions.ts'
import type { Domain } from './operation.ts'

export const REPLAYED_MAX = 10_000

export const ReplayFilter = z
  .strictObject({
    ids: z.array(Id).min(1).max(REPLAYED_MAX).optional().describe('Exactly these. All of them must have ended.'),
    status: z
      .array(z.enum(['completed', 'failed', 'cancelled', 'timed_out']))
      .min(1)
      .optional()
      .describe('Without `status` and `ids`: those that failed or timed out.'),
    trigger: z.enum(['manual', 'webhook', 'schedule', 'event', 'workflow', 'replay', 'code']).optional(),
    version: Semver.optional().describe('The version of the definition that they are pinned to.'),
    error_code: z.string().min(1).max(100).optional(),
    created_after: Timestamp.optional(),
    created_before: Timestamp.optional(),
  })
  .meta({ id: 'ReplayFilter', description: 'Which of the executions that have ended; all conditions together.' })
export type ReplayFilter = z.infer<typeof ReplayFilter>

const definition = z
  .enum(['pinned', 'latest'])
  .describe(
    '`pinned`: each with the definition that it had. `latest`: with what `execute` would run now; the old input has to ' +
      'fit its `input_schema`.',
  )
const mode = z
  .enum(['restart', 'from_failure'])
  .describe(
    '`restart`: from the beginning. `from_failure`: what completed is kept, as with `retry`; of another definition the ' +
      'results of nodes that are still there under the same id and type and lead to the same nodes.',
  )

const told = {
  id: Id,
  workflow_id: Id,
  status: z
    .enum(['running', 'completed', 'cancelled'])
    .describe('`completed`: each execution was started or refused; `executions` tells how far those have come.'),
  filter: ReplayFilter,
  definition,
  mode,
  total: z.int().describe('How many matched when the batch was made.'),
  started: z.int(),
  refused: z.int(),
  created_by: Id.nullable(),
  created_at: Timestamp,
  completed_at: Timestamp.nullable(),
}

export const ReplaySummary = z.object(told).meta({ id: 'ReplaySummary' })
export type ReplaySummary = z.infer<typeof ReplaySummary>

export const Replay = z
  .object({
    ...told,
    id: Id.nullable().describe('Null: it was only tried (`dry_run`), and nothing was made.'),
    executions: z
      .record(ExecutionStatus, z.int())
      .describe('Of those that were started: how many are in each status now.'),
    failed_to_start: z
      .array(z.object({ execution_id: Id, code: z.string(), message: z.string() }))
      .describe('The first 100 that were refused, and why.'),
  })
  .meta({ id: 'Replay', description: 'A batch that runs executions again.' })
export type Replay = z.infer<typeof Replay>

const workflow_id = Id
const replay_id = Id
/** Batches have no text to search. */
const { search: _, ...listed } = listParameters(['created_at'])

export const replays = {
  create: {
    method: 'POST',
    path: '/workflows/{workflow_id}/replays',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Run many executions of a workflow again, as one batch.',
    description:
      'Which ones is decided at once; each is started exactly once, whatever happens to processes, the oldest first, ' +
      'with the lowest priority and at most 200 of them at work at a time. The new executions name the batch in ' +
      '`replay_id` and the old one in `retry_of`.',
    status: 202,
    creates: '/workflows/{workflow_id}/replays/{replay_id}',
    input: z.object({
      workflow_id,
      filter: ReplayFilter,
      definition,
      mode,
      dry_run: z.boolean().default(false).describe('Only count: nothing is made, and nothing is started.'),
    }),
    output: Replay,
    refusals: [
      `VALIDATION_ERROR: more than ${REPLAYED_MAX} match, or \`ids\` names what is not there or has not ended.`,
      'CONFLICT: nothing matches.',
    ],
  },
  list: {
    method: 'GET',
    path: '/workflows/{workflow_id}/replays',
    permission: 'solutions.read',
    narrows: true,
    summary: "List a workflow's replays.",
    input: z.object({ workflow_id, ...listed, status: ReplaySummary.shape.status.optional() }),
    output: Page(ReplaySummary),
  },
  get: {
    method: 'GET',
    path: '/workflows/{workflow_id}/replays/{replay_id}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read a replay: how far it has come, and what was refused.',
    input: z.object({ workflow_id, replay_id }),
    output: Replay,
  },
  cancel: {
    method: 'POST',
    path: '/workflows/{workflow_id}/replays/{replay_id}/cancel',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Start no more of a batch.',
    description: 'What was started goes on; cancel it one by one. Cancelling twice is the same as cancelling once.',
    input: z.object({ workflow_id, replay_id }),
    output: Replay,
    refusals: ['CONFLICT: all of it was started already.'],
  },
} as const satisfies Domain
