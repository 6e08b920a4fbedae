/** Guardrails in every format, as its own client reads it: where the provider speaks the format and bytes would pass, and
 *  where the hub is in the middle. The provider is Flow itself, called by another organization over a socket. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { event, openUpstream, says, streams } from '../call/upstream-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const base_url = `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`
const far = await newOrganization()

/** An organization with a guardrail, and clients of its own. */
async function guarded(action: 'block' | 'redact' | 'flag', side: 'input' | 'output', rule: object = pii) {
  const { alice, admin } = await newOrganization()
  const shared = { base_url, key: far.admin.api_key, skip_test: true }
  await alice.gateway.providers.create({ name: 'far', kind: 'openai', ...shared, options: { responses: 'native' } })
  await alice.gateway.providers.create({ name: 'claude', kind: 'anthropic', ...shared })
  await alice.gateway.guardrails.create({ name: 'Guard', always: true, side, action, rule } as never)
  const openai = new OpenAI({ apiKey: admin.api_key, baseURL: base_url, maxRetries: 0 })
  const anthropic = new Anthropic({ apiKey: admin.api_key, baseURL: base_url.replace(/\/v1$/, ''), maxRetries: 0 })
  return { alice, openai, anthropic }
}
const pii = { type: 'pii', kinds: ['email', 'credit_card'] }
const script = JSON.stringify({
  think: 'ask bob@example.com first',
  say: 'Mail ann@example.com or pay 4111 1111 1111 1111 now.',
  calls: [
    { name: 'mail', arguments: { to: 'carl@example.com', card: 4111111111111111 } },
    { name: 'none', arguments: { a: 1 } },
  ],
})
const said = 'Mail [EMAIL] or pay [CREDIT_CARD] now.'
const args = ['{"to":"[EMAIL]","card":"[CREDIT_CARD]"}', '{"a":1}']
const user = (content: string) => [{ role: 'user' as const, content }]

test('chats are redacted alike, whole and streamed', async () => {
  const { openai } = await guarded('redact', 'output')
  for (const model of ['flow/scripted', 'far/flow/scripted', 'claude/flow/scripted']) {
    const whole = await openai.chat.completions.create({ model, messages: user(script), max_completion_tokens: 500 })
    const asked = { model, messages: user(script), max_completion_tokens: 500 }
    const streamed = await openai.chat.completions.stream(asked).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      const { content, tool_calls } = choices[0]?.message ?? {}
      assert.equal(content, said, model)
      const calls = (tool_calls ?? []).map((call) =>
        call.type === 'function' ? JSON.parse(call.function.arguments) : null,
      )
      assert.deepEqual(
        calls,
        args.map((one) => JSON.parse(one)),
        model,
      )
    }
  }
})

test('responses are redacted alike, whole and streamed', async () => {
  const { openai } = await guarded('redact', 'output')
  for (const model of ['flow/scripted', 'far/flow/scripted']) {
    const whole = await openai.responses.create({ model, input: script })
    const stream = openai.responses.stream({ model, input: script })
    const deltas = { text: '', args: '', reasoning: '' }
    let last = -1
    for await (const event of stream) {
      assert.ok(event.sequence_number > last)
      last = event.sequence_number
      if (event.type === 'response.output_text.delta') deltas.text += event.delta
      if (event.type === 'response.function_call_arguments.delta') deltas.args += event.delta
      if (event.type === 'response.reasoning_summary_text.delta') deltas.reasoning += event.delta
      if (event.type === 'response.output_text.done') assert.equal(event.text, said)
      if (event.type === 'response.output_item.done') assert.doesNotMatch(JSON.stringify(event), /@example|4111/)
    }
    const streamed = await stream.finalResponse()
    assert.equal(deltas.text, said, model)
    assert.equal(deltas.args, args.join(''))
    assert.equal(deltas.reasoning, 'ask [EMAIL] first')
    for (const { output } of [whole, streamed]) {
      const texts = output.flatMap((item) => (item.type === 'message' ? item.content : []))
      assert.deepEqual(
        texts.map((part) => part.type === 'output_text' && part.text),
        [said],
      )
      assert.deepEqual(
        output.flatMap((item) => (item.type === 'function_call' ? [item.arguments] : [])),
        args,
      )
      const thoughts = output.flatMap((item) => (item.type === 'reasoning' ? item.summary : []))
      assert.deepEqual(
        thoughts.map(({ text }) => text),
        ['ask [EMAIL] first'],
      )
    }
  }
})

test('messages are redacted alike, whole and streamed', async () => {
  const { anthropic } = await guarded('redact', 'output')
  for (const model of ['flow/scripted', 'claude/flow/scripted', 'far/flow/scripted']) {
    const asked = { model, max_tokens: 500, messages: user(script) }
    const whole = await anthropic.messages.create(asked)
    const streamed = await anthropic.messages.stream(asked).finalMessage()
    for (const { content } of [whole, streamed]) {
      const texts = content.flatMap((part) => (part.type === 'text' ? [part.text] : []))
      assert.deepEqual(texts, [said], model)
      const calls = content.flatMap((part) => (part.type === 'tool_use' ? [part.input] : []))
      assert.deepEqual(
        calls,
        args.map((one) => JSON.parse(one)),
        model,
      )
      const thoughts = content.flatMap((part) => (part.type === 'thinking' ? [part.thinking] : []))
      for (const thought of thoughts) assert.equal(thought, 'ask [EMAIL] first')
    }
  }
})

