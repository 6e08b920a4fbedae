/** Presets, and servers that are found on the machines that the operator allows: real ones, at their usual ports, each
 *  test on an address of its own behind 127. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { newOrganization, testFlow } from '../../testing.ts'
import { presets } from '../providers/presets.ts'
import { named, placesIn } from './discovery.ts'

const hostAt = (last: number) => `127.${1 + (process.pid % 250)}.${Math.floor(process.pid / 250) % 250}.${last}`
const [many, closed, onePort, forbidden] = [hostAt(1), hostAt(2), hostAt(3), hostAt(4)]
const { client } = await testFlow({ FLOW_ALLOWED_HOSTS: `${many},${closed},${onePort}:8000` })

/** Answers every path with this, and keeps which were asked. */
async function serve(host: string, port: number, status: number, body: object | string) {
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(request.url ?? '')
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    response.writeHead(status, { 'content-type': 'application/json' }).end(text)
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  after(() => {
    server.close()
    server.closeAllConnections()
  })
  return paths
}
const listOf = (owned_by: string, ...ids: string[]) => ({
  object: 'list',
  data: ids.map((id) => ({ id, object: 'model', created: 1, owned_by })),
})

test('servers are found where they listen usually, with their models, and can be added as they are', async () => {
  const { alice } = await newOrganization()
  await serve(many, 11434, 200, listOf('library', 'llama3.2:latest', 'qwen3:8b'))
  // vLLM at the usual port of llama.cpp.
  await serve(many, 8080, 200, listOf('vllm', 'Qwen/Qwen3-8B'))
  await serve(many, 8000, 200, '<html>')
  await serve(closed, 1234, 401, { error: { message: 'a key, please' } })
  await serve(closed, 8080, 200, { models: 'none' })
  await serve(onePort, 8000, 200, listOf('me', 'mine'))
  const silent = await serve(onePort, 11434, 200, listOf('library', 'hidden'))
  const secret = await serve(forbidden, 11434, 200, listOf('library', 'hidden'))

  const { servers, asked } = await alice.gateway.providers.discover({})
  const common = { kind: 'openai', provider: null }
  const [ollama, vllm] = [`http://${many}:11434/v1`, `http://${many}:8080/v1`]
  assert.deepEqual(servers, [
    {
      ...common,
      preset: 'ollama',
      name: 'ollama',
      base_url: ollama,
      needs_key: false,
      models: ['llama3.2:latest', 'qwen3:8b'],
    },
    { ...common, preset: 'vllm', name: 'vllm', base_url: vllm, needs_key: false, models: ['Qwen/Qwen3-8B'] },
    {
      ...common,
      preset: 'lm-studio',
      name: 'lm-studio',
      base_url: `http://${closed}:1234/v1`,
      needs_key: true,
      models: [],
    },
    {
      ...common,
      preset: 'vllm',
      name: 'vllm-2',
      base_url: `http://${onePort}:8000/v1`,
      needs_key: false,
      models: ['mine'],
    },
  ])
  assert.equal(asked.length, 9)
  assert.deepEqual([silent, secret], [[], []])

  const { name, kind, base_url } = servers[0] ?? assert.fail('nothing was found')
  const made = await alice.gateway.providers.create({ name, kind, base_url })
  assert.equal(made.test_status, 'success')
  const again = await alice.gateway.providers.discover({})
  assert.deepEqual([again.servers[0]?.name, again.servers[0]?.provider], ['ollama-2', 'ollama'])
})

test('who may not set up providers looks for none', async () => {
  const { member } = await newOrganization()
  const bob = client((await member('solution_builder')).api_key)
  await assert.rejects(bob.gateway.providers.discover({}), { status: 403 })
  assert.ok((await bob.gateway.providers.presets({})).items.length > 20)
})

test('no address is asked unless the operator names its host', () => {
  assert.deepEqual(placesIn([]), [])
  assert.deepEqual(
    placesIn(['db.internal:5432', 'gpu:8000', '[::1]:1234', '::1']).map(({ base_url }) => base_url),
    [
      'http://gpu:8000/v1',
      'http://[::1]:1234/v1',
      'http://[::1]:11434/v1',
      'http://[::1]:8000/v1',
      'http://[::1]:8080/v1',
    ],
  )
  assert.equal(placesIn(Array.from({ length: 100 }, (_, i) => `host-${i}`)).length, 64)
})

