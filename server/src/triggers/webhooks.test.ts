import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { newOrganization, testFlow } from '../testing.ts'
import { until, workflow } from '../workflows/testing.ts'
import { call, echo, executionsOf } from './testing.ts'

test('a call starts an execution with what was sent, and is answered at once', async () => {
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: '/orders/new' })
  const { url } = await alice.triggers.get({ workflow_id: id })
  assert.match(url ?? '', new RegExp(`/hooks/${workspace_id}/orders/new$`))

  const answer = await call(workspace_id, 'orders/new?from=shop&tag=a&tag=b', {
    body: '{"order": 7}',
    headers: { 'x-github-event': 'push', authorization: 'Bearer secret', 'x-gitlab-token': 'secret', cookie: 'a=b' },
  })

  assert.equal(answer.status, 202)
  const execution_id = String(answer.body.execution_id)
  assert.deepEqual(answer.body, { execution_id, status: 'queued' })
  assert.equal(answer.headers.get('x-execution-id'), execution_id)
  const execution = await until(
    () => alice.workflows.getExecution({ workflow_id: id, execution_id }),
    ({ completed_at }) => completed_at !== null,
  )
  assert.deepEqual(execution.input, {
    method: 'POST',
    path: 'orders/new',
    query: { from: 'shop', tag: ['a', 'b'] },
    headers: { 'content-type': 'application/json', 'x-github-event': 'push' },
    body: { order: 7 },
  })
  assert.deepEqual(execution.trigger, { type: 'webhook', by: null })
})

test('a call can wait for the result', async () => {
  const { alice, workspace_id } = await newOrganization()
  const webhook = { path: 'sum', method: 'PUT', answer: 'result', input: '{{ request.body }}' }
  await echo(alice, 'webhook', webhook, { output: '{{ [input.a + input.b] }}' })

  const answer = await call(workspace_id, 'sum', { method: 'PUT', body: '{"a": 1, "b": 2}' })

  assert.equal(answer.status, 200)
  assert.deepEqual(answer.body, [3])
})

test('a result that takes too long is promised, one that does not come is told', async () => {
  const { alice, workspace_id } = await newOrganization()
  const answer = 'result'
  await workflow(alice, {
    trigger_type: 'webhook',
    trigger_config: { path: 'slow', answer, wait_seconds: 1 },
    nodes: [{ id: 'one', type: 'wait', seconds: 3600 }],
  })
  await echo(alice, 'webhook', { path: 'broken', answer }, { output: '{{ input.body.missing }}' })

  const slow = await call(workspace_id, 'slow')
  const broken = await call(workspace_id, 'broken', { body: '{}' })

  assert.equal(slow.status, 202)
  assert.equal(slow.body.status, 'waiting')
  assert.equal(broken.status, 502)
  assert.equal(broken.body.code, 'UPSTREAM_FAILED')
})

test('a body is JSON, a form or text, as its type says', async () => {
  const { alice, workspace_id } = await newOrganization()
  await echo(alice, 'webhook', { path: 'body', answer: 'result', input: '{{ request.body }}' })
  const cases: [string, string, unknown][] = [
    ['application/json', '[1, 2]', [1, 2]],
    ['application/vnd.shop+json; charset=utf-8', '"text"', 'text'],
    ['application/x-www-form-urlencoded', 'a=1&b=2&b=3', { a: '1', b: ['2', '3'] }],
    ['text/plain', '{"not": "read"}', '{"not": "read"}'],
    ['', '{"a": 1}', { a: 1 }],
    ['', 'just text', 'just text'],
    ['application/json', '', null],
  ]
  for (const [type, text, expected] of cases) {
    const body = new TextEncoder().encode(text)
    const headers: Record<string, string> = type === '' ? {} : { 'content-type': type }
    const { fetch } = await testFlow()

    const response = await fetch(`/hooks/${workspace_id}/body`, { method: 'POST', body, headers })

    assert.deepEqual(await response.json(), expected, `${type} ${text}`)
  }
})

