import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WebhookDelivery } from '@flow/contract/webhooks'
import type { PlatformClient } from '@flow/sdk'
import { Webhook } from 'standardwebhooks'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { run, until, workflow } from '../workflows/testing.ts'
import { isSignedBy, openReceiver, type Received } from './testing.ts'
import { forgetMessages } from './webhooks.ts'

const flow = testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const works = { nodes: [{ id: 'one', type: 'condition', condition: 'true' }] }
const fails = { nodes: [{ id: 'one', type: 'condition', condition: '1 / 0 > 1' }] }
const rests = { nodes: [{ id: 'one', type: 'wait', seconds: 86_400 }] }

const types = (received: Received[]) => received.map(({ type }) => type).sort()

const settled = (alice: PlatformClient, { id, subscription_id }: WebhookDelivery): Promise<WebhookDelivery> =>
  until(
    () => alice.webhooks.getDelivery({ subscription_id, delivery_id: id }),
    ({ status }) => status !== 'pending',
  )

const attempted = (alice: PlatformClient, { id, subscription_id }: WebhookDelivery, count: number) =>
  until(
    () => alice.webhooks.getDelivery({ subscription_id, delivery_id: id }),
    ({ attempts }) => attempts.length >= count,
  )

test('what an execution becomes is told to whoever subscribed, once each, and signed', async () => {
  const { alice, workspace_id, organization_id } = await newOrganization()
  const receiver = await openReceiver()
  const { secret, id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['workflow.*'] })

  const good = await run(alice, works)
  const bad = await run(alice, fails)
  await receiver.count(4)
  const { items } = await until(
    () => alice.webhooks.listDeliveries({ subscription_id, status: 'delivered' }),
    ({ total }) => total === 4,
  )

  assert.deepEqual(types(receiver.received), [
    'workflow.completed',
    'workflow.failed',
    'workflow.started',
    'workflow.started',
  ])
  for (const { body, headers } of receiver.received) new Webhook(secret).verify(body, headers)
  assert.deepEqual(
    receiver.received.map(({ headers }) => headers['webhook-id']).sort(),
    items.map(({ id }) => id).sort(),
  )
  const completed = receiver.received.find(({ type }) => type === 'workflow.completed')
  const { slug } = await alice.workflows.get({ workflow_id: good.workflow_id })
  const { by } = good.trigger
  assert.deepEqual(completed?.data, {
    execution_id: good.id,
    workflow_id: good.workflow_id,
    workflow_slug: slug,
    workspace_id,
    status: 'completed',
    error: null,
    started_at: good.started_at,
    waiting_until: null,
    completed_at: good.completed_at,
    trigger: { type: 'manual', by },
  })
  const failed = receiver.received.find(({ type }) => type === 'workflow.failed')
  assert.deepEqual(failed?.data.error, bad.error)
  const { database } = (await flow).platform
  const left = await database.platform.many(sql`select from platform_events where organization_id = ${organization_id}`)
  assert.equal(left.length, 0)
})

test('a rest and a cancel are told, too', async () => {
  const { alice } = await newOrganization()
  const receiver = await openReceiver()
  await alice.webhooks.create({ url: receiver.url, events: ['workflow.waiting', 'workflow.cancelled'] })
  const { id: workflow_id } = await workflow(alice, rests)
  const { id: execution_id } = await alice.workflows.execute({ workflow_id })

  const [waiting] = await receiver.count(1)
  await until(
    () => alice.workflows.getExecution({ workflow_id, execution_id }),
    ({ status }) => status === 'waiting',
  )
  await alice.workflows.cancelExecution({ workflow_id, execution_id })
  const [, cancelled] = await receiver.count(2)

  assert.equal(waiting?.type, 'workflow.waiting')
  assert.equal(typeof waiting?.data.waiting_until, 'string')
  assert.equal(cancelled?.type, 'workflow.cancelled')
  assert.equal(cancelled?.data.status, 'cancelled')
  assert.equal(typeof cancelled?.data.completed_at, 'string')
})

