/** Idempotency keys: the same key and body within 24 hours give the same answer. The answer is stored in the very
 *  transaction that did the work, so after a crash the two are there together or not at all. Answers may hold
 *  secrets that are shown once: they are sealed. */

import { createHash } from 'node:crypto'
import type { Context } from '../context.ts'
import { type Db, sql } from '../db/db.ts'
import { conflict, invalid } from '../failure.ts'

export type Stored = { status: number; location?: string; body: unknown }
type Row = { request_hash: string; answer: string }

export function readKey(request: Request): string | undefined {
  const key = request.headers.get('idempotency-key') ?? undefined
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw invalid([{ field: 'Idempotency-Key', message: 'Use 1 to 255 printable ASCII characters without spaces.' }])
}

/** What makes two requests the same one. */
export const fingerprint = (method: string, url: URL, body: string): string =>
  createHash('sha256').update(`${method} ${url.pathname}${url.search}\n${body}`).digest('base64url')

/** The answer given before, if there is one. Takes the key for the rest of the transaction. */
export async function recall(ctx: Context, key: string, request_hash: string): Promise<Stored | undefined> {
  const name = `${ctx.organization_id}:${ctx.actor.id}:${key}`
  const [lock, row] = await Promise.all([
    ctx.db.one<{ taken: boolean }>(sql`select pg_try_advisory_xact_lock(hashtextextended(${name}, 41)) as taken`),
    find(ctx.db, ctx, key),
  ])
  if (!lock.taken) throw conflict('A request with this idempotency key is still running. Ask again shortly.')
  if (!row) return undefined
  if (row.request_hash !== request_hash) {
    throw invalid([{ field: 'Idempotency-Key', message: 'This key was used for a different request. Use a new one.' }])
  }
  return JSON.parse(ctx.platform.seal.open(row.answer, name).toString()) as Stored
}

export async function remember(ctx: Context, key: string, request_hash: string, answer: Stored): Promise<void> {
  const sealed = ctx.platform.seal.seal(JSON.stringify(answer), `${ctx.organization_id}:${ctx.actor.id}:${key}`)
  await ctx.db.send(sql`
    insert into idempotency_keys (organization_id, actor_id, key, request_hash, answer, created_at)
    values (${ctx.organization_id}, ${ctx.actor.id}, ${key}, ${request_hash}, ${sealed}, ${ctx.now})
    on conflict (organization_id, actor_id, key) do update
    set request_hash = excluded.request_hash, answer = excluded.answer, created_at = excluded.created_at`)
}

const find = (db: Db, ctx: Context, key: string) =>
  db.maybe<Row>(sql`
    select request_hash, answer from idempotency_keys
    where organization_id = ${ctx.organization_id} and actor_id = ${ctx.actor.id} and key = ${key}
      and created_at > ${ctx.now}::timestamptz - interval '24 hours'`)

/** Forgets what is older than a day. For the platform's housekeeping. */
export const forget = (db: Db, now: string): Promise<number> =>
  db.run(sql`delete from idempotency_keys where created_at < ${now}::timestamptz - interval '24 hours'`)
