/** Delivers one message: a durable run for each delivery, which rests between its attempts. Before an attempt nothing is
 *  written, so a process that ends in one leaves no trace, and the message is sent again with the same id: at least
 *  once. What an attempt gave counts only while the run is still ours. */

import { Webhook } from 'standardwebhooks'
import type { Platform } from '../context.ts'
import { defineRun, type Outcome, type RunContext } from '../engine/engine.ts'
import { dropInterest } from '../events/events.ts'
import { Failure } from '../failure.ts'
import { type Attempt, isTaken, type Verdict, verdictOf } from './rules.ts'
import * as store from './store.ts'

/** The kind of its listeners, for the events. */
export const KIND = 'webhook'

const TIMEOUT_SECONDS = 15
const ANSWER_BYTES_MAX = 1024
const ERROR_MAX = 500

/** It fails only when the process or the database does, so it may come back often. */
export const deliver = defineRun<{ delivery_id: string }>({
  name: 'webhooks.deliver',
  lane: 'calls',
  retry: { max_attempts: 10_000, backoff_seconds: 2, max_backoff_seconds: 60 },
  work: attempt,
})

export const boundTo = (organization_id: string, subscription_id: string) =>
  `webhook:${organization_id}:${subscription_id}`

async function attempt(ctx: RunContext, { delivery_id }: { delivery_id: string }): Promise<Outcome> {
  const delivering = await store.findDelivering(ctx, delivery_id)
  if (delivering?.status !== 'pending') return undefined
  const { next_attempt_at, subscription_id } = delivering
  if (next_attempt_at && next_attempt_at > ctx.now) return { rest_until: next_attempt_at }
  if (!delivering.enabled) {
    const none = { at: ctx.now, duration_ms: 0, status_code: null, answer: null, retry_after: null }
    return settle(ctx, delivering, { ...none, error: 'The subscription is disabled.' }, failedAsDisabled(delivering))
  }

  const places = placesOf(ctx.platform)
  if (!places.enter(delivering)) return { rest_until: laterThan(ctx.now, delivering) }
  const given = await call(ctx, delivery_id, delivering).finally(() => places.leave(subscription_id))
  const now = ctx.platform.clock.now().toISOString()
  const verdict = verdictOf(given, delivering, now, Math.random())

  return settle({ ...ctx, now }, delivering, given, verdict)
}

const failedAsDisabled = ({ failures }: store.Delivering): Verdict => ({
  status: 'failed',
  failures,
  next_attempt_at: null,
  disabled_reason: null,
})

/** Keeps the attempt, and what it says of the delivery and of the subscription. */
async function settle(
  ctx: RunContext,
  { round, enabled, subscription_id }: store.Delivering,
  given: Attempt,
  verdict: Verdict,
): Promise<Outcome> {
  await ctx.db.tx(async (db) => {
    const at = { ...ctx, db }
    const isKept = (await store.record(at, ctx.claim, round, given, verdict)) > 0
    if (!isKept || !enabled) return
    await store.noteHealth(at, subscription_id, verdict.status === 'delivered')
    if (verdict.disabled_reason === null) return
    await store.disable(at, subscription_id, verdict.disabled_reason)
    await dropInterest(at, KIND, subscription_id)
  })
  return verdict.next_attempt_at ? { rest_until: verdict.next_attempt_at } : undefined
}

async function call(ctx: RunContext, id: string, delivering: store.Delivering): Promise<Attempt> {
  const { platform, signal } = ctx
  const at = platform.clock.now()
  const began = performance.now()
  const none = { status_code: null, answer: null, error: null, retry_after: null }
  const gave = (what: Partial<Attempt>): Attempt => ({
    ...none,
    at: at.toISOString(),
    duration_ms: Math.round(performance.now() - began),
    ...what,
  })
  try {
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'Flow-Webhooks/1',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': secretsOf(ctx, delivering)
        .map((secret) => new Webhook(secret).sign(id, at, delivering.payload))
        .join(' '),
    }
    const limits = { timeout_seconds: TIMEOUT_SECONDS }
    const body = delivering.payload
    const answered = await platform.fetch(delivering.url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal,
      limits,
    })
    const { status } = answered
    const error = isTaken(status) ? null : `The receiver answered ${status}.`
    const answer = await beginningOf(answered)
    return gave({ status_code: status, answer, error, retry_after: answered.headers.get('retry-after') })
  } catch (thrown) {
    // The process ends, or the run is somebody else's now: that says nothing of the receiver.
    if (signal.aborted) throw thrown
    if (!(thrown instanceof Failure)) platform.log.error({ err: thrown, delivery_id: id }, 'a webhook was not sent')
    const error = thrown instanceof Failure ? thrown.message.slice(0, ERROR_MAX) : 'It could not be sent.'
    return gave({ error })
  }
}

/** The secret, and the one before while its time is not over. */
function secretsOf({ platform, organization_id, now }: RunContext, of: store.Delivering): string[] {
  const isBoth = of.previous_secret !== null && of.previous_until !== null && of.previous_until > now
  const sealed = isBoth && of.previous_secret ? [of.secret, of.previous_secret] : [of.secret]
  return sealed.map((each) => platform.seal.open(each, boundTo(organization_id, of.subscription_id)))
}

/** The first bytes of an answer. That they came is told by its status; the rest nobody waits for. */
async function beginningOf(answered: Response): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const piece of answered.body ?? []) {
      pieces.push(piece)
      bytes += piece.byteLength
      if (bytes >= ANSWER_BYTES_MAX) break
    }
  } catch {
    // It broke off, or took too long: what has come so far is shown.
  }
  const text = new TextDecoder().decode(Buffer.concat(pieces).subarray(0, ANSWER_BYTES_MAX))
  return text.replaceAll('\0', '\ufffd')
}

/** One subscription does not take all the places of a process: one that fails, and so may take its time, has few. */
const PLACES = { well: 16, failing: 4 }

type Places = { enter(of: store.Delivering): boolean; leave(subscription_id: string): void }
const places = new WeakMap<Platform['database'], Places>()

function placesOf({ database }: Platform): Places {
  const known = places.get(database)
  if (known) return known
  const taken = new Map<string, number>()
  const made: Places = {
    enter({ subscription_id: id, failing_since }) {
      const count = taken.get(id) ?? 0
      if (count >= (failing_since === null ? PLACES.well : PLACES.failing)) return false
      taken.set(id, count + 1)
      return true
    },
    leave(id) {
      const count = (taken.get(id) ?? 1) - 1
      if (count === 0) taken.delete(id)
      if (count > 0) taken.set(id, count)
    },
  }
  places.set(database, made)
  return made
}

/** What found no place comes back: soon where the receiver is well, else when others have had their time. */
const laterThan = (now: string, { failing_since }: store.Delivering): string => {
  const seconds = failing_since === null ? 0.5 + Math.random() : 15 + 45 * Math.random()
  return new Date(Date.parse(now) + seconds * 1000).toISOString()
}