test('a subscription hears what it asked for: its types, and its workspace', async () => {
  const { alice, organization_id } = await newOrganization()
  const receiver = await openReceiver()
  const [failures, elsewhere, versions] = ['failures', 'elsewhere', 'versions'].map((path) => `${receiver.url}/${path}`)
  const other = await alice.organizations.createWorkspace({ name: 'Other', slug: 'other' })
  await alice.webhooks.create({ url: failures ?? '', events: ['workflow.failed', 'workflow.failed'] })
  await alice.webhooks.create({
    url: elsewhere ?? '',
    events: ['*'],
    workspace_id: other.id,
    tenant_id: organization_id,
  })
  await alice.webhooks.create({ url: versions ?? '', events: ['component.*'] })

  const { id, slug } = await workflow(alice, fails)
  await alice.components.publish({ component_id: id })
  await alice.workflows.execute({ workflow_id: id }, { wait: 30 })
  await receiver.count(2)
  // Whatever else would come was handed on with these.
  const { items } = await alice.webhooks.list()
  const pages = await Promise.all(items.map((each) => alice.webhooks.listDeliveries({ subscription_id: each.id })))

  assert.deepEqual(
    pages.map(({ total }) => total),
    [1, 0, 1],
  )
  const published = receiver.received.find(({ type }) => type === 'component.published')
  assert.equal(published?.path, '/hook/versions')
  assert.equal(published?.data.slug, slug)
  assert.deepEqual(types(receiver.received), ['component.published', 'workflow.failed'])
})

test('where nobody listens, nothing is written', async () => {
  const { alice, organization_id } = await newOrganization()
  const { id: subscription_id } = await alice.webhooks.create({ url: 'https://hooks.invalid/', events: ['*'] })
  await alice.webhooks.remove({ subscription_id })
  const { database } = (await flow).platform
  const { seq } = await database.platform.one<{ seq: number }>(sql`select nextval('platform_events_seq_seq') as seq`)

  await run(alice, works)
  await run(alice, fails)

  const after = await database.platform.one<{ seq: number }>(sql`select nextval('platform_events_seq_seq') as seq`)
  assert.equal(after.seq, seq + 1)
  const interests = sql`select from event_interests where organization_id = ${organization_id}`
  assert.equal((await database.platform.many(interests)).length, 0)
})

test('a secret is shown once, is the one that was given, and has to be a strong one', async () => {
  const { alice } = await newOrganization()
  const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
  const made = await alice.webhooks.create({ url: 'https://example.com/', events: ['*'], secret })
  const generated = await alice.webhooks.create({ url: 'https://example.com/', events: ['*'] })

  assert.equal(made.secret, secret)
  assert.match(generated.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const shown = JSON.stringify([await alice.webhooks.get({ subscription_id: made.id }), await alice.webhooks.list()])
  assert.doesNotMatch(shown, /whsec_/)
  const { database } = (await flow).platform
  const { kept } = await database.platform.one<{ kept: string }>(
    sql`select row_to_json(s)::text as kept from webhook_subscriptions s where id = ${made.id}`,
  )
  assert.ok(!kept.includes(secret.slice(6)))
  for (const weak of ['whsec_', 'secret', `whsec_${Buffer.alloc(23).toString('base64')}`, 'whsec_not base64!']) {
    await assert.rejects(alice.webhooks.create({ url: 'https://example.com/', events: ['*'], secret: weak }), {
      code: 'VALIDATION_ERROR',
    })
  }
})

for (const url of [
  'http://example.com/hook',
  'https://10.1.2.3/hook',
  'https://169.254.169.254/latest/meta-data',
  'https://[::1]/hook',
  'https://[fd00::1]/hook',
  'https://0x0a000001/hook',
  'https://localhost/hook',
  'https://db.internal/hook',
  'https://user:password@example.com/hook',
  'ftp://example.com/hook',
  'nonsense',
]) {
  test(`an address is refused with its field: ${url}`, async () => {
    const { alice } = await newOrganization()
    const isAboutUrl = ({ code, details }: { code: string; details: { field: string }[] }) =>
      code === 'VALIDATION_ERROR' && details.length === 1 && details[0]?.field === 'url'

    await assert.rejects(alice.webhooks.create({ url, events: ['*'] }), isAboutUrl)
    const { id } = await alice.webhooks.create({ url: 'https://example.com/', events: ['*'] })
    await assert.rejects(alice.webhooks.update({ subscription_id: id, url }), isAboutUrl)
  })
}

test("another organization's workspace, organization or type of event is refused with its field", async () => {
  const { alice } = await newOrganization()
  const theirs = await newOrganization()
  const url = 'https://example.com/'
  const refusedFor = (field: string) => (error: { details: { field: string }[] }) => error.details[0]?.field === field

  const { workspace_id, organization_id: tenant_id } = theirs
  await assert.rejects(alice.webhooks.create({ url, events: ['*'], workspace_id }), refusedFor('workspace_id'))
  await assert.rejects(alice.webhooks.create({ url, events: ['*'], tenant_id }), refusedFor('tenant_id'))
  const events = ['workflow.nonsense'] as unknown as ['*']
  await assert.rejects(alice.webhooks.create({ url, events }), refusedFor('events[0]'))
})

test('a test is sent on request, and its delivery says what was answered', async () => {
  const { alice } = await newOrganization()
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(201).end(`\0${'ä'.repeat(5000)}`)
  const { id: subscription_id, secret } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })

  const sent = await alice.webhooks.test({ subscription_id })
  const { status, attempts, payload, next_attempt_at } = await settled(alice, sent)

  const [message] = receiver.received
  assert.ok(message && isSignedBy(secret, message))
  assert.equal(message.type, 'webhook.test')
  assert.deepEqual(payload, JSON.parse(message.body))
  assert.equal(status, 'delivered')
  assert.equal(next_attempt_at, null)
  assert.equal(attempts.length, 1)
  assert.equal(attempts[0]?.status_code, 201)
  assert.match(attempts[0]?.answer ?? '', /^\ufffdä{511}\ufffd?$/)
  const listed = await alice.webhooks.listDeliveries({ subscription_id, event_type: 'webhook.test' })
  assert.deepEqual(listed.items, [
    { ...sent, status, attempts, next_attempt_at, completed_at: listed.items[0]?.completed_at },
  ])
  assert.equal((await alice.webhooks.listDeliveries({ subscription_id, event_type: 'workflow.failed' })).total, 0)
})

