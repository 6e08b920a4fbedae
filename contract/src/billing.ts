/** Credits: what was bought, what was used, and what a use costs. Every billable operation is one transaction of
 *  the ledger and never changes. The sum of the ledger, the usage report and the summary are the same number. */

import { z } from 'zod'
import { Id, listParameters, Page, Timestamp, text } from './common.ts'
import type { Domain } from './operation.ts'

/** Amounts are exact to a billionth of a credit. */
const Credits = z.number().describe('Credits, with up to nine decimal places.')
export const GivenCredits = z
  .number()
  .min(0)
  .max(1_000_000_000)
  .refine((value) => Math.abs(Math.round(value * 1e9) - value * 1e9) < 1e-3 * Math.max(1, value), {
    message: 'Use at most nine decimal places.',
  })

export const ServiceType = z
  .enum(['llm_call', 'data_transfer', 'agent_runtime', 'workflow_run', 'code_run'])
  .meta({ id: 'ServiceType', description: 'What was used.' })
export type ServiceType = z.infer<typeof ServiceType>

export const Subscription = z
  .object({
    product_name: z.string(),
    status: z.enum(['active', 'trial', 'suspended', 'cancelled', 'expired']),
    billing_cycle: z.enum(['monthly', 'annual']),
    start_date: z.iso.date(),
    end_date: z.iso.date().nullable(),
    trial_end_date: z.iso.date().nullable(),
    auto_renew: z.boolean(),
    quantity: z.int(),
  })
  .meta({ id: 'Subscription' })

export const Badge = z
  .enum(['healthy', 'low_balance', 'critical', 'overdrawn'])
  .describe(
    'By what remains of the credits ever purchased: `healthy` above 20 %, `low_balance` up to 20 %, ' +
      '`critical` up to 5 %, `overdrawn` when more was consumed than purchased.',
  )
export type Badge = z.infer<typeof Badge>

export const BillingSummary = z
  .object({
    organization_id: Id,
    total_credits_purchased: Credits,
    credits_consumed: Credits,
    credits_remaining: Credits.describe('Below zero when more was consumed than purchased.'),
    budget_credits: Credits.nullable().describe('What may be consumed in a calendar month (UTC); null: no limit.'),
    budget_consumed_credits: Credits.describe('What was consumed in this calendar month (UTC).'),
    badge: Badge,
    subscription: Subscription,
    rate_card_id: Id,
  })
  .meta({ id: 'BillingSummary' })
export type BillingSummary = z.infer<typeof BillingSummary>

export const UsageGroup = z.enum(['day', 'model', 'agent', 'workflow', 'user', 'workspace', 'service_type'])
export type UsageGroup = z.infer<typeof UsageGroup>

export const UsageReport = Page(
  z.object({
    key: z.string().nullable().describe('The day (UTC), the model, or the id; null: the rest, which has none.'),
    name: z.string().nullable().describe('What people call it, where it has a name.'),
    credits_debited: Credits,
    transactions: z.int(),
    usage_quantities: z.record(z.string(), z.number()).describe('How much was used of each service type, in its unit.'),
  }),
)
  .extend({
    group_by: UsageGroup,
    from: Timestamp.nullable(),
    to: Timestamp.nullable(),
    credits_debited: Credits.describe('Of all groups, also those on other pages.'),
    transactions: z.int(),
  })
  .meta({ id: 'UsageReport' })
export type UsageReport = z.infer<typeof UsageReport>

export const Transaction = z
  .object({
    id: Id,
    service_type: ServiceType,
    resource_type: z.string().describe('`workflow`, `agent`, `connector`, `dataset`, `code_block` …'),
    resource_id: z.string(),
    user_id: Id.nullable(),
    workspace_id: Id,
    model: z.string().nullable(),
    agent_id: Id.nullable(),
    workflow_id: Id.nullable(),
    usage_quantity: z.number(),
    unit: z.string().describe('What the quantity counts, such as `token`, `byte` or `second`.'),
    credits_debited: Credits,
    rate_card_id: Id,
    request_id: z.string().nullable(),
    created_at: Timestamp,
  })
  .meta({ id: 'Transaction', description: 'One billable operation. It never changes.' })
export type Transaction = z.infer<typeof Transaction>

export const Purchase = z
  .object({ id: Id, credits: Credits, note: z.string(), created_by: Id.nullable(), created_at: Timestamp })
  .meta({ id: 'Purchase', description: 'Credits that were added. It never changes.' })
export type Purchase = z.infer<typeof Purchase>

export const Rate = z
  .strictObject({
    service_type: ServiceType,
    model: text(200).nullable().default(null).describe('One model, as `provider/name`; null: every other.'),
    credits_per_unit: GivenCredits.describe('Credits for one unit, with up to nine decimal places.'),
  })
  .meta({ id: 'Rate' })

export const RateCard = z
  .object({
    id: Id,
    name: z.string(),
    rates: z.array(Rate.extend({ unit: z.string() })),
    created_by: Id.nullable(),
    created_at: Timestamp,
  })
  .meta({ id: 'RateCard', description: 'What a unit of each service costs. What was debited before keeps its cost.' })
export type RateCard = z.infer<typeof RateCard>

const org_id = Id

export const billing = {
  update: {
    method: 'PUT',
    path: '/organizations/{org_id}/billing',
    permission: 'billing.write',
    summary: 'Set the monthly budget, or take it away with null.',
    description: 'What would begin beyond the budget is refused with BUDGET_EXCEEDED; what runs already goes on.',
    input: z.object({ org_id, budget_credits: GivenCredits.nullable() }),
    output: BillingSummary,
  },
  listTransactions: {
    method: 'GET',
    path: '/organizations/{org_id}/billing/transactions',
    permission: 'billing.read',
    summary: 'List the transactions of the ledger.',
    input: z.object({
      org_id,
      ...z.object(listParameters(['created_at', 'credits_debited'])).omit({ search: true }).shape,
      service_type: ServiceType.optional(),
      resource_type: text(100).optional(),
      resource_id: text(200).optional(),
      user_id: Id.optional(),
      workspace_id: Id.optional(),
      from: z.iso.datetime().optional(),
      to: z.iso.datetime().optional(),
    }),
    output: Page(Transaction),
  },
  listPurchases: {
    method: 'GET',
    path: '/organizations/{org_id}/billing/purchases',
    permission: 'billing.read',
    summary: 'List the credits that were added.',
    input: z.object({ org_id, ...z.object(listParameters(['created_at'])).omit({ search: true }).shape }),
    output: Page(Purchase),
  },
  addCredits: {
    method: 'POST',
    path: '/organizations/{org_id}/billing/purchases',
    permission: 'billing.write',
    summary: 'Add credits.',
    creates: '/organizations/{org_id}/billing/purchases',
    input: z.object({ org_id, credits: GivenCredits.min(1e-9), note: z.string().max(500).default('') }),
    output: Purchase,
  },
  getRateCard: {
    method: 'GET',
    path: '/organizations/{org_id}/billing/rate-card',
    permission: 'billing.read',
    summary: 'Read the active rate card.',
    input: z.object({ org_id }),
    output: RateCard,
  },
  replaceRateCard: {
    method: 'PUT',
    path: '/organizations/{org_id}/billing/rate-card',
    permission: 'billing.write',
    summary: 'Put another rate card in place; a service type it leaves out costs what it costs by default.',
    input: z.object({ org_id, name: text(200), rates: z.array(Rate).max(1000) }),
    output: RateCard,
    refusals: ['VALIDATION_ERROR: two rates are for the same service type and model.'],
  },
} as const satisfies Domain
