/** Webhook subscriptions: events of the organization, sent to an address of the caller's. Signed by the Standard
 *  Webhooks rules (standardwebhooks.com), delivered at least once, and listed with every attempt. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Timestamp } from './common.ts'
import { EventPattern, EventType } from './events.ts'
import type { Domain } from './operation.ts'

const Url = z
  .url({ protocol: /^https?$/, error: 'Use a URL such as https://example.com/hooks.' })
  .max(2000)
  .describe('Called with POST. https only, on the public internet; the operator can allow other hosts by name.')

const SECRET = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/
const Secret = z
  .string()
  .refine((secret) => {
    const encoded = SECRET.exec(secret)?.[1]
    const bytes = encoded === undefined ? 0 : (encoded.replace(/=+$/, '').length * 3) / 4
    return Math.floor(bytes) >= 24 && Math.floor(bytes) <= 64
  }, 'Use whsec_ and 24 to 64 random bytes in base64, or leave it out to have one made.')
  .describe('`whsec_` and 24 to 64 random bytes in base64; one is made when it is left out.')

const Shown = z.string().describe('The secret. It is shown this once.')

export const WebhookSubscription = z
  .object({
    id: Id,
    tenant_id: Id.describe('The organization.'),
    workspace_id: Id.nullable().describe('Null: the events of all workspaces.'),
    url: z.string(),
    description: z.string(),
    events: z.array(EventPattern),
    enabled: z.boolean(),
    disabled_reason: z.string().nullable().describe('Why Flow disabled it; null when it is enabled, or you did.'),
    failing_since: Timestamp.nullable().describe(
      'Since when every attempt has failed. After five days it is disabled.',
    ),
    previous_secret_until: Timestamp.nullable().describe('Until then the secret before the current one signs along.'),
    created_by: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'WebhookSubscription' })
export type WebhookSubscription = z.infer<typeof WebhookSubscription>

export const NewWebhookSubscription = WebhookSubscription.extend({ secret: Shown }).meta({
  id: 'NewWebhookSubscription',
})
export type NewWebhookSubscription = z.infer<typeof NewWebhookSubscription>

export const WebhookAttempt = z
  .object({
    number: z.int().min(1),
    at: Timestamp,
    duration_ms: z.int(),
    status_code: z.int().nullable().describe('Null: there was no answer.'),
    answer: z.string().nullable().describe('The first kilobyte of the answer.'),
    error: z.string().nullable().describe('Why it counts as failed.'),
  })
  .meta({ id: 'WebhookAttempt' })
export type WebhookAttempt = z.infer<typeof WebhookAttempt>

export const WebhookDelivery = z
  .object({
    id: Id.describe('The `webhook-id` of every attempt: receivers know a repetition by it.'),
    subscription_id: Id,
    event_id: Id.describe('The same in the deliveries of one event to several subscriptions.'),
    event_type: z.string(),
    status: z.enum(['pending', 'delivered', 'failed']),
    payload: z
      .object({ type: z.string(), timestamp: Timestamp, data: z.record(z.string(), Json) })
      .describe('The body that is sent.'),
    attempts: z.array(WebhookAttempt),
    next_attempt_at: Timestamp.nullable(),
    created_at: Timestamp,
    completed_at: Timestamp.nullable(),
  })
  .meta({ id: 'WebhookDelivery' })
export type WebhookDelivery = z.infer<typeof WebhookDelivery>

const subscription_id = Id
const delivery_id = Id
const written = {
  url: Url,
  description: z.string().max(2000),
  events: z.array(EventPattern).min(1).max(20),
}
const URL_REFUSED = 'VALIDATION_ERROR: the address is not https, or not on the public internet; `details` names `url`.'
/** There is no text to search. */
const { search: _, ...listed } = listParameters(['created_at'])

