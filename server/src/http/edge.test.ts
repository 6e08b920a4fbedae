import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem } from '@flow/contract/common'
import { newOrganization, testFlow } from '../testing.ts'

await testFlow({ FLOW_CORS_ORIGINS: 'https://console.example' })

const JSON_TYPE = { 'content-type': 'application/json' }
const block = (slug: string) => ({
  type: 'code_block',
  name: slug,
  slug,
  config: { language: 'javascript', code: 'export const main = () => 1' },
})

async function asking() {
  const { fetch } = await testFlow()
  const { admin, organization_id } = await newOrganization()
  const headers = { 'x-api-key': admin.api_key }
  const post = (body: unknown, more: Record<string, string> = {}, path = '/api/v1/components') =>
    fetch(path, {
      method: 'POST',
      headers: { ...headers, ...JSON_TYPE, ...more },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return { fetch, headers, post, admin, organization_id }
}

const problem = async (response: Response) => (await response.json()) as Problem

test('a request id that is sent comes back, in the answer and in a refusal; else one is made', async () => {
  const { fetch, headers } = await asking()
  const id = crypto.randomUUID()

  const good = await fetch('/api/v1/components', { headers: { ...headers, 'x-request-id': id } })
  const bad = await fetch('/api/v1/nothing', { headers: { ...headers, 'x-request-id': id } })
  const made = await fetch('/api/v1/components', { headers: { ...headers, 'x-request-id': 'not a uuid' } })

  assert.equal(good.headers.get('x-request-id'), id)
  assert.equal(bad.headers.get('x-request-id'), id)
  assert.equal((await problem(bad)).request_id, id)
  assert.match(made.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
})

test('the key wins when a key and a token are sent', async () => {
  const { fetch, headers } = await asking()

  const both = await fetch('/api/v1/components', { headers: { ...headers, authorization: 'Bearer nonsense' } })
  const wrongKey = await fetch('/api/v1/components', {
    headers: { 'x-api-key': 'fl_wrong', authorization: `Bearer ${headers['x-api-key']}` },
  })
  const asBearer = await fetch('/api/v1/components', { headers: { authorization: `Bearer ${headers['x-api-key']}` } })

  assert.equal(both.status, 200)
  assert.equal(wrongKey.status, 401)
  assert.equal(asBearer.status, 200)
})

test('a refusal can be had as problem+json', async () => {
  const { fetch, headers } = await asking()

  const response = await fetch('/api/v1/components?limit=101', {
    headers: { ...headers, accept: 'application/problem+json' },
  })

  assert.equal(response.status, 422)
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/)
  const body = (await response.json()) as Problem & { status: number; title: string; detail: string }
  assert.equal(body.status, 422)
  assert.equal(body.title, 'VALIDATION_ERROR')
  assert.equal(body.details[0]?.field, 'limit')
})

test('bodies that are not JSON objects are refused before anything looks at them', async () => {
  const { post, fetch, headers } = await asking()
  const deep = `${'{"a":'.repeat(70)}1${'}'.repeat(70)}`

  assert.equal((await post('{"name":')).status, 400)
  assert.equal((await post('[1,2]')).status, 400)
  assert.equal((await post('null')).status, 400)
  assert.equal((await post(deep)).status, 400)
  assert.equal((await post('{"__proto__":{"admin":true}}')).status, 400)
  assert.equal((await post('{"name":"a\\u0000b"}')).status, 400)
  assert.equal((await post('{"name":"\\ud800"}')).status, 400)
  assert.equal((await post('{"config":{"list":[1e400]}}')).status, 400)
  assert.equal((await post('{"config":-1e400}')).status, 400)
  assert.equal((await post({ ...block('spelt-out'), name: '\\ud800 and \\u0000 spelt out' })).status, 201)
  assert.equal(
    (await post(JSON.stringify({ ...block('pair'), name: '\u{1f600}' }).replace('\u{1f600}', '\\ud83d\\ude00'))).status,
    201,
  )
  assert.equal((await post('{}', { 'content-type': 'text/plain' })).status, 415)
  assert.equal((await post('{}', { 'content-encoding': 'gzip' })).status, 415)
  assert.equal((await post(`{"a":"${'x'.repeat(1_048_576)}"}`)).status, 413)
  const notUtf8 = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])
  const broken = await fetch('/api/v1/components', {
    method: 'POST',
    headers: { ...headers, ...JSON_TYPE },
    body: notUtf8,
  })
  assert.equal(broken.status, 400)
})

