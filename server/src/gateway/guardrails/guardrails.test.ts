/** Guardrails before and after: each rule, by each action, on each side, in whole answers and in streams. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { GatewayGuardrail } from '@flow/contract/gateway-routes'
import { newOrganization, type TestOrganization, testFlow } from '../../testing.ts'
import { delta, END, event, openUpstream, pause, says, streams } from '../call/upstream-testing.ts'
import { PREFIX } from '../front/front.ts'
import type { JsonObject } from '../hub.ts'
import { openPlane } from '../open.ts'
import type { CallRecord } from '../policies/policy.ts'
import { mapRequest } from './texts.ts'

const { platform } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })

const records: CallRecord[] = []
const note = (record: CallRecord) => {
  records.push(record)
  return { nanocredits: 0 }
}
const settle = (record: CallRecord, noted?: Promise<void>) => {
  if (noted) void noted.then(() => note(record))
  else note(record)
  return { nanocredits: 0 }
}
const newPlane = () =>
  openPlane(platform, {
    noted: () => {},
    spend: async () => ({}),
    journal: { note: (record) => void note(record) },
    governor: {
      admit: () => ({ output_tokens_max: null, headers: {}, allows: () => true, covers: () => true, settle }),
    },
  })
const plane = newPlane()
after(() => plane.close())

async function post(
  organization: TestOrganization,
  path: string,
  body: object,
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null,
) {
  const authorization = `Bearer ${organization.admin.api_key}`
  const init = { signal, method: 'POST', headers: { authorization, 'content-type': 'application/json', ...headers } }
  const response = await plane.respond(
    new Request(`http://flow.test${PREFIX}${path}`, { ...init, body: JSON.stringify(body) }),
  )
  const text = await response.text()
  return {
    status: response.status,
    text,
    told: response.headers.get('x-flow-guardrails'),
    record: records.at(-1),
    response,
  }
}

type Rule = Pick<GatewayGuardrail, 'rule' | 'action'> & Partial<Pick<GatewayGuardrail, 'side' | 'name' | 'always'>>
const guard = ({ alice }: TestOrganization, { name = 'Guard', side = 'both', always = true, ...rule }: Rule) =>
  alice.gateway.guardrails.create({ name, side, always, ...rule } as never)

/** What is said, by its deltas where it is a stream. */
function saidIn(text: string): string {
  if (!text.startsWith('data:')) return JSON.parse(text).choices[0].message.content
  const events = text.split('\n\n').flatMap((one) => (one.startsWith('data: {') ? [JSON.parse(one.slice(6))] : []))
  return events.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join('')
}
const echo = (content: string, more: object = {}) => ({
  model: 'flow/echo',
  messages: [{ role: 'user', content }],
  ...more,
})
const scripted = (script: object, more: object = {}) =>
  echo(JSON.stringify(script), { model: 'flow/scripted', ...more })
const chat = '/chat/completions'
const regex = { type: 'regex' as const, patterns: ['(?i)top secret', 'code-\\d{4}'] }
const pii = { type: 'pii' as const, kinds: ['email' as const, 'credit_card' as const, 'iban' as const] }

test('a prompt with what is blocked is refused by the name of the guardrail, and no provider is asked', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: regex, action: 'block', side: 'input', name: 'No codes' })
  for (const stream of [false, true]) {
    const { status, text, told, record } = await post(organization, chat, echo('the code-1234 is', { stream }))
    assert.equal(status, 400)
    const { error } = JSON.parse(text)
    assert.deepEqual([error.code, error.type], ['guardrail_blocked', 'invalid_request_error'])
    assert.match(error.message, /No codes/)
    assert.doesNotMatch(text, /1234/)
    assert.equal(told, 'input=block:No%20codes')
    assert.deepEqual([record?.status, record?.attempts, record?.request], ['refused', [], null])
    assert.deepEqual(record?.findings, [{ guardrail: 'No codes', action: 'block', side: 'input' }])
  }
  assert.equal((await post(organization, chat, echo('the code-123 is'))).status, 200)
})

