/** What hosts say in ways of their own: whole or streamed, nothing gets out of it that a guardrail blocks or redacts,
 *  neither to the client nor into the trace. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import type { GatewayGuardrail } from '@flow/contract/gateway-routes'
import OpenAI from 'openai'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, breaks, delta, event, type Got, openUpstream, says, streams } from '../call/upstream-testing.ts'
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
const plane = openPlane(platform, {
  noted: () => {},
  spend: async () => ({}),
  journal: { note: (record) => void note(record) },
  governor: {
    admit: () => ({ output_tokens_max: null, headers: {}, allows: () => true, covers: () => true, settle: note }),
  },
})
after(() => plane.close())

type Rule = Pick<GatewayGuardrail, 'rule' | 'action' | 'side'>
const secret = { type: 'regex' as const, patterns: ['SECRET-\\d+'] }

/** An organization with a guardrail, and with providers that all are this host. */
async function hosted({ rule, action, side }: Rule, ...answers: Answer[]) {
  const { alice, admin } = await newOrganization()
  const { base_url, answer, got } = await openUpstream(...answers)
  const shared = { base_url, skip_test: true, key: 'k' }
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', ...shared })
  await alice.gateway.providers.create({ name: 'open', kind: 'openai', ...shared, options: { responses: 'native' } })
  await alice.gateway.providers.create({ name: 'claude', kind: 'anthropic', ...shared })
  await alice.gateway.guardrails.create({ name: 'Guard', always: true, rule, action, side } as never)
  const fetch = (url: string | URL | Request, init?: RequestInit) => plane.respond(new Request(url, init))
  const client = { apiKey: admin.api_key, maxRetries: 0, fetch }
  const openai = new OpenAI({ ...client, baseURL: `http://flow.test${PREFIX}` })
  const anthropic = new Anthropic({ ...client, baseURL: `http://flow.test${PREFIX.replace(/\/v1$/, '')}` })
  const headers = { authorization: `Bearer ${admin.api_key}`, 'content-type': 'application/json' }
  const ask = async (path: string, body: object) => {
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await plane.respond(new Request(`http://flow.test${PREFIX}${path}`, init))
    const text = await response.text()
    return { status: response.status, text, kept: String(records.at(-1)?.answer), record: records.at(-1) }
  }
  return { ask, answer, got, openai, anthropic }
}

const messages = [{ role: 'user', content: 'x' }]
const asked = { model: 'one/m', messages }

test('the end of a stream that breaks or is blocked tells nothing of what was held back', async () => {
  const letters = [...'hello SECRET-1234 and so on']
  const pieces = [
    ...letters.map((reasoning_content) =>
      event({ choices: [{ index: 0, delta: { reasoning_content }, finish_reason: null }] }),
    ),
    ...letters.map((letter) => delta(letter)),
  ]
  for (const [action, answer] of [
    ['redact', breaks(...pieces)],
    ['block', streams(...pieces, delta('', 'stop'), 'data: [DONE]\n\n')],
  ] as const) {
    const { ask } = await hosted({ rule: secret, action, side: 'output' }, answer)
    for (const [path, body] of [
      ['/responses', { model: 'one/m', input: 'x', stream: true }],
      ['/chat/completions', { ...asked, stream: true }],
      ['/messages', { ...asked, max_tokens: 50, stream: true }],
    ] as const) {
      const { text, kept } = await ask(path, body)
      assert.match(text, /error/)
      assert.match(text, /"h"/)
      for (const told of [text, kept]) assert.doesNotMatch(told, /SECRET-1|1234/, `${action} ${path}`)
    }
  }
})

const DONE = 'data: [DONE]\n\n'
/** A stream where one is asked for. */
const either =
  (whole: JsonObject, ...pieces: string[]): Answer =>
  (response, got: Got) => {
    if (got.body.stream === true) return streams(...pieces)(response, got)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(whole))
  }
