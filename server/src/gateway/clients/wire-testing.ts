/** Listens to what goes over the wire between an unchanged client and the gateway, and holds every answer, chunk and error
 *  against the references. `listeningFetch` listens within the process, `openListener` is a proxy for clients of other
 *  languages. */

import assert from 'node:assert/strict'
import { createServer, request as requestOf } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { assertReference, eventsOf, type ReferenceName } from '../mouths/reference-testing.ts'

/** `isWhole`: the client read it to its end. */
export type Heard = { method: string; path: string; status: number; type: string; text: string; isWhole: boolean }

/** What was heard, and what of it is not as the reference has it. */
export type Ear = { heard: Heard[]; wrong: string[] }

const mouths: Record<string, string> = {
  '/chat/completions': 'chat',
  '/completions': 'completions',
  '/embeddings': 'embeddings',
  '/rerank': 'rerank',
  '/models': 'models',
  '/responses': 'responses',
  '/messages': 'messages',
}

/** Fails with what differs. A stream may have been given up in the middle; what came until then counts. */
export function checkHeard({ path, status, type, text, isWhole }: Heard): void {
  if (!isWhole && !type.startsWith('text/event-stream')) return
  const [, , end = ''] = /^(.*\/gateway\/v1)?(\/[^?]*)/.exec(path) ?? []
  const isAnthropic = end === '/messages'
  if (status >= 400) {
    assertReference(isAnthropic ? 'messages.error' : 'error', JSON.parse(text))
    return
  }
  const mouth = end.startsWith('/models/') ? 'models' : mouths[end]
  assert.ok(mouth, `Nothing is known of ${path}.`)
  if (!type.startsWith('text/event-stream')) {
    const whole: ReferenceName = end === '/models' ? 'models.list' : 'models.one'
    // The table above has only mouths that the references know.
    assertReference(mouth === 'models' ? whole : (`${mouth}.answer` as ReferenceName), JSON.parse(text))
    return
  }
  for (const { data } of eventsOf(text.slice(0, text.lastIndexOf('\n\n') + 2))) {
    if (data === '[DONE]') continue
    const value: unknown = JSON.parse(data)
    const isEvent = mouth === 'responses' || isAnthropic
    const isError = !isEvent && typeof value === 'object' && value !== null && 'error' in value
    const piece = `${mouth}.${isEvent ? 'event' : 'chunk'}` as ReferenceName
    assertReference(isError ? 'error' : piece, value)
  }
}

function listen(ear: Ear, heard: Heard): void {
  ear.heard.push(heard)
  try {
    checkHeard(heard)
  } catch (error) {
    ear.wrong.push(`${heard.method} ${heard.path} ${heard.status}: ${(error as Error).message}`)
  }
}

export function listeningFetch(): Ear & { fetch: typeof fetch } {
  const ear: Ear = { heard: [], wrong: [] }
  const listening: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    const about = { method: init?.method ?? 'GET', path: pathname, status: response.status }
    const type = response.headers.get('content-type') ?? ''
    const decoder = new TextDecoder()
    let text = ''
    const told = (isWhole: boolean) => listen(ear, { ...about, type, text, isWhole })
    const body = response.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          text += decoder.decode(chunk, { stream: true })
          controller.enqueue(chunk)
        },
        flush: () => told(true),
        cancel: () => told(false),
      }),
    )
    const { status, statusText, headers } = response
    const heard = new Response(body ?? null, { status, statusText, headers })
    Object.defineProperty(heard, 'url', { value: response.url })
    return heard
  }
  return { ...ear, fetch: listening }
}

/** A proxy before the server at this origin. */
export async function openListener(origin: string): Promise<Ear & { origin: string }> {
  const ear: Ear = { heard: [], wrong: [] }
  const server = createServer((asked, answer) => {
    const { method = 'GET', url: path = '', headers } = asked
    const further = requestOf(`${origin}${path}`, { method, headers }, (told) => {
      let text = ''
      const status = told.statusCode ?? 0
      told.setEncoding('utf8')
      answer.writeHead(status, told.rawHeaders)
      told.on('data', (piece: string) => {
        text += piece
        answer.write(piece)
      })
      told.on('close', () => {
        const type = told.headers['content-type'] ?? ''
        listen(ear, { method, path, status, type, text, isWhole: told.complete })
        answer.end()
      })
    })
    further.on('error', () => answer.destroy())
    answer.on('close', () => further.destroy())
    asked.pipe(further)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { ...ear, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