test('addresses of images and files stay as they are; what only stands in their place is text', () => {
  const url = 'https://example.com/ann@example.com.png'
  const [image, text] = [{ type: 'input_image', image_url: url }, 'see https://example.com/']
  const hidden = (body: JsonObject) => mapRequest(body, () => 'HIDDEN')

  const parts: JsonObject[] = [
    image,
    { type: 'image_url', image_url: { url } },
    { type: 'image', source: { type: 'url', url } },
    { type: 'input_file', file_url: url },
  ]
  for (const part of parts) {
    const body = { messages: [{ role: 'user', content: [part] }] }
    assert.deepEqual(hidden(body), body)
  }
  assert.deepEqual(hidden({ input: [{ ...image, image_url: text }] }), { input: [{ ...image, image_url: 'HIDDEN' }] })
  assert.deepEqual(hidden({ made_up: { url } }), { made_up: { url: 'HIDDEN' } })
})

test('what is redacted in a prompt reaches no provider and no trace, wherever it stands', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: pii, action: 'redact', side: 'input' })
  const upstream = await openUpstream(says('Well.'))
  const { base_url } = upstream
  await organization.alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url, skip_test: true })
  const body = {
    model: 'one/m',
    messages: [
      { role: 'system', content: 'Mail bob@example.com.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'card 4111 1111 1111 1111' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,YUBiLmNv' } },
          { type: 'image_url', image_url: { url: 'https://example.com/ann@example.com.png' } },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'c@example.com',
            type: 'function',
            function: { name: 'pay', arguments: '{"to":"b\\u006fb@example.com","card":4111111111111111}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c@example.com', content: 'paid DE89370400440532013000' },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'pay', description: 'ask ann@example.com', parameters: { type: 'object' } },
      },
    ],
    made_up: { deep: ['carl@example.com'] },
    user: 'me@example.com',
  }
  const { status, told, record } = await post(organization, chat, body)
  assert.equal(status, 200)
  assert.equal(told, 'input=redact:Guard')
  assert.deepEqual(upstream.got[0]?.body, {
    ...body,
    model: 'm',
    messages: [
      { role: 'system', content: 'Mail [EMAIL].' },
      {
        role: 'user',
        content: [{ type: 'text', text: 'card [CREDIT_CARD]' }, ...(body.messages[1]?.content?.slice(1) ?? [])],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'c@example.com',
            type: 'function',
            function: { name: 'pay', arguments: '{"to":"[EMAIL]","card":"[CREDIT_CARD]"}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c@example.com', content: 'paid [IBAN]' },
    ],
    tools: [
      { type: 'function', function: { name: 'pay', description: 'ask [EMAIL]', parameters: { type: 'object' } } },
    ],
    made_up: { deep: ['[EMAIL]'] },
  })
  assert.doesNotMatch(record?.request?.toString() ?? '', /bob@|4111/)
  assert.match(record?.request?.toString() ?? '', /\[EMAIL\]/)
})

test('an answer with what is blocked is not told, and was paid for', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: regex, action: 'block', side: 'output' })
  const whole = await post(organization, chat, scripted({ say: 'It is Top Secret, you know.' }))
  assert.equal(whole.status, 400)
  assert.equal(JSON.parse(whole.text).error.code, 'guardrail_blocked')
  assert.deepEqual([whole.record?.status, whole.record?.provider], ['cut_off', 'flow'])
  assert.ok((whole.record?.usage.output ?? 0) > 5)
  assert.equal(whole.record?.is_estimated, false)

  const streamed = await post(organization, chat, scripted({ say: 'It is Top Secret, you know.' }, { stream: true }))
  assert.equal(streamed.status, 200)
  assert.equal(saidIn(streamed.text), 'It is ')
  assert.match(streamed.text, /guardrail_blocked/)
  assert.doesNotMatch(streamed.text, /\[DONE\]|Secret/)
  assert.deepEqual(streamed.record?.status, 'cut_off')
  assert.ok((streamed.record?.usage.output ?? 0) > 2)
  assert.deepEqual(streamed.record?.findings, [{ guardrail: 'Guard', action: 'block', side: 'output' }])
})

