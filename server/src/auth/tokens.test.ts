import assert from 'node:assert/strict'
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import test, { after, before } from 'node:test'
import {
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  importJWK,
  type JWTHeaderParameters,
  jwtVerify,
  SignJWT,
} from 'jose'
import { sql } from '../db/db.ts'
import { Failure } from '../failure.ts'
import { createSeal } from '../seal.ts'
import { login, refresh } from './auth.ts'
import { type AuthTest, openAuthTest } from './testing.ts'
import { jwks, rotateSigningKey, signAccessToken, verifyAccessToken } from './tokens.ts'
import { authenticate } from './who.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const address = '198.51.100.7'
const refused = (error: unknown) => error instanceof Failure && error.code === 'UNAUTHENTICATED'
const isRefused = (token: string) => assert.rejects(authenticate(t.platform, { bearer: token, address }), refused)

async function tokenOf() {
  const person = await t.newPerson()
  const tokens = await login(t.stranger(), { email: person.email, password: person.password })
  return { person, ...tokens }
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const payloadOf = (token: string) => token.split('.')[1] ?? ''

async function ourKey() {
  const row = await t.database.platform.one<{ id: string; private_sealed: string }>(
    sql`select id, private_sealed from signing_keys where retires_at is null`,
  )
  return { id: row.id, key: createPrivateKey(t.platform.seal.open(row.private_sealed, `signing_key:${row.id}`)) }
}

/** Signs as the platform itself would, with its own key, but with other claims or another header. */
async function signedByUs(claims: Record<string, unknown>, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  const { id, key } = await ourKey()
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: id, ...header }).sign(key)
}

test('an access token says who, where and until when, and nothing of what they may', async () => {
  const { access_token, person } = await tokenOf()
  const { iat, exp, sid, jti, ...claims } = decodeJwt(access_token)
  assert.deepEqual(claims, {
    sub: person.user_id,
    org: person.organization_id,
    iss: 'https://flow.example',
    aud: 'https://flow.example/api/v1',
  })
  assert.equal((exp ?? 0) - (iat ?? 0), 900)
  assert.ok(sid && jti)
  assert.equal(decodeProtectedHeader(access_token).typ, 'at+jwt')
})

