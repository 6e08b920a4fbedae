/** Routes and guardrails of the gateway: names that clients call instead of a model, where they lead, and what prompts
 *  and answers must not have in them. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Timestamp, text } from './common.ts'
import { ModelName, ProviderName } from './gateway-providers.ts'
import type { Domain } from './operation.ts'

export const RouteName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:-]*(?:\/[A-Za-z0-9._:-]+)*$/,
    'Use letters, digits and . _ : - with single / between.',
  )
  .max(200)
  .describe('What clients send as `model`. It does not begin with a provider’s name and a slash.')

const Target = z.strictObject({
  provider: ProviderName.describe('The name of one of the providers, or `flow`.'),
  model: ModelName,
  weight: z.int().min(0).max(1000).default(1).describe('Its share among the others, for `weighted`.'),
})

const ms = (min: number, max: number) => z.int().min(min).max(max)
const Timeouts = z
  .strictObject({
    connect: ms(100, 60_000).default(10_000),
    first_chunk: ms(100, 600_000).default(120_000).describe('Until the answer begins.'),
    between_chunks: ms(100, 600_000).default(60_000).describe('Until it goes on.'),
    total: ms(100, 3_600_000).default(600_000).describe('All attempts together.'),
  })
  .describe('How long is waited, in milliseconds.')
const aRoute = {
  description: z.string().max(2000),
  strategy: z
    .enum(['ordered', 'weighted', 'fastest'])
    .describe(
      '`ordered`: the next when the one before fails. `weighted`: by chance. `fastest`: by the time to the first ' +
        'chunk of late. Under each the other targets follow as fallbacks.',
    ),
  targets: z.array(Target).min(1).max(20),
  attempts_max: z.int().min(1).max(5).describe('Attempts at one target. Nothing is tried again once an answer began.'),
  timeouts_ms: Timeouts,
  hedge_after_ms: ms(50, 60_000)
    .nullable()
    .describe(
      'A second target is asked, too, when the first has not answered for so long. Both may cost. Null: never.',
    ),
  cache_seconds: z
    .int()
    .min(1)
    .max(2_592_000)
    .nullable()
    .describe('How long an answer to the very same request is given again. Null: not at all.'),
  guardrails: z.array(Id).max(20).describe('Guardrails in their order, besides those that hold always.'),
}

export const GatewayRoute = z
  .object({
    id: Id,
    name: z.string(),
    ...aRoute,
    created_by: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'GatewayRoute', description: 'A name that clients call instead of a model, and where it leads.' })
export type GatewayRoute = z.infer<typeof GatewayRoute>

const route_id = Id
const noSearch = z.object(listParameters(['created_at', 'name'])).omit({ search: true }).shape
const BAD_ROUTE =
  'VALIDATION_ERROR: a target’s provider is not set up or does not allow the model, or a guardrail is not there.'

export const gatewayRoutes = {
  list: {
    method: 'GET',
    path: '/gateway/routes',
    permission: 'solutions.read',
    summary: 'List the routes.',
    input: z.object(noSearch),
    output: Page(GatewayRoute),
  },
  create: {
    method: 'POST',
    path: '/gateway/routes',
    permission: 'organization.write',
    summary: 'Give clients a name to call, and say where it leads.',
    creates: '/gateway/routes/{route_id}',
    input: z.object({
      name: RouteName,
      description: aRoute.description.default(''),
      strategy: aRoute.strategy.default('ordered'),
      targets: aRoute.targets,
      attempts_max: aRoute.attempts_max.default(2),
      timeouts_ms: aRoute.timeouts_ms.prefault({}),
      hedge_after_ms: aRoute.hedge_after_ms.default(null),
      cache_seconds: aRoute.cache_seconds.default(null),
      guardrails: aRoute.guardrails.default([]),
    }),
    output: GatewayRoute,
    refusals: ['CONFLICT: the name is taken, or begins with a provider’s.', BAD_ROUTE],
  },
  get: {
    method: 'GET',
    path: '/gateway/routes/{route_id}',
    permission: 'solutions.read',
    summary: 'Read a route.',
    input: z.object({ route_id }),
    output: GatewayRoute,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/routes/{route_id}',
    permission: 'organization.write',
    summary: 'Change a route: what is sent replaces, what is not sent stays.',
    description: 'Calls under way go on as they began.',
    input: z.object({ route_id, ...z.object(aRoute).partial().shape }),
    output: GatewayRoute,
    refusals: [BAD_ROUTE],
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/routes/{route_id}',
    permission: 'organization.write',
    summary: 'Remove a route. Whoever calls its name is answered that there is no such model.',
    input: z.object({ route_id }),
  },
} as const satisfies Domain

export const PiiKind = z.enum(['email', 'phone', 'credit_card', 'iban', 'us_ssn', 'ip_address', 'api_key'])
export type PiiKind = z.infer<typeof PiiKind>

export const GuardrailRule = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('regex'),
    patterns: z
      .array(z.string().min(1).max(1000))
      .min(1)
      .max(50)
      .describe('RE2’s syntax; one that matches is enough. A match has 1 to 1,024 characters.'),
  }),
  z.strictObject({
    type: z.literal('pii'),
    kinds: z.array(PiiKind).min(1).describe('By form, and by checksum where the form has one.'),
  }),
  z.strictObject({
    type: z.literal('json_schema'),
    schema: z
      .record(z.string(), Json)
      .describe('JSON Schema 2020-12: what the text must be, read as JSON. Of a prompt it is what the user said last.'),
  }),
  z.strictObject({
    type: z.literal('topics'),
    topics: z
      .array(z.strictObject({ name: text(100), examples: z.array(text(1000)).min(1).max(50) }))
      .min(1)
      .max(20),
    threshold: z.number().min(0).max(1).default(0.8).describe('The cosine from which a text is about a topic.'),
    model: z
      .string()
      .max(264)
      .default('flow/hash-embedding-384')
      .describe('Embeds texts and examples; a provider’s is paid for.'),
  }),
  z.strictObject({
    type: z.literal('code_block'),
    component_id: Id.describe(
      'A published code block: called with `{text, side}`, it answers `{ok, reason?, text?}`. `text` is what `redact` ' +
        'puts in the place of the text.',
    ),
  }),
])
export type GuardrailRule = z.infer<typeof GuardrailRule>

const aGuardrail = {
  name: text(100),
  always: z.boolean().describe('Holds for every call, and not only for those whose route names it.'),
  side: z.enum(['input', 'output', 'both']).describe('Whether the prompt is looked at, the answer, or both.'),
  action: z
    .enum(['block', 'redact', 'flag'])
    .describe(
      '`block` refuses the call, `redact` puts a mark in the place of what was found, `flag` notes it in the trace. What ' +
        'cannot be looked at passes only where it would be flagged.',
    ),
  rule: GuardrailRule,
}

export const GatewayGuardrail = z
  .object({ id: Id, ...aGuardrail, created_by: Id, created_at: Timestamp, updated_at: Timestamp })
  .meta({ id: 'GatewayGuardrail', description: 'What a prompt or an answer must not have in it.' })
export type GatewayGuardrail = z.infer<typeof GatewayGuardrail>

const guardrail_id = Id
const BAD_RULE =
  'VALIDATION_ERROR: a pattern or a schema is none, the code block is not published, or the action does not go with it.'

export const gatewayGuardrails = {
  list: {
    method: 'GET',
    path: '/gateway/guardrails',
    permission: 'solutions.read',
    summary: 'List the guardrails.',
    input: z.object(noSearch),
    output: Page(GatewayGuardrail),
  },
  create: {
    method: 'POST',
    path: '/gateway/guardrails',
    permission: 'organization.write',
    summary: 'Say what prompts or answers must not have in them.',
    creates: '/gateway/guardrails/{guardrail_id}',
    input: z.object({ ...aGuardrail, always: aGuardrail.always.default(false), side: aGuardrail.side.default('both') }),
    output: GatewayGuardrail,
    refusals: ['CONFLICT: the name is taken.', BAD_RULE],
  },
  get: {
    method: 'GET',
    path: '/gateway/guardrails/{guardrail_id}',
    permission: 'solutions.read',
    summary: 'Read a guardrail.',
    input: z.object({ guardrail_id }),
    output: GatewayGuardrail,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/guardrails/{guardrail_id}',
    permission: 'organization.write',
    summary: 'Change a guardrail: what is sent replaces, what is not sent stays.',
    input: z.object({ guardrail_id, ...z.object(aGuardrail).partial().shape }),
    output: GatewayGuardrail,
    refusals: ['CONFLICT: the name is taken.', BAD_RULE],
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/guardrails/{guardrail_id}',
    permission: 'organization.write',
    summary: 'Remove a guardrail.',
    input: z.object({ guardrail_id }),
    refusals: ['CONFLICT: routes name it; they are named.'],
  },
} as const satisfies Domain