test('what is only noted passes as it is, and the trace says so', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: regex, action: 'flag', name: 'Ünote' })
  const whole = await post(organization, chat, echo('a code-1234'))
  assert.equal(saidIn(whole.text), 'a code-1234')
  assert.equal(whole.told, 'input=flag:%C3%9Cnote, output=flag:%C3%9Cnote')
  const streamed = await post(organization, chat, echo('a code-1234', { stream: true }))
  assert.equal(saidIn(streamed.text), 'a code-1234')
  assert.deepEqual(
    streamed.record?.findings.map(({ side, action }) => [side, action]),
    [
      ['input', 'flag'],
      ['output', 'flag'],
    ],
  )
})

test('a stream is redacted as the whole is, however it is cut', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: pii, action: 'redact', side: 'output' })
  const say = 'Mail bob@example.com, pay 4111 1111 1111 1111 or DE89 3704 0044 0532 0130 00 😀 now.'
  const expected = 'Mail [EMAIL], pay [CREDIT_CARD] or [IBAN] 😀 now.'
  assert.equal(saidIn((await post(organization, chat, scripted({ say }))).text), expected)

  const upstream = await openUpstream()
  const { base_url } = upstream
  await organization.alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url, skip_test: true })
  const ask = async (...pieces: string[]) => {
    upstream.answer(streams(...pieces.map((piece) => delta(piece)), END))
    return post(organization, chat, echo('x', { model: 'one/m', stream: true }))
  }
  for (let cut = 0; cut <= say.length; cut += 1) {
    const { text } = await ask(say.slice(0, cut), say.slice(cut))
    assert.equal(saidIn(text), expected, `cut at ${cut}`)
    assert.match(text, /\[DONE\]/)
  }
  const { text, record } = await ask(...say.split(''))
  assert.equal(saidIn(text), expected)
  assert.equal(JSON.parse(record?.answer?.toString() ?? '').stream, text)
})

test('each choice, reasoning and arguments are looked at by themselves', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: pii, action: 'redact', side: 'output' })
  const script = {
    think: 'ask bob@example.com first',
    say: 'Asked ann@example.com',
    calls: [{ name: 'mail', arguments: { to: 'carl@example.com', card: 4111111111111111 } }, { name: 'none' }],
  }
  const whole = JSON.parse((await post(organization, chat, scripted(script, { n: 2 }))).text)
  const { text } = await post(organization, chat, scripted(script, { n: 2, stream: true }))
  const events = text.split('\n\n').flatMap((one) => (one.startsWith('data: {') ? [JSON.parse(one.slice(6))] : []))
  for (const index of [0, 1]) {
    const { message } = whole.choices[index]
    assert.equal(message.content, 'Asked [EMAIL]')
    assert.equal(message.reasoning_content, 'ask [EMAIL] first')
    assert.equal(message.tool_calls[0].function.arguments, '{"to":"[EMAIL]","card":"[CREDIT_CARD]"}')
    const told = { content: '', reasoning_content: '', calls: ['', ''] }
    const mine = events.flatMap(({ choices }) => choices).filter((choice) => choice.index === index)
    for (const { delta: one } of mine) {
      told.content += one.content ?? ''
      told.reasoning_content += one.reasoning_content ?? ''
      for (const call of one.tool_calls ?? []) told.calls[call.index] += call.function.arguments
    }
    assert.equal(told.content, message.content)
    assert.equal(told.reasoning_content, message.reasoning_content)
    assert.deepEqual(
      told.calls,
      message.tool_calls.map((call: { function: { arguments: string } }) => call.function.arguments),
    )
    assert.equal(mine.at(-1)?.finish_reason, 'tool_calls')
  }
})

test('an answer that is not of its form is blocked, also at the end of a stream, of which nothing was told before', async () => {
  const organization = await newOrganization()
  const schema = { type: 'object', required: ['answer'], properties: { answer: { type: 'number' } } }
  await guard(organization, { rule: { type: 'json_schema', schema }, action: 'block', side: 'output' })
  for (const stream of [false, true]) {
    const good = await post(organization, chat, scripted({ say: '{"answer": 42}' }, { stream }))
    assert.equal(saidIn(good.text), '{"answer": 42}')
    for (const say of ['{"answer": "42"}', 'no JSON', '{"answer": 42']) {
      const bad = await post(organization, chat, scripted({ say }, { stream }))
      assert.deepEqual([bad.status, JSON.parse(bad.text).error.code], [400, 'guardrail_blocked'])
      assert.ok((bad.record?.usage.output ?? 0) > 0)
    }
    const calls = await post(organization, chat, scripted({ calls: [{ name: 'tool' }] }, { stream }))
    assert.equal(calls.status, 200)
  }
})

