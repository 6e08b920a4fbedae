/** What holds for all calls of an organization. */

import type { gatewaySettings as contract, GatewaySettings } from '@flow/contract/gateway-settings'
import type { Parsed } from '@flow/contract/operation'
import type { Context } from '../../context.ts'
import { sql } from '../../db/db.ts'
import { type At, change, settled } from './changes.ts'

type Ops = typeof contract

export const waits = { update: settled<GatewaySettings>, clearCache: settled<undefined> }

const DEFAULTS: GatewaySettings = { keep_content: true, retention_days: 30, updated_at: null }

export const get = async (ctx: Context, _input: Parsed<Ops['get']>): Promise<GatewaySettings> =>
  (await find(ctx)) ?? DEFAULTS

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewaySettings> {
  await change(ctx)
  const before = await get(ctx, {})

  return replace(ctx, { ...before, ...input }, ctx.now)
}

export async function clearCache(ctx: Context, _input: Parsed<Ops['clearCache']>): Promise<undefined> {
  await change(ctx)
  await forgetCached(ctx)
}

const find = (at: At): Promise<GatewaySettings | undefined> =>
  at.db.maybe<GatewaySettings>(sql`
    select keep_content, retention_days, updated_at from gateway_settings
    where organization_id = ${at.organization_id}`)

const replace = (at: At, it: GatewaySettings, now: string): Promise<GatewaySettings> =>
  at.db.one<GatewaySettings>(sql`
    update gateway_settings set keep_content = ${it.keep_content}, retention_days = ${it.retention_days},
      updated_at = ${now}
    where organization_id = ${at.organization_id}
    returning keep_content, retention_days, updated_at`)

const forgetCached = (at: At): Promise<number> =>
  at.db.run(sql`
    update gateway_settings set cache_epoch = cache_epoch + 1 where organization_id = ${at.organization_id}`)
