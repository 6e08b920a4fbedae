/** A provider that costs next to nothing: a process of its own that answers over bare sockets. The model's name says what
 *  it does, with hyphens between: `wait20` waits 20 ms before it begins, `chunks200` streams so many events, `every4` one
 *  each 4 ms, `long` says four kilobytes. It speaks OpenAI's format at `/v1/chat/completions`, Anthropic's at
 *  `/v1/messages`. It tells its port to whoever forked it. */

import type { Socket } from 'node:net'
import { LAST_CHUNK, serve } from './requests.ts'

const WORDS = 'The quick brown fox jumps over the lazy dog. '
const head = (type: string, more: string) => `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${more}\r\n\r\n`
const whole = (value: object) => {
  const body = JSON.stringify(value)
  return Buffer.from(`${head('application/json', `content-length: ${body.length}`)}${body}`)
}
const piece = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const named = (type: string, value: object) => `event: ${type}\n${data({ type, ...value })}`

const chunk = (delta: object, finish_reason: string | null = null) =>
  data({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  })

type Format = { whole(text: string): Buffer; first: string; delta(text: string): string; last(count: number): string }

const openai: Format = {
  whole: (content) =>
    whole({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [
        { index: 0, message: { role: 'assistant', content, refusal: null }, logprobs: null, finish_reason: 'stop' },
      ],
      usage: { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 },
    }),
  first: chunk({ role: 'assistant', content: '' }),
  delta: (content) => chunk({ content }),
  last: (completion_tokens) => {
    const usage = { prompt_tokens: 20, completion_tokens, total_tokens: 20 + completion_tokens }
    const told = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage }
    return `${chunk({}, 'stop')}${data(told)}data: [DONE]\n\n`
  },
}

const usage = { input_tokens: 20, output_tokens: 10 }
const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', stop_sequence: null }
const anthropic: Format = {
  whole: (text) => whole({ ...message, content: [{ type: 'text', text }], stop_reason: 'end_turn', usage }),
  first:
    named('message_start', { message: { ...message, content: [], stop_reason: null, usage } }) +
    named('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  delta: (text) => named('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  last: (output_tokens) =>
    named('content_block_stop', { index: 0 }) +
    named('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens } }) +
    named('message_stop', {}),
}

type Order = { wait_ms: number; chunks: number; every_ms: number; text: string; is_stream: boolean; format: Format }

function orderOf(path: string, body: string): Order {
  const [, model = ''] = /"model":\s*"([^"]*)"/.exec(body) ?? []
  const number = (word: string) => Number(new RegExp(`${word}(\\d+)`).exec(model)?.[1] ?? 0)
  return {
    wait_ms: number('wait'),
    chunks: number('chunks'),
    every_ms: number('every'),
    text: model.includes('long') ? WORDS.repeat(90) : WORDS,
    is_stream: /"stream":\s*true/.test(body),
    format: path.includes('/messages') ? anthropic : openai,
  }
}

const wholes = new Map<string, Buffer>()
function wholeOf({ format, text }: Order): Buffer {
  const key = `${format === openai}${text.length}`
  const known = wholes.get(key) ?? format.whole(text)
  wholes.set(key, known)
  return known
}

const later = (ms: number, work: () => void) => (ms > 0 ? void setTimeout(work, ms) : work())

function answer(socket: Socket, order: Order): void {
  if (order.is_stream) stream(socket, order)
  else later(order.wait_ms, () => void socket.write(wholeOf(order)))
}

function stream(socket: Socket, order: Order): void {
  const { format, chunks, every_ms } = order
  const delta = piece(format.delta('word '))
  let sent = 0
  const step = () => {
    if (socket.destroyed) return
    if (sent === chunks) return void socket.write(piece(format.last(chunks)) + LAST_CHUNK)
    sent += 1
    socket.write(delta)
    if (every_ms > 0) setTimeout(step, every_ms)
    else setImmediate(step)
  }
  later(order.wait_ms, () => {
    socket.write(head('text/event-stream', 'transfer-encoding: chunked') + piece(format.first))
    later(every_ms, step)
  })
}

serve(({ socket, path, body }) => answer(socket, orderOf(path, body)))