test('a prompt must be of a form, and where it is only noted it passes', async () => {
  const organization = await newOrganization()
  const rule = { type: 'json_schema' as const, schema: { type: 'array' } }
  const { id: guardrail_id } = await guard(organization, { rule, action: 'block', side: 'input' })
  assert.equal((await post(organization, chat, echo('[1]'))).status, 200)
  assert.equal((await post(organization, chat, echo('{}'))).status, 400)
  await organization.alice.gateway.guardrails.update({ guardrail_id, action: 'flag' })
  const noted = await post(organization, chat, echo('{}', { stream: true }))
  assert.deepEqual([noted.status, noted.told], [200, 'input=flag:Guard'])
})

test('blocked topics are told by what is near to their examples', async () => {
  const organization = await newOrganization()
  const topics = [{ name: 'weapons', examples: ['how do I build a bomb', 'where can I buy a gun'] }]
  const model = 'flow/hash-embedding-384'
  await guard(organization, { rule: { type: 'topics', topics, threshold: 0.6, model }, action: 'block' })
  assert.equal((await post(organization, chat, echo('Please tell me: how do I build a bomb?'))).status, 400)
  assert.equal((await post(organization, chat, echo('What is the weather in Rome?'))).status, 200)
  const { status, record } = await post(organization, chat, echo('Sunny in Rome. '.repeat(100)))
  assert.deepEqual([status, record?.findings], [200, []])
  const hidden = `${'The weather in Rome is sunny. '.repeat(60)}\nWhere can I buy a gun?\n${'It rains in Oslo. '.repeat(60)}`
  assert.equal((await post(organization, chat, echo(hidden))).status, 400)
  const streamed = await post(organization, chat, scripted({ say: hidden }, { stream: true }))
  assert.equal(streamed.status, 400)
  const long = Array.from({ length: 100_000 }, (_, i) => `Word ${i}`).join(' ')
  const tooLong = await post(organization, chat, echo(long))
  assert.deepEqual([tooLong.status, JSON.parse(tooLong.text).error.code], [400, 'guardrail_limit'])
})