test('anybody can verify it with the published keys, which hold no private part', async () => {
  const { access_token } = await tokenOf()
  const { keys } = await jwks(t.platform)
  const key = keys.find(({ kid }) => kid === decodeProtectedHeader(access_token).kid)
  assert.ok(key)
  assert.deepEqual(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
  await jwtVerify(access_token, await importJWK(key, 'RS256'), { currentDate: t.clock.at })
})

test('attack: no signature (alg none) is refused', async () => {
  const { access_token } = await tokenOf()
  for (const alg of ['none', 'None', 'NONE', '']) {
    await isRefused(`${part({ alg, typ: 'at+jwt' })}.${payloadOf(access_token)}.`)
  }
  await isRefused(`${access_token.split('.').slice(0, 2).join('.')}.`)
})

test('attack: HS256 with the public key as its secret is refused', async () => {
  const { access_token } = await tokenOf()
  const [key] = (await jwks(t.platform)).keys
  const pem = createPublicKey({ key: { ...key }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  for (const secret of [pem, JSON.stringify(key), key?.n ?? '']) {
    const head = part({ alg: 'HS256', typ: 'at+jwt', kid: key?.kid })
    const signature = createHmac('sha256', secret)
      .update(`${head}.${payloadOf(access_token)}`)
      .digest('base64url')
    await isRefused(`${head}.${payloadOf(access_token)}.${signature}`)
  }
})

test('attack: a key that the token brings along is refused', async () => {
  const { access_token } = await tokenOf()
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = await exportJWK(publicKey)
  const kid = decodeProtectedHeader(access_token).kid
  for (const header of [
    { jwk },
    { jwk, kid },
    { jku: 'https://evil.example/jwks', kid },
    { kid },
    { kid: 'nobody' },
    {},
  ]) {
    const protectedHeader = { alg: 'RS256', typ: 'at+jwt', ...header }
    await isRefused(await new SignJWT(decodeJwt(access_token)).setProtectedHeader(protectedHeader).sign(privateKey))
  }
})

test('attack: a token that was changed is refused, also right after the true one was accepted', async () => {
  const { access_token } = await tokenOf()
  const other = await t.newPerson()
  await authenticate(t.platform, { bearer: access_token, address })
  const [head, , signature = ''] = access_token.split('.')
  const claims = decodeJwt(access_token)
  await isRefused(`${head}.${part({ ...claims, org: other.organization_id })}.${signature}`)
  await isRefused(`${head}.${part({ ...claims, exp: (claims.exp ?? 0) + 9999 })}.${signature}`)
  await isRefused(`${head}.${payloadOf(access_token)}.${signature.slice(0, -4)}AAAA`)
  await isRefused(`${access_token}.x`)
})

test('attack: an expired token is refused on the second, also from the memory of verified ones', async () => {
  const { access_token } = await tokenOf()
  await authenticate(t.platform, { bearer: access_token, address })
  t.wait(899)
  await authenticate(t.platform, { bearer: access_token, address })
  t.wait(1)
  await isRefused(access_token)
})

test('attack: another audience, another issuer or a missing claim is refused although we signed it', async () => {
  const claims = decodeJwt((await tokenOf()).access_token)
  await authenticate(t.platform, { bearer: await signedByUs(claims), address })
  const wrong = [
    { ...claims, aud: 'https://flow.example' },
    { ...claims, aud: 'someone-else' },
    { ...claims, iss: 'https://evil.example' },
    ...['aud', 'iss', 'sub', 'org', 'sid', 'jti', 'exp'].map((name) => ({ ...claims, [name]: undefined })),
  ]
  for (const each of wrong) await isRefused(await signedByUs(each))
})

test('attack: a token of another type, such as an id token, is refused as access token', async () => {
  const claims = decodeJwt((await tokenOf()).access_token)
  for (const typ of ['JWT', 'id_token', 'logout+jwt', undefined]) await isRefused(await signedByUs(claims, { typ }))
})

test('attack: an extension that we do not know but must understand (crit) is refused although we signed it', async () => {
  const { access_token } = await tokenOf()
  const { id, key } = await ourKey()
  const signedWith = (header: object) => {
    const text = `${part({ alg: 'RS256', typ: 'at+jwt', kid: id, ...header })}.${payloadOf(access_token)}`
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
  }
  await authenticate(t.platform, { bearer: signedWith({ 'x-new': true }), address })
  await isRefused(signedWith({ crit: ['x-new'], 'x-new': true }))
  await isRefused(signedWith({ crit: ['b64'], b64: false }))
})

test('a token for an organization of which the user is no member is refused although we signed it', async () => {
  const claims = decodeJwt((await tokenOf()).access_token)
  const other = await t.newPerson()
  await isRefused(await signedByUs({ ...claims, org: other.organization_id }))
  await isRefused(await signedByUs({ ...claims, sub: other.user_id }))
  await isRefused(await signedByUs({ ...claims, sid: randomUUID() }))
})

test('a new signing key signs nobody out, and the old one goes when its last token has expired', async () => {
  const before = await tokenOf()
  const [old] = (await jwks(t.platform)).keys
  await rotateSigningKey(t.platform)

  const after = await refresh(t.stranger(), { refresh_token: before.refresh_token })
  assert.notEqual(decodeProtectedHeader(after.access_token).kid, old?.kid)
  await authenticate(t.platform, { bearer: before.access_token, address })
  await authenticate(t.platform, { bearer: after.access_token, address })
  assert.equal((await jwks(t.platform)).keys.length, 2)

  t.wait(899)
  // As a replica that has just started sees it: nothing is remembered there.
  await verifyAccessToken(t.anotherReplica(), before.access_token)
  t.wait(400)
  assert.deepEqual(
    (await jwks(t.platform)).keys.map(({ kid }) => kid),
    [decodeProtectedHeader(after.access_token).kid],
  )
})

test('a replica accepts a token that another one signed with a key it has never seen', async () => {
  const replica = t.anotherReplica()
  await jwks(replica)
  await rotateSigningKey(t.platform)
  const { access_token } = await tokenOf()
  await authenticate(replica, { bearer: access_token, address })
})

test('a signing key is replaced after thirty days, by one replica only', async () => {
  const { keys } = await jwks(t.platform)
  t.wait(31 * 24 * 3600)
  const replicas = [t.anotherReplica(), t.anotherReplica(), t.anotherReplica()]
  const seen = await Promise.all(replicas.map((replica) => jwks(replica)))
  const current = await t.database.platform.many<{ id: string }>(
    sql`select id from signing_keys where retires_at is null`,
  )
  assert.equal(current.length, 1)
  assert.ok(!keys.some(({ kid }) => kid === current[0]?.id))
  for (const each of seen) assert.ok(each.keys.some(({ kid }) => kid === current[0]?.id))
})

test('the private part is sealed: with another master key the platform says what is wrong', async () => {
  await jwks(t.platform)
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64')
  const stranger = t.anotherReplica({ seal: createSeal(key) })
  const whom = { user_id: randomUUID(), organization_id: randomUUID(), session_id: randomUUID() }
  await assert.rejects(signAccessToken(stranger, whom), /FLOW_MASTER_KEY is not the key/)
  const rows = await t.database.platform.many<{ private_sealed: string }>(sql`select private_sealed from signing_keys`)
  assert.ok(rows.every((row) => !row.private_sealed.includes('PRIVATE')))
})
