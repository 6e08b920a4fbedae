import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Failure } from './failure.ts'
import { type Address, checkHost, createFetch, isPublic, type Resolve } from './fetch.ts'

const addresses = (...texts: string[]): Address[] =>
  texts.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

async function serverOf(t: TestContext, answer: RequestListener): Promise<{ port: number; origin: string }> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { port, origin: `http://127.0.0.1:${port}` }
}

function fetchOf(t: TestContext, allowed_hosts: string[] = [], resolve?: Resolve) {
  const fetch = createFetch({ allowed_hosts }, resolve)
  t.after(() => fetch.close())
  return fetch
}

const refusedWith = (code: string, message?: RegExp) => (error: unknown) =>
  error instanceof Failure && error.code === code && (message?.test(error.message) ?? true)

test('only addresses of the internet are public', () => {
  const inside = [
    ...[
      '0.0.0.0',
      '0.1.2.3',
      '127.0.0.1',
      '127.255.255.254',
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
    ],
    ...['169.254.169.254', '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1'],
    ...['224.0.0.1', '240.0.0.1', '255.255.255.255', '192.88.99.1'],
    ...['::', '::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:169.254.169.254', '::127.0.0.1', '::7f00:1'],
    ...[
      'fe80::1',
      'fec0::1',
      'fc00::1',
      'fd00:ec2::254',
      'ff02::1',
      '2001:db8::1',
      '2001::1',
      '2002:7f00:1::',
      '100::1',
    ],
    ...[
      '64:ff9b::7f00:1',
      '64:ff9b::10.0.0.1',
      '64:ff9b:1::8.8.8.8',
      '::ffff:0:127.0.0.1',
      '4000::1',
      '5f00::1',
      '3fff::1',
    ],
    ...['', 'localhost', '1.2.3', '999.1.1.1', 'fe80::1%eth0'],
  ]
  const outside = [
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
  ]
  for (const address of inside) assert.equal(isPublic(address), false, address)
  for (const address of outside) assert.equal(isPublic(address), true, address)
})

test('no spelling of an address inside gets through', async (t) => {
  const { port } = await serverOf(t, (_, response) => response.end('inside'))
  const inside: Resolve = async () => addresses('127.0.0.1')
  const fetch = fetchOf(t, [], inside)
  const hosts = [
    ...[
      '127.0.0.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '017700000001',
      '0177.0.0.1',
      '127.1',
      '127.0.1',
      '0',
      '0.0.0.0',
    ],
    ...[
      '%31%32%37.0.0.1',
      '①②⑦.⓪.⓪.①',
      '127。0。0。1',
      '127.0.0.1.',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
    ],
    ...['[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[0:0:0:0:0:0:0:1]', '[::127.0.0.1]', '[fe80::1]', '169.254.169.254'],
    ...[
      'localhost',
      'LOCALHOST',
      'localhost.',
      'app.localhost',
      'localtest.me',
      '127.0.0.1.nip.io',
      'metadata.google.internal',
    ],
  ]
  for (const host of hosts) {
    await assert.rejects(fetch(`http://${host}:${port}/`), refusedWith('BAD_REQUEST', /public internet/), host)
  }
})

test('other schemes, credentials in the URL and nonsense are refused', async (t) => {
  const fetch = fetchOf(t)
  const urls = [
    'file:///etc/passwd',
    'ftp://example.com/',
    'gopher://example.com/',
    'data:text/plain,x',
    'javascript:1',
    'blob:x',
  ]
  for (const url of [
    ...urls,
    'http://user:secret@example.com/',
    'http://user@example.com/',
    'example.com',
    '',
    'http://',
  ]) {
    await assert.rejects(fetch(url), refusedWith('BAD_REQUEST'), url)
  }
})

