/** The SQL of routes and guardrails. */

import type { Page } from '@flow/contract/common'
import type { GatewayGuardrail, GatewayRoute, gatewayRoutes } from '@flow/contract/gateway-routes'
import type { Parsed } from '@flow/contract/operation'
import { json, raw, sql } from '../../db/db.ts'
import { page } from '../../db/page.ts'
import type { At } from './changes.ts'

type Listed = Parsed<(typeof gatewayRoutes)['list']>
const sortable = { created_at: 'created_at', name: 'name' }

const routeColumns = raw(`id, name, description, strategy, targets, attempts_max, timeouts_ms, hedge_after_ms,
  cache_seconds, guardrails, created_by, created_at, updated_at`)

export const listRoutes = (at: At, parameters: Listed): Promise<Page<GatewayRoute>> =>
  page<GatewayRoute>(at.db, {
    select: routeColumns,
    from: raw('gateway_routes'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable,
    id: 'id',
    parameters,
  })

export const findRoute = (at: At, id: string): Promise<GatewayRoute | undefined> =>
  at.db.maybe<GatewayRoute>(sql`
    select ${routeColumns} from gateway_routes where id = ${id} and organization_id = ${at.organization_id}`)

/** Names whose first part is this. */
export const routesUnder = (at: At, first: string): Promise<{ name: string }[]> =>
  at.db.many<{ name: string }>(sql`
    select name from gateway_routes
    where organization_id = ${at.organization_id} and split_part(name, '/', 1) = ${first} order by name`)

/** The targets at this provider, with the names of their routes. */
export const targetsAt = (at: At, provider: string): Promise<{ name: string; model: string }[]> =>
  at.db.many<{ name: string; model: string }>(sql`
    select r.name, t.target ->> 'model' as model
    from gateway_routes r, jsonb_array_elements(r.targets) as t (target)
    where r.organization_id = ${at.organization_id} and t.target ->> 'provider' = ${provider} order by r.name`)

export const insertRoute = (at: At, it: Omit<GatewayRoute, 'updated_at'>): Promise<GatewayRoute> =>
  at.db.one<GatewayRoute>(sql`
    insert into gateway_routes (id, organization_id, name, description, strategy, targets, attempts_max, timeouts_ms,
      hedge_after_ms, cache_seconds, guardrails, created_by, created_at, updated_at)
    values (${it.id}, ${at.organization_id}, ${it.name}, ${it.description}, ${it.strategy}, ${json(it.targets)},
      ${it.attempts_max}, ${json(it.timeouts_ms)}, ${it.hedge_after_ms}, ${it.cache_seconds}, ${it.guardrails},
      ${it.created_by}, ${it.created_at}, ${it.created_at})
    returning ${routeColumns}`)

export const replaceRoute = (at: At, it: GatewayRoute, now: string): Promise<GatewayRoute> =>
  at.db.one<GatewayRoute>(sql`
    update gateway_routes set description = ${it.description}, strategy = ${it.strategy}, targets = ${json(it.targets)},
      attempts_max = ${it.attempts_max}, timeouts_ms = ${json(it.timeouts_ms)}, hedge_after_ms = ${it.hedge_after_ms},
      cache_seconds = ${it.cache_seconds}, guardrails = ${it.guardrails}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${routeColumns}`)

export const removeRoute = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_routes where id = ${id} and organization_id = ${at.organization_id}`)

const guardrailColumns = raw('id, name, always, side, action, rule, created_by, created_at, updated_at')

export const listGuardrails = (at: At, parameters: Listed): Promise<Page<GatewayGuardrail>> =>
  page<GatewayGuardrail>(at.db, {
    select: guardrailColumns,
    from: raw('gateway_guardrails'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable,
    id: 'id',
    parameters,
  })

export const findGuardrail = (at: At, id: string): Promise<GatewayGuardrail | undefined> =>
  at.db.maybe<GatewayGuardrail>(sql`
    select ${guardrailColumns} from gateway_guardrails where id = ${id} and organization_id = ${at.organization_id}`)

/** Those of these that there are. */
export const guardrailsAmong = (at: At, ids: string[]): Promise<{ id: string }[]> =>
  at.db.many<{ id: string }>(sql`
    select id from gateway_guardrails where id = any(${ids}::uuid[]) and organization_id = ${at.organization_id}`)

export const routesWithGuardrail = (at: At, id: string): Promise<{ name: string }[]> =>
  at.db.many<{ name: string }>(sql`
    select name from gateway_routes
    where organization_id = ${at.organization_id} and ${id} = any(guardrails) order by name`)

/** Guardrails that embed with a model of this provider. */
export const guardrailsAt = (at: At, provider: string): Promise<{ name: string; model: string }[]> =>
  at.db.many<{ name: string; model: string }>(sql`
    select name, substr(rule ->> 'model', length(${provider}) + 2) as model from gateway_guardrails
    where organization_id = ${at.organization_id} and rule ->> 'type' = 'topics'
      and split_part(rule ->> 'model', '/', 1) = ${provider}
    order by name`)

export const insertGuardrail = (at: At, it: Omit<GatewayGuardrail, 'updated_at'>): Promise<GatewayGuardrail> =>
  at.db.one<GatewayGuardrail>(sql`
    insert into gateway_guardrails (id, organization_id, name, always, side, action, rule, created_by, created_at,
      updated_at)
    values (${it.id}, ${at.organization_id}, ${it.name}, ${it.always}, ${it.side}, ${it.action}, ${json(it.rule)},
      ${it.created_by}, ${it.created_at}, ${it.created_at})
    returning ${guardrailColumns}`)

export const replaceGuardrail = (at: At, it: GatewayGuardrail, now: string): Promise<GatewayGuardrail> =>
  at.db.one<GatewayGuardrail>(sql`
    update gateway_guardrails set name = ${it.name}, always = ${it.always}, side = ${it.side}, action = ${it.action},
      rule = ${json(it.rule)}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${guardrailColumns}`)

export const removeGuardrail = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_guardrails where id = ${id} and organization_id = ${at.organization_id}`)