const chatOf = (choice: JsonObject, more: JsonObject = {}): JsonObject => ({
  ...{ id: 'c', object: 'chat.completion', created: 1, model: 'm' },
  choices: [{ index: 0, finish_reason: 'stop', ...choice }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  ...more,
})
/** Events that say of themselves what they are. */
const typed = (...events: JsonObject[]): string[] =>
  events.map((one, sequence_number) => {
    const data = JSON.stringify({ ...one, sequence_number })
    return `event: ${one.type}\ndata: ${data}\n\n`
  })

test('likelihoods of what is redacted are told nowhere', async () => {
  const logprobs = ['SECRET', '-', '1234'].map((token) => ({ token, logprob: -0.1, bytes: null, top_logprobs: [] }))
  const [text, role] = ['SECRET-1234', 'assistant']
  const asChat = either(
    chatOf({ message: { role, content: text }, logprobs: { content: logprobs, refusal: null }, token_ids: [1234] }),
    ...logprobs.map((one) => {
      const likelihoods = { logprobs: { content: [one], refusal: null }, token_ids: [1234] }
      return event({ choices: [{ index: 0, delta: { content: one.token }, finish_reason: null, ...likelihoods }] })
    }),
    delta('', 'stop'),
    DONE,
  )
  const part = { type: 'output_text', text, annotations: [], logprobs }
  const item = { id: 'msg_1', type: 'message', role, status: 'completed', content: [part] }
  const usage = { input_tokens: 1, output_tokens: 3, total_tokens: 4 }
  const head = { id: 'resp_1', object: 'response', created_at: 1, model: 'm', usage }
  const response = { ...head, status: 'completed', output: [item] }
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  const asResponse = either(
    response,
    ...typed(
      { type: 'response.created', response: { ...head, status: 'in_progress', output: [] } },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [], status: 'in_progress' } },
      { type: 'response.content_part.added', ...at, part: { ...part, text: '', logprobs: [] } },
      ...logprobs.map((one) => ({ type: 'response.output_text.delta', ...at, delta: one.token, logprobs: [one] })),
      { type: 'response.output_text.done', ...at, text, logprobs },
      { type: 'response.content_part.done', ...at, part },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response },
    ),
  )
  const { ask, answer } = await hosted({ rule: secret, action: 'redact', side: 'output' })
  const include = ['message.output_text.logprobs']
  for (const stream of [false, true]) {
    for (const [path, body, given] of [
      ['/chat/completions', { ...asked, logprobs: true }, asChat],
      ['/responses', { model: 'one/m', input: 'x', include }, asChat],
      ['/responses', { model: 'open/m', input: 'x', include }, asResponse],
    ] as const) {
      answer(given)
      const { status, text: told, kept } = await ask(path, { ...body, stream })
      assert.equal(status, 200)
      assert.match(told, /REDACTED/)
      for (const one of [told, kept]) assert.doesNotMatch(one, /SECRET"|1234/, `${body.model} ${path} ${stream}`)
    }
  }
  answer(says('nothing', { choices: chatOf({ message: { role, content: 'nothing' }, token_ids: [7] }).choices }))
  assert.match((await ask('/chat/completions', asked)).text, /"token_ids":\[7\]/)
})

test('what stands beside the pieces of a stream tells nothing that is held back', async () => {
  const words = ['hello ', 'SECRET-', '1234', ' bye']
  const besides: ((i: number) => JsonObject)[] = [
    (i) => ({ text: words[i] ?? '' }),
    (i) => ({ message: { role: 'assistant', content: words.slice(0, i + 1).join('') } }),
  ]
  const { ask, answer } = await hosted({ rule: secret, action: 'redact', side: 'output' })
  for (const beside of besides) {
    const pieces = words.map((content, i) =>
      event({
        choices: [{ index: 0, delta: { content }, finish_reason: null, ...beside(i) }],
        token: { text: content },
      }),
    )
    answer(either(chatOf({ ...beside(3), message: { content: words.join('') } }), ...pieces, delta('', 'stop'), DONE))
    for (const stream of [false, true]) {
      const { text, kept } = await ask('/chat/completions', { ...asked, stream })
      assert.match(text, /REDACTED.{0,9} bye/s)
      for (const told of [text, kept]) assert.doesNotMatch(told, /SECRET-|1234/)
    }
  }
})

test('what a search has found is looked at, and told with each piece', async () => {
  const search_results = [{ title: 'A SECRET-1', snippet: 'B SECRET-2', url: 'https://example.com/' }]
  const choices = [{ index: 0, delta: { content: 'x' }, finish_reason: null }]
  const given = either(
    chatOf({ message: { content: 'x' } }, { search_results }),
    event({ choices, search_results, provider: 'SECRET-3' }),
    event({ choices, search_results }),
    delta('', 'stop'),
    DONE,
  )
  const { ask } = await hosted({ rule: secret, action: 'redact', side: 'output' }, given)
  const looked = '"search_results":[{"title":"A [REDACTED]","snippet":"B [REDACTED]","url":"https://example.com/"}]'
  for (const stream of [false, true]) {
    const { text, kept } = await ask('/chat/completions', { ...asked, stream })
    for (const told of [text, kept.replaceAll('\\"', '"')]) assert.equal(told.split(looked).length, stream ? 3 : 2)
    assert.doesNotMatch(text, /SECRET-[12]/)
  }
})

