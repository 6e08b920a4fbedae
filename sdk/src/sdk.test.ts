/** The client against a real HTTP server that misbehaves as networks do. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  CLIClient,
  FlowConnectionError,
  FlowError,
  FlowSDK,
  FlowTimeoutError,
  GatewayClient,
  loadConfig,
  PlatformClient,
  saveConfig,
} from './sdk.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string }

/** Answers each request with the next of these, the last one for ever, and remembers what it saw. */
async function serverWith(t: TestContext, ...answers: Answer[]) {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
    answers[Math.min(seen.length, answers.length) - 1]?.(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { seen, base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
const refusal = (status: number, code: string, headers: Record<string, string> = {}) =>
  json(status, { code, message: 'No.', details: [{ field: 'name', message: 'Too long.' }], request_id: 'r-1' }, headers)
const events =
  (text: string, breaks = false): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(text)
    if (breaks) return setTimeout(() => response.destroy(), 20)
    return response.end()
  }
const me = { id: 'u-1', email: 'ada@example.com' }
const ids = { workflow_id: 'w-1', execution_id: 'e-1' }

test('a refusal is thrown with its code, its fields and its request id', async (t) => {
  const { base_url } = await serverWith(t, refusal(409, 'CONFLICT'))

  await assert.rejects(new PlatformClient({ base_url }).users.me(), (error) => {
    assert.ok(error instanceof FlowError)
    assert.equal(error.code, 'CONFLICT')
    assert.equal(error.status, 409)
    assert.equal(error.request_id, 'r-1')
    assert.deepEqual(error.details, [{ field: 'name', message: 'Too long.' }])
    return true
  })
})

test('a refusal for now is tried again, after the time that the server names', async (t) => {
  const { base_url, seen } = await serverWith(
    t,
    refusal(429, 'RATE_LIMITED', { 'retry-after': '1' }),
    refusal(503, 'UNAVAILABLE', { 'retry-after': '0' }),
    json(200, me),
  )
  const began = performance.now()

  const got = await new PlatformClient({ base_url }).users.me()

  assert.deepEqual(got, me)
  assert.equal(seen.length, 3)
  assert.ok(performance.now() - began >= 990)
})

test('a refusal for good is not tried again', async (t) => {
  const { base_url, seen } = await serverWith(t, refusal(422, 'VALIDATION_ERROR'))

  await assert.rejects(new PlatformClient({ base_url }).users.me(), { code: 'VALIDATION_ERROR' })

  assert.equal(seen.length, 1)
})

test('every try of a POST carries the same idempotency key, and two calls have different ones', async (t) => {
  const { base_url, seen } = await serverWith(t, refusal(503, 'UNAVAILABLE', { 'retry-after': '0' }), json(202, {}))
  const flow = new PlatformClient({ base_url })

  await flow.workflows.execute({ workflow_id: 'w-1', input: { a: 1 } })
  await flow.workflows.execute({ workflow_id: 'w-1', input: { a: 1 } })

  const keys = seen.map(({ headers }) => headers['idempotency-key'])
  assert.equal(keys.length, 3)
  assert.equal(keys[0], keys[1])
  assert.notEqual(keys[1], keys[2])
})

test('a connection that breaks is made again', async (t) => {
  const { base_url, seen } = await serverWith(t, (_, response) => response.destroy(), json(200, me))

  assert.deepEqual(await new PlatformClient({ base_url }).users.me(), me)

  assert.equal(seen.length, 2)
})

test('a sign-in is not repeated when its connection breaks: it may have counted', async (t) => {
  const { base_url, seen } = await serverWith(t, (_, response) => response.destroy())

  await assert.rejects(
    new PlatformClient({ base_url }).auth.login({ email: 'a@example.com', password: 'secret' }),
    FlowConnectionError,
  )

  assert.equal(seen.length, 1)
})

test('an answer that does not come in time is a timeout', async (t) => {
  const { base_url } = await serverWith(t, () => undefined)

  await assert.rejects(new PlatformClient({ base_url, timeout: 0.1, max_retries: 0 }).users.me(), FlowTimeoutError)
})

test('a call can be given up', async (t) => {
  const { base_url } = await serverWith(t, () => undefined)
  const giveUp = new AbortController()
  setTimeout(() => giveUp.abort(new Error('enough')), 20)

  await assert.rejects(new PlatformClient({ base_url }).users.me({}, { signal: giveUp.signal }), { message: 'enough' })
})

test('a refused token is renewed once, and the call made again', async (t) => {
  const { base_url, seen } = await serverWith(
    t,
    refusal(401, 'UNAUTHENTICATED'),
    json(200, me),
    refusal(401, 'UNAUTHENTICATED'),
  )
  let renewed = 0
  const flow = new PlatformClient({ base_url, auth_token: 'old', on_auth_token_refresh: () => `new-${++renewed}` })

  assert.deepEqual(await flow.users.me(), me)

  assert.deepEqual(
    seen.map(({ headers }) => headers.authorization),
    ['Bearer old', 'Bearer new-1'],
  )
  await assert.rejects(flow.users.me(), { code: 'UNAUTHENTICATED' })
  assert.equal(renewed, 2)
})

/** Knows one token alone, and gives another one in its place; a call is answered when `at_once` of them have come. */
function tokens(at_once: number) {
  let known = 0
  const waiting: (() => void)[] = []
  const answer: Answer = (request, response) => {
    const isKnown = request.headers.authorization === `Bearer t${known}` && known > 0
    waiting.push(() => (isKnown ? json(200, me) : refusal(401, 'UNAUTHENTICATED'))(request, response))
    if (waiting.length >= at_once) for (const go of waiting.splice(0)) go()
  }
  const renew = async () => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    known += 1
    return `t${known}`
  }
  return { answer, renew, asked: () => known }
}

test('calls whose token is refused at once wait for one new token', async (t) => {
  const { answer, renew, asked } = tokens(3)
  const { base_url } = await serverWith(t, answer)
  const flow = new PlatformClient({ base_url, auth_token: 'old', on_auth_token_refresh: renew, max_retries: 0 })

  const got = await Promise.all([flow.users.me(), flow.users.me(), flow.users.me()])

  assert.deepEqual(got, [me, me, me])
  assert.equal(asked(), 1)
})

test('a call whose token was refused late goes on with the newer one that is there', async (t) => {
  const { answer, renew, asked } = tokens(1)
  let late: (() => void) | undefined
  const { base_url } = await serverWith(
    t,
    (_request, response) => {
      late = () => refusal(401, 'UNAUTHENTICATED')(_request, response)
    },
    answer,
  )
  const flow = new PlatformClient({ base_url, auth_token: 'old', on_auth_token_refresh: renew, max_retries: 0 })
  const first = flow.users.me()
  while (!late) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(await flow.users.me(), me)

  late()

  assert.deepEqual(await first, me)
  assert.equal(asked(), 1)
})

test('a token that could not be renewed is asked for again by the next call', async (t) => {
  const { base_url } = await serverWith(
    t,
    refusal(401, 'UNAUTHENTICATED'),
    refusal(401, 'UNAUTHENTICATED'),
    json(200, me),
  )
  let asked = 0
  const on_auth_token_refresh = () => {
    asked += 1
    if (asked === 1) throw new Error('The login is gone.')
    return 'new'
  }
  const flow = new PlatformClient({ base_url, on_auth_token_refresh })

  await assert.rejects(flow.users.me(), /The login is gone/)
  assert.deepEqual(await flow.users.me(), me)
})

test('a pause is as long as the server says, also in parts of a second; what is no time is not heeded', async (t) => {
  for (const [wait, least] of [
    ['0.4', 390],
    ['soon', 240],
    ['-1', 240],
    ['', 240],
  ] as const) {
    const { base_url } = await serverWith(t, refusal(429, 'RATE_LIMITED', { 'retry-after': wait }), json(200, me))
    const began = performance.now()

    assert.deepEqual(await new PlatformClient({ base_url }).users.me(), me)

    assert.ok(performance.now() - began >= least, `${wait}: ${performance.now() - began}`)
  }
  const now = new Date().toUTCString()
  const { base_url } = await serverWith(t, refusal(429, 'RATE_LIMITED', { 'retry-after': now }), json(200, me))
  const began = performance.now()
  assert.deepEqual(await new PlatformClient({ base_url }).users.me(), me)
  assert.ok(performance.now() - began < 240)
})

test('a call whose key is still at work elsewhere is made again when the server says so, and else is a conflict', async (t) => {
  const fault = { error: { message: 'A call with this idempotency key still runs.', type: 'invalid_request_error' } }
  const running = json(409, fault, { 'retry-after': '0' })
  const { base_url, seen } = await serverWith(t, running, running, json(200, { data: [] }), json(409, fault))
  const gateway = new GatewayClient({ base_url })
  const ask = () => gateway.embeddings('flow/hash-embedding-384', 'Hello', {}, { idempotency_key: 'k' })

  assert.deepEqual(await ask(), { data: [] })
  assert.equal(seen.length, 3)
  await assert.rejects(ask(), { status: 409 })
  assert.equal(seen.length, 4)
  const always = await serverWith(t, running)
  await assert.rejects(new GatewayClient({ base_url: always.base_url }).models(), { status: 409 })
  assert.equal(always.seen.length, 3)
})

test('inputs travel where the contract places them', async (t) => {
  const { base_url, seen } = await serverWith(t, json(200, {}))
  const flow = new PlatformClient({ base_url, org_id: 'o-1', workspace_id: 'w-9' })

  await flow.organizations.update({ name: 'New name' })
  await flow.components.list({ type: 'workflow', limit: 5 })

  assert.equal(seen[0]?.url, '/api/v1/organizations/o-1')
  assert.equal(seen[0]?.body, '{"name":"New name"}')
  assert.equal(seen[0]?.headers['x-workspace-id'], 'w-9')
  assert.equal(seen[1]?.url, '/api/v1/components?type=workflow&limit=5')
})

test('a list is a page, or every item of all pages', async (t) => {
  const page = (offset: number): Answer =>
    json(200, { items: [{ id: offset }, { id: offset + 1 }].slice(0, 3 - offset), total: 3, limit: 2, offset })
  const { base_url, seen } = await serverWith(t, page(0), page(2))

  const all: unknown[] = []
  for await (const { id } of new PlatformClient({ base_url }).components.list({ limit: 2 })) all.push(id)

  assert.deepEqual(all, [0, 1, 2])
  assert.equal(seen[1]?.url, '/api/v1/components?limit=2&offset=2')
})

test('a stream goes on behind the last event that was seen, until the server says it is the end', async (t) => {
  const { base_url, seen } = await serverWith(
    t,
    events('id: 1\nevent: a\ndata: {"n":1}\n\nid: 2\nevent: b\ndata: {"n":2}\n\nid: 3\nevent: c\nda', true),
    (_, response) => response.destroy(),
    events('id: 3\nevent: c\ndata: {"n":3}\n\n'),
    events('id: 4\nevent: d\ndata: {"n":4}\n\nevent: end\ndata: {}\n\n'),
  )

  const got: unknown[] = []
  for await (const { id, event, data } of new PlatformClient({ base_url }).workflows.events(ids))
    got.push([id, event, data])

  assert.deepEqual(got, [
    ['1', 'a', { n: 1 }],
    ['2', 'b', { n: 2 }],
    ['3', 'c', { n: 3 }],
    ['4', 'd', { n: 4 }],
  ])
  const resumed = seen.map(({ headers }) => headers['last-event-id'])
  assert.equal(resumed[0], undefined)
  assert.ok(resumed.slice(1, -1).every((id) => id === '2'))
  assert.equal(resumed.at(-1), '3')
})

test('a stream that is refused is refused, not tried for ever', async (t) => {
  const { base_url, seen } = await serverWith(t, refusal(404, 'NOT_FOUND'))

  await assert.rejects(
    async () => {
      for await (const _ of new PlatformClient({ base_url }).workflows.events(ids)) assert.fail('no event was sent')
    },
    { code: 'NOT_FOUND' },
  )

  assert.equal(seen.length, 1)
})

test('any path can be asked, and a closed client asks nothing more', async (t) => {
  const { base_url, seen } = await serverWith(t, json(200, { made: true }))
  const flow = new PlatformClient({ base_url })

  const made = await flow.request('POST', '/things', { body: { a: 1 }, query: { dry: 'true' } })
  flow.close()

  assert.deepEqual(made, { made: true })
  assert.equal(seen[0]?.url, '/api/v1/things?dry=true')
  await assert.rejects(flow.request('GET', '/things'), { message: 'The client was closed.' })
  assert.equal(seen.length, 1)
})

test('FlowSDK takes what it is not told from the environment', async (t) => {
  const { base_url, seen } = await serverWith(t, json(200, {}))
  const before = { ...process.env }
  t.after(() => {
    process.env = before
  })
  Object.assign(process.env, {
    PLATFORM_API_URL: base_url,
    AUTH_TOKEN: 'from-env',
    ORG_ID: 'o-env',
    WORKSPACE_ID: 'w-env',
    RING_ID: 'dev',
  })

  const flow = new FlowSDK({ org_id: 'o-told' })
  await flow.organizations.get()

  assert.equal(flow.ring_id, 'dev')
  assert.equal(flow.gateway_url, `${base_url}/api/v1/gateway/v1`)
  assert.equal(seen[0]?.url, '/api/v1/organizations/o-told')
  assert.equal(seen[0]?.headers.authorization, 'Bearer from-env')
  assert.equal(seen[0]?.headers['x-workspace-id'], 'w-env')
})

test("a person's settings are kept in a file that only they can read", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'flow-sdk-'))
  t.after(() => rm(directory, { recursive: true }))
  const path = join(directory, 'deep', 'config.json')
  const config = { access_token: 'token', platform_url: 'http://localhost:8080', org_id: 'o-1' }

  assert.deepEqual(await loadConfig(path), {})
  await saveConfig(config, path)

  assert.deepEqual(await loadConfig(path), config)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual((await CLIClient.fromFile(path)).config, config)
})

test('the client of a terminal knows who it is, and trades a key for a token', async (t) => {
  const { base_url, seen } = await serverWith(
    t,
    json(200, me),
    refusal(401, 'UNAUTHENTICATED'),
    json(200, { access_token: 'jwt' }),
    json(200, me),
  )
  const client = new CLIClient({ platform_url: base_url, access_token: 'fl_key' })

  assert.deepEqual(await client.getCurrentUser(), me)
  assert.equal(await client.verifyCredentials(), false)
  const other = await client.exchangeApiKey('fl_key')
  assert.deepEqual(await other.getCurrentUser(), me)

  assert.equal(seen.at(-1)?.headers.authorization, 'Bearer jwt')
})
