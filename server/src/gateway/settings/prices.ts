/** Prices of the organization's own, as they are set. What a call costs in the end says pricing.ts. */

import type { Page } from '@flow/contract/common'
import type { gatewayPrices as contract, GatewayPrice } from '@flow/contract/gateway-limits'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../../context.ts'
import { notFound } from '../../failure.ts'
import { change, orTaken, settled } from './changes.ts'
import * as store from './limits-store.ts'

type Ops = typeof contract

export const waits = { create: settled<GatewayPrice>, update: settled<GatewayPrice>, remove: settled<undefined> }

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayPrice>> =>
  store.listPrices(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<GatewayPrice> {
  await change(ctx)
  const { cached = null, cache_written = null } = input
  const made = { ...input, cached, cache_written, id: newId(), created_by: ctx.actor.user_id, created_at: ctx.now }
  return orTaken(ctx, (at) => store.insertPrice(at, made), `"${input.model}" has a price already. Change that one.`)
}

export async function get(ctx: Context, input: { price_id: string }): Promise<GatewayPrice> {
  const price = await store.findPrice(ctx, input.price_id)
  if (!price) throw notFound('price', input.price_id)
  return price
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewayPrice> {
  const { price_id, ...sent } = input
  await change(ctx)
  const before = await store.findSaidPrice(ctx, price_id)
  if (!before) throw notFound('price', price_id)

  return store.replacePrice(ctx, { ...before, ...sent }, ctx.now)
}

export async function remove(ctx: Context, input: { price_id: string }): Promise<undefined> {
  await change(ctx)
  const { id } = await get(ctx, input)

  await store.removePrice(ctx, id)
}
