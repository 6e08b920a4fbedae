import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json, MouthName } from '../hub.ts'
import { Refusal } from './mouth.ts'
import { outlineOf } from './outline.ts'

const chat = (over: Record<string, Json>) =>
  outlineOf('chat', { model: 'flow/echo', messages: [{ role: 'user', content: 'Grüße' }], ...over })

function refusalOf(mouth: MouthName, body: Json) {
  try {
    outlineOf(mouth, body)
  } catch (fault) {
    assert.ok(fault instanceof Refusal)
    return fault.fault
  }
  throw new Error('It was not refused.')
}

test('an outline tells the model, the stream, the answers and the bounds', () => {
  const outline = chat({ stream: true, n: 3, max_completion_tokens: 50, max_tokens: 70 })

  assert.equal(outline.model, 'flow/echo')
  assert.equal(outline.stream, true)
  assert.equal(outline.n, 3)
  assert.equal(outline.output_tokens_max, 70)
  assert.equal(outline.text_bytes, Buffer.byteLength('userGrüße'))
  assert.ok(outline.input_tokens_max > outline.text_bytes)
})

test('each mouth bounds its output by the field of its own format', () => {
  assert.equal(chat({}).output_tokens_max, null)
  assert.equal(chat({ max_tokens: 7 }).output_tokens_max, 7)
  assert.equal(outlineOf('completions', { model: 'm', prompt: 'x' }).output_tokens_max, 16)
  assert.equal(outlineOf('responses', { model: 'm', input: 'x', max_output_tokens: 9 }).output_tokens_max, 9)
  assert.equal(outlineOf('messages', { model: 'm', messages: [], max_tokens: 8 }).output_tokens_max, 8)
  assert.equal(outlineOf('embeddings', { model: 'm', input: 'x' }).output_tokens_max, 0)
})

test('completions write an answer for each prompt, and for each of the best', () => {
  assert.equal(outlineOf('completions', { model: 'm', prompt: ['a', 'b'], n: 2 }).n, 4)
  assert.equal(outlineOf('completions', { model: 'm', prompt: ['a', 'b'], n: 2, best_of: 5 }).n, 10)
  assert.equal(outlineOf('completions', { model: 'm', prompt: [1, 2, 3], n: 2 }).n, 2)
})

test('an image counts as an image and not as its bytes', () => {
  const url = `data:image/png;base64,${'A'.repeat(1_000_000)}`
  const asked = { role: 'user', content: [{ type: 'image_url', image_url: { url } }] }
  const outline = chat({ messages: [asked] })

  assert.ok(outline.text_bytes < 100)
  assert.ok(outline.input_tokens_max > 10_000 && outline.input_tokens_max < 20_000)
})

test('an image of the other formats counts the same', () => {
  const bytes = 'A'.repeat(1_000_000)
  const source = { type: 'base64', media_type: 'image/png', data: bytes }
  const message = { role: 'user', content: [{ type: 'image', source }] }
  const item = { role: 'user', content: [{ type: 'input_image', image_url: `data:image/png;base64,${bytes}` }] }

  assert.ok(outlineOf('messages', { model: 'm', max_tokens: 1, messages: [message] }).input_tokens_max < 20_000)
  assert.ok(outlineOf('responses', { model: 'm', input: [item] }).input_tokens_max < 20_000)
})

test('what only calls itself an image in the input of a tool counts as text', () => {
  const input = { type: 'image', source: { data: 'A'.repeat(100_000) } }
  const message = { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input }] }

  assert.ok(outlineOf('messages', { model: 'm', max_tokens: 1, messages: [message] }).text_bytes > 100_000)
})

test('the text of a file counts, and a file from elsewhere as a whole context', () => {
  const of = (file: Record<string, Json>) =>
    chat({ messages: [{ role: 'user', content: [{ type: 'file', file }] }] }).input_tokens_max

  assert.ok(of({ file_data: `data:text/plain;base64,${'A'.repeat(100_000)}` }) > 100_000)
  assert.ok(of({ file_id: 'file-1' }) > 200_000)
})

test('turns that the provider has kept count as a whole context', () => {
  const of = (mouth: MouthName, more: Record<string, Json>) =>
    outlineOf(mouth, { model: 'm', max_tokens: 1, messages: [], input: 'x', ...more }).input_tokens_max

  assert.ok(of('messages', { thread: { type: 'continue', previous_message_id: 'msg_1' } }) > 1_000_000)
  assert.ok(of('messages', { thread: { type: 'create' } }) < 1_000)
  assert.ok(of('responses', { previous_response_id: 'resp_1' }) > 1_000_000)
  assert.ok(of('responses', { conversation: 'conv_1' }) > 1_000_000)
})

test('the schema of a tool counts with its names', () => {
  const tool = { type: 'function', function: { name: 'f', parameters: { ['p'.repeat(5_000)]: { type: 'string' } } } }

  assert.ok(chat({ tools: [tool] }).text_bytes > 5_000)
})

test('a body without a model is refused by the name of the field', () => {
  const fault = refusalOf('chat', { messages: [] })

  assert.equal(fault.status, 400)
  assert.equal(fault.param, 'model')
  assert.equal(fault.code, 'missing_required_parameter')
})

test('a wrong type or a number out of range is refused by the name of the field', () => {
  const bodies: [MouthName, Json, string | undefined][] = [
    ['chat', [], undefined],
    ['chat', 'text', undefined],
    ['chat', { model: 7 }, 'model'],
    ['chat', { model: 'm', stream: 'yes' }, 'stream'],
    ['chat', { model: 'm', n: 0 }, 'n'],
    ['chat', { model: 'm', n: 1.5 }, 'n'],
    ['chat', { model: 'm', n: 129 }, 'n'],
    ['chat', { model: 'm', max_tokens: '7' }, 'max_tokens'],
    ['completions', { model: 'm', best_of: 1_000 }, 'best_of'],
    ['messages', { model: 'm', max_tokens: -1 }, 'max_tokens'],
    ['responses', { model: 'm', background: true }, 'background'],
    ['responses', { model: 'm', max_output_tokens: -1 }, 'max_output_tokens'],
  ]
  for (const [mouth, body, param] of bodies) assert.equal(refusalOf(mouth, body).param, param, JSON.stringify(body))
})

test('a body nested too deep is refused and not walked', () => {
  const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)

  assert.match(refusalOf('chat', { model: 'm', messages: deep }).message, /64 levels/)
  assert.match(refusalOf('chat', { model: 'm', metadata: deep }).message, /64 levels/)
})
