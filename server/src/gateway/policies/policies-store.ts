/** The SQL of policies: all that an organization has said about its gateway, in one statement, so that its parts belong
 *  together; and whether it is still so. */

import type { GatewayRoute, GuardrailRule } from '@flow/contract/gateway-routes'
import { type Db, raw, sql } from '../../db/db.ts'
import type { ProviderKind } from '../providers/provider.ts'
import type { Budget, Guardrail, Limit, Price } from './policy.ts'

export type StoredPolicy = {
  version: number
  /** Changes with whatever is read here. */
  moment: string
  cache_epoch: number
  keep_content: boolean
  retention_days: number
  providers: StoredProvider[]
  routes: Pick<
    GatewayRoute,
    'name' | 'strategy' | 'targets' | 'attempts_max' | 'timeouts_ms' | 'hedge_after_ms' | 'cache_seconds' | 'guardrails'
  >[]
  limits: Limit[]
  budgets: Budget[]
  month_nanocredits: number | null
  prices: (Price & { model: string })[]
  guardrails: (Omit<Guardrail, 'rule'> & { rule: GuardrailRule })[]
  /** Nanocredits for a token; `model` null: of every model that has no rate of its own. */
  rates: { model: string | null; nanocredits_per_unit: number }[]
}

export type StoredProvider = {
  id: string
  name: string
  kind: ProviderKind
  base_url: string
  /** Sealed. */
  key: string | null
  headers: Record<string, string>
  options: Record<string, string>
  models: string[]
}

const momentOf = raw(
  `concat_ws(' ', coalesce(s.version, 0), card.id, (extract(epoch from m.updated_at) * 1000)::bigint)`,
)

export const load = (db: Db, organization_id: string): Promise<StoredPolicy> =>
  db.one<StoredPolicy>(sql`
    select coalesce(s.version, 0) as version, ${momentOf} as moment, coalesce(s.cache_epoch, 0) as cache_epoch,
      coalesce(s.keep_content, true) as keep_content, coalesce(s.retention_days, 30) as retention_days,
      (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name, 'kind', p.kind,
          'base_url', p.base_url, 'key', p.key, 'headers', p.headers, 'options', p.options, 'models', p.models)), '[]')
        from gateway_providers p where p.organization_id = o.id) as providers,
      (select coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'strategy', r.strategy, 'targets', r.targets,
          'attempts_max', r.attempts_max, 'timeouts_ms', r.timeouts_ms, 'hedge_after_ms', r.hedge_after_ms,
          'cache_seconds', r.cache_seconds, 'guardrails', r.guardrails)), '[]')
        from gateway_routes r where r.organization_id = o.id) as routes,
      (select coalesce(jsonb_agg(jsonb_build_object('id', l.id,
          'subject', jsonb_build_object('kind', l.subject_kind, 'id', l.subject_id),
          'requests_per_minute', l.requests_per_minute, 'tokens_per_minute', l.tokens_per_minute,
          'concurrent', l.concurrent) order by l.id), '[]')
        from gateway_limits l where l.organization_id = o.id) as limits,
      (select coalesce(jsonb_agg(jsonb_build_object('id', b.id,
          'subject', jsonb_build_object('kind', b.subject_kind, 'id', b.subject_id),
          'nanocredits', b.nanocredits, 'period', b.period, 'mode', b.mode) order by b.id), '[]')
        from gateway_budgets b where b.organization_id = o.id) as budgets,
      (case when m.nanocredits is not null then least(m.nanocredits, 9007199254740991) end) as month_nanocredits,
      (select coalesce(jsonb_agg(jsonb_build_object('model', c.model, 'input', c.input,
          'cached', coalesce(c.cached, c.input), 'cache_written', coalesce(c.cache_written, c.input), 'output', c.output, 'call', c.call)), '[]')
        from gateway_prices c where c.organization_id = o.id) as prices,
      (select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name, 'always', g.always, 'side', g.side,
          'action', g.action, 'rule', g.rule) order by not g.always, g.name), '[]')
        from gateway_guardrails g where g.organization_id = o.id) as guardrails,
      (select coalesce(jsonb_agg(jsonb_build_object('model', t.model, 'nanocredits_per_unit', t.nanocredits_per_unit)),
          '[]')
        from rates t where t.rate_card_id = card.id and t.service_type = 'llm_call') as rates
    from organizations o
      join rate_cards card on card.organization_id = o.id and card.is_active
      left join gateway_settings s on s.organization_id = o.id
      left join budgets m on m.organization_id = o.id
    where o.id = ${organization_id}`)

/** Of which moment the settings of these organizations are. */
export const versions = (db: Db, organization_ids: string[]): Promise<{ organization_id: string; moment: string }[]> =>
  db.many<{ organization_id: string; moment: string }>(sql`
    select o.id as organization_id, ${momentOf} as moment
    from organizations o
      join rate_cards card on card.organization_id = o.id and card.is_active
      left join budgets m on m.organization_id = o.id
      left join gateway_settings s on s.organization_id = o.id
    where o.id = any(${organization_ids}::uuid[])`)
