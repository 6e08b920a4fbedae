/** Calls of models, as they are traced: who called what, what became of it, what it cost, and what was said. */

import { z } from 'zod'
import { Flag, Id, Json, list, listParameters, Page, Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

const CallStatus = z
  .enum(['completed', 'failed', 'refused', 'aborted', 'cut_off'])
  .describe(
    '`failed`: nobody answered, or the answer broke off. `refused`: by Flow, before a provider was asked. `aborted`: the ' +
      'client went away. `cut_off`: its key was revoked, or its budget was used up, in the middle of the answer.',
  )
const Mouth = z
  .enum(['chat', 'completions', 'responses', 'messages', 'embeddings', 'rerank'])
  .describe('The format that the client spoke.')
const Cache = z.enum(['hit', 'miss', 'off'])

const told = {
  id: Id,
  workspace_id: Id,
  user_id: Id.describe('Who called, or whom the key acts for.'),
  key_id: Id.nullable().describe('The API key; null for whoever signed in.'),
  agent_id: Id.nullable().describe('On whose behalf Flow itself called.'),
  workflow_id: Id.nullable().describe('The same, of a workflow.'),
  execution_id: Id.nullable().describe('The execution whose code called.'),
  request_id: z.string().describe('As the answer bore it in `x-request-id`.'),
  mouth: Mouth,
  model: z.string().describe('As the client asked; at most 300 characters of it.'),
  provider: z.string().nullable().describe('Who answered in the end, or was asked when it ended.'),
  provider_model: z.string().nullable().describe('The model by its name there.'),
  status: CallStatus,
  http_status: z.int().describe('What the client was answered; 499: it went away before.'),
  error: z
    .object({ type: z.string(), code: z.string().nullable(), message: z.string() })
    .nullable()
    .describe('What the client was told of a fault.'),
  is_stream: z.boolean(),
  cache: Cache.describe('`off`: nothing was looked for in the cache.'),
  usage: z.object({
    input_tokens: z.int().describe('All that the model read, also what was cached.'),
    cached_tokens: z.int(),
    cache_written_tokens: z.int(),
    output_tokens: z.int().describe('All that it wrote, also its reasoning.'),
    reasoning_tokens: z.int(),
  }),
  is_estimated: z.boolean().describe('The tokens were counted by Flow, because the provider did not say.'),
  credits: z.number().describe('What it cost.'),
  started_at: Timestamp,
  first_chunk_ms: z
    .number()
    .nullable()
    .describe('From when the answering provider was asked to its first chunk; null: nobody answered.'),
  duration_ms: z.number().describe('From when the request came in to the end of its answer.'),
}

export const GatewayCallSummary = z
  .object({ ...told, attempts: z.int().describe('How many attempts it took.') })
  .meta({ id: 'GatewayCallSummary' })
export type GatewayCallSummary = z.infer<typeof GatewayCallSummary>

export const GatewayCall = z
  .object({
    ...told,
    attempts: z.array(
      z.object({
        provider: z.string(),
        model: z.string(),
        http_status: z.int().nullable().describe('Null: it did not come to an answer.'),
        fault: z.string().nullable().describe('The code of what went wrong.'),
        started_ms: z.number().describe('After the request came in.'),
        duration_ms: z.number(),
      }),
    ),
    findings: z
      .array(z.object({ guardrail: z.string(), action: z.string(), side: z.enum(['input', 'output']) }))
      .describe('Of guardrails.'),
    traceparent: z.string().nullable().describe('The trace that it belongs to, as W3C Trace Context has it.'),
    content: z
      .enum(['kept', 'withheld', 'none'])
      .describe('`withheld`: it is not yours, and you lack `audit.read`. `none`: it is not kept.'),
    request: Json.nullable().describe('What was asked; null as well where it is longer than 1 MiB.'),
    answer: Json.nullable().describe('What was answered; of a stream `{"stream": …}` with the text of its events.'),
    expires_at: Timestamp.describe('When it is removed, by `retention_days`.'),
  })
  .meta({ id: 'GatewayCall', description: 'A call of a model. What was billed for it is kept for good elsewhere.' })
export type GatewayCall = z.infer<typeof GatewayCall>

const name = z.string().min(1).max(300)
const { search: _, ...listed } = listParameters(['started_at', 'duration_ms', 'credits', 'tokens'])

export const gatewayCalls = {
  list: {
    method: 'GET',
    path: '/gateway/calls',
    permission: 'solutions.read',
    summary: 'List calls of models, without what was said in them.',
    description:
      'Those of the workspace, in which they appear within a second after they are over. Requests without a model that can ' +
      'be read, or with an unknown key, are no calls. `sort=tokens` is by what was read and written together.',
    input: z.object({
      ...listed,
      workspace_id: Id.or(z.literal('all'))
        .optional()
        .describe('Another workspace than that of the request, or `all`, for those with a role in the organization.'),
      status: list(CallStatus).optional().describe('One status, or several with commas between.'),
      model: name.optional().describe('As the client asked, or `provider/model` of who answered.'),
      provider: name.optional(),
      mouth: Mouth.optional(),
      user_id: Id.optional(),
      key_id: Id.optional(),
      agent_id: Id.optional(),
      workflow_id: Id.optional(),
      execution_id: Id.optional(),
      request_id: z.string().min(1).max(100).optional(),
      cache: Cache.optional(),
      is_stream: Flag.optional(),
      started_after: Timestamp.optional(),
      started_before: Timestamp.optional(),
      credits_min: z.coerce.number().min(0).optional().describe('Calls that cost at least so much.'),
      duration_ms_min: z.coerce.number().min(0).optional().describe('Calls that took at least so long.'),
    }),
    output: Page(GatewayCallSummary),
    refusals: ['FORBIDDEN: you have no role in that workspace, or none in the organization for `all`.'],
  },
  get: {
    method: 'GET',
    path: '/gateway/calls/{call_id}',
    permission: 'solutions.read',
    summary: 'Read a call: its attempts, and what was said.',
    description:
      'What was said is told to the one who called, by whichever key, and to those with the permission `audit.read`. It is ' +
      'kept unless the settings say otherwise, without headers and keys.',
    input: z.object({ call_id: Id }),
    output: GatewayCall,
  },
} as const satisfies Domain
