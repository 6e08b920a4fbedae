/** A provider over a real socket that does what a test tells it: the requests it got are kept, and each is answered by
 *  the next of the given answers; the last one goes on. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'

export type Got = {
  headers: IncomingMessage['headers']
  url: string
  body: Record<string, unknown>
  /** As it came. */
  text: string
  closed: Promise<void>
}
export type Answer = (response: ServerResponse, got: Got) => unknown
export type Upstream = {
  base_url: string
  got: Got[]
  /** From now on it answers so. */
  answer(...answers: Answer[]): void
  /** Nobody listens any more. */
  close(): Promise<void>
}

export async function openUpstream(...given: Answer[]): Promise<Upstream> {
  let answers = given
  const got: Got[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8')
    request.on('data', (piece) => {
      text += piece
    })
    request.on('end', () => {
      const closed = new Promise<void>((resolve) => response.on('close', resolve))
      const one: Got = {
        headers: request.headers,
        url: request.url ?? '',
        body: JSON.parse(text || '{}'),
        text,
        closed,
      }
      got.push(one)
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      answer?.(response, one)
    })
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  after(close)
  return {
    base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    answer: (...next) => {
      answers = next
    },
    close,
  }
}

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }

/** A whole chat in OpenAI's format. */
export const says =
  (content: string, more: Record<string, unknown> = {}): Answer =>
  (response) => {
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
    const body = { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm', choices, usage, ...more }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

/** A refusal in OpenAI's format. */
export const refuses =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) => {
    const error = { message: `no: ${status}`, type: 'server_error', param: null, code: null }
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ error }))
  }

export const event = (fields: Record<string, unknown>): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`
export const delta = (content: string, finish_reason: string | null = null): string =>
  event({ choices: [{ index: 0, delta: finish_reason ? {} : { content }, finish_reason }] })
export const END = `${delta('', 'stop')}${event({ choices: [], usage })}data: [DONE]\n\n`

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A stream of these pieces, each in a packet of its own; a number is a pause in milliseconds. It ends when they do. */
export const streams =
  (...pieces: (string | Buffer | number)[]): Answer =>
  async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of pieces) {
      if (typeof piece === 'number') await pause(piece)
      else if (!response.destroyed) response.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }

/** The same, but the connection breaks instead of ending. */
export const breaks =
  (...pieces: (string | Buffer | number)[]): Answer =>
  async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of pieces) {
      if (typeof piece === 'number') await pause(piece)
      else response.write(piece)
    }
    await pause(20)
    response.destroy()
  }
