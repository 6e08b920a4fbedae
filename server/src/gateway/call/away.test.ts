/** What goes on when the rest of the platform does not: without the database, and while the server stops. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authenticate, login } from '../../auth/auth.ts'
import { openAuthTest } from '../../auth/testing.ts'
import { openAccount } from '../../billing/billing.ts'
import type { Platform } from '../../context.ts'
import { mintKey } from '../../keys/keys.ts'
import { openTelemetry } from '../../telemetry/telemetry.ts'
import { PREFIX } from '../front/front.ts'
import { openPlane } from '../open.ts'
import type { Ticket } from '../policies/policy.ts'

const t = await openAuthTest()
const { signal: stopping } = new AbortController()
const telemetry = openTelemetry({ ...t.platform, config: { otlp_headers: {} } })
const platform: Platform = { ...t.platform, stopping, telemetry }

/** A member's key. */
async function newKey(person?: Awaited<ReturnType<typeof t.newPerson>>): Promise<string> {
  const { email, password, organization_id } = person ?? (await t.newPerson('admin'))
  if (!person) await openAccount(platform.database.of(organization_id), organization_id, t.clock.now().toISOString())
  const { access_token } = await login(t.stranger(), { email, password })
  const actor = await authenticate(platform, { bearer: access_token, address: '198.51.100.7' })
  return (await mintKey(t.contextOf(actor), { name: 'key' })).key
}

const ticketOf = (): Ticket => ({
  output_tokens_max: null,
  headers: {},
  allows: () => true,
  covers: () => true,
  settle: () => ({ nanocredits: 0 }),
})
const journal = { note: () => {} }
const governor = { admit: ticketOf }

const say = (script: object, more: object = {}) => ({
  model: 'flow/scripted',
  messages: [{ role: 'user', content: JSON.stringify(script) }],
  ...more,
})
const request = (key: string, body: object, headers: Record<string, string> = {}) =>
  new Request(`http://flow.test${PREFIX}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
  })

test('a stream that is under way when the server stops ends with an error', async () => {
  const plane = openPlane(platform, { governor, journal, noted: () => {}, spend: async () => ({}) })
  const key = await newKey()
  const response = await plane.respond(request(key, say({ say: 'a b c', hang_after: 2 }, { stream: true })))
  await plane.close()
  assert.match(await response.text(), /"content":"a "[\s\S]*This server is stopping/)
})

test('without the database whoever was known goes on calling, and others are asked to come again', async () => {
  const [known, unknown] = [await newKey(), await newKey()]
  const plane = openPlane(platform, { governor, journal, noted: () => {}, spend: async () => ({}) })
  const status = async (key: string) => (await plane.respond(request(key, say({ say: 'x' })))).status
  assert.equal(await status(known), 200)
  await platform.database.close()

  assert.equal(await status(known), 200)
  t.clock.at.setSeconds(t.clock.at.getSeconds() + 30)
  assert.equal(await status(known), 200)
  assert.equal(await status(unknown), 503)
  const kept = await plane.respond(request(known, say({ say: 'x' }), { 'idempotency-key': 'once' }))
  assert.equal(kept.status, 503)
  t.clock.at.setSeconds(t.clock.at.getSeconds() + 300)
  assert.equal(await status(known), 503)
  await plane.close()
})