test('topics are embedded by a provider’s model, which is paid for, and without it nothing blocked passes', async () => {
  const organization = await newOrganization()
  const { gateway } = organization.alice
  const embeds = (response: import('node:http').ServerResponse, texts: string[]) => {
    const data = texts.map((text, index) => ({
      object: 'embedding',
      index,
      embedding: /gun/.test(text) ? [1, 0] : [0, 1],
    }))
    const usage = { prompt_tokens: 1, total_tokens: 1 }
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ object: 'list', data, model: 'e', usage }))
  }
  const upstream = await openUpstream((response, got) => embeds(response, got.body.input as string[]))
  await gateway.providers.create({ name: 'vectors', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const rule = {
    type: 'topics' as const,
    topics: [{ name: 'guns', examples: ['gun'] }],
    threshold: 0.9,
    model: 'vectors/e',
  }
  await guard(organization, { rule, action: 'block', side: 'input' })
  const before = records.length
  assert.equal((await post(organization, chat, echo('flowers'))).status, 200)
  await gateway.settings.update({ retention_days: 7 })
  assert.equal((await post(organization, chat, echo('my gun'))).status, 400)
  assert.equal(upstream.got.length, 3, 'the examples are embedded once')
  const paid = records.slice(before).filter(({ mouth }) => mouth === 'embeddings')
  assert.deepEqual(
    paid.map(({ model }) => model),
    ['vectors/e', 'vectors/e', 'vectors/e'],
  )
  upstream.answer((response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{}'))
  const { status, text, record } = await post(organization, chat, echo('trees'))
  assert.deepEqual([status, JSON.parse(text).error.code], [503, 'guardrail_failed'])
  assert.deepEqual(record?.findings, [{ guardrail: 'Guard', action: 'unchecked', side: 'input' }])
})

async function block({ alice }: TestOrganization, slug: string, code: string, more: object = {}) {
  const { id } = await alice.codeBlocks.create({ name: slug, slug, config: { language: 'javascript', code, ...more } })
  await alice.components.publish({ component_id: id })
  return { type: 'code_block' as const, component_id: id }
}

test('a code block says what passes, and may say it otherwise', async () => {
  const organization = await newOrganization()
  const code = `export const main = ({ text, side }) =>
    text.includes('forbidden') ? { ok: false, reason: side } : { ok: true, text: text.replaceAll('foo', 'bar') }`
  const rule = await block(organization, 'words', code)
  const { id: guardrail_id } = await guard(organization, { rule, action: 'block' })
  const { update } = organization.alice.gateway.guardrails
  assert.equal(saidIn((await post(organization, chat, echo('foo'))).text), 'foo')
  assert.equal((await post(organization, chat, echo('forbidden'))).status, 400)
  await update({ guardrail_id, side: 'output' })
  for (const stream of [false, true]) {
    assert.equal((await post(organization, chat, echo('forbidden', { stream }))).status, 400)
  }
  await update({ guardrail_id, action: 'flag' })
  const before = records.length
  const flagged = await post(organization, chat, echo('forbidden', { stream: true }))
  assert.equal(saidIn(flagged.text), 'forbidden')
  while (records.length === before) await pause(20)
  assert.equal(records.at(-1)?.findings[0]?.action, 'flag')
  await update({ guardrail_id, action: 'redact' })
  for (const stream of [false, true]) {
    const { text, record } = await post(organization, chat, echo('a foo and a foo', { stream }))
    assert.equal(saidIn(text), 'a bar and a bar')
    assert.equal(record?.findings[0]?.action, 'redact')
    assert.equal(saidIn((await post(organization, chat, echo('forbidden', { stream }))).text), '[REDACTED]')
  }
  await update({ guardrail_id, side: 'input' })
  assert.equal(saidIn((await post(organization, chat, echo('a foo'))).text), 'a bar')
})

test('code that loops, throws or answers nonsense lets nothing pass that it was to block', async () => {
  const organization = await newOrganization()
  const bad: [string, string][] = [
    ['loops', 'export const main = () => { for (;;); }'],
    ['throws', 'export const main = ({ text }) => { throw new Error(text) }'],
    ['nonsense', 'export const main = () => "yes"'],
    ['asks', 'export const main = async () => ({ ok: (await flow.workflows.list()) !== null })'],
  ]
  for (const [slug, code] of bad) {
    const rule = await block(organization, slug, code, { timeout_seconds: 1 })
    const { id: guardrail_id } = await guard(organization, { rule, action: 'block', side: 'input' })
    const { status, text } = await post(organization, chat, echo('hello'))
    assert.deepEqual([slug, status, JSON.parse(text).error.code], [slug, 503, 'guardrail_failed'])
    await organization.alice.gateway.guardrails.update({ guardrail_id, action: 'flag' })
    const noted = await post(organization, chat, echo('hello'))
    assert.deepEqual([noted.status, noted.record?.findings[0]?.action], [200, 'unchecked'])
    await organization.alice.gateway.guardrails.remove({ guardrail_id })
  }
})

test('a change counts from the next call on, and a route has guardrails of its own', async () => {
  const organization = await newOrganization()
  const { gateway } = organization.alice
  const made = await guard(organization, { rule: regex, action: 'block', side: 'input', always: false })
  const targets = [{ provider: 'flow', model: 'echo' }]
  await gateway.routes.create({ name: 'safe', targets, guardrails: [made.id] })
  const ask = async (model: string) => (await post(organization, chat, echo('top secret', { model }))).status
  assert.deepEqual([await ask('flow/echo'), await ask('safe')], [200, 400])
  await gateway.guardrails.update({ guardrail_id: made.id, always: true })
  assert.deepEqual([await ask('flow/echo'), await ask('safe')], [400, 400])
  await gateway.guardrails.update({ guardrail_id: made.id, rule: { type: 'regex', patterns: ['nothing'] } })
  assert.deepEqual([await ask('flow/echo'), await ask('safe')], [200, 200])
})

test('guardrails follow each other: each looks at what those before it have left', async () => {
  const organization = await newOrganization()
  await guard(organization, { name: 'A', rule: { type: 'regex', patterns: ['one'] }, action: 'redact', side: 'output' })
  await guard(organization, {
    name: 'B',
    rule: { type: 'regex', patterns: ['REDACTED. two'] },
    action: 'redact',
    side: 'output',
  })
  await guard(organization, { name: 'C', rule: { type: 'regex', patterns: ['one'] }, action: 'block', side: 'output' })
  for (const stream of [false, true]) {
    assert.equal(saidIn((await post(organization, chat, echo('so one two go', { stream }))).text), 'so [[REDACTED] go')
  }
})

test('what is kept was looked at, and is not given to those who are to see it otherwise', async () => {
  const organization = await newOrganization()
  const kept = { 'x-flow-cache-seconds': '60' }
  const ask = async (content = 'mail bob@example.com') => {
    const { status, text, response, record } = await post(organization, chat, echo(content), kept)
    return [status, status === 200 && saidIn(text), response.headers.get('x-flow-cache'), record?.findings.length]
  }
  assert.deepEqual(await ask(), [200, 'mail bob@example.com', 'miss', 0])
  const { id: guardrail_id } = await guard(organization, { rule: pii, action: 'redact', side: 'output' })
  assert.deepEqual(await ask(), [200, 'mail [EMAIL]', 'miss', 1])
  assert.deepEqual(await ask(), [200, 'mail [EMAIL]', 'hit', 1])
  await organization.alice.gateway.guardrails.update({ guardrail_id, side: 'input', action: 'block' })
  assert.deepEqual((await ask())[0], 400)
})

test('every mouth is looked at', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: pii, action: 'block', side: 'input' })
  const mail = 'to bob@example.com'
  const bodies: [string, object][] = [
    ['/completions', { model: 'flow/echo', prompt: ['x', mail] }],
    ['/responses', { model: 'flow/echo', input: mail }],
    ['/responses', { model: 'flow/echo', input: 'x', instructions: mail }],
    ['/messages', { model: 'flow/echo', max_tokens: 9, system: [{ type: 'text', text: mail }], messages: [] }],
    ['/embeddings', { model: 'flow/hash-embedding-384', input: ['x', mail] }],
    ['/rerank', { model: 'flow/echo', query: 'x', documents: [{ text: mail }] }],
  ]
  for (const [path, body] of bodies) {
    const { status, text } = await post(organization, path, body)
    assert.equal(status, 400, path)
    assert.match(text, /The guardrail \\"Guard\\" does not let this prompt pass/, path)
    assert.doesNotMatch(text, /bob/)
  }
  const anthropic = JSON.parse((await post(organization, '/messages', bodies[3]?.[1] ?? {})).text)
  assert.deepEqual([anthropic.type, anthropic.error.type], ['error', 'invalid_request_error'])
  const ids = await post(organization, '/embeddings', { model: 'flow/hash-embedding-384', input: [[1, 2]] })
  assert.deepEqual([ids.status, JSON.parse(ids.text).error.code], [400, 'guardrail_unreadable'])
})

