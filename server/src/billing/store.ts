/** The SQL of credits. Amounts are whole nanocredits in the tables and decimal credits in what is answered. Nothing
 *  here changes the ledger or a purchase: they are only added to. */

import type {
  billing,
  Purchase,
  RateCard,
  ServiceType,
  Subscription,
  Transaction,
  UsageGroup,
} from '@flow/contract/billing'
import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { z } from 'zod'
import { asOne, type Db, json, raw, type Sql, sql } from '../db/db.ts'
import { page } from '../db/page.ts'
import type { Line, Usage } from './billing.ts'

export type Tenant = { db: Db; organization_id: string }

/** Decimal credits from whole nanocredits. */
const credits = (nanocredits: string): Sql => raw(`(${nanocredits}::numeric / 1000000000)`)

/** `usual_nanocredits`: what a unit costs where the card says nothing. */
export type Entry = Usage & {
  id: string
  organization_id: string
  workspace_id: string
  created_at: string
  request_id: string | null
  unit: string
  usual_nanocredits: number
}

/** Writes transactions at the prices of the active cards: the model's own rate, else the one for every model, else
 *  what the service usually costs. */
export function debit(db: Db, entries: Entry[]): Promise<number> {
  const each = <Value>(pick: (entry: Entry) => Value) => entries.map(pick)
  return db.run(sql`
    insert into ledger (id, organization_id, workspace_id, user_id, service_type, resource_type, resource_id, model,
      agent_id, workflow_id, usage_quantity, unit, nanocredits, rate_card_id, request_id, created_at)
    select t.id, t.organization_id, t.workspace_id, t.user_id, t.service_type, t.resource_type, t.resource_id, t.model,
      t.agent_id, t.workflow_id, t.quantity, t.unit,
      round(t.quantity * coalesce(
        (select rate.nanocredits_per_unit from rates rate
          where rate.rate_card_id = card.id and rate.service_type = t.service_type
            and (rate.model = t.model or rate.model is null)
          order by rate.model nulls last limit 1),
        t.nanocredits))::bigint,
      card.id, t.request_id, t.created_at
    from unnest(
      ${each(({ id }) => id)}::uuid[], ${each(({ organization_id }) => organization_id)}::uuid[],
      ${each(({ workspace_id }) => workspace_id)}::uuid[], ${each(({ user_id }) => user_id)}::uuid[],
      ${each(({ service_type }) => service_type)}::text[], ${each(({ resource_type }) => resource_type)}::text[],
      ${each(({ resource_id }) => resource_id)}::text[], ${each(({ model }) => model ?? null)}::text[],
      ${each(({ agent_id }) => agent_id ?? null)}::uuid[], ${each(({ workflow_id }) => workflow_id ?? null)}::uuid[],
      ${each(({ usage_quantity }) => usage_quantity)}::numeric[], ${each(({ unit }) => unit)}::text[],
      ${each(({ usual_nanocredits }) => usual_nanocredits)}::bigint[], ${each(({ request_id }) => request_id)}::text[],
      ${each(({ created_at }) => created_at)}::timestamptz[]
    ) as t (id, organization_id, workspace_id, user_id, service_type, resource_type, resource_id, model, agent_id,
      workflow_id, quantity, unit, nanocredits, request_id, created_at)
    join rate_cards card on card.organization_id = t.organization_id and card.is_active`)
}

/** Lines whose price is fixed; the active card is the one of which they are. */
export const enter = (db: Db, lines: (Line & { unit: string })[]): Promise<number> =>
  db.run(sql`
    insert into ledger (id, organization_id, workspace_id, user_id, service_type, resource_type, resource_id, model,
      agent_id, workflow_id, usage_quantity, unit, nanocredits, rate_card_id, request_id, created_at)
    select l.id, l.organization_id, l.workspace_id, l.user_id, l.service_type, l.resource_type, l.resource_id, l.model,
      l.agent_id, l.workflow_id, l.usage_quantity, l.unit, l.nanocredits, card.id, l.request_id, l.created_at
    from jsonb_to_recordset(${json(lines)}::jsonb) as l (id uuid, organization_id uuid, workspace_id uuid, user_id uuid,
      service_type text, resource_type text, resource_id text, model text, agent_id uuid, workflow_id uuid,
      usage_quantity numeric, unit text, nanocredits bigint, request_id text, created_at timestamptz)
    join rate_cards card on card.organization_id = l.organization_id and card.is_active
    on conflict (id) do nothing`)

export type Totals = {
  total_credits_purchased: number
  credits_consumed: number
  credits_remaining: number
  budget_credits: number | null
  budget_consumed_credits: number
  rate_card_id: string
  subscription: z.infer<typeof Subscription>
}

/** The whole summary in one statement, so that its numbers belong together. What was consumed is read from the totals
 *  that the database keeps of the ledger. */
