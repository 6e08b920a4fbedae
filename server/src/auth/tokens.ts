/** Access tokens: JSON Web Tokens (RFC 9068), signed RS256, 15 minutes long. A token says who and where, never what
 *  they may: that is read with each request. Algorithm, issuer, audience and type are pinned, and the key comes from
 *  our own set only, whatever the token's header claims.
 *
 *  The signing key changes every 30 days. The one before goes on verifying until the last token it may have signed has
 *  expired, so that nobody is signed out. Other replicas notice a new key within a minute, or when they meet it.
 *  Reading the keys may make one, in a transaction of its own: nothing here is called inside of another. */

import { createPrivateKey, createPublicKey, generateKeyPair, hash, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, errors, type JWK, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import type { Config } from '../config.ts'
import { newId, type Platform } from '../context.ts'
import { unauthenticated } from '../failure.ts'
import { CannotOpen } from '../seal.ts'
import * as store from './signing-store.ts'

export const ACCESS_TOKEN_SECONDS = 900
const KEY_LIVES_SECONDS = 30 * 24 * 3600
const KEYRING_FRESH_SECONDS = 60
/** How long a replaced key verifies: the life of a token that a replica signed with it before it noticed. */
const KEY_RETIRES_SECONDS = ACCESS_TOKEN_SECONDS + 5 * KEYRING_FRESH_SECONDS
const VERIFIED_MAX = 10_000
const TOKEN_LENGTH_MAX = 4096
const TYPE = 'at+jwt'

const Claims = z.object({
  sub: z.uuid(),
  org: z.uuid(),
  sid: z.uuid(),
  jti: z.uuid(),
  exp: z.int(),
})
export type Claims = z.infer<typeof Claims>

type Keyring = {
  read_at: number
  current: { id: string; key: KeyObject }
  keysById: Map<string, KeyObject>
  public: JWK[]
}

/** What one platform remembers: its keys, and the tokens it has verified. */
type Memory = { keyring?: Keyring; reading?: Promise<Keyring>; verified: Map<string, Claims> }
const memories = new WeakMap<Platform['database'], Memory>()

export const issuerOf = (config: Pick<Config, 'public_url'>) => config.public_url
export const audienceOf = (config: Pick<Config, 'public_url'>) => `${config.public_url}/api/v1`

/** Signs an access token for a session, in one organization. */
export async function signAccessToken(
  platform: Platform,
  whom: { user_id: string; organization_id: string; session_id: string },
): Promise<string> {
  const { current } = await keyringOf(platform)
  const now = seconds(platform)
  return new SignJWT({ org: whom.organization_id, sid: whom.session_id })
    .setProtectedHeader({ alg: 'RS256', typ: TYPE, kid: current.id })
    .setIssuer(issuerOf(platform.config))
    .setAudience(audienceOf(platform.config))
    .setSubject(whom.user_id)
    .setJti(newId())
    .setIssuedAt(now)
    .setExpirationTime(now + ACCESS_TOKEN_SECONDS)
    .sign(current.key)
}

/** The claims of a token that we signed for this platform and that has not expired; 401 for any other. Whether its
 *  session still counts is another question. */
export async function verifyAccessToken(platform: Platform, token: string): Promise<Claims> {
  if (token.length > TOKEN_LENGTH_MAX) throw unauthenticated('This is not an access token of ours.')
  const { verified } = memoryOf(platform)
  const known_as = hash('sha256', token, 'base64')
  const known = verified.get(known_as)
  if (known && known.exp > seconds(platform)) return known
  verified.delete(known_as)

  const claims = await verify(platform, token)
  if (verified.size >= VERIFIED_MAX) verified.delete(verified.keys().next().value ?? '')
  verified.set(known_as, claims)
  return claims
}

async function verify(platform: Platform, token: string): Promise<Claims> {
  try {
    const { payload } = await jwtVerify(token, (header) => keyFor(platform, header.kid), {
      algorithms: ['RS256'],
      issuer: issuerOf(platform.config),
      audience: audienceOf(platform.config),
      typ: TYPE,
      currentDate: platform.clock.now(),
    })
    return Claims.parse(payload)
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw unauthenticated('The access token has expired. Refresh it.')
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) {
      throw unauthenticated('This is not an access token of ours.')
    }
    throw error
  }
}

