/** Credits. Whatever is billable writes one transaction into the ledger, in the transaction of its own work, at the
 *  price of the active rate card; nothing changes it afterwards. Summary and usage report are sums over the ledger
 *  and can't disagree with it. An overdrawn balance stops nobody; a used-up budget does. */

import type {
  BillingSummary,
  billing as contract,
  Purchase,
  RateCard,
  ServiceType,
  Transaction,
  UsageReport,
} from '@flow/contract/billing'
import type { FieldError, Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { organizations } from '@flow/contract/organizations'
import { type Context, newId, type Scope } from '../context.ts'
import type { Db } from '../db/db.ts'
import { Failure, invalid } from '../failure.ts'
import { badgeOf, monthOf, services, toNanocredits } from './rules.ts'
import * as store from './store.ts'

type Ops = typeof contract
type Reports = Pick<typeof organizations, 'getBilling' | 'getUsage'>

/** One billable use, in the unit of its service type (see `services`). */
export type Usage = {
  service_type: ServiceType
  /** `workflow`, `agent`, `connector`, `dataset`, `code_block` … */
  resource_type: string
  resource_id: string
  user_id: string | null
  usage_quantity: number
  /** `provider/name`, where a model was called. */
  model?: string | null
  agent_id?: string | null
  workflow_id?: string | null
}

/** A use, and whose it was. */
export type Billed = Usage & Pick<Scope, 'organization_id' | 'workspace_id'> & { now: string; request_id?: string }

/** Writes one use into the ledger, in the caller's transaction. */
export const debit = ({ db, organization_id, workspace_id, now, request_id }: DebitAt, usage: Usage): Promise<void> =>
  debitAll(db, [{ ...usage, organization_id, workspace_id, now, request_id }])

type DebitAt = Scope & { now: string; request_id?: string }

/** Writes uses into the ledger in one statement, all or none. With the platform's handle they may be of several
 *  organizations. */
export async function debitAll(db: Db, uses: Billed[]): Promise<void> {
  if (uses.length === 0) return
  const entries = uses.map(({ now, request_id, ...use }) => {
    if (!Number.isFinite(use.usage_quantity) || use.usage_quantity < 0) {
      throw new Error(`a use of ${use.usage_quantity} can't be billed`)
    }
    const { unit, credits_per_unit } = services[use.service_type]
    const about = { id: newId(), created_at: now, request_id: request_id ?? null }
    return { ...use, ...about, unit, usual_nanocredits: toNanocredits(credits_per_unit) }
  })
  const written = await store.debit(db, entries)
  if (written !== entries.length) throw new Error('the organization has no active rate card')
}

/** A use whose price is known already, under an id of its own. */
export type Line = Usage & {
  id: string
  organization_id: string
  workspace_id: string
  nanocredits: number
  request_id: string | null
  created_at: string
}

/** Writes uses of any number of organizations; of those that are there already nothing. How many are new. */
export const enter = async (db: Db, lines: Line[]): Promise<number> =>
  lines.length === 0
    ? 0
    : store.enter(
        db,
        lines.map((line) => ({ ...line, unit: services[line.service_type].unit })),
      )

/** Refuses what would begin with the month's budget used up. */
export async function assertBudget(at: Scope & { now: string }): Promise<void> {
  const budget = await store.overBudget(at, monthOf(at.now))
  if (!budget?.over) return
  throw new Failure('BUDGET_EXCEEDED', "This month's budget is used up. Raise it, or wait for the next month (UTC).")
}

/** Nanocredits for a unit of a service until a card says otherwise. */
export const usualRate = (service_type: ServiceType): number => toNanocredits(services[service_type].credits_per_unit)

/** Told the organization's id, when another rate card or budget is in place. */
export const RATES_CHANNEL = 'flow_rates'

const CREDITS_AT_START = 10_000

/** What every organization begins with: a subscription, a rate card and some credits. */
export async function openAccount(db: Db, organization_id: string, now: string): Promise<void> {
  const at = { db, organization_id }
  await store.insertSubscription(at, 'Flow', now)
  await store.insertCard(at, { id: newId(), name: 'Standard', created_by: null, created_at: now }, [])
  await store.insertPurchase(at, {
    id: newId(),
    nanocredits: toNanocredits(CREDITS_AT_START),
    note: 'Credits to begin with',
    created_by: null,
    created_at: now,
  })
}

export async function getBilling(ctx: Context, _input: Parsed<Reports['getBilling']>): Promise<BillingSummary> {
  const summary = await store.totals(ctx, monthOf(ctx.now))
  // Past 2^53 nanocredits they are not exact, which a badge does not need.
  const badge = badgeOf(toNanocredits(summary.total_credits_purchased), toNanocredits(summary.credits_consumed))
  return { organization_id: ctx.organization_id, ...summary, badge }
}

/** Groups and totals are of the same moment. */
export const getUsage = (ctx: Context, input: Parsed<Reports['getUsage']>): Promise<UsageReport> =>
  ctx.db.tx(
    async (db) => {
      const at = { db, organization_id: ctx.organization_id }
      const groups = await store.usage(at, input, input)
      const total = await store.usageTotal(at, input)
      return { ...groups, ...total, group_by: input.group_by, from: exact(input.from), to: exact(input.to) }
    },
    { isolation: 'repeatable read' },
  )

const exact = (moment: string | undefined) => (moment === undefined ? null : new Date(moment).toISOString())

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<BillingSummary> {
  if (input.budget_credits === null) await store.removeBudget(ctx)
  if (input.budget_credits !== null) await store.setBudget(ctx, toNanocredits(input.budget_credits), ctx.now)
  ctx.db.tell(RATES_CHANNEL, ctx.organization_id)

  return getBilling(ctx, input)
}

export const listTransactions = (ctx: Context, input: Parsed<Ops['listTransactions']>): Promise<Page<Transaction>> =>
  store.listTransactions(ctx, input)

export const listPurchases = (ctx: Context, input: Parsed<Ops['listPurchases']>): Promise<Page<Purchase>> =>
  store.listPurchases(ctx, input)

export const addCredits = (ctx: Context, input: Parsed<Ops['addCredits']>): Promise<Purchase> =>
  store.insertPurchase(ctx, {
    id: newId(),
    nanocredits: toNanocredits(input.credits),
    note: input.note,
    created_by: ctx.actor.user_id,
    created_at: ctx.now,
  })

/** The card's own rates, and the default one of every service type that the card leaves out. */
export async function getRateCard(ctx: Context, _input: Parsed<Ops['getRateCard']>): Promise<RateCard> {
  const card = await store.activeCard(ctx)
  const silent = Object.entries(services).filter(
    ([service_type]) => !card.rates.some((rate) => rate.service_type === service_type && rate.model === null),
  )
  const defaults = silent.map(([name, service]) => ({ service_type: name as ServiceType, model: null, ...service }))
  return { ...card, rates: [...defaults, ...card.rates] }
}

export async function replaceRateCard(ctx: Context, input: Parsed<Ops['replaceRateCard']>): Promise<RateCard> {
  const twice = input.rates.flatMap((rate, i): FieldError[] => {
    const first = input.rates.findIndex(
      (other) => other.service_type === rate.service_type && other.model === rate.model,
    )
    if (first === i) return []
    return [{ field: `rates[${i}]`, message: `rates[${first}] is for the same service type and model.` }]
  })
  if (twice.length > 0) throw invalid(twice)

  await store.retireCard(ctx)
  const card = { id: newId(), name: input.name, created_by: ctx.actor.user_id, created_at: ctx.now }
  const rates = input.rates.map(({ service_type, model, credits_per_unit }) => ({
    service_type,
    model,
    unit: services[service_type].unit,
    nanocredits_per_unit: toNanocredits(credits_per_unit),
  }))
  await store.insertCard(ctx, card, rates)
  ctx.db.tell(RATES_CHANNEL, ctx.organization_id)

  return getRateCard(ctx, input)
}