test('embeddings are made of what is left of their texts', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: pii, action: 'redact' })
  const embed = async (input: string) =>
    JSON.parse((await post(organization, '/embeddings', { model: 'flow/hash-embedding-384', input })).text).data[0]
      .embedding
  assert.deepEqual(await embed('to bob@example.com'), await embed('to [EMAIL]'))
})

test('texts of 10 MB are looked at, by patterns that are catastrophic elsewhere, too', async () => {
  const organization = await newOrganization()
  await guard(organization, { name: 'A', rule: { type: 'regex', patterns: ['(a+)+$', '(x|xx)+y'] }, action: 'block' })
  await guard(organization, { name: 'B', rule: pii, action: 'redact' })
  const text = `${'lorem ipsum dolor '.repeat(550_000)} bob@example.com aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! ${'x'.repeat(50)}`
  const answer = await post(organization, chat, echo(text))
  assert.equal(answer.status, 200)
  assert.equal(saidIn(answer.text), text.replace('bob@example.com', '[EMAIL]'))
})

test('a pattern that costs too much lets nothing pass that it was to block', async () => {
  const organization = await newOrganization()
  const rule = { type: 'regex' as const, patterns: ['([a-z ]{0,200}){0,5}!'] }
  const { id: guardrail_id } = await guard(organization, { rule, action: 'block', side: 'input' })
  const { status, text } = await post(organization, chat, echo('lorem ipsum '.repeat(200_000)))
  assert.deepEqual([status, JSON.parse(text).error.code], [400, 'guardrail_limit'])
  await organization.alice.gateway.guardrails.update({ guardrail_id, action: 'flag' })
  const noted = await post(organization, chat, echo('lorem ipsum '.repeat(200_000)))
  assert.deepEqual([noted.status, noted.record?.findings[0]?.action], [200, 'unchecked'])
})

