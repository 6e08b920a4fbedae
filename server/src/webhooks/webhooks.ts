/** Webhook subscriptions: whoever subscribes an address hears of events there. The door of the room.
 *
 *  An event becomes one delivery for each subscription that wants it, in the transaction that takes it from the outbox;
 *  a delivery is a durable run (deliver.ts) that ends with a 2xx, or with the last attempt. Secrets are sealed, shown
 *  once, and bound to their subscription. */

import { randomBytes } from 'node:crypto'
import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type {
  webhooks as contract,
  NewWebhookSubscription,
  WebhookDelivery,
  WebhookSubscription,
} from '@flow/contract/webhooks'
import { type Context, newId, type Platform } from '../context.ts'
import { dropInterest, type Hear, keepInterest, onEvent } from '../events/events.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import { getWorkspace } from '../organizations/organizations.ts'
import { rewrap } from '../rewrap.ts'
import { boundTo, deliver, KIND } from './deliver.ts'
import { urlFault } from './rules.ts'
import * as store from './store.ts'

type Ops = typeof contract

const SUBSCRIPTIONS_MAX = 100
const SECRET_BYTES = 32
/** How long the secret before signs along. */
const ROTATION_MS = 86_400_000
const KEPT_DAYS = 30

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<WebhookSubscription>> =>
  store.list(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<NewWebhookSubscription> {
  const { tenant_id, workspace_id = null, url, description } = input
  if (tenant_id !== undefined && tenant_id !== ctx.organization_id) {
    throw invalid([{ field: 'tenant_id', message: `There is no organization "${tenant_id}" that you are in.` }])
  }
  if (workspace_id !== null) await assertWorkspace(ctx, workspace_id)
  assertCallable(ctx, url)
  if ((await store.count(ctx)).count >= SUBSCRIPTIONS_MAX) {
    throw conflict(`There are ${SUBSCRIPTIONS_MAX} subscriptions already. Delete one that is no longer needed.`)
  }

  const id = newId()
  const { secret, sealed } = sealedSecret(ctx, id, input.secret)
  const events = [...new Set(input.events)]
  const at = { created_by: ctx.actor.user_id, created_at: ctx.now }
  const made = await store.insert(ctx, { id, workspace_id, url, description, events, secret: sealed, ...at })
  await keepInterest({ ...ctx, workspace_id }, KIND, id, events)

  return { ...made, secret }
}

export async function get(ctx: Context, input: { subscription_id: string }): Promise<WebhookSubscription> {
  const subscription = await store.find(ctx, input.subscription_id)
  if (!subscription) throw notFound('subscription', input.subscription_id)
  return subscription
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<WebhookSubscription> {
  const { subscription_id, ...sent } = input
  const before = await findForUpdate(ctx, subscription_id)
  if (sent.url !== undefined) assertCallable(ctx, sent.url)

  const wanted = { ...before, ...sent, updated_at: ctx.now }
  wanted.events = [...new Set(wanted.events)]
  // Whoever enables it says that it is well; whoever disables it needs no reason of ours.
  const fresh = sent.enabled === undefined ? {} : { disabled_reason: null, failing_since: null }
  const after = await store.replace(ctx, { ...wanted, ...fresh })
  const at = { ...ctx, workspace_id: after.workspace_id }
  await (after.enabled ? keepInterest(at, KIND, after.id, after.events) : dropInterest(at, KIND, after.id))

  return after
}

export async function remove(ctx: Context, input: { subscription_id: string }): Promise<undefined> {
  const { id } = await findForUpdate(ctx, input.subscription_id)

  await dropInterest(ctx, KIND, id)
  await store.remove(ctx, id)
}

export async function rotateSecret(ctx: Context, input: Parsed<Ops['rotateSecret']>): Promise<NewWebhookSubscription> {
  const { id } = await findForUpdate(ctx, input.subscription_id)

  const { secret, sealed } = sealedSecret(ctx, id, input.secret)
  const until = new Date(Date.parse(ctx.now) + ROTATION_MS).toISOString()
  return { ...(await store.replaceSecret(ctx, id, sealed, until)), secret }
}

export async function test(ctx: Context, input: { subscription_id: string }): Promise<WebhookDelivery> {
  const { id } = await findEnabled(ctx, input.subscription_id)

  const message = messageOf('webhook.test', ctx.now, { subscription_id: id, message: 'A test, at your request.' })
  const delivery_id = newId()
  await store.keep(ctx.db, ctx.now, [{ id: delivery_id, subscription_id: id, event_id: newId(), ...message }])
  await ctx.start(deliver, { delivery_id }, { id: delivery_id })
  return getDelivery(ctx, { subscription_id: id, delivery_id })
}

export async function listDeliveries(
  ctx: Context,
  input: Parsed<Ops['listDeliveries']>,
): Promise<Page<WebhookDelivery>> {
  await get(ctx, input)
  return store.listDeliveries(ctx, input)
}

export async function getDelivery(ctx: Context, input: Parsed<Ops['getDelivery']>): Promise<WebhookDelivery> {
  const delivery = await store.findDelivery(ctx, input.subscription_id, input.delivery_id)
  if (!delivery) throw notFound('delivery', input.delivery_id)
  return delivery
}

export async function resendDelivery(ctx: Context, input: Parsed<Ops['resendDelivery']>): Promise<WebhookDelivery> {
  const { subscription_id, delivery_id } = input
  await getDelivery(ctx, input)
  await findEnabled(ctx, subscription_id)

  const restarted = await store.restart(ctx, delivery_id)
  await ctx.platform.engine.poke(ctx, deliver, { delivery_id }, delivery_id)
  return restarted
}

/** Forgets deliveries that have had their day. */
export async function forgetMessages({ database, clock }: Pick<Platform, 'database' | 'clock'>): Promise<void> {
  const before = new Date(clock.now().getTime() - KEPT_DAYS * 86_400_000).toISOString()
  while ((await store.forgetSome(database.platform, before)) > 0);
}

/** What is heard becomes deliveries, in the dispatcher's transaction. */
const hear: Hear = async ({ db, platform, now }, heard) => {
  const messages = heard.map(({ event, listener_id }) => {
    const message = messageOf(event.type, event.at, event.data)
    return { id: newId(), subscription_id: listener_id, event_id: event.id, ...message }
  })
  const kept = await store.keep(db, now, messages)
  const start = ({ id, organization_id }: { id: string; organization_id: string }) =>
    platform.engine.start({ db, organization_id }, deliver, { delivery_id: id }, { id })
  // Asked in one turn, they travel at once.
  await Promise.all(kept.map(start))
}
onEvent(KIND, hear)

const messageOf = (event_type: string, timestamp: string, data: object) => ({
  event_type,
  payload: JSON.stringify({ type: event_type, timestamp, data }),
})

async function findForUpdate(ctx: Context, id: string): Promise<WebhookSubscription> {
  const subscription = await store.findForUpdate(ctx, id)
  if (!subscription) throw notFound('subscription', id)
  return subscription
}

async function findEnabled(ctx: Context, id: string): Promise<WebhookSubscription> {
  const subscription = await findForUpdate(ctx, id)
  if (!subscription.enabled) throw conflict('The subscription is disabled. Enable it first.')
  return subscription
}

function sealedSecret({ platform, organization_id }: Context, id: string, given?: string) {
  const secret = given ?? `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
  return { secret, sealed: platform.seal.seal(secret, boundTo(organization_id, id)) }
}

function assertCallable({ platform }: { platform: Platform }, url: string): void {
  const message = urlFault(platform.config, url)
  if (message !== undefined) throw invalid([{ field: 'url', message }])
}

async function assertWorkspace(ctx: Context, workspace_id: string): Promise<void> {
  await getWorkspace(ctx, { org_id: ctx.organization_id, workspace_id }).catch((thrown: unknown) => {
    if (!(thrown instanceof Failure) || thrown.code !== 'NOT_FOUND') throw thrown
    throw invalid([{ field: 'workspace_id', message: thrown.message }])
  })
}

/** The secrets of subscriptions under the newest master key; how many were not. */
export const wrapSecrets = (platform: Pick<Platform, 'database' | 'seal'>): Promise<number> =>
  rewrap(
    platform,
    ['secret', 'previous_secret'].map((column) => ({ table: 'webhook_subscriptions', key: 'id', column })),
  )
