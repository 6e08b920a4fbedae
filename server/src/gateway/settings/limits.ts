/** Limits of calls, as they are set. Keeping them is the governor's. */

import type { Page } from '@flow/contract/common'
import type { gatewayLimits as contract, GatewayLimit } from '@flow/contract/gateway-limits'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../../context.ts'
import { invalid, notFound } from '../../failure.ts'
import { change, orTaken, settled } from './changes.ts'
import * as store from './limits-store.ts'
import { assertSubject } from './subjects.ts'

type Ops = typeof contract

export const waits = { create: settled<GatewayLimit>, update: settled<GatewayLimit>, remove: settled<undefined> }

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayLimit>> =>
  store.listLimits(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<GatewayLimit> {
  assertLimits(input)
  await change(ctx)
  const subject = await assertSubject(ctx, input.subject)

  const made = { ...input, subject, id: newId(), created_by: ctx.actor.user_id, created_at: ctx.now }
  return orTaken(ctx, (at) => store.insertLimit(at, made), 'There is a limit for this subject. Change that one.')
}

export async function get(ctx: Context, input: { limit_id: string }): Promise<GatewayLimit> {
  const limit = await store.findLimit(ctx, input.limit_id)
  if (!limit) throw notFound('limit', input.limit_id)
  return limit
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewayLimit> {
  const { limit_id, ...sent } = input
  await change(ctx)
  const wanted = { ...(await get(ctx, { limit_id })), ...sent }
  assertLimits(wanted)

  return store.replaceLimit(ctx, wanted, ctx.now)
}

export async function remove(ctx: Context, input: { limit_id: string }): Promise<undefined> {
  await change(ctx)
  const { id } = await get(ctx, input)

  await store.removeLimit(ctx, id)
}

function assertLimits({ requests_per_minute, tokens_per_minute, concurrent }: store.Limits): void {
  if (requests_per_minute !== null || tokens_per_minute !== null || concurrent !== null) return
  const message = 'Give at least one of requests_per_minute, tokens_per_minute and concurrent.'
  throw invalid([{ field: 'requests_per_minute', message }])
}
