/** Anthropic's client, unchanged, with a server that listens. What the server answers by itself is held against the
 *  reference on its way: every answer, every event, every error. */

import { after } from 'node:test'
import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { assertReference, eventsOf } from '../mouths/reference-testing.ts'
import type { StreamPiece } from '../providers/provider.ts'

export async function openAnthropic() {
  const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
  const listening = await listen(app, '127.0.0.1', 0)
  after(() => listening.close(0))
  const { alice, admin } = await newOrganization()
  const baseURL = `http://127.0.0.1:${listening.port}/api/v1/gateway`
  const clientOf = (apiKey: string, more: ClientOptions = {}) =>
    new Anthropic({ apiKey, baseURL, maxRetries: 0, fetch: checked, ...more })
  return { alice, admin, baseURL, clientOf, client: clientOf(admin.api_key) }
}

/** Anthropic's own bytes pass as they are: they are no matter of ours. */
const isOurs = (response: Response) => response.headers.get('x-flow-provider') !== 'claude' || !response.ok

const checked: typeof fetch = async (url, init) => {
  const response = await fetch(url, init)
  if (!String(url).includes('/messages') || !isOurs(response)) return response
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
  // A stream that hangs or is given up by the client is not waited for here.
  if (isStream) return new Response(response.body?.pipeThrough(checkedEvents()), response)
  const told = await response.clone().json()
  if (!response.ok) assertReference('messages.error', told)
  else if (!String(url).includes('count_tokens')) assertReference('messages.answer', told)
  return response
}

function checkedEvents(): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder()
  let text = ''
  return new TransformStream({
    transform(chunk, controller) {
      text += decoder.decode(chunk, { stream: true })
      const end = text.lastIndexOf('\n\n') + 2
      for (const { event, data } of eventsOf(end < 2 ? '' : text.slice(0, end))) {
        const told = JSON.parse(data)
        assertReference('messages.event', told)
        if (event !== told.type) throw new Error(`The event ${event} says that it is ${told.type}.`)
      }
      if (end > 1) text = text.slice(end)
      controller.enqueue(chunk)
    },
    flush() {
      if (text !== '') throw new Error(`The stream ends within an event: ${text}`)
    },
  })
}

/** A recorded stream as its bytes. */
export const framed = (pieces: StreamPiece[]): Buffer =>
  Buffer.from(pieces.map(({ event, data }) => `event: ${event}\ndata: ${data}\n\n`).join(''))

/** In pieces of so many bytes. */
export const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))

export const textIn = (message: { content: { type: string; text?: string }[] }): string =>
  message.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