async function keyFor(platform: Platform, kid: string | undefined): Promise<KeyObject> {
  if (!kid) throw new errors.JWKSNoMatchingKey()
  const known = (await keyringOf(platform)).keysById.get(kid)
  // Another replica may have made the key a moment ago.
  const key = known ?? (await readAgain(platform)).keysById.get(kid)
  if (!key) throw new errors.JWKSNoMatchingKey()
  return key
}

/** The public keys, as `/.well-known/jwks.json` shows them (RFC 7517). */
export const jwks = async (platform: Platform): Promise<{ keys: JWK[] }> => ({
  keys: (await keyringOf(platform)).public,
})

/** Makes a new signing key now, for example because the old one may be known. Nobody is signed out by it. */
export async function rotateSigningKey(platform: Platform): Promise<void> {
  const { current } = await readAgain(platform)
  await replace(platform, current.id)
  await readAgain(platform)
}

async function keyringOf(platform: Platform): Promise<Keyring> {
  const memory = memoryOf(platform)
  if (memory.keyring && seconds(platform) - memory.keyring.read_at < KEYRING_FRESH_SECONDS) return memory.keyring
  // All requests that find it stale wait for one reading.
  memory.reading ??= readAgain(platform).finally(() => {
    memory.reading = undefined
  })
  return memory.reading
}

async function readAgain(platform: Platform): Promise<Keyring> {
  const keyring = await readKeyring(platform)
  memoryOf(platform).keyring = keyring
  return keyring
}

async function readKeyring(platform: Platform): Promise<Keyring> {
  const { platform: db } = platform.database
  const now = platform.clock.now()
  let rows = await store.signingKeys(db, now.toISOString())
  const current = rows.find((row) => row.retires_at === null)
  const isOld = current !== undefined && (now.getTime() - Date.parse(current.created_at)) / 1000 >= KEY_LIVES_SECONDS
  if (!current || isOld) {
    await replace(platform, current?.id)
    rows = await store.signingKeys(db, now.toISOString())
  }

  const signer = rows.find((row) => row.retires_at === null)
  if (!signer) throw new Error('there is no signing key')
  const keysById = new Map(rows.map((row) => [row.id, createPublicKey({ key: { ...row.public_jwk }, format: 'jwk' })]))
  const current_key = { id: signer.id, key: createPrivateKey(openPrivate(platform, signer)) }
  return { read_at: seconds(platform), current: current_key, keysById, public: rows.map((row) => row.public_jwk) }
}

function openPrivate(platform: Platform, row: store.SigningKey): string {
  try {
    return platform.seal.open(row.private_sealed, `signing_key:${row.id}`)
  } catch (error) {
    if (!(error instanceof CannotOpen)) throw error
    throw new Error('FLOW_MASTER_KEY is not the key that sealed the secrets of this database.', { cause: error })
  }
}

const newKeyPair = promisify(generateKeyPair)

/** Puts a new key in the place of the current one, unless another replica just did. */
async function replace(platform: Platform, current_id: string | undefined): Promise<void> {
  const { publicKey, privateKey } = await newKeyPair('rsa', { modulusLength: 2048 })
  const jwk = publicKey.export({ format: 'jwk' }) as JWK
  const id = await calculateJwkThumbprint(jwk)
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const now = platform.clock.now()
  await platform.database.platform.tx(async (db) => {
    if (current_id) {
      const retires_at = new Date(now.getTime() + KEY_RETIRES_SECONDS * 1000).toISOString()
      if ((await store.retireSigningKey(db, current_id, retires_at)) === 0) return
    }
    await store.insertSigningKey(db, {
      id,
      public_jwk: { ...jwk, kid: id, use: 'sig', alg: 'RS256' },
      private_sealed: platform.seal.seal(pem, `signing_key:${id}`),
      created_at: now.toISOString(),
    })
    await store.sweepSigningKeys(db, now.toISOString())
  })
}

function memoryOf(platform: Platform): Memory {
  const known = memories.get(platform.database)
  if (known) return known
  const memory: Memory = { verified: new Map() }
  memories.set(platform.database, memory)
  return memory
}

const seconds = (platform: Platform) => Math.floor(platform.clock.now().getTime() / 1000)