export const webhooks = {
  list: {
    method: 'GET',
    path: '/webhooks/subscriptions',
    permission: 'organization.write',
    summary: 'List the webhook subscriptions of the organization.',
    input: z.object({ ...listed, workspace_id: Id.optional() }),
    output: Page(WebhookSubscription),
  },
  create: {
    method: 'POST',
    path: '/webhooks/subscriptions',
    permission: 'organization.write',
    summary: 'Subscribe an address to events. The secret is shown this once.',
    description:
      'Each event is sent as `{type, timestamp, data}` with the headers `webhook-id`, `webhook-timestamp` and ' +
      '`webhook-signature` of [Standard Webhooks](https://www.standardwebhooks.com). A 2xx within 15 seconds is ' +
      'success and 410 disables the subscription; anything else is tried again, ten times within about three days.',
    creates: '/webhooks/subscriptions/{subscription_id}',
    secret: true,
    input: z.object({
      url: written.url,
      secret: Secret.optional(),
      events: written.events,
      description: written.description.default(''),
      tenant_id: Id.optional().describe('The organization; it can only be your own.'),
      workspace_id: Id.optional().describe('Only events of this workspace.'),
    }),
    output: NewWebhookSubscription,
    refusals: [URL_REFUSED, 'CONFLICT: there are 100 subscriptions already.'],
  },
  get: {
    method: 'GET',
    path: '/webhooks/subscriptions/{subscription_id}',
    permission: 'organization.write',
    summary: 'Read a subscription.',
    input: z.object({ subscription_id }),
    output: WebhookSubscription,
  },
  update: {
    method: 'PATCH',
    path: '/webhooks/subscriptions/{subscription_id}',
    permission: 'organization.write',
    summary: 'Change a subscription, or enable and disable it.',
    description:
      'What is still to be sent goes to the new address. What becomes due while a subscription is disabled fails, and ' +
      'can be sent again later.',
    input: z.object({ subscription_id, ...z.object({ ...written, enabled: z.boolean() }).partial().shape }),
    output: WebhookSubscription,
    refusals: [URL_REFUSED],
  },
  remove: {
    method: 'DELETE',
    path: '/webhooks/subscriptions/{subscription_id}',
    permission: 'organization.write',
    summary: 'Delete a subscription with its deliveries.',
    input: z.object({ subscription_id }),
  },
  rotateSecret: {
    method: 'POST',
    path: '/webhooks/subscriptions/{subscription_id}/rotate-secret',
    permission: 'organization.write',
    summary: 'Replace the secret. The new one is shown this once.',
    description: 'For 24 hours every message is signed with the new secret and with the one before.',
    secret: true,
    input: z.object({ subscription_id, secret: Secret.optional() }),
    output: NewWebhookSubscription,
  },
  test: {
    method: 'POST',
    path: '/webhooks/subscriptions/{subscription_id}/test',
    permission: 'organization.write',
    summary: 'Send a `webhook.test` event.',
    status: 202,
    input: z.object({ subscription_id }),
    output: WebhookDelivery,
    refusals: ['CONFLICT: the subscription is disabled.'],
  },
  listDeliveries: {
    method: 'GET',
    path: '/webhooks/subscriptions/{subscription_id}/deliveries',
    permission: 'organization.write',
    summary: 'List what was sent and is to be sent, with every attempt, the latest first.',
    description: 'Deliveries are kept for 30 days.',
    input: z.object({
      subscription_id,
      ...listed,
      status: WebhookDelivery.shape.status.optional(),
      event_type: z.enum([...EventType.options, 'webhook.test']).optional(),
    }),
    output: Page(WebhookDelivery),
  },
  getDelivery: {
    method: 'GET',
    path: '/webhooks/subscriptions/{subscription_id}/deliveries/{delivery_id}',
    permission: 'organization.write',
    summary: 'Read a delivery with its attempts.',
    input: z.object({ subscription_id, delivery_id }),
    output: WebhookDelivery,
  },
  resendDelivery: {
    method: 'POST',
    path: '/webhooks/subscriptions/{subscription_id}/deliveries/{delivery_id}/resend',
    permission: 'organization.write',
    summary: 'Send a delivery again, now, with the same `webhook-id`.',
    description: 'Whatever became of it before; the attempts begin anew.',
    status: 202,
    input: z.object({ subscription_id, delivery_id }),
    output: WebhookDelivery,
    refusals: ['CONFLICT: the subscription is disabled.'],
  },
} as const satisfies Domain