test('a name with one public and one private address is refused', async (t) => {
  for (const mixed of [
    addresses('8.8.8.8', '127.0.0.1'),
    addresses('2606:4700::1', '::1'),
    addresses('8.8.8.8', 'fd00::1'),
  ]) {
    const fetch = fetchOf(t, [], async () => mixed)
    await assert.rejects(fetch('http://rebinding.example/'), refusedWith('BAD_REQUEST', /rebinding\.example/))
  }
})

test('a name is resolved once for each connection, so a second answer cannot differ from the one that was checked', async (t) => {
  const asked: string[] = []
  const { port } = await serverOf(t, (_, response) => response.end('hello'))
  const fetch = fetchOf(t, [`inside.example:${port}`], async (host) => {
    asked.push(host)
    return addresses('127.0.0.1')
  })
  assert.equal(await (await fetch(`http://inside.example:${port}/`)).text(), 'hello')
  assert.deepEqual(asked, ['inside.example'])
})

test('a host inside is reached when the operator allows it, on the port that was named', async (t) => {
  const { port } = await serverOf(t, (_, response) => response.end('hello'))
  const inside: Resolve = async () => addresses('127.0.0.1')
  for (const entry of ['127.0.0.1', `127.0.0.1:${port}`]) {
    assert.equal(await (await fetchOf(t, [entry])(`http://127.0.0.1:${port}/`)).text(), 'hello', entry)
  }
  assert.equal(await (await fetchOf(t, ['Inside.Example'], inside)(`http://inside.example.:${port}/`)).text(), 'hello')

  for (const entry of [`127.0.0.1:${port + 1}`, '127.0.0.2', 'localhost', '0.0.1', '']) {
    await assert.rejects(fetchOf(t, [entry])(`http://127.0.0.1:${port}/`), refusedWith('BAD_REQUEST'), entry)
  }
})

test('a redirect is a new call under the same rule', async (t) => {
  const inner = await serverOf(t, (_, response) => response.end('inside'))
  const outer = await serverOf(t, (request, response) => {
    response.writeHead(302, { location: new URL(request.url ?? '', 'http://x').searchParams.get('to') ?? '' }).end()
  })
  const fetch = fetchOf(t, [`127.0.0.1:${outer.port}`])
  const targets = [
    inner.origin,
    `//127.0.0.1:${inner.port}/`,
    'http://169.254.169.254/latest',
    'file:///etc/passwd',
    'http://[::1]/',
  ]
  for (const to of targets) {
    await assert.rejects(fetch(`${outer.origin}/?to=${encodeURIComponent(to)}`), refusedWith('BAD_REQUEST'), to)
  }
  await assert.rejects(fetch(`${outer.origin}/?to=/`), refusedWith('UPSTREAM_FAILED', /redirects more than 5 times/))
})

test('credentials do not travel to another origin, and a POST becomes a GET as fetch has it', async (t) => {
  const seen: string[] = []
  const second = await serverOf(t, (request, response) => {
    seen.push(`${request.method} ${request.headers.authorization ?? '-'} ${request.headers['x-kept'] ?? '-'}`)
    response.end()
  })
  const first = await serverOf(t, (request, response) => {
    if (request.url === '/same') return response.writeHead(307, { location: '/end' }).end()
    if (request.url === '/end') {
      seen.push(`${request.method} ${request.headers.authorization ?? '-'}`)
      return response.end()
    }
    return response.writeHead(302, { location: second.origin }).end()
  })
  const fetch = fetchOf(t, ['127.0.0.1'])
  const init = { method: 'POST', body: 'x', headers: { authorization: 'Bearer secret', 'x-kept': 'yes' } }
  await (await fetch(`${first.origin}/same`, init)).text()
  await (await fetch(`${first.origin}/other`, init)).text()
  assert.deepEqual(seen, ['POST Bearer secret', 'GET - yes'])

  const manual = await fetch(`${first.origin}/other`, { redirect: 'manual' })
  assert.equal(manual.status, 302)
  await assert.rejects(fetch(`${first.origin}/other`, { redirect: 'error' }), refusedWith('UPSTREAM_FAILED'))
})

