import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { newOrganization, testFlow } from '../testing.ts'
import { block, node, run } from './testing.ts'

await testFlow({ FLOW_ALLOWED_HOSTS: 'localhost' })

const asked: string[] = []
const outside = createServer(async (request, response) => {
  let body = ''
  for await (const piece of request) body += piece
  asked.push(`${request.method} ${request.url} ${request.headers['x-mine'] ?? ''} ${body}`)
  if (request.url === '/away') return response.writeHead(302, { location: 'http://example.com/' }).end()
  if (request.url === '/bytes') return response.end(Buffer.from([0xff, 0, 0x80]))
  if (request.url === '/large')
    return response.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(8 << 20)))
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ got: body || null, é: '漢' }))
}).listen(0, 'localhost')
await once(outside, 'listening')
after(() => outside.close())
const host = `localhost:${(outside.address() as AddressInfo).port}`
const address = `http://${host}`

const javascript = `export async function main({ address }) {
  const read = await fetch(address + '/a', { headers: { 'X-Mine': 'js' } })
  const sent = await fetch(new URL('/b', address), { method: 'POST', body: JSON.stringify({ n: 1 }) })
  const bytes = await (await fetch(address + '/bytes')).bytes()
  const tries = ['/away', '/large'].map((path) => fetch(address + path).then(String, ({ message }) => message))
  const host = fetch(address, { headers: { Host: 'elsewhere' } }).then(String, ({ message }) => message)
  const others = ['http://127.0.0.1:1/', 'http://169.254.169.254/', 'https://example.com/', 'no']
  return {
    ok: read.ok,
    type: read.headers.get('Content-Type'),
    read: await read.json(),
    sent: (await sent.json()).got,
    bytes: [...bytes],
    refused: await Promise.all([...tries, host, ...others.map((url) => fetch(url).then(String, ({ message }) => message))]),
  }
}`

const python = `
def refusal(url, **more):
    try: return str(flow.fetch(url, **more))
    except flow.Error as error: return str(error)
def main(address):
    read = flow.fetch(address + '/a', headers={'X-Mine': 'py'})
    sent = flow.fetch(address + '/b', method='POST', body='{"n":1}')
    others = ['http://127.0.0.1:1/', 'http://169.254.169.254/', 'https://example.com/', 'no']
    return {
        'ok': read.ok, 'type': read.headers['Content-Type'], 'read': read.json(), 'sent': sent.json()['got'],
        'bytes': list(flow.fetch(address + '/bytes').content),
        'refused': [refusal(address + '/away'), refusal(address + '/large'),
            refusal(address, headers={'Host': 'elsewhere'}), *map(refusal, others)],
    }`

test('code calls the hosts that its block lists, and no others, in every language', async () => {
  const { alice } = await newOrganization()
  for (const [language, code] of Object.entries({ javascript, python })) {
    const { id } = await block(alice, language, code, { language, network: [host] })
    assert.equal((await alice.components.publish({ component_id: id })).status, 'published')
    const execution = await run(alice, { nodes: [node('call', language)] }, { address })
    assert.equal(execution.status, 'completed', JSON.stringify(execution.error))
    const { refused, ...rest } = execution.output as { refused: string[] }
    assert.deepEqual(rest, {
      ok: true,
      type: 'application/json',
      read: { got: null, é: '漢' },
      sent: '{"n":1}',
      bytes: [0xff, 0, 0x80],
    })
    const reasons = [
      /may not call "example\.com"\. It lists localhost/,
      /more than 4194304 bytes/,
      /header "host" is set by the connection/,
      /not on the public internet/,
      /not on the public internet/,
      /may not call "example\.com"/,
      /not a URL/,
    ]
    assert.equal(refused.length, reasons.length)
    for (const [at, reason] of reasons.entries()) assert.match(refused[at] ?? '', reason)
  }
  assert.ok(asked.includes('GET /a js ') && asked.includes('GET /a py ') && asked.includes('POST /b  {"n":1}'))
})

test('coroutines of Python call hosts beside each other', async () => {
  const { alice } = await newOrganization()
  const code = `
import asyncio
async def main(address):
    answers = await asyncio.gather(*(flow.fetch(address + '/c', method='PUT', json={'n': n}) for n in range(5)))
    return [answer.json()['got'] for answer in answers]`
  await block(alice, 'all', code, { language: 'python', network: [host] })
  const execution = await run(alice, { nodes: [node('all', 'all')] }, { address })
  assert.deepEqual(
    execution.output,
    [0, 1, 2, 3, 4].map((n) => `{"n":${n}}`),
  )
})

test('a block that lists no host has no network', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'none', 'export const main = ({ address }) => fetch(address)')
  const execution = await run(alice, { nodes: [node('none', 'none')] }, { address })
  assert.match(execution.error?.message ?? '', /may not call "localhost:\d+"\. It lists none\./)
})
