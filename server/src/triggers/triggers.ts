/** Triggers: what sets workflows off by itself. The door of the room. What is armed is written with the workflow
 *  (components/triggers.ts); here schedules fire (scheduler.ts), webhooks are answered (webhook.ts) and events are
 *  heard (listening.ts), and it is told how a trigger stands. */

import { randomBytes } from 'node:crypto'
import type { Parsed } from '@flow/contract/operation'
import type { triggers as contract, Trigger } from '@flow/contract/triggers'
import type { Context, Platform } from '../context.ts'
import { invalid } from '../failure.ts'
import { nextAfter } from '../schedule.ts'
import { get as getWorkflow } from '../workflows/workflows.ts'
import './listening.ts'
import { isGoodSecret } from './rules.ts'
import { sealSecret } from './secrets.ts'
import * as store from './store.ts'

export { fireDue, startScheduler } from './scheduler.ts'
export { wrapSecrets } from './secrets.ts'
export { methodsAt, receive } from './webhook.ts'

type Ops = typeof contract

const TIMES_TOLD = 5

export async function get(ctx: Context, { workflow_id }: Parsed<Ops['get']>): Promise<Trigger> {
  await getWorkflow(ctx, { workflow_id })
  const row = await store.find(ctx, workflow_id)
  const { type, config } = row ?? { type: 'manual' as const, config: {} }
  const enabled = row?.is_enabled ?? false
  return {
    workflow_id,
    type,
    config,
    enabled,
    url: type === 'webhook' ? `${ctx.platform.config.public_url}/hooks/${ctx.workspace_id}/${config.path}` : null,
    has_secret: (row?.secret ?? null) !== null,
    next_at: row?.next_at ?? null,
    next_times: type === 'schedule' && enabled ? nextTimes(config, row?.next_at ?? null) : [],
    last_fired_at: row?.last_fired_at ?? null,
    last_error: row?.last_error ?? null,
  }
}

export async function setSecret(ctx: Context, input: Parsed<Ops['setSecret']>): Promise<{ secret: string }> {
  const { workflow_id } = input
  const secret = input.secret ?? `whsec_${randomBytes(32).toString('base64')}`
  await getWorkflow(ctx, { workflow_id })
  if (!isGoodSecret(secret)) {
    const message = 'A secret that begins with "whsec_" is base64 of 24 to 64 bytes. Leave it out to have one made.'
    throw invalid([{ field: 'secret', message }])
  }

  const place = { organization_id: ctx.organization_id, workflow_id }
  await store.keepSecret(ctx, workflow_id, sealSecret(ctx.platform, place, secret))

  return { secret }
}

/** Forgets deliveries that are too old to be known again. For the platform's housekeeping. */
export const forgetDeliveries = (platform: Platform): Promise<number> =>
  store.forgetDeliveries(platform.database.platform, platform.clock.now().toISOString())

function nextTimes({ cron, timezone }: { cron: string; timezone: string }, first: string | null): string[] {
  const times: string[] = []
  for (let at = first === null ? undefined : new Date(first); at; at = nextAfter(cron, timezone, at)) {
    times.push(at.toISOString())
    if (times.length === TIMES_TOLD) break
  }
  return times
}