test('a form holds for an answer that comes in parts, and what is found over parts of a stream is redacted', async () => {
  const parts = (...texts: string[]) => texts.map((text) => ({ type: 'text', text }))
  const said = (content: object[]) => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
  const inParts = (...texts: string[]) =>
    either(
      chatOf({ message: { content: parts(texts.join('')) } }),
      ...texts.map((text) => said(parts(text))),
      delta('', 'stop'),
      DONE,
    )
  const { ask, answer } = await hosted({
    rule: { type: 'json_schema', schema: { type: 'object' } },
    action: 'block',
    side: 'output',
  })
  for (const stream of [false, true]) {
    answer(inParts('{"a":', '1}'))
    assert.equal((await ask('/chat/completions', { ...asked, stream })).status, 200)
    answer(inParts('no ', 'JSON'))
    assert.equal((await ask('/chat/completions', { ...asked, stream })).status, 400)
  }

  const redacting = await hosted({ rule: secret, action: 'redact', side: 'output' }, inParts('a SEC', 'RET-12', '34'))
  const { text } = await redacting.ask('/chat/completions', { ...asked, stream: true })
  assert.match(text, /"delta":\{"content":\[\{"type":"text","text":"\[REDACTED\]"\}\]\}/)
})

test('what begins with text is looked at together with what follows', async () => {
  const usage = { input_tokens: 1, output_tokens: 1 }
  const message = { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, usage }
  const block = (kind: string): JsonObject[] => [
    { type: 'content_block_start', index: 0, content_block: { type: kind, [kind]: 'so SECRET-' } },
    { type: 'content_block_delta', index: 0, delta: { type: `${kind}_delta`, [kind]: '1234' } },
    { type: 'content_block_stop', index: 0 },
  ]
  const blocks = (kind: string) =>
    typed(
      { type: 'message_start', message },
      ...block(kind),
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 3 } },
      { type: 'message_stop' },
    )
  const text = 'so SECRET-1234'
  const item = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed' }
  const part = { type: 'output_text', text, annotations: [] }
  const head = { id: 'resp_1', object: 'response', created_at: 1, model: 'm', usage: { ...usage, total_tokens: 2 } }
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  const output = [{ ...item, content: [part] }]
  const parts = typed(
    { type: 'response.created', response: { ...head, status: 'in_progress', output: [] } },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [], status: 'in_progress' } },
    { type: 'response.content_part.added', ...at, part: { ...part, text: 'so SECRET-' } },
    { type: 'response.output_text.delta', ...at, delta: '1234' },
    { type: 'response.output_text.done', ...at, text },
    { type: 'response.content_part.done', ...at, part },
    { type: 'response.output_item.done', output_index: 0, item: output[0] ?? {} },
    { type: 'response.completed', response: { ...head, status: 'completed', output } },
  )
  const { ask, answer, openai, anthropic } = await hosted({ rule: secret, action: 'redact', side: 'output' })
  answer(streams(...blocks('text')))
  const streamed = { max_tokens: 50, messages: [{ role: 'user' as const, content: 'x' }] }
  const { content } = await anthropic.messages.stream({ ...streamed, model: 'claude/m' }).finalMessage()
  assert.deepEqual(content, [{ type: 'text', text: 'so [REDACTED]' }])
  answer(streams(...blocks('thinking')))
  const thought = await ask('/messages', { ...streamed, model: 'claude/m', stream: true })
  assert.match(thought.text, /"thinking":"\[REDACTED\]"/)
  answer(streams(...parts))
  assert.equal(
    (await openai.responses.stream({ model: 'open/m', input: 'x' }).finalResponse()).output_text,
    'so [REDACTED]',
  )
  const { text: told } = await ask('/responses', { model: 'open/m', input: 'x', stream: true })
  for (const one of [thought.text, told]) assert.doesNotMatch(one, /SECRET-|1234/)
  const numbers = [...told.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number))
  assert.deepEqual(numbers, Array.from(numbers.keys()))
})

