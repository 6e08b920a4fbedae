/** Decisions without I/O: which times of a schedule are due, whether a call's signature is good, and what of a request
 *  an execution may see. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { ScheduleTrigger, WebhookTrigger } from '@flow/contract/components/triggers'
import { lastUntil, nextAfter } from '../schedule.ts'

/** A time is missed when it passed by longer ago than this. */
const LATE_MS = 30_000
const TIMES_MAX = 100

/** The times that are due, of a schedule whose next one was `first`, and the one that comes next. Where none is late,
 *  each of them counts; else the schedule says what becomes of those that passed by. */
export function dueTimes(schedule: ScheduleTrigger, first: Date, now: Date): { times: Date[]; next: Date | undefined } {
  const { cron, timezone, missed } = schedule
  const next = nextAfter(cron, timezone, now)
  const isLate = now.getTime() - first.getTime() > LATE_MS
  if (isLate && missed === 'one') return { times: [lastUntil(cron, timezone, first, now)], next }
  const from = isLate && missed === 'skip' ? nextAfter(cron, timezone, new Date(now.getTime() - LATE_MS - 1)) : first

  const times: Date[] = []
  for (let at = from; at && at <= now && times.length < TIMES_MAX; at = nextAfter(cron, timezone, at)) times.push(at)
  return { times, next }
}

/** A call that may be answered: what its sender calls it, and by what it is known again if it comes a second time. */
export type Verified = { refusal?: undefined; delivery_id?: string; known_by: string[] }
/** Why a call is refused: for the owner of the workflow, not for the caller. */
export type Refused = { refusal: string }

type Sent = { headers: Readonly<Record<string, string>>; bytes: Uint8Array }

export function verify(webhook: WebhookTrigger, secret: string | undefined, sent: Sent, now: Date): Verified | Refused {
  if (webhook.signature === 'none') return known(webhook.id_header && sent.headers[webhook.id_header], [])
  if (secret === undefined) return { refusal: 'The webhook has no secret yet, so no signature is good.' }
  if (webhook.signature === 'standard') return verifyStandard(webhook, keyOf(secret), sent, now)
  return verifyHmac(webhook, secret, sent, now)
}

/** Standard Webhooks 1.0: `v1,` and the base64 of the HMAC of `<id>.<timestamp>.<body>`; several may be sent. */
function verifyStandard(webhook: WebhookTrigger, key: Buffer, { headers, bytes }: Sent, now: Date): Verified | Refused {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers
  if (!id || !timestamp || !signatures) {
    return { refusal: 'One of webhook-id, webhook-timestamp and webhook-signature is missing.' }
  }
  const expected = hmac(key, `${id}.${timestamp}.`, bytes)
  const isGood = signatures
    .split(' ')
    .some((each) => each.startsWith('v1,') && isSame(each.slice(3), expected, 'base64'))
  if (!isGood) return { refusal: 'The signature does not fit the body and the secret.' }
  return refusalOfTime(timestamp, webhook, now) ?? known(id, [])
}

function verifyHmac(webhook: WebhookTrigger, secret: string, { headers, bytes }: Sent, now: Date): Verified | Refused {
  const { header, id_header, timestamp_header } = webhook
  const signature = headers[header]
  if (!signature?.startsWith('sha256=')) return { refusal: `The header ${header} is missing, or is no "sha256=…".` }
  const timestamp = timestamp_header === undefined ? undefined : headers[timestamp_header]
  if (timestamp_header !== undefined && !timestamp) return { refusal: `The header ${timestamp_header} is missing.` }
  const expected = hmac(secret, timestamp === undefined ? '' : `${timestamp}.`, bytes)
  if (!isSame(signature.slice(7), expected, 'hex')) {
    return { refusal: 'The signature does not fit the body and the secret.' }
  }
  const id = id_header && headers[id_header]
  if (timestamp === undefined) return known(id, [])
  // The id is not signed, the time is: whoever sends the same once more under another name is known by the signature.
  return refusalOfTime(timestamp, webhook, now) ?? known(id, [`sha256:${expected.toString('hex')}`])
}

const known = (id: string | undefined, known_by: string[]): Verified =>
  id ? { delivery_id: id, known_by: [`id:${id}`, ...known_by] } : { known_by }

function refusalOfTime(timestamp: string, { tolerance_seconds }: WebhookTrigger, now: Date): Refused | undefined {
  if (!/^\d{1,12}$/.test(timestamp)) return { refusal: 'The timestamp is no number of seconds since 1970.' }
  const apart = Math.abs(now.getTime() / 1000 - Number(timestamp))
  if (apart <= tolerance_seconds) return undefined
  return { refusal: `The timestamp is ${Math.round(apart)} seconds from our clock, more than ${tolerance_seconds}.` }
}

const hmac = (key: string | Buffer, before: string, bytes: Uint8Array): Buffer =>
  createHmac('sha256', key).update(before).update(bytes).digest()

function isSame(given: string, expected: Buffer, encoding: 'hex' | 'base64'): boolean {
  const bytes = Buffer.from(given, encoding)
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

const PREFIX = 'whsec_'

/** Whether a secret that calls itself one of Standard Webhooks is one: base64 of 24 to 64 bytes. */
export function isGoodSecret(secret: string): boolean {
  if (!secret.startsWith(PREFIX)) return true
  const text = secret.slice(PREFIX.length)
  const { length } = keyOf(secret)
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0 && length >= 24 && length <= 64
}

const keyOf = (secret: string): Buffer =>
  secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret)

/** Headers that are a secret, or of the way here; the rest may be kept and seen. */
const hidden =
  /auth|token|secret|passw|api-?key|cookie|signature|credential|session|^(?:x-)?forwarded|^x-real-ip$|^host$|^connection$|^content-length$/

export function headersShown(
  headers: Readonly<Record<string, string>>,
  { header }: WebhookTrigger,
): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== header && !hidden.test(name)))
}