test('completions are redacted alike, whole and streamed', async () => {
  const { openai } = await guarded('redact', 'output')
  const prompt = JSON.stringify({ say: 'Mail ann@example.com or pay 4111 1111 1111 1111 now.' })
  for (const model of ['flow/scripted', 'far/flow/scripted']) {
    const whole = await openai.completions.create({ model, prompt, max_tokens: 500 })
    let streamed = ''
    for await (const { choices } of await openai.completions.create({ model, prompt, max_tokens: 500, stream: true })) {
      streamed += choices[0]?.text ?? ''
    }
    assert.deepEqual([whole.choices[0]?.text, streamed], [said, said], model)
  }
})

test('a stream that is blocked throws in every client, and says nothing of what it found', async () => {
  const { openai, anthropic } = await guarded('block', 'output')
  const blocked = /The guardrail \\*"Guard\\*" does not let this answer pass/
  for (const model of ['flow/scripted', 'far/flow/scripted', 'claude/flow/scripted']) {
    const asked = { model, max_tokens: 500, messages: user(script) }
    await assert.rejects(anthropic.messages.stream(asked).finalMessage(), blocked)
    const chat = openai.chat.completions.stream({ model, messages: user(script), max_completion_tokens: 500 })
    await assert.rejects(chat.finalChatCompletion(), blocked)
    await assert.rejects(anthropic.messages.create(asked), blocked)
    const read = async () => {
      for await (const event of await openai.responses.create({ model, input: script, stream: true })) {
        assert.doesNotMatch(JSON.stringify(event), /bob|4111/)
      }
    }
    await assert.rejects(read, blocked)
  }
})

test('an answer that is held until its end comes as each client reads it', async () => {
  const schema = { type: 'object', required: ['answer'] }
  const { openai, anthropic } = await guarded('block', 'output', { type: 'json_schema', schema })
  const good = JSON.stringify({ think: 'Hm.', say: '{"answer": 42}' })
  const bad = JSON.stringify({ say: 'forty-two' })
  for (const model of ['flow/scripted', 'far/flow/scripted']) {
    const asked = (content: string) => ({ model, max_tokens: 500, messages: user(content) })
    const message = await anthropic.messages.stream(asked(good)).finalMessage()
    assert.deepEqual(
      message.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])),
      ['{"answer": 42}'],
    )
    const response = await openai.responses.stream({ model, input: good }).finalResponse()
    assert.equal(response.output_text, '{"answer": 42}')
    await assert.rejects(anthropic.messages.stream(asked(bad)).finalMessage(), /400/)
    await assert.rejects(async () => openai.responses.create({ model, input: bad, stream: true }), /400/)
  }
})

test('code that rewrites a held answer is read by each client', async () => {
  const { alice, openai, anthropic } = await guarded('flag', 'output')
  const code = `export const main = ({ text }) => ({ ok: true, text: text.replaceAll('foo', 'bar') })`
  const { id } = await alice.codeBlocks.create({
    name: 'Words',
    slug: 'words',
    config: { language: 'javascript', code },
  })
  await alice.components.publish({ component_id: id })
  const rule = { type: 'code_block' as const, component_id: id }
  await alice.gateway.guardrails.create({ name: 'Words', always: true, side: 'output', action: 'redact', rule })
  const content = JSON.stringify({ say: 'a foo and a foo', calls: [{ name: 'f', arguments: { x: 'foo' } }] })
  for (const model of ['flow/scripted', 'far/flow/scripted']) {
    const message = await anthropic.messages.stream({ model, max_tokens: 500, messages: user(content) }).finalMessage()
    assert.match(JSON.stringify(message.content), /"a bar and a bar".*"x":"bar"/)
    const response = await openai.responses.stream({ model, input: content }).finalResponse()
    assert.equal(response.output_text, 'a bar and a bar')
    assert.doesNotMatch(JSON.stringify(response.output), /foo/)
  }
})