test('unknown fields and unknown parameters are refused by name', async () => {
  const { post, fetch, headers } = await asking()

  const body = await problem(await post({ ...block('extra'), colour: 'red' }))
  const query = await problem(await fetch('/api/v1/components?colour=red', { headers }))
  const sort = await problem(await fetch('/api/v1/components?sort=config', { headers }))

  assert.deepEqual(
    body.details.map(({ field }) => field),
    ['colour'],
  )
  assert.deepEqual(
    query.details.map(({ field }) => field),
    ['colour'],
  )
  assert.deepEqual(
    sort.details.map(({ field }) => field),
    ['sort'],
  )
})

test('a single fault names its field in the message, too', async () => {
  const { post } = await asking()

  const { message } = await problem(await post({ ...block('alone'), name: 'x'.repeat(201) }))

  assert.equal(message, '"name" must have at most 200 characters; it has 201.')
})

test('what is sent in the wrong place and what is wrong are refused together', async () => {
  const { post } = await asking()

  const { details } = await problem(
    await post({ ...block('both'), component_id: 'x', name: 3 }, {}, '/api/v1/components?limit=3'),
  )

  assert.deepEqual(details.map(({ field }) => field).sort(), ['component_id', 'limit', 'name'])
})

test('a method that a path does not have is answered with those it has', async () => {
  const { fetch, headers } = await asking()

  const response = await fetch('/api/v1/components', { method: 'DELETE', headers })

  assert.equal(response.status, 405)
  assert.equal(response.headers.get('allow'), 'GET, HEAD, POST')
  assert.equal((await problem(response)).code, 'METHOD_NOT_ALLOWED')
})

test('HEAD answers as GET does, without the body', async () => {
  const { fetch, post, headers } = await asking()
  const component = (await post(block('headed'))).headers.get('location') ?? ''
  const places = [component, '/api/v1/components?limit=1', '/api/v1/openapi.json', '/docs', '/docs/start.js']
  const refused = ['/api/v1/components?limit=101', '/api/v1/components/seven', '/api/v1/nothing', '/metrics']
  const ofOne = new Set(['x-request-id', 'ratelimit', 'date'])
  const told = ({ status, headers: all }: Response) => [status, [...all].filter(([name]) => !ofOne.has(name))]

  for (const place of [...places, ...refused, '/healthz', '/readyz', '/.well-known/jwks.json']) {
    const get = await fetch(place, { headers })
    const head = await fetch(place, { method: 'HEAD', headers })

    assert.deepEqual(told(head), told(get), place)
    assert.equal(await head.text(), '')
  }
  assert.equal((await fetch(component, { method: 'HEAD' })).status, 401)
})

test('HEAD of a stream ends at once', async () => {
  const { fetch, headers, admin } = await asking()
  const made = await admin.client.workflows.create({
    name: 'Rests',
    slug: 'rests',
    nodes: [{ id: 'pause', type: 'wait', seconds: 86_400 }],
  })
  const { id } = await admin.client.workflows.execute({ workflow_id: made.id })

  const head = await fetch(`/api/v1/workflows/${made.id}/executions/${id}/events`, { method: 'HEAD', headers })

  assert.equal(head.status, 200)
  assert.equal(head.headers.get('content-type'), 'text/event-stream')
  assert.equal(await head.text(), '')
})

test('what is made is told with its place, and its place answers', async () => {
  const { post, fetch, headers } = await asking()

  const made = await post(block('placed'))

  assert.equal(made.status, 201)
  const { id } = (await made.json()) as { id: string }
  assert.equal(made.headers.get('location'), `/api/v1/components/${id}`)
  assert.equal((await fetch(made.headers.get('location') ?? '', { headers })).status, 200)
})

