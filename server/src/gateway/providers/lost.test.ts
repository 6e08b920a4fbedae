/** What an adapter says that it cannot carry is what makes no difference to what it sends, and nothing else is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChatRequest, Reasoning } from '../hub.ts'
import { adapters } from './adapters.ts'
import { lostIn } from './lost.ts'
import type { Account, ProviderKind } from './provider.ts'

const targets: [ProviderKind, string, string][] = [
  ['anthropic', 'https://api.anthropic.com/v1', 'claude-haiku-4-5'],
  ['anthropic', 'https://api.anthropic.com/v1', 'claude-3-5-haiku-latest'],
  ['bedrock', 'https://bedrock-runtime.us-east-1.amazonaws.com', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'],
  ['bedrock', 'https://bedrock-runtime.us-east-1.amazonaws.com', 'us.anthropic.claude-sonnet-4-20250514-v1:0'],
  ['bedrock', 'https://bedrock-runtime.us-east-1.amazonaws.com', 'amazon.nova-pro-v1:0'],
  ['bedrock', 'https://bedrock-runtime.us-east-1.amazonaws.com', 'meta.llama3-3-70b-instruct-v1:0'],
  ['gemini', 'https://generativelanguage.googleapis.com/v1beta', 'gemini-2.5-flash'],
  ['gemini', 'https://generativelanguage.googleapis.com/v1beta', 'gemini-3-flash-preview'],
  ['cohere', 'https://api.cohere.com', 'command-a-reasoning-08-2025'],
  ['openai', 'https://api.openai.com/v1', 'gpt-4o'],
  ['openai', 'https://api.mistral.ai/v1', 'mistral-large-latest'],
  ['openai', 'https://openrouter.ai/api/v1', 'x/y'],
  ['openai', 'https://vllm.example.com/v1', 'm'],
]

type Feature = { lost: string; asked: Partial<ChatRequest>; without: Partial<ChatRequest> }

const mark = { cache_control: { type: 'ephemeral' as const } }
const hi = { role: 'user' as const, content: 'Hi' }
const said = (message: ChatRequest['messages'][number]) => ({ messages: [hi, message, hi] })
const image = (detail?: 'low' | 'auto') =>
  said({
    role: 'user',
    content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', ...(detail && { detail }) } }],
  })
const file = (type: string, filename?: string) =>
  said({
    role: 'user',
    content: [{ type: 'file', file: { file_data: `data:${type};base64,SGk=`, ...(filename && { filename }) } }],
  })
const call = { id: 'abcdefghi', type: 'function' as const, function: { name: 'look', arguments: '{}' } }
const tool = { type: 'function' as const, function: { name: 'look', parameters: { type: 'object', properties: {} } } }
const strict = { ...tool, function: { ...tool.function, strict: true } }
const other = { ...tool, function: { ...tool.function, name: 'other' } }
const result = (more: { is_error?: boolean; marked?: boolean }) => {
  const { marked, ...rest } = more
  const content = [{ type: 'text' as const, text: 'x', ...(marked && mark) }]
  return {
    messages: [
      hi,
      { role: 'assistant' as const, tool_calls: [call] },
      { role: 'tool' as const, tool_call_id: call.id, content, ...rest },
    ],
    tools: [tool],
  }
}
const thought = (...reasoning: Reasoning[]) => said({ role: 'assistant', content: 'Hello.', reasoning })
const formed = (description?: string) => ({
  response_format: {
    type: 'json_schema' as const,
    json_schema: {
      name: 'x',
      schema: { type: 'object', properties: {}, additionalProperties: false },
      ...(description && { description }),
    },
  },
})

const seals: Partial<Reasoning>[] = [
  {},
  { signature: 'c2lnbmVk' },
  { data: 'c2VhbGVk' },
  { data: 'bedrock:c2VhbGVk' },
  { signature: 'gemini:thought:c2lnbmVk' },
  { signature: 'cohere:thinking' },
  { signature: 'openai:{"signature":"s"}' },
]

const features: Feature[] = [
  { lost: 'messages[].name', asked: said({ ...hi, name: 'zoe' }), without: said(hi) },
  { lost: 'messages[].content[].image_url.detail', asked: image('low'), without: image() },
  { lost: 'messages[].content[].file.filename', asked: file('text/plain', 'plan.txt'), without: file('text/plain') },
  {
    lost: 'messages[].content[].cache_control',
    asked: said({ role: 'user', content: [{ type: 'text', text: 'Hi', ...mark }] }),
    without: said({ role: 'user', content: [{ type: 'text', text: 'Hi' }] }),
  },
  { lost: 'messages[].content[].cache_control', asked: result({ marked: true }), without: result({}) },
  { lost: 'messages[].is_error', asked: result({ is_error: true }), without: result({}) },
  { lost: 'tools[].function.strict', asked: { tools: [strict] }, without: { tools: [tool] } },
  { lost: 'tools[].function.strict', asked: { tools: [strict, other] }, without: { tools: [tool, other] } },
  { lost: 'tools[].cache_control', asked: { tools: [{ ...tool, ...mark }] }, without: { tools: [tool] } },
  { lost: 'response_format.json_schema.description', asked: formed('The weather.'), without: formed() },
  ...seals.map((seal) => ({
    lost: 'messages[].reasoning',
    asked: thought({ text: 'Hm.', ...seal }),
    without: thought(),
  })),
]

for (const [kind, base_url, model] of targets) {
  const account: Account = { kind, base_url, key: 'k', headers: {}, options: {} }
  const chat = adapters[kind]?.chat
  assert.ok(chat)
  const asked = (more: Partial<ChatRequest>): ChatRequest => ({ model, messages: [hi], ...more })
  const lost = (more: Partial<ChatRequest>) => [...lostIn(asked(more), chat.carries(account, model, asked(more)))]
  const bodyOf = (more: Partial<ChatRequest>) => chat.request(account, model, asked(more)).body

  test(`what makes no difference to ${model} of ${kind} is named, and nothing else`, () => {
    for (const { lost: name, asked: wished, without } of features) {
      const isTold = bodyOf(wished) !== bodyOf(without)
      assert.deepEqual(lost(wished), isTold ? [] : [name], JSON.stringify(wished))
      assert.deepEqual(lost(without), [])
    }
    assert.deepEqual(lost(image('auto')), [])
  })
}

test('pictures have no names where documents have them', () => {
  for (const [kind, base_url, model] of targets.slice(0, 5)) {
    const account: Account = { kind, base_url, key: 'k', headers: {}, options: {} }
    const request = { model, ...file('image/png', 'a.png') }
    const carries = adapters[kind]?.chat?.carries(account, model, request)
    assert.ok(carries)
    assert.deepEqual([...lostIn(request, carries)], ['messages[].content[].file.filename'])
  }
})

test('that an answer keeps to its schema is not promised where a tool takes it', () => {
  const strictly = formed()
  Object.assign(strictly.response_format.json_schema, { strict: true })
  const keeping = targets.filter(([kind, base_url, model]) => {
    const account: Account = { kind, base_url, key: 'k', headers: {}, options: {} }
    const request = { model, messages: [hi], ...strictly }
    const carries = adapters[kind]?.chat?.carries(account, model, request)
    return carries && lostIn(request, carries).size === 0
  })
  const others = targets.filter((target) => !keeping.includes(target)).map(([, , model]) => model)
  assert.deepEqual(others, [
    'claude-3-5-haiku-latest',
    'us.anthropic.claude-sonnet-4-20250514-v1:0',
    'amazon.nova-pro-v1:0',
    'meta.llama3-3-70b-instruct-v1:0',
  ])
})