test('a redirect is not followed', async () => {
  const { alice } = await newOrganization()
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(302, { location: '/elsewhere' }).end()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })

  const { attempts } = await attempted(alice, await alice.webhooks.test({ subscription_id }), 1)

  assert.equal(attempts[0]?.status_code, 302)
  assert.deepEqual(
    receiver.received.map(({ path }) => path),
    ['/hook'],
  )
})

test('after a rotation both secrets sign, for a day', async () => {
  const { alice } = await newOrganization()
  const { clock } = await flow
  const receiver = await openReceiver()
  const before = await alice.webhooks.create({ url: receiver.url, events: ['*'] })
  const subscription_id = before.id

  const after = await alice.webhooks.rotateSecret({ subscription_id })
  await settled(alice, await alice.webhooks.test({ subscription_id }))
  clock.advance(86_401)
  await settled(alice, await alice.webhooks.test({ subscription_id }))

  const signedBy = ({ secret }: { secret: string }) => receiver.received.map((each) => isSignedBy(secret, each))
  assert.notEqual(before.secret, after.secret)
  assert.deepEqual(signedBy(after), [true, true])
  assert.deepEqual(signedBy(before), [true, false])
})

test('a receiver that fails is tried ten times in three days, then no more; on request it is tried again', async () => {
  const { alice } = await newOrganization()
  const { clock, platform } = await flow
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(500).end('no')
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })

  let delivery = await alice.webhooks.test({ subscription_id })
  const pauses: number[] = []
  for (let count = 1; delivery.status === 'pending'; count += 1) {
    delivery = await attempted(alice, delivery, count)
    if (!delivery.next_attempt_at) break
    const pause = (Date.parse(delivery.next_attempt_at) - Date.parse(delivery.attempts[count - 1]?.at ?? '')) / 1000
    pauses.push(pause)
    clock.advance((Date.parse(delivery.next_attempt_at) - platform.clock.now().getTime()) / 1000)
  }

  const planned = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
  assert.equal(pauses.length, planned.length)
  for (const [i, pause] of pauses.entries()) {
    // A tenth more or less, and the moments that the attempt itself took.
    assert.ok(pause >= (planned[i] ?? 0) * 0.9 && pause < (planned[i] ?? 0) * 1.1 + 5, `pause ${i}: ${pause}`)
  }
  assert.equal(delivery.status, 'failed')
  assert.equal(delivery.attempts.length, 10)
  assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1)
  assert.ok((await alice.webhooks.get({ subscription_id })).failing_since)

  receiver.answer = (response) => response.end('yes')
  await alice.webhooks.resendDelivery({ subscription_id, delivery_id: delivery.id })
  const again = await settled(alice, delivery)
  assert.equal(again.status, 'delivered')
  assert.equal(again.attempts.length, 11)
  assert.equal(receiver.received.length, 11)
  assert.equal((await alice.webhooks.get({ subscription_id })).failing_since, null)
})

test('a receiver that has failed for five days is no longer called, until it is enabled', async () => {
  const { alice } = await newOrganization()
  const { clock } = await flow
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(503).end()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['workflow.failed'] })
  await attempted(alice, await alice.webhooks.test({ subscription_id }), 1)

  clock.advance(5 * 86_400)
  await attempted(alice, await alice.webhooks.test({ subscription_id }), 1)
  const disabled = await until(
    () => alice.webhooks.get({ subscription_id }),
    ({ enabled }) => !enabled,
  )
  await run(alice, fails)

  assert.match(disabled.disabled_reason ?? '', /five|5 days/)
  assert.equal((await alice.webhooks.listDeliveries({ subscription_id, event_type: 'workflow.failed' })).total, 0)
  await assert.rejects(alice.webhooks.test({ subscription_id }), { code: 'CONFLICT' })

  receiver.answer = (response) => response.end()
  const enabled = await alice.webhooks.update({ subscription_id, enabled: true })
  assert.equal(enabled.disabled_reason, null)
  await run(alice, fails)
  await until(
    () => alice.webhooks.listDeliveries({ subscription_id, event_type: 'workflow.failed', status: 'delivered' }),
    ({ total }) => total === 1,
  )
})