test('a body is counted as it is decoded', async (t) => {
  const bomb = gzipSync(Buffer.alloc(20_000_000))
  const { origin } = await serverOf(t, (_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' }).end(bomb)
  })
  const fetch = fetchOf(t, ['127.0.0.1'])
  const answer = await fetch(origin, { limits: { bytes_max: 1_000_000 } })
  assert.equal(answer.headers.get('content-encoding'), null)
  await assert.rejects(answer.text(), refusedWith('UPSTREAM_FAILED', /more than 1000000 bytes/))

  const whole = await fetch(origin, { limits: { bytes_max: 20_000_000 } })
  assert.equal((await whole.arrayBuffer()).byteLength, 20_000_000)
})

test('a host that is silent, in its head or in its body, is given up in time', async (t) => {
  const { origin } = await serverOf(t, (request, response) => {
    if (request.url === '/body') response.writeHead(200).write('begun')
  })
  const fetch = fetchOf(t, ['127.0.0.1'])
  await assert.rejects(fetch(`${origin}/head`, { limits: { timeout_seconds: 0.1 } }), refusedWith('TIMEOUT'))
  const begun = await fetch(`${origin}/body`, { limits: { timeout_seconds: 0.2 } })
  await assert.rejects(begun.text(), refusedWith('TIMEOUT'))
})

test('a caller who goes away ends the call with their own reason', async (t) => {
  const { origin } = await serverOf(t, () => undefined)
  const gone = new AbortController()
  const call = fetchOf(t, ['127.0.0.1'])(origin, { signal: gone.signal })
  gone.abort(new Error('gone'))
  await assert.rejects(call, /^Error: gone$/)
})

test('a host that nobody knows or that refuses is named', async (t) => {
  const nobody = fetchOf(t, [], async () => [])
  await assert.rejects(
    nobody('http://nobody.example/'),
    refusedWith('UPSTREAM_FAILED', /"nobody\.example" cannot be resolved/),
  )
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  await assert.rejects(
    fetchOf(t, ['127.0.0.1'])(`http://127.0.0.1:${port}/`),
    refusedWith('UPSTREAM_FAILED', /ECONNREFUSED/),
  )
})

test('an answer without a body keeps its status and headers', async (t) => {
  const { origin } = await serverOf(t, (_, response) => {
    response.writeHead(204, { 'set-cookie': ['a=1', 'b=2'] }).end()
  })
  const answer = await fetchOf(t, ['127.0.0.1'])(`${origin}/path`)
  assert.equal(answer.status, 204)
  assert.equal(answer.url, `${origin}/path`)
  assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2'])
})

test('hosts that do not speak HTTP are checked by the same rule and give the addresses to connect to', async () => {
  const nothing = { allowed_hosts: [] }
  const found = addresses('93.184.216.34', '2606:2800:220::1')
  assert.deepEqual(await checkHost(nothing, 'db.example', 5432, async () => found), found)
  assert.deepEqual(await checkHost(nothing, '8.8.8.8', 53), addresses('8.8.8.8'))
  for (const host of ['127.0.0.1', '[::1]', '10.0.0.5', 'db.internal']) {
    await assert.rejects(
      checkHost(nothing, host, 5432, async () => addresses('10.0.0.5')),
      refusedWith('BAD_REQUEST'),
      host,
    )
  }
  const allowed = { allowed_hosts: ['db.internal:5432', '[::1]:25'] }
  assert.deepEqual(
    await checkHost(allowed, 'DB.internal', 5432, async () => addresses('10.0.0.5')),
    addresses('10.0.0.5'),
  )
  assert.deepEqual(await checkHost(allowed, '[::1]', 25), addresses('::1'))
  await assert.rejects(
    checkHost(allowed, 'db.internal', 22, async () => addresses('10.0.0.5')),
    refusedWith('BAD_REQUEST'),
  )
})