test('pages link to each other', async () => {
  const { post, fetch, headers } = await asking()
  for (const slug of ['page-a', 'page-b', 'page-c']) await post(block(slug))

  const first = await fetch('/api/v1/components?limit=1&tag=none&type=code_block', { headers })
  const middle = await fetch('/api/v1/components?limit=1&offset=1&type=code_block', { headers })

  assert.equal(first.headers.get('link'), null)
  assert.equal(
    middle.headers.get('link'),
    '</api/v1/components?limit=1&offset=2&type=code_block>; rel="next", </api/v1/components?limit=1&offset=0&type=code_block>; rel="prev"',
  )
})

test('the same idempotency key and body do the work once', async () => {
  const { post } = await asking()
  const key = { 'idempotency-key': 'order-1' }

  const first = await post(block('once'), key)
  const again = await post(block('once'), key)
  const other = await post(block('other'), key)

  assert.equal(first.status, 201)
  assert.equal(again.status, 201)
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  assert.equal(again.headers.get('location'), first.headers.get('location'))
  assert.deepEqual(await again.json(), await first.json())
  assert.equal(other.status, 422)
  assert.equal((await problem(other)).details[0]?.field, 'Idempotency-Key')
})

test('of many with the same key at once, one does the work and nobody does it again', async () => {
  const { post, fetch, headers } = await asking()

  const answers = await Promise.all(
    Array.from({ length: 8 }, () => post(block('raced'), { 'idempotency-key': 'race' })),
  )

  for (const { status } of answers) assert.ok(status === 201 || status === 409, String(status))
  assert.ok(answers.some(({ status }) => status === 201))
  const list = (await (await fetch('/api/v1/components?search=raced', { headers })).json()) as { total: number }
  assert.equal(list.total, 1)
})

test('a refused request leaves its idempotency key free', async () => {
  const { post } = await asking()
  const key = { 'idempotency-key': 'again' }

  const refused = await post({ ...block('free'), slug: 'Not A Slug' }, key)
  const accepted = await post(block('free'), key)

  assert.equal(refused.status, 422)
  assert.equal(accepted.status, 201)
})

test("somebody else's idempotency key is not mine", async () => {
  const one = await asking()
  const two = await asking()
  const key = { 'idempotency-key': 'shared-words' }

  const mine = await one.post(block('mine'), key)
  const theirs = await two.post(block('mine'), key)

  assert.equal(theirs.headers.get('idempotent-replayed'), null)
  assert.notEqual(theirs.headers.get('location'), mine.headers.get('location'))
})

test('an idempotency key is forgotten after a day', async () => {
  const { post } = await asking()
  const { clock } = await testFlow()
  const key = { 'idempotency-key': 'daily' }
  await post(block('today'), key)
  clock.advance(24 * 3600 + 1)

  const next = await post(block('tomorrow'), key)

  assert.equal(next.status, 201)
  assert.equal(next.headers.get('idempotent-replayed'), null)
})

test('a representation has a tag, and is not sent again to who has it', async () => {
  const { post, fetch, headers } = await asking()
  const location = (await post(block('tagged'))).headers.get('location') ?? ''
  const first = await fetch(location, { headers })
  const etag = first.headers.get('etag') ?? ''

  const same = await fetch(location, { headers: { ...headers, 'if-none-match': etag } })

  assert.match(etag, /^"[\w-]+"$/)
  assert.equal(same.status, 304)
  assert.equal(await same.text(), '')
})

test('a workspace of somebody else does not exist', async () => {
  const mine = await asking()
  const theirs = await newOrganization()

  const response = await mine.fetch('/api/v1/components', {
    headers: { ...mine.headers, 'x-workspace-id': theirs.workspace_id },
  })
  const malformed = await mine.fetch('/api/v1/components', { headers: { ...mine.headers, 'x-workspace-id': 'main' } })

  assert.equal(response.status, 404)
  assert.equal(malformed.status, 404)
})

test('an id that is none is not found', async () => {
  const { fetch, headers } = await asking()

  const response = await fetch('/api/v1/components/seven', { headers })

  assert.equal(response.status, 404)
  assert.match((await problem(response)).message, /component "seven"/)
})

