/** Anthropic's client for Node, unchanged, against every kind of provider, each replayed over a socket: what it understands
 *  is what the exchange means. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import type { FinishReason } from '../hub.ts'
import { type Case, replayEverything } from './replay-testing.ts'
import { listeningFetch } from './wire-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin } = await newOrganization()
const { cases } = await replayEverything(alice)
const baseURL = `http://127.0.0.1:${listening.port}/api/v1/gateway`
const { fetch, wrong, heard } = listeningFetch()
const plain = new Anthropic({ apiKey: admin.api_key, baseURL, maxRetries: 0 })
const listened = plain.withOptions({ fetch })

function ask({ kind, model, stream }: Case): Promise<Anthropic.Message> {
  const body = { model, max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hello' }] }
  // What Anthropic says itself passes as it came, and is recorded in parts only.
  const anthropic = kind === 'anthropic' ? plain : listened
  return stream ? anthropic.messages.stream(body).finalMessage() : anthropic.messages.create(body)
}

/** What Anthropic says of an end, by what it means. */
const ends: Record<FinishReason, string[]> = {
  stop: ['end_turn', 'stop_sequence'],
  length: ['max_tokens', 'model_context_window_exceeded'],
  tool_calls: ['tool_use'],
  content_filter: ['refusal'],
}

for (const one of cases) {
  const { kind, name, means, status, n } = one
  // Its format has one answer only.
  if (n > 1) continue
  test(`${kind}: ${name}`, async () => {
    const [meant] = means ?? []
    if (!meant) return assert.rejects(ask(one), { status })
    const message = await ask(one)
    let [text, reasoning] = ['', '']
    const calls: typeof meant.calls = []
    for (const block of message.content) {
      if (block.type === 'text') text += block.text
      if (block.type === 'thinking') reasoning += block.thinking
      if (block.type !== 'tool_use') continue
      const isOurs = meant.calls[calls.length]?.id === null
      calls.push({ id: isOurs ? null : block.id, name: block.name, arguments: block.input as object as never })
    }
    // What OpenAI tells in a field of its own is a text here, with an end that says it.
    const isRefusal = message.stop_reason === 'refusal' && meant.finish === 'stop'
    if (!isRefusal) assert.equal(text, meant.text)
    assert.deepEqual({ reasoning, calls }, { reasoning: meant.reasoning, calls: meant.calls })
    const isEnd = isRefusal || ends[meant.finish].includes(message.stop_reason ?? '')
    assert.ok(isEnd, `${message.stop_reason} for ${meant.finish}`)
  })
}

test('every answer and every event was as the reference has it', () => {
  assert.ok(heard.length > 90)
  assert.deepEqual(wrong, [])
})
