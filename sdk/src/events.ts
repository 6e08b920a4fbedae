/** Server-sent events that survive a broken connection: after each break the stream goes on behind the last event
 *  that was seen. The server says `end` when there is nothing more to come. */

import { EventSourceParserStream } from 'eventsource-parser/stream'
import { FlowConnectionError, FlowError } from './errors.ts'
import type { Transport } from './transport.ts'

export type FlowEvent<Data = unknown> = { id: string; event: string; data: Data }

const BREAKS_MAX = 10

export async function* follow<Data>(
  transport: Transport,
  path: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): AsyncGenerator<FlowEvent<Data>> {
  let last = headers['last-event-id']
  for (let breaks = 0; breaks <= BREAKS_MAX; breaks += 1) {
    if (breaks > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 100 * 2 ** breaks)))
    const resumed: Record<string, string> = last === undefined ? {} : { 'last-event-id': last }
    try {
      const response = await transport.send({
        method: 'GET',
        path,
        headers: { ...headers, ...resumed, accept: 'text/event-stream' },
        signal,
        repeatable: true,
        streams: true,
      })
      for await (const message of parsed(response)) {
        if (message.event === 'end') return
        breaks = 0
        last = message.id ?? last
        yield { id: message.id ?? '', event: message.event ?? 'message', data: JSON.parse(message.data) as Data }
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      // A refusal is an answer, and broken data stays broken; anything else is a connection that broke off, or a server
      // that is on its way back.
      if (error instanceof SyntaxError) throw error
      if (error instanceof FlowError && ![502, 503, 504].includes(error.status)) throw error
    }
  }
  throw new FlowConnectionError('The stream of events broke off again and again.', undefined)
}

/** The events of an answer; `awake` is told of comments, which only keep the connection open. */
export function parsed(response: Response, awake?: () => void) {
  if (!response.body) throw new FlowConnectionError('The answer has no body.', undefined)
  const text = response.body.pipeThrough(
    new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>,
  )
  return text.pipeThrough(new EventSourceParserStream({ onComment: awake }))
}
