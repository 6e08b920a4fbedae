/** Routes, as they are set: each leads to models that its providers allow. Following them is the data plane's. */

import type { Page } from '@flow/contract/common'
import type { gatewayRoutes as contract, GatewayRoute } from '@flow/contract/gateway-routes'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../../context.ts'
import { conflict, invalid, notFound } from '../../failure.ts'
import { change, orTaken, settled } from './changes.ts'
import { findProviderNamed, modelsOfProviders } from './providers-store.ts'
import * as store from './routes-store.ts'
import { faultsOfRoute } from './rules.ts'

type Ops = typeof contract

export const waits = { create: settled<GatewayRoute>, update: settled<GatewayRoute>, remove: settled<undefined> }

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayRoute>> =>
  store.listRoutes(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<GatewayRoute> {
  await change(ctx)
  const [first = ''] = input.name.split('/')
  if (first === 'flow' || (await findProviderNamed(ctx, first))) {
    throw conflict(`"${first}" is a provider: a route has a name that does not begin so.`)
  }
  await assertLeads(ctx, input)

  const made = { ...input, id: newId(), created_by: ctx.actor.user_id, created_at: ctx.now }
  return orTaken(ctx, (at) => store.insertRoute(at, made), `There is a route "${input.name}". Change that one.`)
}

export async function get(ctx: Context, input: { route_id: string }): Promise<GatewayRoute> {
  const route = await store.findRoute(ctx, input.route_id)
  if (!route) throw notFound('route', input.route_id)
  return route
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewayRoute> {
  const { route_id, ...sent } = input
  await change(ctx)
  const wanted = { ...(await get(ctx, { route_id })), ...sent }
  await assertLeads(ctx, wanted)

  return store.replaceRoute(ctx, wanted, ctx.now)
}

export async function remove(ctx: Context, input: { route_id: string }): Promise<undefined> {
  await change(ctx)
  const { id } = await get(ctx, input)

  await store.removeRoute(ctx, id)
}

async function assertLeads(ctx: Context, route: Parameters<typeof faultsOfRoute>[0]): Promise<void> {
  const providers = await modelsOfProviders(ctx)
  const modelsOf = new Map([['flow', []], ...providers.map(({ name, models }) => [name, models] as const)])
  const faults = faultsOfRoute(route, modelsOf)

  const there = new Set((await store.guardrailsAmong(ctx, route.guardrails)).map(({ id }) => id))
  for (const [i, id] of route.guardrails.entries()) {
    if (!there.has(id)) faults.push({ field: `guardrails[${i}]`, message: `There is no guardrail "${id}".` })
  }
  if (faults.length > 0) throw invalid(faults)
}
