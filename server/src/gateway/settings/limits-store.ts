/** The SQL of limits, budgets and prices. Budgets are whole nanocredits in the table, prices nanocredits for a token;
 *  what is answered is credits, and credits for a million tokens. */

import type { Page } from '@flow/contract/common'
import type {
  GatewayBudget,
  GatewayLimit,
  GatewayPrice,
  gatewayLimits,
  gatewayPrices,
} from '@flow/contract/gateway-limits'
import type { Parsed } from '@flow/contract/operation'
import { raw, sql } from '../../db/db.ts'
import { page } from '../../db/page.ts'
import type { At } from './changes.ts'

type Listed = Parsed<(typeof gatewayLimits)['list']>
type Made = { id: string; created_by: string; created_at: string }
type Subject = GatewayLimit['subject']

const made = 'created_by, created_at, updated_at'
const subject = `jsonb_build_object('kind', subject_kind, 'id', subject_id) as subject`

const limitColumns = raw(`id, ${subject}, requests_per_minute, tokens_per_minute, concurrent, ${made}`)

export const listLimits = (at: At, parameters: Listed): Promise<Page<GatewayLimit>> =>
  page<GatewayLimit>(at.db, {
    select: limitColumns,
    from: raw('gateway_limits'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable: { created_at: 'created_at' },
    id: 'id',
    parameters,
  })

export const findLimit = (at: At, id: string): Promise<GatewayLimit | undefined> =>
  at.db.maybe<GatewayLimit>(sql`
    select ${limitColumns} from gateway_limits where id = ${id} and organization_id = ${at.organization_id}`)

export type Limits = Pick<GatewayLimit, 'requests_per_minute' | 'tokens_per_minute' | 'concurrent'>

export const insertLimit = (at: At, it: Made & Limits & { subject: Subject }): Promise<GatewayLimit> =>
  at.db.one<GatewayLimit>(sql`
    insert into gateway_limits (id, organization_id, subject_kind, subject_id, requests_per_minute, tokens_per_minute,
      concurrent, created_by, created_at, updated_at)
    values (${it.id}, ${at.organization_id}, ${it.subject.kind}, ${it.subject.id}, ${it.requests_per_minute},
      ${it.tokens_per_minute}, ${it.concurrent}, ${it.created_by}, ${it.created_at}, ${it.created_at})
    returning ${limitColumns}`)

export const replaceLimit = (at: At, it: Limits & { id: string }, now: string): Promise<GatewayLimit> =>
  at.db.one<GatewayLimit>(sql`
    update gateway_limits set requests_per_minute = ${it.requests_per_minute},
      tokens_per_minute = ${it.tokens_per_minute}, concurrent = ${it.concurrent}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${limitColumns}`)

export const removeLimit = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_limits where id = ${id} and organization_id = ${at.organization_id}`)

export type StoredBudget = Omit<GatewayBudget, 'used' | 'period_started_at' | 'resets_at'>

const budgetColumns = raw(`id, ${subject}, (nanocredits::numeric / 1000000000) as credits, period, mode, ${made}`)

export const listBudgets = (at: At, parameters: Listed): Promise<Page<StoredBudget>> =>
  page<StoredBudget>(at.db, {
    select: budgetColumns,
    from: raw('gateway_budgets'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable: { created_at: 'created_at' },
    id: 'id',
    parameters,
  })

export const findBudget = (at: At, id: string): Promise<StoredBudget | undefined> =>
  at.db.maybe<StoredBudget>(sql`
    select ${budgetColumns} from gateway_budgets where id = ${id} and organization_id = ${at.organization_id}`)

/** Whoever used most of it since then. */
export const usedOf = (
  at: At,
  subject: GatewayBudget['subject'],
  since: string,
): Promise<{ subject_id: string; credits: number }[]> =>
  at.db.many<{ subject_id: string; credits: number }>(sql`
    select subject_id, (sum(nanocredits) / 1000000000) as credits from gateway_spend
    where organization_id = ${at.organization_id} and kind = ${subject.kind} and day >= ${since}
      and (${subject.id}::text is null or subject_id = ${subject.id})
    group by subject_id order by 2 desc, 1 limit 10`)

type Sum = Pick<GatewayBudget, 'mode'> & { nanocredits: number }

export const insertBudget = (
  at: At,
  it: Made & Sum & { subject: Subject; period: GatewayBudget['period'] },
): Promise<StoredBudget> =>
  at.db.one<StoredBudget>(sql`
    insert into gateway_budgets (id, organization_id, subject_kind, subject_id, nanocredits, period, mode, created_by,
      created_at, updated_at)
    values (${it.id}, ${at.organization_id}, ${it.subject.kind}, ${it.subject.id}, ${it.nanocredits}, ${it.period},
      ${it.mode}, ${it.created_by}, ${it.created_at}, ${it.created_at})
    returning ${budgetColumns}`)

export const replaceBudget = (at: At, it: Sum & { id: string }, now: string): Promise<StoredBudget> =>
  at.db.one<StoredBudget>(sql`
    update gateway_budgets set nanocredits = ${it.nanocredits}, mode = ${it.mode}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${budgetColumns}`)

export const removeBudget = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_budgets where id = ${id} and organization_id = ${at.organization_id}`)