test('what is produced in front of a held part is told when it is safe, and usage stays last', async () => {
  const organization = await newOrganization()
  await guard(organization, { rule: regex, action: 'redact', side: 'output' })
  const upstream = await openUpstream(
    streams(
      event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
      delta('It is top se'),
      event({ choices: [{ index: 0, delta: { content: 'c' }, finish_reason: 'stop' }], usage: null }),
      event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }),
      'data: [DONE]\n\n',
    ),
  )
  const { base_url } = upstream
  await organization.alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url, skip_test: true })
  const options = { model: 'one/m', stream: true, stream_options: { include_usage: true } }
  const { text } = await post(organization, chat, echo('x', options))
  assert.equal(saidIn(text), 'It is top sec')
  const order = text
    .split('\n\n')
    .filter(Boolean)
    .map((one) => {
      if (one === 'data: [DONE]') return 'done'
      const { choices, usage } = JSON.parse(one.slice(6))
      return choices[0]?.finish_reason ?? (usage ? 'usage' : 'delta')
    })
  assert.deepEqual(order.slice(-3), ['stop', 'usage', 'done'])
})

test('a long stream is told in its order, at the pace of what looks at it, and its fault behind it', async () => {
  const organization = await newOrganization()
  const rule = { type: 'regex' as const, patterns: ['[\\s\\S]{1,1000}END', 'code-\\d{4}'] }
  await guard(organization, { rule, action: 'redact', side: 'output' })
  const long = 'lorem ipsum code-1234 '.repeat(300)
  const error = `data: ${JSON.stringify({ error: { message: 'broke', type: 'server_error' } })}\n\n`
  const upstream = await openUpstream()
  const { base_url } = upstream
  await organization.alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url, skip_test: true })
  const ask = (...pieces: string[]) => {
    upstream.answer(streams(...pieces))
    return post(organization, chat, echo('x', { model: 'one/m', stream: true }))
  }
  const expected = `a${long.replaceAll('code-1234', '[REDACTED]')}bc`
  const whole = await ask(delta('a'), delta(long), delta('b'), delta('c'), END)
  assert.equal(saidIn(whole.text), expected)
  assert.match(whole.text, /\[DONE\]/)
  assert.deepEqual([whole.record?.status, whole.record?.usage.input], ['completed', 7])
  const broken = await ask(delta('a') + delta(long) + delta('b') + error)
  const [said] = saidIn(broken.text).split('\n')
  assert.equal(expected.startsWith(said ?? ''), true)
  assert.ok((said?.length ?? 0) > expected.length - 2_000)
  assert.match(broken.text, /broke[\s\S]*$/)
  assert.equal(broken.record?.status, 'failed')
})

test('a client that goes away while it is looked at is noted once, and pays for what was produced', async () => {
  const organization = await newOrganization()
  const rule = await block(organization, 'slow', 'export const main = async () => { for (;;); }', {
    timeout_seconds: 3,
  })
  const { id: guardrail_id } = await guard(organization, { rule, action: 'block', side: 'input' })
  const leave = async (body: object) => {
    const before = records.length
    const abort = new AbortController()
    const asked = post(organization, chat, body, {}, abort.signal)
    await pause(300)
    abort.abort()
    await assert.rejects(asked)
    await pause(3_500)
    const noted = records.slice(before)
    assert.equal(noted.length, 1)
    return noted[0]
  }
  const early = await leave(echo('hello'))
  assert.deepEqual([early?.status, early?.usage.output], ['aborted', 0])
  await organization.alice.gateway.guardrails.update({ guardrail_id, side: 'output' })
  for (const stream of [false, true]) {
    const late = await leave(echo('12345678', { stream }))
    assert.deepEqual([late?.status, late?.usage.output], ['aborted', 2])
  }
})