export const totals = (at: Tenant, month: string): Promise<Totals> =>
  at.db.one(sql`
    select ${credits('bought.purchased')} as total_credits_purchased, ${credits('used.consumed')} as credits_consumed,
      ${credits('(bought.purchased - used.consumed)')} as credits_remaining,
      ${credits('b.nanocredits')} as budget_credits, ${credits('used.this_month')} as budget_consumed_credits,
      c.id as rate_card_id,
      jsonb_build_object('product_name', s.product_name, 'status', s.status, 'billing_cycle', s.billing_cycle,
        'start_date', s.start_date, 'end_date', s.end_date, 'trial_end_date', s.trial_end_date,
        'auto_renew', s.auto_renew, 'quantity', s.quantity) as subscription
    from subscriptions s
    join rate_cards c on c.organization_id = s.organization_id and c.is_active
    left join budgets b on b.organization_id = s.organization_id
    cross join (
      select coalesce(sum(nanocredits), 0) as purchased from credit_purchases
      where organization_id = ${at.organization_id}) bought
    cross join (
      select coalesce(sum(nanocredits), 0) as consumed,
        coalesce(sum(nanocredits) filter (where month = ${month}::date), 0) as this_month
      from ledger_totals where organization_id = ${at.organization_id}) used
    where s.organization_id = ${at.organization_id}`)

/** Whether the budget of the month is used up. Without a budget it never is. */
export const overBudget = ({ db, organization_id }: Tenant, month: string): Promise<{ over: boolean } | undefined> =>
  db.gather(overBudgetOnce, { organization_id, month })

const overBudgetOnce = asOne((db: Db, { organization_id, month }: { organization_id: string; month: string }) =>
  db.maybe<{ over: boolean }>(sql`
    select coalesce(sum(t.nanocredits), 0) >= b.nanocredits as over
    from budgets b left join ledger_totals t on t.organization_id = b.organization_id and t.month = ${month}::date
    where b.organization_id = ${organization_id} group by b.nanocredits`),
)

export const setBudget = (at: Tenant, nanocredits: number, now: string): Promise<number> =>
  at.db.run(sql`
    insert into budgets (organization_id, nanocredits, updated_at)
    values (${at.organization_id}, ${nanocredits}, ${now})
    on conflict (organization_id) do update set nanocredits = excluded.nanocredits, updated_at = excluded.updated_at`)

export const removeBudget = (at: Tenant): Promise<number> =>
  at.db.run(sql`delete from budgets where organization_id = ${at.organization_id}`)

/** What a group of the usage report is keyed by, and where its name is found. */
const groups: Record<UsageGroup, { key: string; name: string }> = {
  day: { key: `to_char(l.created_at at time zone 'UTC', 'YYYY-MM-DD')`, name: 'null' },
  model: { key: 'l.model', name: 'g.key' },
  agent: { key: 'l.agent_id::text', name: 'null' },
  workflow: { key: 'l.workflow_id::text', name: 'null' },
  user: { key: 'l.user_id::text', name: '(select u.email from users u where u.id = g.key::uuid)' },
  workspace: {
    key: 'l.workspace_id::text',
    name: '(select w.name from workspaces w where w.id = g.key::uuid and w.organization_id = g.organization_id)',
  },
  service_type: { key: 'l.service_type', name: 'g.key' },
}

type UsageQuery = { group_by: UsageGroup; from?: string | undefined; to?: string | undefined }
type Group = {
  key: string | null
  name: string | null
  credits_debited: number
  transactions: number
  usage_quantities: Record<string, number>
}

function within(at: Tenant, { from, to }: { from?: string | undefined; to?: string | undefined }): Sql {
  const since = from ? sql` and l.created_at >= ${from}` : raw('')
  const until = to ? sql` and l.created_at < ${to}` : raw('')
  return sql`l.organization_id = ${at.organization_id}${since}${until}`
}

export function usage(at: Tenant, query: UsageQuery, parameters: Parameters<typeof page>[1]['parameters']) {
  const { key, name } = groups[query.group_by]
  return page<Group>(at.db, {
    select: sql`g.key, ${raw(name)} as name, ${credits('g.nanocredits')} as credits_debited, g.transactions,
      g.usage_quantities`,
    from: sql`(
      select s.organization_id, s.key, sum(s.nanocredits) as nanocredits, sum(s.transactions)::int as transactions,
        jsonb_object_agg(s.service_type, s.quantity) as usage_quantities
      from (
        select l.organization_id, ${raw(key)} as key, l.service_type, sum(l.nanocredits) as nanocredits,
          count(*) as transactions, sum(l.usage_quantity) as quantity
        from ledger l where ${within(at, query)} group by 1, 2, 3) s
      group by s.organization_id, s.key) g`,
    where: [sql`true`],
    sortable: { credits_debited: 'g.nanocredits', key: 'g.key' },
    nullable: ['key'],
    id: 'g.key',
    parameters,
  })
}

