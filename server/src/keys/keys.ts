/** API keys, service tokens and deployment tokens: made, found, listed, revoked. A key is shown once; what is stored
 *  is its SHA-256, which is enough for 256 random bits. It ends in a checksum, so that a typo or a cut-off key is
 *  refused without asking the database, and scanners know a leaked one when they see it. A key acts for the user who
 *  made it: it never may more than that user may now, and falls with them. */

import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Permission } from '@flow/contract/access'
import { type Context, newId, type Scope } from '../context.ts'
import type { Db } from '../db/db.ts'
import { forbidden } from '../failure.ts'
import * as store from './store.ts'

export type KeyKind = 'standard' | 'service' | 'deployment'

export const prefixOf: Record<KeyKind, string> = { standard: 'fl_', service: 'fl_hsl_', deployment: 'fl_deploy_' }

/** A key as it may be shown: everything but the key. */
export type ApiKey = {
  id: string
  kind: KeyKind
  name: string
  prefix: string
  last_four: string
  /** What the key is narrowed to; empty: all that its maker may. A service token has no permission besides its services. */
  scopes: Permission[]
  workspace_id: string | null
  expires_at: string | null
  last_used_at: string | null
  revoked_at: string | null
  created_by: string
  created_at: string
}

export type NewKey = {
  name: string
  kind?: KeyKind
  scopes?: Permission[]
  workspace_id?: string | null
  expires_at?: string | null
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_CHARACTERS = 43
const CHECKSUM_CHARACTERS = 6
const SHAPE = new RegExp(`^fl_(?:hsl_|deploy_)?[0-9A-Za-z]{${RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}$`)

/** A new key: prefix, 256 random bits and a CRC-32 of both, in base 62. */
export function newKeyText(kind: KeyKind): string {
  const text = prefixOf[kind] + base62(BigInt(`0x${randomBytes(32).toString('hex')}`), RANDOM_CHARACTERS)
  return text + checksum(text)
}

/** Whether this can be a key at all. */
export function isKeyText(text: string): boolean {
  return SHAPE.test(text) && checksum(text.slice(0, -CHECKSUM_CHARACTERS)) === text.slice(-CHECKSUM_CHARACTERS)
}

/** What is stored of a secret with 256 random bits. */
export const fingerprintOf = (secret: string): Buffer => hash('sha256', secret, 'buffer')

const checksum = (text: string) => base62(BigInt(crc32(text)), CHECKSUM_CHARACTERS)

function base62(number: bigint, characters: number): string {
  let text = ''
  for (let left = number; text.length < characters; left /= 62n) text = ALPHABET[Number(left % 62n)] + text
  return text
}

/** Makes a key that acts for the caller. `key` is told here and never again. A key that makes keys cannot make one
 *  that may more than itself. */
export async function mintKey(ctx: Context, wanted: NewKey): Promise<ApiKey & { key: string }> {
  const { actor } = ctx
  const scopes = wanted.scopes?.length ? wanted.scopes : (actor.scopes ?? [])
  const workspace_id = wanted.workspace_id ?? actor.workspace_id ?? null
  if (actor.scopes && (scopes.length === 0 || scopes.some((scope) => !actor.scopes?.includes(scope)))) {
    throw forbidden('A key cannot make another key that may more than itself.')
  }
  if (actor.workspace_id && workspace_id !== actor.workspace_id) {
    throw forbidden('A key that is bound to a workspace makes keys for that workspace only.')
  }

  const kind = wanted.kind ?? 'standard'
  const key = newKeyText(kind)
  const made = await store.insertKey(ctx, {
    id: newId(),
    kind,
    name: wanted.name,
    prefix: prefixOf[kind],
    last_four: key.slice(-4),
    hash: fingerprintOf(key),
    scopes,
    workspace_id,
    expires_at: wanted.expires_at ?? null,
    created_by: actor.user_id,
    created_at: ctx.now,
  })
  return { ...made, key }
}

/** The organization's key, unless it is somebody else's or was revoked. */
export const findKey = (at: Scope, key_id: string): Promise<ApiKey | undefined> => store.findKey(at, key_id)

export type KeyList = {
  limit: number
  offset: number
  sort: 'created_at' | 'name' | 'last_used_at' | 'expires_at'
  order: 'asc' | 'desc'
  search?: string | undefined
  kind?: KeyKind | undefined
}

/** A page of the organization's keys that are not revoked. */
export const listKeys = (at: Scope, list: KeyList): Promise<{ items: ApiKey[]; total: number }> =>
  store.listKeys(at, list)

/** Ends a key at once and for good. False when there is no such key, or it was revoked before. */
export function revokeKey(ctx: Pick<Context, 'db' | 'organization_id' | 'now'>, key_id: string): Promise<boolean> {
  accessChanged(ctx.db, ctx.organization_id)
  return store.revokeKey(ctx, key_id)
}

/** Ends all keys that a user made in the organization, for when they are removed from it. Gives how many. */
export function revokeKeysOf(ctx: Pick<Context, 'db' | 'organization_id' | 'now'>, user_id: string): Promise<number> {
  accessChanged(ctx.db, ctx.organization_id)
  return store.revokeKeysOf(ctx, user_id)
}

/** Where every process hears whose credentials may be worth something else than before: the id of an organization or
 *  of a user. */
export const ACCESS_CHANNEL = 'flow_access'

const listeners = new Set<(whose: string) => void>()

/** Told by whoever changes what credentials are worth, all those of an organization or of a user: the rooms that
 *  remember who was let in look again. Those of this process know it before the change is committed, the others right
 *  after. */
export function accessChanged(db: Db, whose: string): void {
  for (const heard of listeners) heard(whose)
  db.tell(ACCESS_CHANNEL, whose)
}

/** Calls `heard` for each change of this process. Returns how to stop. */
export function onAccessChange(heard: (whose: string) => void): () => void {
  listeners.add(heard)
  return () => listeners.delete(heard)
}
