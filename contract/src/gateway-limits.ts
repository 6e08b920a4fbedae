/** Limits, budgets and prices of the gateway: how much may be called, what it may cost, and what a token costs where the
 *  organization has prices of its own. */

import { z } from 'zod'
import { GivenCredits } from './billing.ts'
import { Id, listParameters, Page, Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

export const SubjectKind = z.enum(['organization', 'workspace', 'user', 'key', 'model'])
export type SubjectKind = z.infer<typeof SubjectKind>

const Subject = z
  .strictObject({
    kind: SubjectKind,
    id: z
      .string()
      .min(1)
      .max(264)
      .nullable()
      .default(null)
      .describe(
        'One of them: the id, or `provider/model`. Null: each of them by itself; always so for `organization`.',
      ),
  })
  .meta({ id: 'GatewaySubject', description: 'Whom a limit or a budget is about. A `key` is an API key, by its id.' })

const noSearch = z.object(listParameters(['created_at'])).omit({ search: true }).shape
const made = { created_by: Id, created_at: Timestamp, updated_at: Timestamp }
const NO_SUBJECT = 'VALIDATION_ERROR: there is no such workspace, user, key or model.'

const aLimit = {
  requests_per_minute: z.int().min(0).max(1_000_000).nullable().describe('0: none at all. Null: no limit.'),
  tokens_per_minute: z.int().min(0).max(1_000_000_000).nullable().describe('Of prompts and answers together.'),
  concurrent: z.int().min(0).max(1_000_000).nullable().describe('Calls at the same time.'),
}

export const GatewayLimit = z
  .object({ id: Id, subject: Subject, ...aLimit, ...made })
  .meta({ id: 'GatewayLimit', description: 'How much may be called. Whatever passes it is answered 429.' })
export type GatewayLimit = z.infer<typeof GatewayLimit>

const limit_id = Id
const EMPTY = 'VALIDATION_ERROR: the limit limits nothing.'

export const gatewayLimits = {
  list: {
    method: 'GET',
    path: '/gateway/limits',
    permission: 'solutions.read',
    summary: 'List the limits of calls.',
    input: z.object(noSearch),
    output: Page(GatewayLimit),
  },
  create: {
    method: 'POST',
    path: '/gateway/limits',
    permission: 'organization.write',
    summary: 'Limit how much may be called.',
    description: 'All limits that a call is subject to hold together. They are kept over all processes of Flow.',
    creates: '/gateway/limits/{limit_id}',
    input: z.object({
      subject: Subject,
      requests_per_minute: aLimit.requests_per_minute.default(null),
      tokens_per_minute: aLimit.tokens_per_minute.default(null),
      concurrent: aLimit.concurrent.default(null),
    }),
    output: GatewayLimit,
    refusals: ['CONFLICT: there is a limit for this subject.', EMPTY, NO_SUBJECT],
  },
  get: {
    method: 'GET',
    path: '/gateway/limits/{limit_id}',
    permission: 'solutions.read',
    summary: 'Read a limit.',
    input: z.object({ limit_id }),
    output: GatewayLimit,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/limits/{limit_id}',
    permission: 'organization.write',
    summary: 'Change a limit: what is sent replaces, what is not sent stays.',
    input: z.object({ limit_id, ...z.object(aLimit).partial().shape }),
    output: GatewayLimit,
    refusals: [EMPTY],
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/limits/{limit_id}',
    permission: 'organization.write',
    summary: 'Remove a limit.',
    input: z.object({ limit_id }),
  },
} as const satisfies Domain

const aBudget = {
  credits: GivenCredits.describe('What calls may cost in the period, in credits.'),
  period: z.enum(['day', 'week', 'month']).describe('Begins anew at midnight, on Monday, or on the first, UTC.'),
  mode: z
    .enum(['hard', 'warn'])
    .describe(
      '`hard`: no call passes the budget, and a stream that would is cut off. `warn`: calls are told in a header.',
    ),
}

export const GatewayBudget = z
  .object({
    id: Id,
    subject: Subject,
    ...aBudget,
    credits: z.number(),
    period_started_at: Timestamp,
    resets_at: Timestamp,
    used: z
      .array(z.object({ subject_id: z.string(), credits: z.number() }))
      .describe('What is used of it in this period, by whom; those who used most, at most 10.'),
    ...made,
  })
  .meta({ id: 'GatewayBudget', description: 'What calls may cost. What passes a hard one is answered 402.' })
export type GatewayBudget = z.infer<typeof GatewayBudget>

const budget_id = Id

export const gatewayBudgets = {
  list: {
    method: 'GET',
    path: '/gateway/budgets',
    permission: 'billing.read',
    summary: 'List the budgets of calls, with what is used of each now.',
    input: z.object(noSearch),
    output: Page(GatewayBudget),
  },
  create: {
    method: 'POST',
    path: '/gateway/budgets',
    permission: 'billing.write',
    summary: 'Say what calls may cost.',
    description: 'All budgets that a call is subject to hold together. What was used before in the period counts.',
    creates: '/gateway/budgets/{budget_id}',
    input: z.object({
      subject: Subject,
      credits: aBudget.credits,
      period: aBudget.period.default('month'),
      mode: aBudget.mode.default('hard'),
    }),
    output: GatewayBudget,
    refusals: ['CONFLICT: there is a budget for this subject, period and mode.', NO_SUBJECT],
  },
  get: {
    method: 'GET',
    path: '/gateway/budgets/{budget_id}',
    permission: 'billing.read',
    summary: 'Read a budget, with what is used of it now.',
    input: z.object({ budget_id }),
    output: GatewayBudget,
    moving: ['period_started_at', 'resets_at', 'used'],
  },
  update: {
    method: 'PATCH',
    path: '/gateway/budgets/{budget_id}',
    permission: 'billing.write',
    summary: 'Change a budget: what is sent replaces, what is not sent stays.',
    input: z.object({ budget_id, ...z.object(aBudget).pick({ credits: true, mode: true }).partial().shape }),
    output: GatewayBudget,
    refusals: ['CONFLICT: there is a budget for this subject, period and mode.'],
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/budgets/{budget_id}',
    permission: 'billing.write',
    summary: 'Remove a budget.',
    input: z.object({ budget_id }),
  },
} as const satisfies Domain

const perMillion = z
  .number()
  .min(0)
  .max(100_000_000)
  .refine((value) => Math.abs(Math.round(value * 1000) - value * 1000) < 1e-6 * Math.max(1, value), {
    message: 'Use at most three decimal places.',
  })
const aPrice = {
  input: perMillion.describe('Credits for a million tokens that the model reads.'),
  cached: perMillion.describe('The same of those that the provider had cached; as `input` where it is not said.'),
  cache_written: perMillion.describe('The same of those that it caches now; as `input` where it is not said.'),
  output: perMillion.describe('Credits for a million tokens that the model writes.'),
  call: GivenCredits.describe('Credits for each call besides.'),
}

export const GatewayPrice = z
  .object({
    id: Id,
    model: z.string(),
    input: z.number(),
    cached: z.number(),
    cache_written: z.number(),
    output: z.number(),
    call: z.number(),
    ...made,
  })
  .meta({ id: 'GatewayPrice', description: 'What the organization itself pays for a model, in credits.' })
export type GatewayPrice = z.infer<typeof GatewayPrice>

const price_id = Id

export const gatewayPrices = {
  list: {
    method: 'GET',
    path: '/gateway/prices',
    permission: 'billing.read',
    summary: 'List the prices of your own.',
    description: 'Models without one cost what the rate card says of them, else what their provider publishes.',
    input: z.object(z.object(listParameters(['created_at', 'model'])).omit({ search: true }).shape),
    output: Page(GatewayPrice),
  },
  create: {
    method: 'POST',
    path: '/gateway/prices',
    permission: 'billing.write',
    summary: 'Say what a model costs.',
    description: 'What was billed before keeps its cost. A rate for the model on the rate card goes before.',
    creates: '/gateway/prices/{price_id}',
    input: z.object({
      model: z
        .string()
        .regex(/^[^\s\p{Cc}/*]+\/[^\s\p{Cc}*]*\*?$/u, 'Give provider/model; * may stand at its end.')
        .max(264)
        .describe('`provider/model`; `*` at its end for any ending. The longest that fits holds.'),
      input: aPrice.input,
      cached: aPrice.cached.nullish(),
      cache_written: aPrice.cache_written.nullish(),
      output: aPrice.output,
      call: aPrice.call.default(0),
    }),
    output: GatewayPrice,
    refusals: ['CONFLICT: the model has a price already.'],
  },
  get: {
    method: 'GET',
    path: '/gateway/prices/{price_id}',
    permission: 'billing.read',
    summary: 'Read a price.',
    input: z.object({ price_id }),
    output: GatewayPrice,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/prices/{price_id}',
    permission: 'billing.write',
    summary: 'Change a price: what is sent replaces, what is not sent stays.',
    description: 'With null, `cached` and `cache_written` are not said any more: they follow `input`.',
    input: z.object({
      price_id,
      ...z.object(aPrice).partial().shape,
      cached: aPrice.cached.nullish(),
      cache_written: aPrice.cache_written.nullish(),
    }),
    output: GatewayPrice,
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/prices/{price_id}',
    permission: 'billing.write',
    summary: 'Remove a price.',
    input: z.object({ price_id }),
  },
} as const satisfies Domain