test('a receiver that is gone for good (410) is not called again', async () => {
  const { alice } = await newOrganization()
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(410).end()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['workflow.failed'] })

  const delivery = await settled(alice, await alice.webhooks.test({ subscription_id }))
  await run(alice, fails)

  const { enabled, disabled_reason } = await alice.webhooks.get({ subscription_id })
  assert.equal(delivery.status, 'failed')
  assert.equal(enabled, false)
  assert.match(disabled_reason ?? '', /410/)
  assert.equal((await alice.webhooks.listDeliveries({ subscription_id })).total, 1)
  await assert.rejects(alice.webhooks.resendDelivery({ subscription_id, delivery_id: delivery.id }), {
    code: 'CONFLICT',
  })
})

test('what becomes due while a subscription is disabled fails, and can be sent later to another address', async () => {
  const { alice } = await newOrganization()
  const { clock } = await flow
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(500).end()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })
  const sent = await attempted(alice, await alice.webhooks.test({ subscription_id }), 1)

  await alice.webhooks.update({ subscription_id, enabled: false })
  clock.advance(10)
  const failed = await settled(alice, sent)
  receiver.answer = (response) => response.end()
  await alice.webhooks.update({ subscription_id, enabled: true, url: `${receiver.url}/new` })
  await alice.webhooks.resendDelivery({ subscription_id, delivery_id: sent.id })
  const delivered = await settled(alice, sent)

  assert.equal(failed.status, 'failed')
  assert.match(failed.attempts[1]?.error ?? '', /disabled/)
  assert.equal(delivered.status, 'delivered')
  assert.equal(receiver.received.at(-1)?.path, '/hook/new')
})

test('a request to send again while an attempt is on its way is kept', async () => {
  const { alice } = await newOrganization()
  const receiver = await openReceiver()
  let release: (() => void) | undefined
  receiver.answer = (response) => {
    release = () => response.end('first')
  }
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })
  const sent = await alice.webhooks.test({ subscription_id })
  await receiver.count(1)

  await alice.webhooks.resendDelivery({ subscription_id, delivery_id: sent.id })
  receiver.answer = (response) => response.end('second')
  release?.()
  const { attempts } = await settled(alice, sent)

  assert.deepEqual(
    attempts.map(({ answer }) => answer),
    ['first', 'second'],
  )
})

test('a subscription that is deleted is not called for what was still to be sent', async () => {
  const { alice } = await newOrganization()
  const { clock, platform } = await flow
  const receiver = await openReceiver()
  receiver.answer = (response) => response.writeHead(500).end()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })
  const sent = await attempted(alice, await alice.webhooks.test({ subscription_id }), 1)

  await alice.webhooks.remove({ subscription_id })
  clock.advance(10)
  await until(
    () => platform.database.platform.many(sql`select from engine_timers where run_id = ${sent.id}`),
    (timers) => timers.length === 0,
  )

  await assert.rejects(alice.webhooks.get({ subscription_id }), { code: 'NOT_FOUND' })
  assert.equal(receiver.received.length, 1)
})

test('deliveries are forgotten after thirty days', async () => {
  const { alice } = await newOrganization()
  const { clock, platform } = await flow
  const receiver = await openReceiver()
  const { id: subscription_id } = await alice.webhooks.create({ url: receiver.url, events: ['*'] })
  await settled(alice, await alice.webhooks.test({ subscription_id }))
  clock.advance(29 * 86_400)
  const { id } = await settled(alice, await alice.webhooks.test({ subscription_id }))
  clock.advance(2 * 86_400)

  await forgetMessages(platform)

  const { items } = await alice.webhooks.listDeliveries({ subscription_id })
  assert.deepEqual(
    items.map((item) => item.id),
    [id],
  )
})

test('an organization has at most a hundred subscriptions', async () => {
  const { alice } = await newOrganization()
  const subscribe = () => alice.webhooks.create({ url: 'https://example.com/', events: ['*'] })
  for (let i = 0; i < 100; i += 1) await subscribe()

  await assert.rejects(subscribe(), { code: 'CONFLICT' })
})