test('a refusal of what cannot be stored is noted, too', async () => {
  const { fetch, headers } = await asking()

  const refused = await fetch('/api/v1/components/a%00b', { method: 'DELETE', headers })

  assert.equal(refused.status, 422)
  const read = await fetch('/api/v1/audit-events?outcome=failure', { headers })
  const { items } = (await read.json()) as { items: { request_id: string }[] }
  assert.equal(items[0]?.request_id, refused.headers.get('x-request-id'))
})

test('every write is noted with who, what and how it ended, under its request id', async () => {
  const { post, headers, fetch, admin } = await asking()
  const done = await post(block('noted'))
  const failed = await post(block('noted'))

  const read = await fetch('/api/v1/audit-events?resource_type=component&order=asc', { headers })

  const { items } = (await read.json()) as {
    items: { outcome: string; request_id: string; event_type: string; metadata: { code?: string } }[]
  }
  assert.deepEqual(
    items.map(({ outcome, event_type, request_id }) => [outcome, event_type, request_id]),
    [
      ['success', 'components.create', done.headers.get('x-request-id')],
      ['failure', 'components.create', failed.headers.get('x-request-id')],
    ],
  )
  assert.equal(items[1]?.metadata.code, 'CONFLICT')
  assert.ok(admin.user_id)
})

test('a caller who asks too often is told when to come back', async () => {
  const { openLimits } = await import('./limits.ts')
  const limits = openLimits({ rate_limit_per_minute: 3, sign_in_limit_per_minute: 1 })

  await limits.spend('somebody', 'actor')
  await limits.spend('somebody', 'actor')
  await limits.spend('somebody', 'actor')

  await assert.rejects(limits.spend('somebody', 'actor'), { code: 'RATE_LIMITED' })
  const left = await limits.spend('somebody else', 'actor')
  assert.deepEqual(left, { 'ratelimit-policy': '"actor";q=3;w=60', ratelimit: '"actor";r=2;t=60' })
})

test('an answer tells how much of the rate is left', async () => {
  const { fetch, headers } = await asking()

  const response = await fetch('/api/v1/components', { headers })

  assert.equal(response.headers.get('ratelimit-policy'), '"actor";q=1000000;w=60')
  assert.match(response.headers.get('ratelimit') ?? '', /^"actor";r=999999;t=\d+$/)
})

test('browsers of configured origins are let in, of others not', async () => {
  const { fetch, headers } = await asking()
  const console_origin = 'https://console.example'

  const ours = await fetch('/api/v1/components', { headers: { ...headers, origin: console_origin } })
  assert.equal(ours.headers.get('access-control-allow-origin'), console_origin)
  assert.match(ours.headers.get('access-control-expose-headers') ?? '', /X-Request-ID/)

  const preflight = await fetch('/api/v1/components', {
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'GET' },
  })

  assert.equal(preflight.headers.get('access-control-allow-origin'), null)
})

test('health tells how durable and how locked down this server is', async () => {
  const { fetch } = await asking()

  const health = (await (await fetch('/healthz')).json()) as { status: string; database: string; sandbox: unknown }
  const ready = await fetch('/readyz')
  const metrics = await fetch('/metrics')

  assert.equal(health.status, 'ok')
  assert.match(health.database, /^(embedded|postgres)$/)
  assert.ok(health.sandbox)
  assert.equal(ready.status, 200)
  assert.equal(metrics.status, 404)
})

test('the contract is served, and a page to browse it', async () => {
  const { fetch } = await asking()

  const openapi = (await (await fetch('/api/v1/openapi.json')).json()) as {
    openapi: string
    paths: Record<string, unknown>
  }
  const page = await fetch('/docs')

  assert.equal(openapi.openapi, '3.1.0')
  assert.ok(openapi.paths['/api/v1/components/{component_id}'])
  assert.match(await page.text(), /swagger-ui-bundle\.js/)
  assert.equal((await fetch('/docs/swagger-ui-bundle.js')).status, 200)
  assert.equal((await fetch('/docs/package.json')).status, 404)
})
