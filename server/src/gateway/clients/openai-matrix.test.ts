/** OpenAI's client for Node, unchanged, against every kind of provider, each replayed over a socket: what it understands is
 *  what the exchange means, and all that went over the wire is as OpenAI's reference has it. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { PREFIX } from '../front/front.ts'
import { type Case, replayEverything } from './replay-testing.ts'
import { listeningFetch } from './wire-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin } = await newOrganization()
const { cases } = await replayEverything(alice)
const { fetch, wrong, heard } = listeningFetch()
const baseURL = `http://127.0.0.1:${listening.port}${PREFIX}`
const openai = new OpenAI({ apiKey: admin.api_key, baseURL, maxRetries: 0, fetch })

type Choice = OpenAI.ChatCompletion.Choice & { reasoning?: string }

async function ask({ model, n, stream }: Case): Promise<Choice[]> {
  const body = { model, messages: [{ role: 'user' as const, content: 'Hello' }], ...(n > 1 && { n }) }
  if (!stream) return (await openai.chat.completions.create(body)).choices
  const read = openai.chat.completions.stream({ ...body, stream_options: { include_usage: true } })
  // The helper knows no thoughts: of a field that is new to it, it keeps the last piece.
  const reasoning: string[] = []
  read.on('chunk', ({ choices }) => {
    for (const { index, delta } of choices) {
      if ('reasoning_content' in delta) reasoning[index] = `${reasoning[index] ?? ''}${delta.reasoning_content}`
    }
  })
  const { choices } = await read.finalChatCompletion()
  return choices.map((choice) => ({ ...choice, reasoning: reasoning[choice.index] ?? '' }))
}

const understood = ({ message, finish_reason, reasoning }: Choice, i: number, { means }: Case) => ({
  text: message.content ?? '',
  reasoning: reasoning ?? ('reasoning_content' in message ? message.reasoning_content : ''),
  calls: (message.tool_calls ?? []).map((call, at) => {
    assert.ok(call.type === 'function' && call.id !== '')
    const { name, arguments: text } = call.function
    const isOurs = means?.[i]?.calls[at]?.id === null
    return { id: isOurs ? null : call.id, name, arguments: JSON.parse(text || '{}') }
  }),
  finish: finish_reason,
})

for (const one of cases) {
  const { kind, name, means, status } = one
  test(`${kind}: ${name}`, async () => {
    if (!means) return assert.rejects(ask(one), { status })
    const choices = await ask(one)
    assert.deepEqual(
      choices.map((choice, i) => understood(choice, i, one)),
      means,
    )
  })
}

test('every answer and every chunk was as the reference has it', () => {
  assert.ok(heard.length >= cases.length)
  assert.deepEqual(wrong, [])
})
