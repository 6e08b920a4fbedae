import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChatRequest } from '../hub.ts'
import { EventReader } from '../ways/sse.ts'
import { about } from './adapter-testing.ts'
import { chunksOf, collected, understoodOf } from './exchanges-testing.ts'
import { createFlow, flow } from './flow.ts'
import { type Account, ProviderFault } from './provider.ts'

const account: Account = { kind: 'flow', base_url: 'flow:', key: null, headers: {}, options: {} }
const asked = (script: object, more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'flow/scripted',
  messages: [{ role: 'user', content: [{ type: 'text', text: JSON.stringify(script) }] }],
  ...more,
})

/** The bytes that the built-in model answers. */
function bytesFor(request: ChatRequest): Promise<Buffer> {
  const outgoing = flow.chat?.request(account, 'scripted', request)
  assert.ok(outgoing)
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    createFlow(() => 0)(outgoing, 1, {
      name: 'flow',
      sent() {},
      head: () => {},
      chunk: (bytes) => pieces.push(bytes),
      end: () => resolve(Buffer.concat(pieces)),
      fail: (fault) => reject(new ProviderFault(fault)),
    })
  })
}
const wholeOf = async (request: ChatRequest) => flow.chat?.answer(JSON.parse(String(await bytesFor(request))), about)
async function streamedOf(request: ChatRequest) {
  const reader = flow.chat?.stream(request, about)
  assert.ok(reader)
  return collected(chunksOf(reader, new EventReader().push(await bytesFor({ ...request, stream: true }))))
}

test('what the built-in models say means the same in the hub, whole or streamed', async () => {
  const scripts = [
    { say: 'It is sunny in Rome. 😀' },
    { think: 'Let me see.', say: 'Yes.', usage: { input: 10, output: 20, cached: 4, reasoning: 5 } },
    { say: 'I will look.', calls: [{ name: 'weather', arguments: { city: 'Rome' } }, { name: 'time' }] },
    { say: 'Well', finish: 'content_filter' },
  ]
  for (const script of scripts) {
    const [whole, streamed] = [await wholeOf(asked(script)), await streamedOf(asked(script))]
    assert.ok(whole)
    assert.deepEqual(understoodOf(streamed), understoodOf(whole))
    assert.deepEqual(streamed.usage, whole.usage)
  }
  const short = await wholeOf(asked({ say: 'one two three four five' }, { max_completion_tokens: 2 }))
  assert.deepEqual([short?.choices[0]?.message.content, short?.choices[0]?.finish_reason], ['one two ', 'length'])
})

test('what they are asked in another format and do not know is named', () => {
  const outgoing = flow.chat?.request(account, 'echo', asked({}, { others: { store: true } }))
  assert.deepEqual(outgoing?.dropped, ['store'])
})

test('a stream that is cut short or malformed is a fault in the hub, too', async () => {
  await assert.rejects(streamedOf(asked({ say: 'one two', malformed_after: 2 })), ProviderFault)
  const reader = flow.chat?.stream(asked({}), about)
  assert.throws(() => reader?.end(), ProviderFault)
})
