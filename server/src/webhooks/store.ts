/** The SQL of subscriptions, deliveries and their attempts. Every statement names the organization; those of the
 *  dispatcher and of the housekeeping are for all of them. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { WebhookDelivery, WebhookSubscription, webhooks } from '@flow/contract/webhooks'
import type { Scope } from '../context.ts'
import { type Db, raw, sql } from '../db/db.ts'
import { page } from '../db/page.ts'
import { owned } from '../engine/engine.ts'
import type { Attempt, Verdict } from './rules.ts'

type At = Pick<Scope, 'db' | 'organization_id'>

const columns = raw(`s.id, s.organization_id as tenant_id, s.workspace_id, s.url, s.description, s.events, s.enabled,
  s.disabled_reason, s.failing_since, s.previous_until as previous_secret_until, s.created_by, s.created_at, s.updated_at`)

export const list = (at: At, input: Parsed<(typeof webhooks)['list']>): Promise<Page<WebhookSubscription>> =>
  page<WebhookSubscription>(at.db, {
    select: columns,
    from: raw('webhook_subscriptions s'),
    where: [
      sql`s.organization_id = ${at.organization_id}`,
      ...(input.workspace_id ? [sql`s.workspace_id = ${input.workspace_id}`] : []),
    ],
    sortable: { created_at: 's.created_at' },
    id: 's.id',
    parameters: input,
  })

export const count = (at: At): Promise<{ count: number }> =>
  at.db.one<{ count: number }>(sql`
    select count(*)::int as count from webhook_subscriptions where organization_id = ${at.organization_id}`)

type New = Pick<
  WebhookSubscription,
  'id' | 'workspace_id' | 'url' | 'description' | 'events' | 'created_by' | 'created_at'
> & {
  secret: string
}

export const insert = (at: At, made: New): Promise<WebhookSubscription> =>
  at.db.one<WebhookSubscription>(sql`
    insert into webhook_subscriptions as s (id, organization_id, workspace_id, url, description, events, secret,
      created_by, created_at, updated_at)
    values (${made.id}, ${at.organization_id}, ${made.workspace_id}, ${made.url}, ${made.description}, ${made.events},
      ${made.secret}, ${made.created_by}, ${made.created_at}, ${made.created_at})
    returning ${columns}`)

export const find = (at: At, id: string): Promise<WebhookSubscription | undefined> =>
  at.db.maybe<WebhookSubscription>(sql`
    select ${columns} from webhook_subscriptions s where s.id = ${id} and s.organization_id = ${at.organization_id}`)

/** Locks the subscription: two changes of one come one after the other. */
export const findForUpdate = (at: At, id: string): Promise<WebhookSubscription | undefined> =>
  at.db.maybe<WebhookSubscription>(sql`
    select ${columns} from webhook_subscriptions s
    where s.id = ${id} and s.organization_id = ${at.organization_id} for update`)

export const replace = (at: At, it: WebhookSubscription): Promise<WebhookSubscription> =>
  at.db.one<WebhookSubscription>(sql`
    update webhook_subscriptions s set url = ${it.url}, description = ${it.description}, events = ${it.events},
      enabled = ${it.enabled}, disabled_reason = ${it.disabled_reason}, failing_since = ${it.failing_since},
      updated_at = ${it.updated_at}
    where s.id = ${it.id} and s.organization_id = ${at.organization_id}
    returning ${columns}`)

/** The secret so far signs along until the time that is given. */
export const replaceSecret = (at: At & { now: string }, id: string, secret: string, until: string) =>
  at.db.one<WebhookSubscription>(sql`
    update webhook_subscriptions s set previous_secret = s.secret, previous_until = ${until}, secret = ${secret},
      updated_at = ${at.now}
    where s.id = ${id} and s.organization_id = ${at.organization_id}
    returning ${columns}`)

