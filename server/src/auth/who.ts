/** Who asks: a key or a token becomes an actor with the rights its user has now. One statement is read with each
 *  request and nothing is remembered between two, so that what was revoked, suspended, demoted or signed out counts
 *  for nothing at once, on every replica. */

import type { Rights } from '../asking.ts'
import type { Actor, Platform } from '../context.ts'
import { forbidden, unauthenticated } from '../failure.ts'
import { fingerprintOf, isKeyText } from '../keys/keys.ts'
import type { KeyStanding, Standing } from './store.ts'
import * as store from './store.ts'
import { verifyAccessToken } from './tokens.ts'

/** What a caller sent: the key goes before the token. A key may also come as the bearer. */
export type Credentials = { api_key?: string; bearer?: string; address: string }

/** The actor behind the credentials. 401 for whoever is not known or no longer welcome, 403 for a suspended organization. */
export async function authenticate(platform: Platform, credentials: Credentials): Promise<Actor> {
  const { api_key, bearer } = credentials
  const key = api_key ?? (bearer?.startsWith('fl_') ? bearer : undefined)
  if (key !== undefined) return actorOfKey(platform, key)
  if (bearer !== undefined) return actorOfToken(platform, bearer)
  throw unauthenticated('Send an API key as X-API-Key, or a token as Authorization: Bearer.')
}

/** What every person gets to read about a key that does not count, whatever the reason. */
const noSuchKey = 'This API key is not valid: it is unknown, expired or revoked.'

async function actorOfKey(platform: Platform, text: string): Promise<Actor> {
  if (!isKeyText(text)) throw unauthenticated('This is not an API key: it is cut off or mistyped.')
  const now = platform.clock.now().toISOString()
  const found = await store.standingOfKey(platform.database.platform, fingerprintOf(text), now)
  if (!found?.key) throw unauthenticated(noSuchKey)

  const actor = actorOf(found, found.key)
  noteUse(platform, found.key, now)
  return actor
}

async function actorOfToken(platform: Platform, token: string): Promise<Actor> {
  const claims = await verifyAccessToken(platform, token)
  const now = platform.clock.now().toISOString()
  const found = await store.standingOfSession(platform.database.platform, claims.sid, claims.sub, claims.org, now)
  if (!found) throw unauthenticated('This sign-in has ended. Sign in again.')

  const actor = actorOf(found, found.key)
  const seconds_left = claims.exp - Date.parse(now) / 1000
  return { ...actor, session_id: claims.sid, expires_in: Math.min(actor.expires_in ?? seconds_left, seconds_left) }
}

/** In whose name something runs that was begun before, with the rights they have now. */
export async function actorWith(platform: Platform, organization_id: string, rights: Rights): Promise<Actor> {
  const { user_id, key_id } = rights
  const now = platform.clock.now().toISOString()
  const found = await store.standingOfUser(platform.database.platform, organization_id, user_id, key_id, now)
  if (!found) throw unauthenticated('Whoever started this, or the key it was started with, is there no more.')

  return actorOf(found, found.key)
}

/** The actor, if user, membership, organization and key all still count. */
function actorOf(found: Standing, key: KeyStanding | null): Actor {
  if (key && (key.is_revoked || (key.expires_in !== null && key.expires_in <= 0))) throw unauthenticated(noSuchKey)
  if (found.membership_status !== 'active') {
    throw unauthenticated(key ? noSuchKey : 'This account is no longer an active member of the organization.')
  }
  if (found.organization_status !== 'active') throw forbidden(`The organization is ${found.organization_status}.`)

  const { user_id, organization_id, default_workspace_id, grants } = found
  const known = { user_id, organization_id, default_workspace_id, grants }
  if (!key) return { ...known, kind: 'user', id: user_id, name: found.name }
  return {
    ...known,
    kind: key.kind === 'service' ? 'service_token' : 'api_key',
    id: key.id,
    name: key.name,
    // A service token opens its services and nothing else, however much its maker may.
    ...(key.kind === 'service' || key.scopes.length > 0 ? { scopes: key.scopes } : {}),
    ...(key.workspace_id ? { workspace_id: key.workspace_id } : {}),
    ...(key.expires_in === null ? {} : { expires_in: key.expires_in }),
  }
}

const USE_NOTED_EVERY_SECONDS = 60
const beingNoted = new WeakMap<Platform['database'], Set<string>>()

/** Beside the request: nobody waits for it, and a burst writes it once. */
function noteUse(platform: Platform, key: KeyStanding, now: string): void {
  if (key.used_ago !== null && key.used_ago < USE_NOTED_EVERY_SECONDS) return
  const noting = beingNoted.get(platform.database) ?? new Set()
  beingNoted.set(platform.database, noting)
  if (noting.has(key.id)) return

  noting.add(key.id)
  store
    .noteKeyUse(platform.database.platform, key.id, now)
    .catch((err: unknown) => platform.log.warn({ err }, 'the use of a key was not noted'))
    .finally(() => noting.delete(key.id))
}
