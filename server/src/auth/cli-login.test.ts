import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { StartedCliLogin } from '@flow/contract/auth'
import { sql } from '../db/db.ts'
import { Failure } from '../failure.ts'
import { mintKey } from '../keys/keys.ts'
import * as auth from './auth.ts'
import { type AuthTest, openAuthTest, type Person } from './testing.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const address = '198.51.100.7'
const refusedWith = (code: string) => (error: unknown) => error instanceof Failure && error.code === code
const start = () => auth.startCliLogin(t.stranger({ address: '203.0.113.50' }), { client_name: 'flow on laptop' })
const poll = ({ id, secret }: StartedCliLogin) => auth.pollCliLogin(t.stranger(), { request_id: id, secret })

async function personSignedIn(person?: Person) {
  const who = person ?? (await t.newPerson())
  const { access_token } = await auth.login(t.stranger(), who)
  return { ...who, ctx: t.contextOf(await auth.authenticate(t.platform, { bearer: access_token, address })) }
}

test('a command line gets its tokens when a person approves, once', async () => {
  const started = await start()
  assert.match(started.user_code, /^[B-Z]{4}-[B-Z]{4}$/)
  assert.equal(started.verification_url, 'https://flow.example/device')
  assert.ok(started.verification_url_complete.endsWith(started.user_code))
  assert.deepEqual(await poll(started), { status: 'pending', interval_seconds: 5, tokens: null })

  const person = await personSignedIn()
  const asks = await auth.getCliLogin(person.ctx, { user_code: started.user_code })
  assert.equal(asks.client_name, 'flow on laptop')
  assert.equal(asks.address, '203.0.113.50')
  await auth.approveCliLogin(person.ctx, { user_code: ` ${started.user_code.toLowerCase().replace('-', '')} ` })

  const answers = await Promise.allSettled([poll(started), poll(started)])
  const given = answers.flatMap((answer) =>
    answer.status === 'fulfilled' && answer.value.tokens ? [answer.value.tokens] : [],
  )
  assert.equal(given.length, 1)
  const actor = await auth.authenticate(t.platform, { bearer: given[0]?.access_token ?? '', address })
  assert.equal(actor.user_id, person.user_id)
  assert.notEqual(actor.session_id, person.ctx.actor.session_id)
  await auth.refresh(t.stranger(), { refresh_token: given[0]?.refresh_token ?? '' })
  await assert.rejects(poll(started), refusedWith('NOT_FOUND'))
})

test('a command line that polls too fast is told to slow down', async () => {
  const started = await start()
  await poll(started)
  t.wait(4)
  assert.deepEqual(await poll(started), { status: 'slow_down', interval_seconds: 10, tokens: null })
  t.wait(9)
  assert.deepEqual(await poll(started), { status: 'slow_down', interval_seconds: 15, tokens: null })
  t.wait(15)
  assert.deepEqual(await poll(started), { status: 'pending', interval_seconds: 15, tokens: null })
})

test('a command line that was turned away, or waited too long, gets nothing', async () => {
  const person = await personSignedIn()
  const denied = await start()
  await auth.denyCliLogin(person.ctx, denied)
  assert.equal((await poll(denied)).status, 'denied')
  await assert.rejects(auth.approveCliLogin(person.ctx, denied), refusedWith('CONFLICT'))

  const expired = await start()
  t.wait(600)
  assert.equal((await poll(expired)).status, 'expired')
  const ctx = { ...person.ctx, now: t.clock.now().toISOString() }
  await assert.rejects(auth.approveCliLogin(ctx, expired), refusedWith('NOT_FOUND'))
})

test('neither the code nor a wrong secret opens anything', async () => {
  const started = await start()
  const person = await personSignedIn()
  await auth.approveCliLogin(person.ctx, started)
  for (const secret of [started.user_code, 'x', `${started.secret}x`]) {
    await assert.rejects(auth.pollCliLogin(t.stranger(), { request_id: started.id, secret }), refusedWith('NOT_FOUND'))
  }
  const rows = await t.database.platform.many(sql`select row_to_json(r)::text as text from cli_login_requests r`)
  for (const secret of [started.secret, started.user_code]) assert.ok(!JSON.stringify(rows).includes(secret))
  assert.equal((await poll(started)).status, 'approved')
})

test('a key cannot sign a command line in', async () => {
  const person = await personSignedIn()
  const { key } = await mintKey(person.ctx, { name: 'key' })
  const { access_token } = await auth.token(t.stranger(), { api_key: key })
  const started = await start()
  for (const credentials of [{ api_key: key }, { bearer: access_token }]) {
    const ctx = t.contextOf(await auth.authenticate(t.platform, { ...credentials, address }))
    await assert.rejects(auth.approveCliLogin(ctx, started), refusedWith('FORBIDDEN'))
  }
})

test('whoever was suspended after approving signs nothing in', async () => {
  const person = await personSignedIn()
  const started = await start()
  await auth.approveCliLogin(person.ctx, started)
  await t.database.platform.run(sql`update memberships set status = 'suspended' where user_id = ${person.user_id}`)
  assert.equal((await poll(started)).status, 'denied')
})

