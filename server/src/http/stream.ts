/** Server-sent events: a stored log, told line by line. Each event carries its id, so that whoever comes back with
 *  `Last-Event-ID` misses nothing. The format is WHATWG HTML, section 9.2. */

export type StreamEvent = { id: string; event: string; data: unknown }

const HEARTBEAT_MS = 15_000

export function eventStream(
  events: AsyncIterable<StreamEvent>,
  signal: AbortSignal,
  log: (error: unknown) => void,
): Response {
  const encoder = new TextEncoder()
  const iterator = events[Symbol.asyncIterator]()
  let heartbeat: NodeJS.Timeout | undefined
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode('retry: 1000\n\n'))
      // Proxies close what is silent; a comment is noise that every client ignores.
      heartbeat = setInterval(() => controller.enqueue(encoder.encode(': still here\n\n')), HEARTBEAT_MS)
      heartbeat.unref()
      const leave = () => {
        clearInterval(heartbeat)
        void iterator.return?.()
      }
      signal.addEventListener('abort', leave, { once: true })
    },
    async pull(controller) {
      try {
        const next = signal.aborted ? { done: true as const, value: undefined } : await iterator.next()
        if (!next.done) return controller.enqueue(encoder.encode(frame(next.value)))
        // A client that reconnects by itself must learn that there is nothing more to come; unless it is this server
        // that stops: then it shall come back, here or elsewhere.
        if (!signal.aborted) controller.enqueue(encoder.encode('event: end\ndata: {}\n\n'))
      } catch (error) {
        log(error)
      }
      clearInterval(heartbeat)
      controller.close()
    },
    async cancel() {
      clearInterval(heartbeat)
      await iterator.return?.()
    },
  })
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
  })
}

const frame = ({ id, event, data }: StreamEvent) => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** Text in pieces, as a file. */
export function download(pieces: AsyncIterable<string>, media_type: string): Response {
  const iterator = pieces[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await iterator.next()
      return next.done ? controller.close() : controller.enqueue(encoder.encode(next.value))
    },
    async cancel() {
      await iterator.return?.()
    },
  })
  return new Response(body, { headers: { 'content-type': media_type, 'cache-control': 'no-store' } })
}