export const usageTotal = (at: Tenant, query: UsageQuery): Promise<{ credits_debited: number; transactions: number }> =>
  at.db.one(sql`
    select ${credits('coalesce(sum(l.nanocredits), 0)')} as credits_debited, count(*)::int as transactions
    from ledger l where ${within(at, query)}`)

type TransactionQuery = Parsed<(typeof billing)['listTransactions']>

export const listTransactions = (at: Tenant, query: TransactionQuery): Promise<Page<Transaction>> =>
  page(at.db, {
    select: sql`l.id, l.service_type, l.resource_type, l.resource_id, l.user_id, l.workspace_id, l.model, l.agent_id,
      l.workflow_id, l.usage_quantity, l.unit, ${credits('l.nanocredits')} as credits_debited, l.rate_card_id,
      l.request_id, l.created_at`,
    from: sql`ledger l`,
    where: [
      within(at, query),
      ...(query.service_type ? [sql`l.service_type = ${query.service_type}`] : []),
      ...(query.resource_type ? [sql`l.resource_type = ${query.resource_type}`] : []),
      ...(query.resource_id ? [sql`l.resource_id = ${query.resource_id}`] : []),
      ...(query.user_id ? [sql`l.user_id = ${query.user_id}`] : []),
      ...(query.workspace_id ? [sql`l.workspace_id = ${query.workspace_id}`] : []),
    ],
    sortable: { created_at: 'l.created_at', credits_debited: 'l.nanocredits' },
    id: 'l.id',
    parameters: query,
  })

const purchaseColumns = sql`p.id, ${credits('p.nanocredits')} as credits, p.note, p.created_by, p.created_at`

export const listPurchases = (at: Tenant, query: Parsed<(typeof billing)['listPurchases']>): Promise<Page<Purchase>> =>
  page(at.db, {
    select: purchaseColumns,
    from: sql`credit_purchases p`,
    where: [sql`p.organization_id = ${at.organization_id}`],
    sortable: { created_at: 'p.created_at' },
    id: 'p.id',
    parameters: query,
  })

export type NewPurchase = {
  id: string
  nanocredits: number
  note: string
  created_by: string | null
  created_at: string
}

export const insertPurchase = (at: Tenant, made: NewPurchase): Promise<Purchase> =>
  at.db.one(sql`
    insert into credit_purchases as p (id, organization_id, nanocredits, note, created_by, created_at)
    values (${made.id}, ${at.organization_id}, ${made.nanocredits}, ${made.note}, ${made.created_by},
      ${made.created_at})
    returning ${purchaseColumns}`)

export const insertSubscription = (at: Tenant, product_name: string, now: string): Promise<number> =>
  at.db.run(sql`
    insert into subscriptions (organization_id, product_name, status, billing_cycle, start_date, auto_renew, quantity)
    values (${at.organization_id}, ${product_name}, 'active', 'monthly', (${now}::timestamptz at time zone 'UTC')::date,
      true, 1)`)

/** The active card and its rates, by service type and model. */
export const activeCard = (at: Tenant): Promise<Omit<RateCard, 'rates'> & { rates: StoredRate[] }> =>
  at.db.one(sql`
    select c.id, c.name, c.created_by, c.created_at, coalesce((
      select jsonb_agg(jsonb_build_object('service_type', r.service_type, 'model', r.model, 'unit', r.unit,
        'credits_per_unit', ${credits('r.nanocredits_per_unit')}) order by r.service_type, r.model nulls first)
      from rates r where r.rate_card_id = c.id), '[]') as rates
    from rate_cards c where c.organization_id = ${at.organization_id} and c.is_active`)

export type StoredRate = { service_type: ServiceType; model: string | null; unit: string; credits_per_unit: number }

/** From here on no card is active until the transaction has inserted another; two of them take turns. */
export const retireCard = (at: Tenant): Promise<number> =>
  at.db.run(sql`update rate_cards set is_active = false where organization_id = ${at.organization_id} and is_active`)

export type NewCard = { id: string; name: string; created_by: string | null; created_at: string }
export type NewRate = { service_type: ServiceType; model: string | null; unit: string; nanocredits_per_unit: number }

export const insertCard = (at: Tenant, card: NewCard, rates: NewRate[]): Promise<number> =>
  at.db.run(sql`
    with made as (
      insert into rate_cards (id, organization_id, name, is_active, created_at, created_by)
      values (${card.id}, ${at.organization_id}, ${card.name}, true, ${card.created_at}, ${card.created_by})
      returning id, organization_id)
    insert into rates (organization_id, rate_card_id, service_type, model, unit, nanocredits_per_unit)
    select made.organization_id, made.id, rate.service_type, rate.model, rate.unit, rate.nanocredits_per_unit
    from made, jsonb_to_recordset(${json(rates)}::jsonb)
      as rate (service_type text, model text, unit text, nanocredits_per_unit bigint)`)