test('of a prompt that no guardrail has let pass yet the trace keeps nothing', async () => {
  const organization = await newOrganization()
  const nowhere = { model: 'nobody/knows' }
  const { record: unguarded } = await post(organization, chat, echo('code-1234', nowhere))
  assert.match(`${unguarded?.request}`, /code-1234/)
  const { id: guardrail_id } = await guard(organization, { rule: regex, action: 'redact', side: 'input' })
  const { status, record } = await post(organization, chat, echo('code-1234', nowhere))
  assert.deepEqual([status, record?.status, record?.request], [404, 'refused', null])

  const leave = async (content: string) => {
    const before = records.length
    const abort = new AbortController()
    const asked = assert.rejects(post(organization, chat, echo(content), {}, abort.signal))
    await pause(100)
    abort.abort()
    await asked
    const [noted] = records.slice(before)
    assert.deepEqual([noted?.status, noted?.request], ['aborted', null])
  }
  await organization.alice.gateway.guardrails.update({
    guardrail_id,
    rule: { type: 'regex', patterns: ['code-\\d+', '[\\s\\S]{1,1000}END'] },
  })
  await leave(`code-1234 ${'lorem ipsum '.repeat(3_000)}`)
  const rule = await block(organization, 'slow', 'export const main = async () => { for (;;); }', {
    timeout_seconds: 1,
  })
  await organization.alice.gateway.guardrails.update({ guardrail_id, rule })
  await leave('code-1234')
})

test('an answer that is blocked is kept for nobody, and an idempotency key is free again', async () => {
  const organization = await newOrganization()
  const { id: guardrail_id } = await guard(organization, { rule: regex, action: 'block', side: 'output' })
  const headers = { 'x-flow-cache-seconds': '60', 'idempotency-key': 'k' }
  const body = scripted({ say: 'top secret' })
  for (let i = 0; i < 2; i += 1) {
    const { status, record } = await post(organization, chat, body, headers)
    assert.deepEqual([status, record?.cache], [400, 'miss'])
  }
  await organization.alice.gateway.guardrails.update({ guardrail_id, action: 'redact' })
  const { text, response } = await post(organization, chat, body, headers)
  assert.deepEqual([saidIn(text), response.headers.get('x-flow-cache')], ['[REDACTED]', 'miss'])
  const again = await post(organization, chat, body, headers)
  assert.deepEqual([again.text, again.response.headers.get('idempotent-replayed')], [text, 'true'])
})

// The last one: planes of a platform hear of changes together, until one is closed.
test('a server that stops waits for what guardrails still look at, but not for long', async () => {
  const organization = await newOrganization()
  const slow = `export const main = async () => {
    await new Promise((resolve) => setTimeout(resolve, 500))
    return { ok: false }
  }`
  const rule = await block(organization, 'slow', slow)
  const { id: guardrail_id } = await guard(organization, { rule, action: 'flag', side: 'output' })
  const stopped = async () => {
    const other = newPlane()
    const before = records.length
    const authorization = `Bearer ${organization.admin.api_key}`
    const response = await other.respond(
      new Request(`http://flow.test${PREFIX}${chat}`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify(echo('hello', { stream: true })),
      }),
    )
    assert.match(await response.text(), /\[DONE\]/)
    assert.equal(records.length, before)
    await other.close()
    const noted = records.slice(before)
    await pause(10)
    assert.equal(records.length, before + 1)
    return noted.map(({ status, findings }) => [status, findings.map(({ action }) => action)])
  }
  assert.deepEqual(await stopped(), [['completed', ['flag']]])
  const looping = await block(organization, 'loops', 'export const main = () => { for (;;); }')
  await organization.alice.gateway.guardrails.update({ guardrail_id, rule: looping })
  assert.deepEqual(await stopped(), [['completed', ['unchecked']]])
})
