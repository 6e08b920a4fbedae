/** The two ways back: over a socket of Node's server, and as a `Response` in the process. */

import type { ServerResponse } from 'node:http'
import type { Answerer, Headers, Reply } from './exchange.ts'

const nothing = () => {}

/** Head and body are written together. */
export class SocketReply implements Reply {
  isGone = false
  readonly #response: ServerResponse
  readonly #more: Headers | undefined
  #answerer: Answerer | undefined
  #isFramed = false
  /** What is told and not yet written: a character for each byte. */
  #text = ''
  #bytes = 0

  constructor(response: ServerResponse, more: Headers | undefined) {
    this.#response = response
    this.#more = more
    response.on('close', () => {
      if (response.writableFinished) return
      this.isGone = true
      this.#answerer?.gone()
    })
    // A socket that breaks while it is written to is closed: that is all there is to it.
    response.on('error', nothing)
  }

  tells(whom: Answerer): void {
    this.#answerer = whom
    if (this.isGone) whom.gone()
  }

  send(status: number, headers: Headers, body: string | Buffer): void {
    if (this.isGone || this.#response.headersSent) return
    headers['content-length'] = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length)
    if (status === 204) delete headers['content-length']
    this.#response.writeHead(status, this.#with(headers))
    if (isShort(body)) this.#response.end(body.toString('latin1'), 'latin1')
    else this.#response.end(body)
  }

  begin(status: number, headers: Headers, first: string | Buffer): void {
    if (this.isGone) return
    this.#response.on('drain', () => this.#answerer?.drained())
    this.#response.writeHead(status, this.#with(headers))
    this.#frame()
    this.write(first)
  }

  /** What is told in one turn of the loop goes out as one piece. */
  write(piece: string | Buffer): boolean {
    if (this.isGone || piece.length === 0) return true
    const bytes = typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
    if (bytes > SHORT_BYTES_MAX) {
      this.flush()
      return this.#response.write(this.#isFramed ? framed(bytesOf(piece), bytes) : piece)
    }
    if (this.#bytes === 0) process.nextTick(flush, this)
    this.#text += isAscii(piece, bytes) ? piece : bytesOf(piece).toString('latin1')
    this.#bytes += bytes
    return !this.#response.writableNeedDrain
  }

  flush(): void {
    if (this.#bytes === 0) return
    const text = this.#take()
    if (!this.isGone) this.#response.write(text, 'latin1')
  }

  end(): void {
    if (this.isGone) return
    const text = this.#bytes > 0 ? this.#take() : ''
    this.#response.end(this.#isFramed ? text + LAST_CHUNK : text, 'latin1')
  }

  #take(): string {
    const text = this.#isFramed ? `${this.#bytes.toString(16)}\r\n${this.#text}\r\n` : this.#text
    this.#text = ''
    this.#bytes = 0
    return text
  }

  /** From now on chunks are framed here: Node makes four writes of each, which is most of what a small one costs. */
  #frame() {
    this.#isFramed = this.#response.chunkedEncoding
    this.#response.chunkedEncoding = false
  }

  #with(headers: Headers): Headers {
    headers['x-content-type-options'] = 'nosniff'
    return this.#more ? { ...headers, ...this.#more } : headers
  }
}

const flush = (reply: SocketReply) => reply.flush()

/** Bytes that are worth a copy, as a string with one character for each: what is put before and behind them goes out in
 *  one piece with them, which costs less than a list. */
const SHORT_BYTES_MAX = 16 * 1024
const isShort = (body: string | Buffer): body is Buffer => typeof body !== 'string' && body.length <= SHORT_BYTES_MAX
const isAscii = (text: string | Buffer, bytes: number): text is string =>
  typeof text === 'string' && text.length === bytes
const bytesOf = (piece: string | Buffer): Buffer => (typeof piece === 'string' ? Buffer.from(piece) : piece)

const LAST_CHUNK = '0\r\n\r\n'

/** A chunk of the transfer encoding (RFC 9112, section 7.1). */
function framed(piece: Buffer, bytes: number): Buffer {
  const size = `${bytes.toString(16)}\r\n`
  const chunk = Buffer.allocUnsafe(size.length + bytes + 2)
  chunk.write(size, 'latin1')
  piece.copy(chunk, size.length)
  chunk.write('\r\n', size.length + bytes, 'latin1')
  return chunk
}

export class RequestReply implements Reply {
  isGone = false
  readonly response: Promise<Response>
  readonly #answer: (response: Response) => void
  readonly #fail: (reason: unknown) => void
  readonly #more: Headers | undefined
  readonly #signal: AbortSignal
  #answerer: Answerer | undefined
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(signal: AbortSignal, more: Headers | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    this.response = promise
    this.#answer = resolve
    this.#fail = reject
    this.#more = more
    this.#signal = signal
    signal.addEventListener('abort', this)
    if (signal.aborted) this.handleEvent()
  }

  tells(whom: Answerer): void {
    this.#answerer = whom
    if (this.isGone) whom.gone()
  }

  /** The signal's. */
  handleEvent(): void {
    this.leave(this.#signal.reason)
  }

  /** A signal may outlive many calls. */
  #forget(): void {
    this.#signal.removeEventListener('abort', this)
  }

  send(status: number, headers: Headers, body: string | Buffer): void {
    if (this.isGone) return
    this.#forget()
    const bytes = body.length === 0 ? null : typeof body === 'string' ? body : new Uint8Array(body)
    this.#answer(new Response(bytes, { status, headers: { ...headers, ...this.#more } }))
  }

  begin(status: number, headers: Headers, first: string | Buffer): void {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
        controller.enqueue(new Uint8Array(Buffer.from(first)))
      },
      pull: () => this.#answerer?.drained(),
      cancel: (reason) => {
        this.#controller = undefined
        this.leave(reason)
      },
    })
    this.#answer(new Response(stream, { status, headers: { ...headers, ...this.#more } }))
  }

  write(piece: string | Buffer): boolean {
    if (this.isGone || piece.length === 0) return true
    this.#controller?.enqueue(new Uint8Array(Buffer.from(piece)))
    return (this.#controller?.desiredSize ?? 0) > 0
  }

  end(): void {
    if (this.isGone) return
    this.#forget()
    this.#controller?.close()
    this.isGone = true
  }

  /** The caller has gone. */
  leave(reason: unknown = new DOMException('The request was aborted.', 'AbortError')): void {
    if (this.isGone) return
    this.#forget()
    this.isGone = true
    this.#fail(reason)
    this.#controller?.error(reason)
    this.#answerer?.gone()
  }
}