test('every server that is found gets a name of its own', () => {
  const one = { preset: 'ollama' as const, needs_key: false, models: [] }
  const found = ['http://a/v1', 'http://b/v1'].map((base_url) => ({ ...one, base_url }))
  const told = named(found, [{ name: 'ollama', base_url: 'http://other/v1' }])
  assert.deepEqual(
    told.map(({ name }) => name),
    ['ollama-2', 'ollama-3'],
  )
})

test('a preset gives what is not said, and what is said goes first', async () => {
  const { alice } = await newOrganization()
  const { create } = alice.gateway.providers
  const groq = await create({ preset: 'groq', key: 'gsk-test', skip_test: true })
  assert.deepEqual([groq.name, groq.kind, groq.base_url], ['groq', 'openai', 'https://api.groq.com/openai/v1'])
  const mine = await create({
    preset: 'openai',
    name: 'mine',
    base_url: 'https://eu.api.openai.com/v1',
    skip_test: true,
  })
  assert.deepEqual([mine.name, mine.kind, mine.base_url], ['mine', 'openai', 'https://eu.api.openai.com/v1'])

  const missing = async (input: Parameters<typeof create>[0]) => {
    const { details } = await create(input).then(
      () => assert.fail('it was taken'),
      (error: { details: { field: string }[] }) => error,
    )
    return details.map(({ field }) => field)
  }
  assert.deepEqual(await missing({ preset: 'azure', skip_test: true }), ['base_url'])
  assert.deepEqual(await missing({ skip_test: true }), ['name', 'kind', 'base_url'])
  assert.deepEqual(await missing({ preset: 'nobody' as 'groq' }), ['preset'])
  assert.deepEqual(await missing({ preset: 'ollama', base_url: 'http://not-allowed:11434/v1', skip_test: true }), [
    'base_url',
  ])
})

test('options that mean nothing are refused by name, when they are set up and when they are changed', async () => {
  const { alice } = await newOrganization()
  const { create, update } = alice.gateway.providers
  const refused = (asked: PromiseLike<unknown>, field: string) =>
    assert.rejects(
      Promise.resolve(asked),
      (error: { details: { field: string }[] }) => error.details[0]?.field === field,
    )
  await refused(create({ preset: 'groq', options: { responses: 'yes' }, skip_test: true }), 'options.responses')
  const azure = { preset: 'azure', base_url: 'https://x.openai.azure.com', skip_test: true } as const
  await refused(create({ ...azure, options: { api_version: 'latest' } }), 'options.api_version')
  const { id: provider_id } = await create({ ...azure, options: { api_version: '2024-10-21' } })
  await refused(update({ provider_id, options: { api_version: 'soon' }, skip_test: true }), 'options.api_version')
  await update({ provider_id, options: {}, skip_test: true })

  await refused(create({ preset: 'groq', options: { region: 'x' }, skip_test: true }), 'options.region')
  await assert.rejects(create({ ...azure, name: 'other', options: { api_versoin: '2024-10-21' } }), {
    details: [
      {
        field: 'options.api_versoin',
        message:
          'A provider of the kind "azure" has no such option. It knows: "responses", "completions", "api_version".',
      },
    ],
  })
})

test('a provider that is not there is refused in two sentences', async () => {
  const { alice } = await newOrganization()
  const base_url = `http://${closed}:1234/v1`
  await assert.rejects(alice.gateway.providers.create({ name: 'gone', kind: 'openai', base_url }), {
    code: 'UPSTREAM_FAILED',
    message: /ECONNREFUSED [\d.:]+\. With skip_test it is saved all the same\.$/,
  })
})

test('every preset can be set up as it stands, or says what it lacks', () => {
  for (const { base_url, hint, name, needs_key } of presets) {
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/)
    if (base_url === null) assert.ok(hint)
    else assert.ok(!base_url.endsWith('/') && (needs_key ? base_url.startsWith('https:') : hint !== ''))
  }
})
