/** Idempotency keys of calls that do not stream: the same key and body within 24 hours give the same answer, which is
 *  stored before it is told. A call under way holds its key, so that a second one with it is refused; a call that failed
 *  lets it go, and so does a process that ended in the middle of one, after a while.
 *
 *  The keys are those of all operations (http/idempotency.ts); here no transaction is open while a provider answers. */

import { createHash } from 'node:crypto'
import type { Platform } from '../../context.ts'
import { type Db, sql } from '../../db/db.ts'
import type { Asked, Headers } from '../front/exchange.ts'
import type { Pass } from '../front/sign-in.ts'
import type { Fault } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'

/** An answer given before. */
export type Kept = { headers: Headers; body: string }
/** A key that is this call's. */
export type Held = { keep(answer: Kept): Promise<void>; letGo(): Promise<void> }

export type Replays = {
  /** Throws a `Refusal` when the key is in use, or was used for something else. */
  hold(pass: Pass, key: string, asked: Asked): Promise<Held | Kept>
}

/** A call under way says so often enough that its key is not taken for that of a process which ended. */
const TOUCHED_MS = 20_000
/** Four times it may fail to, such as while the database is away. */
const ABANDONED_SECONDS = 100
/** Seconds after which a client may ask again. */
const AGAIN_SECONDS = 5
export const KEPT_BYTES_MAX = 8 * 1024 * 1024
const wrongKey = (status: number, code: string, message: string, more: Partial<Fault> = {}) =>
  new Refusal({ status, type: 'invalid_request_error', code, message, param: 'Idempotency-Key', ...more })

/** The key that the client sent. */
export function keyOf({ headers }: Asked): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw wrongKey(422, 'VALIDATION_ERROR', 'Use 1 to 255 printable ASCII characters without spaces.')
}

export function createReplays(platform: Pick<Platform, 'database' | 'seal' | 'clock' | 'log'>): Replays {
  const { database, seal, clock, log } = platform
  return {
    async hold({ caller, actor_id }, key, { path, body }) {
      const { organization_id, workspace_id } = caller
      const db = database.of(organization_id)
      const request_hash = createHash('sha256').update(`${path} ${workspace_id}\n`).update(body).digest('base64url')
      const row = { organization_id, actor_id, key, request_hash }
      const name = `${organization_id}:${actor_id}:${key}`
      const now = clock.now().toISOString()
      const other = await take(db, row, now)
      if (other && other.request_hash !== request_hash) {
        throw wrongKey(422, 'VALIDATION_ERROR', 'This key was used for a different request. Use a new one.')
      }
      if (other?.answer === '') {
        const message = 'A request with this idempotency key is still running. Ask again shortly.'
        throw wrongKey(409, 'CONFLICT', message, { retry_after_seconds: AGAIN_SECONDS })
      }
      if (other) return JSON.parse(seal.open(other.answer, name).toString()) as Kept

      const touching = setInterval(() => {
        touch(db, row, clock.now().toISOString()).catch((err: unknown) =>
          log.warn({ err }, 'an idempotency key was not held on to'),
        )
      }, TOUCHED_MS).unref()
      const letGo = async () => {
        clearInterval(touching)
        await drop(db, row).catch((err: unknown) => log.warn({ err }, 'an idempotency key was not let go'))
      }
      return {
        letGo,
        async keep(answer) {
          clearInterval(touching)
          if (answer.body.length > KEPT_BYTES_MAX) return letGo()
          const sealed = seal.seal(JSON.stringify(answer), name)
          await keep(db, row, sealed).catch((err: unknown) => log.warn({ err }, 'an answer was not kept'))
        },
      }
    },
  }
}

type Row = { organization_id: string; actor_id: string; key: string; request_hash: string }

/** Takes the key, or gives what is stored with it. A key that was taken long ago belonged to a process that ended. */
async function take(db: Db, row: Row, now: string): Promise<{ request_hash: string; answer: string } | undefined> {
  return db.tx(async (tx) => {
    const taken = await tx.run(sql`
      insert into idempotency_keys as k (organization_id, actor_id, key, request_hash, answer, created_at)
      values (${row.organization_id}, ${row.actor_id}, ${row.key}, ${row.request_hash}, '', ${now})
      on conflict (organization_id, actor_id, key) do update
      set request_hash = excluded.request_hash, answer = '', created_at = excluded.created_at
      where k.created_at < ${now}::timestamptz - interval '24 hours'
        or (k.answer = '' and k.created_at < ${now}::timestamptz - make_interval(secs => ${ABANDONED_SECONDS}))`)
    if (taken > 0) return undefined
    return tx.one<{ request_hash: string; answer: string }>(sql`
      select request_hash, answer from idempotency_keys
      where organization_id = ${row.organization_id} and actor_id = ${row.actor_id} and key = ${row.key}`)
  })
}

const touch = (db: Db, row: Row, now: string) =>
  db.run(sql`
    update idempotency_keys set created_at = ${now}
    where organization_id = ${row.organization_id} and actor_id = ${row.actor_id} and key = ${row.key}
      and answer = ''`)

const keep = (db: Db, row: Row, answer: string) =>
  db.run(sql`
    update idempotency_keys set answer = ${answer}
    where organization_id = ${row.organization_id} and actor_id = ${row.actor_id} and key = ${row.key}`)

const drop = (db: Db, row: Row) =>
  db.run(sql`
    delete from idempotency_keys
    where organization_id = ${row.organization_id} and actor_id = ${row.actor_id} and key = ${row.key}
      and answer = ''`)