/** A nanocredit for a token is a thousandth of a credit for a million of them. */
const priceColumns = raw(`id, model, (input::numeric / 1000) as input,
  (coalesce(cached, input)::numeric / 1000) as cached, (coalesce(cache_written, input)::numeric / 1000) as cache_written,
  (output::numeric / 1000) as output, (call::numeric / 1000000000) as call, ${made}`)

export const listPrices = (at: At, parameters: Parsed<(typeof gatewayPrices)['list']>): Promise<Page<GatewayPrice>> =>
  page<GatewayPrice>(at.db, {
    select: priceColumns,
    from: raw('gateway_prices'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable: { created_at: 'created_at', model: 'model' },
    id: 'id',
    parameters,
  })

export const findPrice = (at: At, id: string): Promise<GatewayPrice | undefined> =>
  at.db.maybe<GatewayPrice>(sql`
    select ${priceColumns} from gateway_prices where id = ${id} and organization_id = ${at.organization_id}`)

/** Credits, and credits for a million tokens; null: not said, so that it follows `input`. */
export type Prices = Pick<GatewayPrice, 'input' | 'output' | 'call'> & {
  cached: number | null
  cache_written: number | null
}

export const findSaidPrice = (at: At, id: string): Promise<(Prices & { id: string }) | undefined> =>
  at.db.maybe<Prices & { id: string }>(sql`
    select id, (input::numeric / 1000) as input, (cached::numeric / 1000) as cached,
      (cache_written::numeric / 1000) as cache_written, (output::numeric / 1000) as output,
      (call::numeric / 1000000000) as call
    from gateway_prices where id = ${id} and organization_id = ${at.organization_id}`)

export const insertPrice = (at: At, it: Made & Prices & { model: string }): Promise<GatewayPrice> =>
  at.db.one<GatewayPrice>(sql`
    insert into gateway_prices (id, organization_id, model, input, cached, cache_written, output, call, created_by,
      created_at, updated_at)
    values (${it.id}, ${at.organization_id}, ${it.model}, ${thousandths(it.input)}, ${thousandths(it.cached)},
      ${thousandths(it.cache_written)}, ${thousandths(it.output)}, ${Math.round(it.call * 1e9)}, ${it.created_by},
      ${it.created_at}, ${it.created_at})
    returning ${priceColumns}`)

export const replacePrice = (at: At, it: Prices & { id: string }, now: string): Promise<GatewayPrice> =>
  at.db.one<GatewayPrice>(sql`
    update gateway_prices set input = ${thousandths(it.input)}, cached = ${thousandths(it.cached)},
      cache_written = ${thousandths(it.cache_written)}, output = ${thousandths(it.output)},
      call = ${Math.round(it.call * 1e9)}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${priceColumns}`)

export const removePrice = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_prices where id = ${id} and organization_id = ${at.organization_id}`)

const thousandths = (credits: number | null) => (credits === null ? null : Math.round(credits * 1000))

/** Whether the organization has it. A key that was revoked is none. */
export const hasWorkspace = (at: At, id: string) =>
  at.db.maybe(sql`select from workspaces where id = ${id} and organization_id = ${at.organization_id}`)

export const hasUser = (at: At, id: string) =>
  at.db.maybe(sql`select from memberships where user_id = ${id} and organization_id = ${at.organization_id}`)

export const hasKey = (at: At, id: string) =>
  at.db.maybe(sql`
    select from api_keys where id = ${id} and organization_id = ${at.organization_id} and revoked_at is null`)