export const remove = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from webhook_subscriptions where id = ${id} and organization_id = ${at.organization_id}`)

export type Message = { id: string; subscription_id: string; event_id: string; event_type: string; payload: string }

/** Keeps messages to subscriptions that are still there and enabled, of whatever organization. */
export const keep = (db: Db, now: string, messages: Message[]): Promise<{ id: string; organization_id: string }[]> =>
  db.many<{ id: string; organization_id: string }>(sql`
    insert into webhook_deliveries (id, organization_id, subscription_id, event_id, event_type, payload, status,
      next_attempt_at, created_at)
    select t.id, s.organization_id, s.id, t.event_id, t.event_type, t.payload::json, 'pending', ${now}, ${now}
    from unnest(
      ${messages.map(({ id }) => id)}::uuid[], ${messages.map((message) => message.subscription_id)}::uuid[],
      ${messages.map(({ event_id }) => event_id)}::uuid[], ${messages.map(({ event_type }) => event_type)}::text[],
      ${messages.map(({ payload }) => payload)}::text[]) as t (id, subscription_id, event_id, event_type, payload)
    join webhook_subscriptions s on s.id = t.subscription_id and s.enabled
    returning id, organization_id`)

/** With its attempts in the same statement: what is told of them agrees with what is told of it. */
const deliveryColumns = raw(`d.id, d.subscription_id, d.event_id, d.event_type, d.status, d.payload, d.next_attempt_at,
  d.created_at, d.completed_at, coalesce((
    select jsonb_agg(jsonb_build_object('number', a.number,
      'at', to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'duration_ms', a.duration_ms,
      'status_code', a.status_code, 'answer', a.answer, 'error', a.error) order by a.number)
    from webhook_attempts a where a.delivery_id = d.id and a.organization_id = d.organization_id), '[]') as attempts`)

export const listDeliveries = (
  at: At,
  input: Parsed<(typeof webhooks)['listDeliveries']>,
): Promise<Page<WebhookDelivery>> =>
  page<WebhookDelivery>(at.db, {
    select: deliveryColumns,
    from: raw('webhook_deliveries d'),
    where: [
      sql`d.subscription_id = ${input.subscription_id} and d.organization_id = ${at.organization_id}`,
      ...(input.status ? [sql`d.status = ${input.status}`] : []),
      ...(input.event_type ? [sql`d.event_type = ${input.event_type}`] : []),
    ],
    sortable: { created_at: 'd.created_at' },
    id: 'd.id',
    parameters: input,
  })

export const findDelivery = (at: At, subscription_id: string, id: string): Promise<WebhookDelivery | undefined> =>
  at.db.maybe<WebhookDelivery>(sql`
    select ${deliveryColumns} from webhook_deliveries d
    where d.id = ${id} and d.subscription_id = ${subscription_id} and d.organization_id = ${at.organization_id}`)

/** Begins a new round: what an attempt on its way gives no longer decides. */
export const restart = (at: At & { now: string }, id: string): Promise<WebhookDelivery> =>
  at.db.one<WebhookDelivery>(sql`
    update webhook_deliveries d set status = 'pending', round = round + 1, failures = 0, next_attempt_at = ${at.now},
      completed_at = null
    where d.id = ${id} and d.organization_id = ${at.organization_id}
    returning ${deliveryColumns}`)

/** What is to be sent, where, and signed by what. */
export type Delivering = {
  status: WebhookDelivery['status']
  round: number
  failures: number
  next_attempt_at: string | null
  payload: string
  subscription_id: string
  url: string
  enabled: boolean
  failing_since: string | null
  secret: string
  previous_secret: string | null
  previous_until: string | null
}

export const findDelivering = (at: At, id: string): Promise<Delivering | undefined> =>
  at.db.maybe<Delivering>(sql`
    select d.status, d.round, d.failures, d.next_attempt_at, d.payload::text as payload, d.subscription_id, s.url,
      s.enabled, s.failing_since, s.secret, s.previous_secret, s.previous_until
    from webhook_deliveries d join webhook_subscriptions s on s.id = d.subscription_id
    where d.id = ${id} and d.organization_id = ${at.organization_id}`)

type Claimed = { run_id: string; token: number }

/** Keeps an attempt and what came of it, if the run is still ours; the verdict counts in its own round alone. */
export const record = (at: At, { run_id, token }: Claimed, round: number, attempt: Attempt, to: Verdict) =>
  at.db.run(sql`
    with mine as materialized (${owned([run_id], [token])}), written as (
      insert into webhook_attempts (organization_id, delivery_id, number, at, duration_ms, status_code, answer, error)
      select ${at.organization_id}, run_id,
        (select coalesce(max(number), 0) + 1 from webhook_attempts where delivery_id = run_id),
        ${attempt.at}::timestamptz, ${attempt.duration_ms}::integer, ${attempt.status_code}::integer,
        ${attempt.answer}::text, ${attempt.error}::text
      from mine
    )
    update webhook_deliveries d set status = ${to.status}, failures = ${to.failures},
      next_attempt_at = ${to.next_attempt_at},
      completed_at = case when ${to.status}::text <> 'pending' then ${attempt.at}::timestamptz end
    from mine
    where d.id = mine.run_id and d.round = ${round} and d.organization_id = ${at.organization_id}`)

/** That an attempt failed or not is kept of the subscription, too, where it is news. */
export const noteHealth = (at: At & { now: string }, id: string, is_well: boolean) =>
  at.db.run(sql`
    update webhook_subscriptions set failing_since = case when ${is_well} then null else ${at.now}::timestamptz end
    where id = ${id} and organization_id = ${at.organization_id} and (failing_since is null) <> ${is_well}`)

export const disable = (at: At & { now: string }, id: string, reason: string) =>
  at.db.run(sql`
    update webhook_subscriptions set enabled = false, disabled_reason = ${reason}, updated_at = ${at.now}
    where id = ${id} and organization_id = ${at.organization_id} and enabled`)

/** Forgets some deliveries that were made before a time, and says how many. */
export const forgetSome = (db: Db, before: string): Promise<number> =>
  db.run(sql`
    delete from webhook_deliveries where id in (
      select id from webhook_deliveries where created_at < ${before} order by created_at limit 1000)`)