/** As a browser sends it. */
const get = (path: string, headers: Record<string, string> = {}) =>
  auth.devicePage(new Request(new URL(path, 'https://flow.example'), { headers }), t.platform, address)
const post = (fields: Record<string, string>, headers: Record<string, string> = { origin: 'https://flow.example' }) =>
  auth.devicePage(
    new Request('https://flow.example/device', { method: 'POST', body: new URLSearchParams(fields), headers }),
    t.platform,
    address,
  )

test('the page shows what asks, and approves with e-mail and password', async () => {
  const started = await start()
  const person = await t.newPerson()
  const shown = await get(`/device?user_code=${started.user_code}`)
  assert.equal(shown.status, 200)
  const text = await shown.text()
  for (const part of ['flow on laptop', '203.0.113.50', started.user_code]) assert.ok(text.includes(part), part)

  const fields = { user_code: started.user_code, action: 'approve', email: person.email, password: person.password }
  const approved = await post(fields)
  assert.equal(approved.status, 200)
  assert.ok((await approved.text()).includes(`flow on laptop is signed in as ${person.email}`))
  assert.equal((await poll(started)).tokens?.user.id, person.user_id)
  assert.ok((await (await get(`/device?user_code=${started.user_code}`)).text()).includes('There is no login request'))
})

test('the page turns away, refuses a wrong password, and slows guessing down like any sign-in', async () => {
  const started = await start()
  const person = await t.newPerson()
  const fields = { user_code: started.user_code, action: 'deny', email: person.email }
  const wrong = await post({ ...fields, password: 'a wrong password' })
  assert.equal(wrong.status, 401)
  assert.ok((await wrong.text()).includes('role="alert"'))
  assert.equal((await post({ ...fields, password: person.password })).status, 200)
  assert.equal((await poll(started)).status, 'denied')

  const next = await start()
  const guess = () =>
    post({ ...fields, user_code: next.user_code, action: 'approve', email: 'guess@example.com', password: 'x' })
  for (let i = 0; i < 5; i += 1) assert.equal((await guess()).status, 401)
  const slowed = await guess()
  assert.equal(slowed.status, 429)
  assert.equal(slowed.headers.get('retry-after'), '1')
})

test('a form from another site is refused', async () => {
  const started = await start()
  const person = await t.newPerson()
  const fields = { user_code: started.user_code, action: 'approve', email: person.email, password: person.password }
  const others: Record<string, string>[] = [
    {},
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { origin: 'http://flow.example' },
    { origin: 'https://flow.example', 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ]
  for (const headers of others) assert.equal((await post(fields, headers)).status, 403, JSON.stringify(headers))
  assert.equal((await poll(started)).status, 'pending')
  assert.equal((await post(fields, { 'sec-fetch-site': 'same-origin' })).status, 200)
})

test('the page runs nothing, is framed by nobody, and shows names as text', async () => {
  const hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
  const started = await auth.startCliLogin(t.stranger(), { client_name: hostile })
  const pages = [
    await get(`/device?user_code=${started.user_code}`),
    await get(`/device?user_code=${encodeURIComponent(hostile)}`),
    await post({ user_code: started.user_code, action: 'approve', email: hostile, password: 'x' }),
    await post({ user_code: hostile, action: hostile, email: hostile }),
    await get('/device'),
  ]
  for (const page of pages) {
    const text = await page.text()
    assert.ok(!/<script|<img|onerror=alert\(1\)>/.test(text), text)
    const policy = page.headers.get('content-security-policy') ?? ''
    for (const rule of ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      assert.ok(policy.includes(rule), rule)
    }
    assert.ok(!policy.includes('unsafe'))
    assert.equal(page.headers.get('cache-control'), 'no-store')
    assert.equal(page.headers.get('referrer-policy'), 'no-referrer')
  }
})

test('other methods, other bodies and endless forms are refused', async () => {
  const at = 'https://flow.example/device'
  const headers = { origin: 'https://flow.example' }
  const ask = (init: RequestInit) => auth.devicePage(new Request(at, { headers, ...init }), t.platform, address)
  assert.equal((await ask({ method: 'DELETE' })).status, 405)
  assert.equal(
    (await ask({ method: 'POST', body: '{}', headers: { ...headers, 'content-type': 'application/json' } })).status,
    415,
  )
  assert.equal((await ask({ method: 'POST', body: new URLSearchParams({ x: 'y'.repeat(9000) }) })).status, 413)
})

test('a network that asks for the page without end is told to wait', async () => {
  const ask = async (from: string) =>
    (await auth.devicePage(new Request('https://flow.example/device'), t.platform, from)).status
  const statuses = await Promise.all(Array.from({ length: 121 }, (_, i) => ask(`2001:db8:7:7::${i.toString(16)}`)))
  assert.equal(statuses.filter((status) => status === 429).length, 1)
  assert.equal(await ask('2001:db8:7:8::1'), 200)
})
