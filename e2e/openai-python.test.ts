/** OpenAI's client for Python, unchanged, against a server: what its users do (clients/openai_cases.py), and every kind of
 *  provider, replayed. What goes over the wire is held against OpenAI's reference. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { delta, END, event, openUpstream, refuses, says, streams } from '../server/src/gateway/call/upstream-testing.ts'
import { replayEverything } from '../server/src/gateway/clients/replay-testing.ts'
import { openListener } from '../server/src/gateway/clients/wire-testing.ts'
import { repository, startServer } from './server.ts'

/** The one that `.ci/run` has made, or one that is made now. */
async function python(): Promise<string> {
  const { FLOW_TEST_PYTHON } = process.env
  if (FLOW_TEST_PYTHON) return FLOW_TEST_PYTHON
  const { stdout } = await promisify(execFile)(join(repository, '.ci/python'))
  const [, path] = /FLOW_TEST_PYTHON=(.+)/.exec(stdout) ?? []
  assert.ok(path)
  return path
}

const command = await python()
const server = await startServer({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
after(server.remove)
const alice = await server.client()
const { 'x-api-key': api_key } = await server.credential()
const ear = await openListener(server.url)
const { cases } = await replayEverything(alice)

const logprobs = { content: [{ token: 'Hi', logprob: -0.1, bytes: [72, 105], top_logprobs: [] }], refusal: null }
const choice = (content: string, more: object = {}) => ({
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content, refusal: null },
      logprobs: null,
      finish_reason: 'stop',
      ...more,
    },
  ],
})
let limited = 0
const upstream = await openUpstream((response, got) => {
  const model = String(got.body.model)
  const [, refused] = /^refuses-(\d+)$/.exec(model) ?? []
  if (refused) return refuses(Number(refused))(response, got)
  if (model === 'limited') {
    limited += 1
    return limited === 1 ? refuses(429, { 'retry-after': '1' })(response, got) : says('', choice('Now.'))(response, got)
  }
  if (model === 'hangs') return undefined
  if (model === 'trickles') return streams(delta('one '), delta('two '), 2_000, END)(response, got)
  if (model === 'tells') return says('', choice(JSON.stringify(got.body)))(response, got)
  if (!got.body.stream) return says('', choice('Hi', { logprobs }))(response, got)
  const piece = event({ choices: [{ index: 0, delta: { content: 'Hi' }, logprobs, finish_reason: null }] })
  return streams(piece, END)(response, got)
})
const { base_url } = upstream
await alice.gateway.providers.create({ name: 'local', kind: 'openai', base_url, key: 'k', skip_test: true })
const refused = [400, 401, 404, 409, 422, 429, 500, 503].map((status) => `refuses-${status}`)
for (const name of ['limited', 'hangs', 'trickles', 'tells', 'logprobs', ...refused]) {
  const targets = [{ provider: 'local', model: name }]
  await alice.gateway.routes.create({ name, targets, attempts_max: 1 })
}
const viewer = await alice.organizations.createApiKey({
  org_id: (await alice.auth.whoami()).organization.id,
  name: 'looks',
  scopes: ['solutions.read'],
})

const base = `${ear.origin}/api/v1/gateway/v1`
const program = spawn(command, [join(import.meta.dirname, 'clients/openai_cases.py')], {
  stdio: ['pipe', 'pipe', 'pipe'],
  env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1' },
})
program.stdin.end(JSON.stringify({ base_url: base, api_key, viewer_key: viewer.key, cases }))
const [printed, complaints] = await Promise.all([text(program.stdout), text(program.stderr)])
const results = printed
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as { name: string; fault: string | null })

for (const { name, fault } of results) {
  test(name, () => assert.equal(fault, null, fault ?? ''))
}

test('every case was played', () => {
  assert.equal(complaints, '')
  assert.ok(results.length >= cases.length + 40, `${results.length} cases`)
})

test('every answer, every chunk and every error was as the reference has it', () => {
  assert.ok(ear.heard.length > results.length)
  assert.deepEqual(ear.wrong, [])
})