test('code is asked about arguments as the JSON that they are, whole and streamed', async () => {
  const { alice, openai, anthropic } = await guarded('flag', 'output')
  const code = `export const main = ({ text }) => ({ ok: !/Müller|"/.test(text) })`
  const config = { language: 'javascript' as const, code }
  const { id: component_id } = await alice.codeBlocks.create({ name: 'Names', slug: 'names', config })
  await alice.components.publish({ component_id })
  const rule = { type: 'code_block' as const, component_id }
  const { id: guardrail_id } = await alice.gateway.guardrails.create({
    name: 'Names',
    always: true,
    side: 'output',
    action: 'redact',
    rule,
  })
  // As Python writes it, and in pieces.
  const given = '{"name": "M\\u00fcller", "age": 5}'
  const call = (fields: object) => ({ tool_calls: [{ index: 0, function: fields }] })
  const pieces = [
    {
      role: 'assistant',
      tool_calls: [{ index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: '' } }],
    },
    ...(given.match(/.{1,5}/g) ?? []).map((piece) => call({ arguments: piece })),
  ].map((one) => event({ choices: [{ index: 0, delta: one, finish_reason: null }] }))
  const end = event({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] })
  const tool_calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: given } }]
  const message = { role: 'assistant', content: null, tool_calls }
  const choices = [{ index: 0, message, finish_reason: 'tool_calls' }]
  const upstream = await openUpstream((response, got) => {
    const answer = got.body.stream ? streams(...pieces, end, 'data: [DONE]\n\n') : says('', { choices })
    return answer(response, got)
  })
  await alice.gateway.providers.create({ name: 'up', kind: 'openai', base_url: upstream.base_url, skip_test: true })

  const model = 'up/m'
  const expected = { name: '[REDACTED]', age: 5 }
  const chat = await openai.chat.completions.stream({ model, messages: user('x') }).finalChatCompletion()
  const whole = await openai.chat.completions.create({ model, messages: user('x') })
  for (const { choices } of [chat, whole]) {
    const [made] = choices[0]?.message.tool_calls ?? []
    assert.deepEqual(JSON.parse(made?.type === 'function' ? made.function.arguments : ''), expected)
  }
  const asked = { model, max_tokens: 100, messages: user('x') }
  for (const { content } of [
    await anthropic.messages.stream(asked).finalMessage(),
    await anthropic.messages.create(asked),
  ]) {
    assert.deepEqual(
      content.flatMap((part) => (part.type === 'tool_use' ? [part.input] : [])),
      [expected],
    )
  }
  let deltas = ''
  for await (const one of await openai.responses.create({ model, input: 'x', stream: true })) {
    if (one.type === 'response.function_call_arguments.delta') deltas += one.delta
    if (one.type === 'response.function_call_arguments.done') assert.deepEqual(JSON.parse(one.arguments), expected)
  }
  assert.deepEqual(JSON.parse(deltas), expected)

  await alice.gateway.guardrails.update({ guardrail_id, action: 'block' })
  const blocked = /The guardrail \\*"Names\\*" does not let this answer pass/
  await assert.rejects(openai.chat.completions.stream({ model, messages: user('x') }).finalChatCompletion(), blocked)
  await assert.rejects(openai.chat.completions.create({ model, messages: user('x') }), blocked)
  await assert.rejects(anthropic.messages.stream(asked).finalMessage(), blocked)
  await assert.rejects(async () => openai.responses.create({ model, input: 'x', stream: true }), blocked)
})

test('prompts are redacted in every format before they leave', async () => {
  const { openai, anthropic } = await guarded('redact', 'input')
  const mail = 'to bob@example.com'
  for (const prefix of ['', 'far/']) {
    const model = `${prefix}flow/echo`
    const chat = await openai.chat.completions.create({ model, messages: user(mail) })
    assert.equal(chat.choices[0]?.message.content, 'to [EMAIL]')
    assert.equal((await openai.responses.create({ model, input: mail })).output_text, 'to [EMAIL]')
    const message = await anthropic.messages.create({ model, max_tokens: 50, messages: user(mail) })
    assert.deepEqual(
      message.content.map((part) => part.type === 'text' && part.text),
      ['to [EMAIL]'],
    )
    assert.equal(
      (await openai.completions.create({ model, prompt: mail, max_tokens: 50 })).choices[0]?.text,
      'to [EMAIL]',
    )
  }
})

test('tokens of a prompt that is blocked are not counted', async () => {
  const { anthropic } = await guarded('block', 'input')
  for (const model of ['flow/echo', 'claude/flow/echo']) {
    await assert.rejects(anthropic.messages.countTokens({ model, messages: user('to bob@example.com') }), /Guard/)
    assert.ok((await anthropic.messages.countTokens({ model, messages: user('to nobody') })).input_tokens > 0)
  }
})

test('code that calls models is looked at, and a guardrail in code may be waited for by code', async () => {
  const { alice } = await newOrganization()
  const make = async (slug: string, code: string) => {
    const { id } = await alice.codeBlocks.create({ name: slug, slug, config: { language: 'javascript', code } })
    await alice.components.publish({ component_id: id })
    return id
  }
  const guard = await make('guard', `export const main = ({ text }) => ({ ok: !text.includes('forbidden') })`)
  const rule = { type: 'code_block' as const, component_id: guard }
  await alice.gateway.guardrails.create({ name: 'Words', always: true, side: 'input', action: 'block', rule })
  const code = `export const main = async ({ say }) => {
    const messages = [{ role: 'user', content: say }]
    try {
      return (await flow.gateway.chat_completion({ model: 'flow/echo', messages })).choices[0].message.content
    } catch (error) { return error.message }
  }`
  const caller = await make('caller', code)
  const say = async (text: string) =>
    (await alice.components.test({ component_id: caller, input: { say: text } })).runs[0]?.output
  assert.equal(await say('hello'), 'hello')
  assert.match(String(await say('forbidden')), /The guardrail "Words" does not let this prompt pass/)
})