test('what cannot be read is refused and starts nothing', async () => {
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'strict' })

  const crooked = await call(workspace_id, 'strict', { body: '{"a":' })
  const large = await call(workspace_id, 'strict', { body: JSON.stringify('x'.repeat(1_048_577)) })
  const packed = await call(workspace_id, 'strict', { body: '{}', headers: { 'content-encoding': 'gzip' } })
  const latin = await call(workspace_id, 'strict', { body: new Uint8Array([0xff, 0xfe]) })

  assert.deepEqual([crooked.status, large.status, packed.status, latin.status], [400, 413, 415, 400])
  assert.deepEqual(await executionsOf(alice, id), [])
})

test('a path answers its method alone, and an address without a webhook is not found', async () => {
  const { alice, workspace_id } = await newOrganization()
  const other = await newOrganization()
  await echo(alice, 'webhook', { path: 'things', method: 'GET' })
  await echo(alice, 'webhook', { path: 'things', method: 'DELETE' })

  const wrong = await call(workspace_id, 'things', { body: '{}' })

  assert.equal(wrong.status, 405)
  assert.equal(wrong.headers.get('allow'), 'DELETE, GET')
  assert.equal((await call(workspace_id, 'things', { method: 'GET' })).status, 202)
  for (const [place, path] of [
    [workspace_id, 'other'],
    [workspace_id, 'things/1'],
    [workspace_id, 'THINGS'],
    [other.workspace_id, 'things'],
    [randomUUID(), 'things'],
    ['not-an-id', 'things'],
  ] as const) {
    const lost = await call(place, path, { method: 'GET' })
    assert.equal(lost.status, 404, `${place} ${path}`)
    assert.equal(lost.body.code, 'NOT_FOUND')
    assert.ok(lost.headers.get('x-request-id'))
  }
})

test('a path with its method belongs to one workflow of the workspace', async () => {
  const { alice } = await newOrganization()
  const other = await newOrganization()
  const first = await echo(alice, 'webhook', { path: 'taken' })

  await assert.rejects(echo(alice, 'webhook', { path: 'taken' }), {
    code: 'CONFLICT',
    details: [{ field: 'trigger_config.path', message: 'It is taken.' }],
  })
  await echo(alice, 'webhook', { path: 'taken', method: 'PUT' })
  await echo(other.alice, 'webhook', { path: 'taken' })
  await alice.workflows.remove({ workflow_id: first.id })
  await echo(alice, 'webhook', { path: 'taken' })
})

test('a webhook that is switched off, replaced or deleted is not there', async () => {
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'first' })
  await alice.components.publish({ component_id: id })
  await alice.workflows.update({ workflow_id: id, trigger_config: { path: 'second' } })
  const statusesOf = async () => {
    const answers = await Promise.all(['first', 'second'].map((path) => call(workspace_id, path)))
    return answers.map(({ status }) => status)
  }

  assert.deepEqual(await statusesOf(), [202, 404], 'the draft is not armed where something is published')
  await alice.components.publish({ component_id: id })
  assert.deepEqual(await statusesOf(), [404, 202])
  await alice.workflows.update({ workflow_id: id, trigger_config: { path: 'second', enabled: false } })
  await alice.components.publish({ component_id: id })
  assert.deepEqual(await statusesOf(), [404, 404])
})

