/** Idempotency keys: the same key and body within 24 hours give the same answer. The answer is stored in the very
 *  transaction that did the work, so after a crash the two are there together or not at all. Answers may hold
 *  secrets that are shown once: they are sealed. */

import { createHash } from 'node:crypto'
import type { Context } from '../context.ts'
import { type Db, type Gathered, sql } from '../db/db.ts'
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
  const [isTaken, row] = await Promise.all([
    ctx.db.gather(take, name),
    ctx.db.gather(find, { organization_id: ctx.organization_id, actor_id: ctx.actor.id, key, now: ctx.now }),
  ])
  if (!isTaken) throw conflict('A request with this idempotency key is still running. Ask again shortly.')
  if (!row) return undefined
  if (row.request_hash !== request_hash) {
    throw invalid([{ field: 'Idempotency-Key', message: 'This key was used for a different request. Use a new one.' }])
  }
  return JSON.parse(ctx.platform.seal.open(row.answer, name).toString()) as Stored
}

export async function remember(ctx: Context, key: string, request_hash: string, answer: Stored): Promise<void> {
  const sealed = ctx.platform.seal.seal(JSON.stringify(answer), `${ctx.organization_id}:${ctx.actor.id}:${key}`)
  const { organization_id, actor, now } = ctx
  await ctx.db.gather(keep, { organization_id, actor_id: actor.id, key, now, request_hash, answer: sealed })
}

type Key = { organization_id: string; actor_id: string; key: string; now: string }

/** Of those who share a transaction only one gets a name: the lock itself would not keep them apart. */
const take: Gathered<string, boolean> = async (db, names) => {
  const rows = await db.many<{ name: string }>(sql`
    select name from unnest(${names}::text[]) as name where pg_try_advisory_xact_lock(hashtextextended(name, 41))`)
  const free = new Set(rows.map(({ name }) => name))
  return names.map((name) => free.delete(name))
}

const find: Gathered<Key, Row | undefined> = async (db, keys) => {
  const rows = await db.many<Row & { place: number }>(sql`
    select t.place::int as place, k.request_hash, k.answer
    from unnest(${keys.map((one) => one.organization_id)}::uuid[], ${keys.map((one) => one.actor_id)}::uuid[],
      ${keys.map((one) => one.key)}::text[], ${keys.map((one) => one.now)}::timestamptz[])
      with ordinality as t (organization_id, actor_id, key, now, place)
    join idempotency_keys k using (organization_id, actor_id, key)
    where k.created_at > t.now - interval '24 hours'`)
  const byPlace = new Map(rows.map(({ place, ...row }) => [place, row]))
  return keys.map((_, i) => byPlace.get(i + 1))
}

const keep: Gathered<Key & Row, void> = async (db, answers) => {
  await db.send(sql`
    insert into idempotency_keys (organization_id, actor_id, key, request_hash, answer, created_at)
    select * from unnest(${answers.map((one) => one.organization_id)}::uuid[],
      ${answers.map((one) => one.actor_id)}::uuid[], ${answers.map((one) => one.key)}::text[],
      ${answers.map((one) => one.request_hash)}::text[], ${answers.map((one) => one.answer)}::text[],
      ${answers.map((one) => one.now)}::timestamptz[])
    on conflict (organization_id, actor_id, key) do update
    set request_hash = excluded.request_hash, answer = excluded.answer, created_at = excluded.created_at`)
  return answers.map(() => undefined)
}

/** Forgets what is older than a day. For the platform's housekeeping. */
export const forget = (db: Db, now: string): Promise<number> =>
  db.run(sql`delete from idempotency_keys where created_at < ${now}::timestamptz - interval '24 hours'`)