test('arguments that are nested too deep to be looked at do not pass, unless they are only to be noted', async () => {
  const deep = `${'['.repeat(250)}1${']'.repeat(250)}`
  const call = { index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: deep } }
  const asks = [
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c', content: 'x' },
  ]
  const answers = either(
    chatOf({ message: { content: null, tool_calls: [call] } }),
    event({ choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }),
    delta('', 'stop'),
    DONE,
  )
  for (const action of ['redact', 'block', 'flag'] as const) {
    for (const side of ['input', 'output'] as const) {
      const { ask } = await hosted({ rule: secret, action, side }, side === 'input' ? says('x') : answers)
      for (const stream of side === 'input' ? [false] : [false, true]) {
        const body = side === 'input' ? { ...asked, messages: [...asks, ...messages] } : asked
        const { status, text, record } = await ask('/chat/completions', { ...body, stream })
        if (action === 'flag') {
          assert.equal(status, 200)
          assert.deepEqual(record?.findings, [{ guardrail: 'Guard', action: 'unchecked', side }])
          if (side === 'output') assert.ok(text.includes(deep))
          continue
        }
        assert.match(text, /guardrail_limit/)
        assert.doesNotMatch(text, /\[\[\[|INTERNAL/)
        if (!stream) assert.equal(status, 400)
      }
    }
  }
})

test('two fields of arguments whose names are redacted alike stay two', async () => {
  const given = '{"S-1":"alice","S-2":"bob","n":5,"[REDACTED] 2":"carl","S-3":{"S-4":1}}'
  const call = { index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: given } }
  const answers = either(
    chatOf({ message: { content: null, tool_calls: [call] } }),
    event({ choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }),
    delta('', 'stop'),
    DONE,
  )
  const rule = { type: 'regex' as const, patterns: ['S-\\d+'] }
  const { ask } = await hosted({ rule, action: 'redact', side: 'output' }, answers)
  for (const stream of [false, true]) {
    const { text } = await ask('/chat/completions', { ...asked, stream })
    const told = JSON.parse(JSON.parse(`"${text.match(/"arguments":"(\{.*?\})"\}/)?.[1]}"`))
    assert.deepEqual(told, {
      ...{ '[REDACTED]': 'alice', '[REDACTED] 3': 'bob', n: 5, '[REDACTED] 2': 'carl' },
      '[REDACTED] 4': { '[REDACTED]': 1 },
    })
  }
})

test('what has fields as its owner likes is looked at in all of them, and encoded bytes in none', () => {
  const hidden = (body: JsonObject) => mapRequest(body, (text) => (text.includes('SECRET') ? 'HIDDEN' : text))
  const ones = (value: string): JsonObject => ({ name: value, type: value, pattern: value, required: [value] })
  const schema = (value: string): JsonObject => ({
    type: 'object',
    properties: { default: { type: 'string', pattern: 'SECRET' }, a: { enum: [value], examples: [ones(value)] } },
  })
  const call = (given: string): JsonObject => ({ tool_calls: [{ function: { name: 'f', arguments: given } }] })
  const body = (value: string, escaped: string): JsonObject => ({
    documents: [{ id: 'SECRET', data: value }, { data: ones(value) }, ones(value)],
    tools: [{ type: 'function', function: { name: 'SECRET', parameters: schema(value) } }],
    messages: [call(JSON.stringify(value)), call(escaped)],
    unknown: { data: value },
    input: [{ type: 'image', data: value === 'HIDDEN' ? value : `${value}, in words` }],
  })
  assert.deepEqual(hidden(body('a SECRET', '"\\u0053ECRET"')), body('HIDDEN', '"HIDDEN"'))

  const encoded: JsonObject[] = [
    { type: 'input_audio', input_audio: { data: 'SECRET', format: 'wav' } },
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'SECRET' } },
    { type: 'image', data: 'data:image/png;base64,SECRET', mimeType: 'image/png' },
    { inline_data: { mime_type: 'image/png', data: 'SECRET+/==' } },
    { type: 'redacted_thinking', data: 'openai:SECRET' },
    { type: 'image_generation_call', id: 'SECRET', result: 'SECRET' },
  ]
  for (const one of encoded) assert.deepEqual(hidden({ input: [one] }), { input: [one] })
  const text = (data: string): JsonObject => ({
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data },
  })
  assert.deepEqual(hidden({ input: [text('SECRET')] }), { input: [text('HIDDEN')] })
})