test('a call signed by the Standard Webhooks rules is taken, and every other is refused alike', async () => {
  const { clock } = await testFlow()
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'signed', signature: 'standard' })
  const body = '{"amount": 100}'
  const signedBy = (secret: string, seconds_ago = 0, sent = body) => {
    const id = `msg_${randomUUID()}`
    const at = new Date(clock.now().getTime() - seconds_ago * 1000)
    const timestamp = String(Math.floor(at.getTime() / 1000))
    const signature = new Webhook(secret).sign(id, at, sent)
    return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,bm8= v1a,bm8= ${signature}` }
  }
  const { secret } = await alice.triggers.setSecret({ workflow_id: id })
  assert.match(secret, /^whsec_/)
  assert.equal((await alice.triggers.get({ workflow_id: id })).has_secret, true)

  const good = await call(workspace_id, 'signed', { body, headers: signedBy(secret) })
  assert.equal(good.status, 202)
  const bad: [string, Record<string, string>, string][] = [
    ['another secret', signedBy(`whsec_${Buffer.alloc(32, 1).toString('base64')}`), body],
    ['another body', signedBy(secret), '{"amount": 1000}'],
    ['another id', { ...signedBy(secret), 'webhook-id': 'msg_other' }, body],
    [
      'another time',
      { ...signedBy(secret), 'webhook-timestamp': String(Math.floor(clock.now().getTime() / 1000) + 1) },
      body,
    ],
    ['too old', signedBy(secret, 301), body],
    ['from the future', signedBy(secret, -400), body],
    ['no signature', { 'webhook-id': 'msg_1', 'webhook-timestamp': '1' }, body],
    ['an empty signature', { ...signedBy(secret), 'webhook-signature': 'v1,' }, body],
    ['nothing at all', {}, body],
  ]
  const messages = new Set<unknown>()
  for (const [why, headers, sent] of bad) {
    const answer = await call(workspace_id, 'signed', { body: sent, headers })
    assert.equal(answer.status, 401, why)
    messages.add(answer.body.message)
  }

  assert.equal(messages.size, 1, 'the caller learns nothing of why')
  assert.match((await alice.triggers.get({ workflow_id: id })).last_error?.message ?? '', /is missing/)
  assert.equal((await executionsOf(alice, id)).length, 1)
})

test('without a secret no signature is good, and a new secret ends the old one', async () => {
  const { clock } = await testFlow()
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'guarded', signature: 'standard' })
  const headersOf = (secret: string) => {
    const at = clock.now()
    const signature = new Webhook(secret).sign('msg_1', at, '')
    return {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': signature,
    }
  }
  const guess = `whsec_${Buffer.alloc(32).toString('base64')}`
  assert.equal((await call(workspace_id, 'guarded', { headers: headersOf(guess) })).status, 401)

  const first = await alice.triggers.setSecret({ workflow_id: id })
  const second = await alice.triggers.setSecret({ workflow_id: id })

  assert.equal((await call(workspace_id, 'guarded', { headers: headersOf(first.secret) })).status, 401)
  assert.equal((await call(workspace_id, 'guarded', { headers: headersOf(second.secret) })).status, 202)
  for (const secret of ['whsec_short', 'whsec_not base64 at all, and long enough', 'short']) {
    await assert.rejects(alice.triggers.setSecret({ workflow_id: id, secret }), { code: 'VALIDATION_ERROR' })
  }
})

test("GitHub's own example of a signature is good", async () => {
  // docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'github', signature: 'hmac_sha256' })
  await alice.triggers.setSecret({ workflow_id: id, secret: "It's a Secret to Everybody" })
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  const headers = { 'x-hub-signature-256': signature, 'content-type': 'text/plain' }

  assert.equal((await call(workspace_id, 'github', { body: 'Hello, World!', headers })).status, 202)
  assert.equal((await call(workspace_id, 'github', { body: 'Hello, World?', headers })).status, 401)
  const sha1 = { ...headers, 'x-hub-signature-256': signature.replace('sha256', 'sha1') }
  assert.equal((await call(workspace_id, 'github', { body: 'Hello, World!', headers: sha1 })).status, 401)
  assert.deepEqual((await executionsOf(alice, id))[0]?.input, {
    method: 'POST',
    path: 'github',
    query: {},
    headers: { 'content-type': 'text/plain' },
    body: 'Hello, World!',
  })
})

test('a delivery that comes again is answered as the first time and starts nothing', async () => {
  const { clock } = await testFlow()
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'again', id_header: 'X-GitHub-Delivery' })
  const sent = { body: '{}', headers: { 'x-github-delivery': 'one' } }

  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => call(workspace_id, 'again', sent)))
  const later = await call(workspace_id, 'again', sent)

  assert.equal(new Set([...answers, later].map(({ body }) => JSON.stringify(body))).size, 1)
  const [execution, ...more] = await executionsOf(alice, id)
  assert.deepEqual(more, [])
  assert.equal(execution?.trigger.delivery_id, 'one')
  await call(workspace_id, 'again', { ...sent, headers: { 'x-github-delivery': 'two' } })
  assert.equal((await executionsOf(alice, id)).length, 2)
  clock.advance(86_401)
  await call(workspace_id, 'again', sent)
  assert.equal((await executionsOf(alice, id)).length, 3, 'after a day it is not known any longer')
})

test('what was signed with its time is known again under another name', async () => {
  const { clock } = await testFlow()
  const { alice, workspace_id } = await newOrganization()
  const webhook = { path: 'timed', signature: 'hmac_sha256', timestamp_header: 'x-time', id_header: 'x-id' }
  const { id } = await echo(alice, 'webhook', { ...webhook, header: 'X-Signature' })
  const { secret } = await alice.triggers.setSecret({ workflow_id: id })
  const headersOf = (name: string, seconds_ago = 0) => {
    const time = String(Math.floor(clock.now().getTime() / 1000) - seconds_ago)
    const hex = createHmac('sha256', secret).update(`${time}.{}`).digest('hex')
    return { 'x-time': time, 'x-id': name, 'x-signature': `sha256=${hex}` }
  }
  const first = headersOf('first')

  const answer = await call(workspace_id, 'timed', { body: '{}', headers: first })
  const renamed = await call(workspace_id, 'timed', { body: '{}', headers: { ...first, 'x-id': 'second' } })
  const old = await call(workspace_id, 'timed', { body: '{}', headers: headersOf('third', 301) })
  const moved = await call(workspace_id, 'timed', {
    body: '{}',
    headers: { ...first, 'x-time': `${first['x-time']}0` },
  })

  assert.equal(answer.status, 202)
  assert.deepEqual(renamed.body, answer.body)
  assert.deepEqual([old.status, moved.status], [401, 401])
  assert.equal((await executionsOf(alice, id)).length, 1)
})

test('a call that cannot start anything leaves no delivery behind and says why', async () => {
  const { alice, workspace_id } = await newOrganization()
  const input_schema = { type: 'object', required: ['name'] }
  const webhook = { path: 'checked', id_header: 'x-id', input: '{{ request.body }}' }
  const { id } = await echo(alice, 'webhook', webhook, { input_schema })
  const headers = { 'x-id': 'one' }

  const refused = await call(workspace_id, 'checked', { body: '{}', headers })
  assert.equal(refused.status, 422)
  assert.equal((await alice.triggers.get({ workflow_id: id })).last_error?.code, 'VALIDATION_ERROR')
  const taken = await call(workspace_id, 'checked', { body: '{"name": "Ada"}', headers })

  assert.equal(taken.status, 202)
  assert.equal((await alice.triggers.get({ workflow_id: id })).last_error, null)
})

test('what a webhook did stands in the audit log, in the name of the platform', async () => {
  const { alice, workspace_id } = await newOrganization()
  const { id } = await echo(alice, 'webhook', { path: 'noted' })

  const { body } = await call(workspace_id, 'noted')

  const { items } = await alice.audit.list({ resource_id: id })
  const noted = items.find(({ action }) => action === 'fire')
  assert.equal(noted?.actor_kind, 'system')
  assert.equal(noted?.outcome, 'success')
  assert.equal(noted?.metadata.execution_id, body.execution_id)
})

test('who keeps guessing addresses is refused for a while', async () => {
  const { fetch } = await testFlow()
  const guess = () => fetch(`/hooks/${randomUUID()}/secret`, { method: 'POST' })
  let response = await guess()
  for (let tries = 0; response.status === 404 && tries < 100; tries++) response = await guess()

  assert.equal(response.status, 429)
  assert.ok(response.headers.get('retry-after'))
})
