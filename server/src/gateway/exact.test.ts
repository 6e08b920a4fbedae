/** Numbers that no double holds, on their way between clients and providers of any format. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'
import { type Answer, openUpstream } from './call/upstream-testing.ts'
import { numberText, parseExactly } from './exact.ts'
import { PREFIX } from './front/front.ts'
import type { Json } from './hub.ts'

const ID = '1234567890123456789'
const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const { admin, alice } = await newOrganization()
const upstream = await openUpstream()
for (const kind of ['anthropic', 'gemini', 'openai'] as const) {
  await alice.gateway.providers.create({ name: kind, kind, base_url: upstream.base_url, key: 'sk', skip_test: true })
}

/** The text of an answer to this text. */
async function ask(path: string, body: string): Promise<string> {
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const response = await app.direct.respond(
    new Request(`http://flow.test${PREFIX}${path}`, { method: 'POST', body, headers }),
  )
  return response.text()
}
const tells =
  (text: string, type = 'application/json'): Answer =>
  (response) =>
    response.writeHead(200, { 'content-type': type }).end(text)
const asked = (model: string, more = '') => `{"model":"${model}","messages":[{"role":"user","content":"Hi"}]${more}}`

const called = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"t","name":"ban",
  "input":{"user":${ID},"few":[1,2.5]}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}`
const candidate =
  `{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"ban","args":{"user":${ID}}}}]},
  "finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`.replaceAll('\n', '')

test('a number of 64 bits in a call of a tool is told as it is, whole and in streams', async () => {
  upstream.answer(tells(called))
  assert.match(
    await ask('/chat/completions', asked('anthropic/m')),
    new RegExp(`\\\\"user\\\\":${ID},\\\\"few\\\\":\\[1,2.5\\]`),
  )
  assert.match(await ask('/responses', '{"model":"anthropic/m","input":"Hi"}'), new RegExp(`${ID}`))
  upstream.answer(tells(candidate))
  assert.match(await ask('/chat/completions', asked('gemini/m')), new RegExp(ID))
  assert.match(await ask('/messages', asked('gemini/m', ',"max_tokens":9')), new RegExp(`"user":${ID}`))
  upstream.answer(tells(`data: ${candidate}\n\n`, 'text/event-stream'))
  assert.match(await ask('/chat/completions', asked('gemini/m', ',"stream":true')), new RegExp(ID))
})

test('it reaches the provider as it is, in what was said before and in fields of its own', async () => {
  const calls = `{"role":"assistant","tool_calls":[{"id":"t","type":"function","function":{"name":"ban","arguments":"{\\"user\\":${ID}}"}}]}`
  const history = `{"model":"MODEL","messages":[{"role":"user","content":"Hi"},${calls},{"role":"tool","tool_call_id":"t","content":"ok"}]}`
  for (const kind of ['anthropic', 'gemini']) {
    await ask('/chat/completions', history.replace('MODEL', `${kind}/m`))
    assert.match(upstream.got.at(-1)?.text ?? '', new RegExp(`"user":${ID}`), kind)
  }
  const used = `{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ban","input":{"user":${ID}}}]}`
  await ask('/messages', `{"model":"anthropic/m","max_tokens":9,"messages":[{"role":"user","content":"Hi"},${used}]}`)
  assert.match(upstream.got.at(-1)?.text ?? '', new RegExp(`"user":${ID}`))
  await ask('/chat/completions', asked('openai/m', ',"seed":9007199254740993,"x":1e999'))
  assert.match(upstream.got.at(-1)?.text ?? '', /"seed":9007199254740993,"x":1e999/)
})

test('a guardrail that changes what stands beside it leaves it, and looks at it', async () => {
  const rule = { type: 'pii' as const, kinds: ['email' as const] }
  const guardrail = await alice.gateway.guardrails.create({ name: 'mail', action: 'redact', always: true, rule })
  const used = `{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ban","input":{"user":${ID},"to":"a@b.com"}}]}`
  await ask('/messages', `{"model":"anthropic/m","max_tokens":9,"messages":[{"role":"user","content":"Hi"},${used}]}`)
  assert.match(upstream.got.at(-1)?.text ?? '', new RegExp(`"user":${ID},"to":"\\[EMAIL\\]"`))
  await alice.gateway.guardrails.remove({ guardrail_id: guardrail.id })
})

test('what a double holds is a number, and what is no number is none', () => {
  const value = parseExactly(`{"a":1,"b":1.5e300,"c":"${ID}","d":${ID},"e":[-${ID}]}`) as Record<string, Json>
  const { a = null, c = null, d = null } = value
  assert.deepEqual([a, numberText(a), numberText(c), numberText(d)], [1, '1', undefined, ID])
  assert.equal(JSON.stringify(value), `{"a":1,"b":1.5e300,"c":"${ID}","d":${ID},"e":[-${ID}]}`)
  assert.equal(parseExactly(ID), Number(ID))
})

test('a seed of 64 bits is taken by the built-in models, and told to those of another format as it is', async () => {
  upstream.answer(tells(candidate))
  for (const seed of ['12345678901234567890', '-9223372036854775808', '18446744073709551615']) {
    const more = `,"seed":${seed}`
    assert.match(await ask('/chat/completions', asked('flow/echo', more)), /"content":"Hi"/)
    assert.match(await ask('/completions', `{"model":"flow/echo","prompt":"Hi"${more}}`), /"text":"Hi"/)
    await ask('/chat/completions', asked('gemini/m', more))
    assert.match(upstream.got.at(-1)?.text ?? '', new RegExp(`"seed":${seed}`))
  }
})

test('an integer that is too large is refused as what it is', async () => {
  const refusals: [string, string, string][] = [
    ['/chat/completions', asked('flow/echo', ',"seed":18446744073709551616'), 'above maximum value'],
    ['/chat/completions', asked('flow/echo', ',"seed":-9223372036854775809'), 'below minimum value'],
    ['/chat/completions', asked('flow/echo', `,"seed":${'9'.repeat(1_000)}`), 'above maximum value'],
    ['/chat/completions', asked('flow/echo', ',"seed":9007199254740993.5'), 'expected an integer, but got a decimal'],
    ['/chat/completions', asked('flow/echo', ',"seed":{}'), 'expected an integer, but got an object'],
    [
      '/chat/completions',
      asked('flow/echo', `,"n":${ID}`),
      `above maximum value. Expected a value <= 128, but got ${ID}`,
    ],
    ['/chat/completions', asked('flow/echo', `,"max_tokens":-${ID}`), 'below minimum value'],
    ['/chat/completions', asked('flow/echo', `,"temperature":${ID}`), 'decimal above maximum value'],
    ['/chat/completions', asked('flow/echo', `,"user":${ID}`), 'expected a string, but got an integer'],
    ['/responses', `{"model":"flow/echo","input":"Hi","top_logprobs":${ID}}`, 'above maximum value'],
    ['/embeddings', `{"model":"flow/hash-embedding-384","input":[1,${ID}]}`, 'above maximum value'],
  ]
  for (const [path, body, sentence] of refusals) assert.match(await ask(path, body), new RegExp(sentence), body)
})
