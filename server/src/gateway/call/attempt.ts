/** One attempt at one target: asked, waited for within its time limits, read. It tells its call what comes of it and
 *  decides nothing: whether another one follows is the call's matter. It is over once, by an answer, the end of its
 *  stream, a fault, or because its call gave it up. */

import { isUtf8 } from 'node:buffer'
import type { Headers } from '../front/exchange.ts'
import type { Fault } from '../hub.ts'
import type { Timeouts } from '../policies/policy.ts'
import { broken, withoutKey } from '../providers/faults.ts'
import { type Adapter, type Outgoing, ProviderFault } from '../providers/provider.ts'
import type { Answered, Passage, Way } from '../ways/ways.ts'
import type { Breaker } from './breaker.ts'
import type { AnswerHeaders, Flight, Landing, Send } from './forward.ts'
import type { Stop } from './route.ts'

/** What an attempt is told to do. */
export type Errand = {
  stop: Stop
  adapter: Adapter
  way: Way
  breaker: Breaker
  number: number
  is_stream: boolean
  timeouts: Timeouts
  /** Of a whole answer, where another target can be asked for it: so long it may take. */
  whole_ms: number | undefined
}

/** Whom it tells. */
export type Sender = {
  /** One more request belongs to it. */
  send(attempt: Attempt, outgoing: Outgoing): void
  answered(attempt: Attempt, answer: Answered): void
  /** A piece of the stream for the client. The first one means that this attempt has answered. */
  said(attempt: Attempt, piece: string | Buffer): void
  ended(attempt: Attempt, last: string | Buffer): void
  failed(attempt: Attempt, fault: Fault): void
  /** A fault of our own. */
  surprised(thrown: unknown): Fault
}

export const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const FAULT_BYTES_MAX = 64 * 1024

export class Attempt implements Landing {
  readonly errand: Errand
  readonly #sender: Sender
  readonly began = performance.now()
  http_status: number | null = null
  first_chunk_ms: number | null = null
  fault: Fault | null = null
  duration_ms = 0
  isOver = false
  /** The request went out: the provider may have begun to work. */
  wasAsked = false
  passage: Passage | undefined
  #flight: Flight | undefined
  #timer: NodeJS.Timeout | undefined
  #headers: AnswerHeaders = {}
  #bytes: Buffer[] = []
  #length = 0
  #isPaused = false
  /** What was sent last has a connection. */
  #isOut = false
  #waits_for = ''

  constructor(errand: Errand, sender: Sender) {
    this.errand = errand
    this.#sender = sender
  }

  fly(send: Send, outgoing: Outgoing) {
    if (this.isOver) return
    this.#isOut = false
    this.#flight = send(outgoing, this.errand.number, this)
    // Mostly a connection is open, and it is on its way already.
    if (!this.#isOut && !this.isOver) this.#wait(this.errand.timeouts.connect, 'did not take the connection')
  }

  /** Nobody waits for it any longer. */
  giveUp() {
    if (this.isOver) return
    this.#finish()
    this.#flight?.abort()
  }

  /** The client is slower than the provider: what is not taken is not read. */
  pause() {
    if (this.isOver || this.#isPaused) return
    this.#isPaused = true
    this.#calm()
    this.#flight?.pause()
  }

  resume() {
    if (this.isOver || !this.#isPaused) return
    this.#isPaused = false
    this.#wait(this.errand.timeouts.between_chunks, 'sent nothing more')
    this.#flight?.resume()
  }

  sent() {
    this.wasAsked = true
    this.#isOut = true
    const { timeouts, is_stream } = this.errand
    if (is_stream) return this.#wait(timeouts.first_chunk, 'did not begin to answer')
    // A whole answer comes when it is done, which may take long.
    const { whole_ms } = this.errand
    if (whole_ms === undefined) this.#calm()
    else this.#wait(whole_ms, 'was not done')
  }

  head(status: number, headers: AnswerHeaders) {
    this.http_status = status
    this.#headers = headers
    if (status < 200 || status > 299) return
    const encoding = headers['content-encoding']
    const type = headers['content-type'] ?? ''
    const expected = this.errand.adapter.framing === 'aws' ? 'application/vnd.amazon.eventstream' : 'text/event-stream'
    if (encoding !== undefined && encoding !== 'identity') {
      return this.#fail(
        broken(`${this.name} answered with the content encoding "${encoding}".`, 'upstream_malformed').fault,
      )
    }
    if (isOf(type, expected, this.errand.is_stream) || isOf(type.toLowerCase(), expected, this.errand.is_stream)) {
      if (this.errand.is_stream) this.passage = this.errand.way.stream()
      return
    }
    const wanted = this.errand.is_stream ? expected : 'application/json'
    const message = `${this.name} answered with the content type "${type}" where ${wanted} was expected.`
    this.#fail(broken(message, 'upstream_malformed').fault)
  }

  chunk(bytes: Buffer) {
    if (this.isOver) return
    if (this.passage) return this.#read(this.passage, bytes)
    const isFault = (this.http_status ?? 0) > 299
    if (isFault && this.#length >= FAULT_BYTES_MAX) return
    this.#bytes.push(bytes)
    this.#length += bytes.length
    this.#wait(this.errand.timeouts.between_chunks, 'sent nothing more')
    if (isFault || this.#length <= ANSWER_BYTES_MAX) return
    this.#fail(broken(`${this.name} answered with more than ${ANSWER_BYTES_MAX} bytes.`, 'upstream_malformed').fault)
  }

  end() {
    if (this.isOver) return
    const { passage, errand } = this
    const status = this.http_status ?? 0
    const bytes = this.#bytes.length === 1 && this.#bytes[0] ? this.#bytes[0] : Buffer.concat(this.#bytes)
    if (status < 200 || status > 299) {
      const text = bytes.toString('utf8', 0, FAULT_BYTES_MAX)
      return this.#fail(this.#faultOf(status, text))
    }
    this.#guarded(() => {
      if (passage) {
        const last = passage.end()
        this.#finish()
        return this.#sender.ended(this, last)
      }
      if (!isUtf8(bytes)) throw broken(`${this.name} answered with what is no UTF-8.`, 'upstream_malformed')
      const more = errand.way.next?.(bytes)
      if (more) {
        this.#bytes = []
        this.#length = 0
        return this.#sender.send(this, more)
      }
      const answer = errand.way.answer(bytes)
      this.first_chunk_ms = performance.now() - this.began
      this.#finish()
      this.#sender.answered(this, answer)
    })
  }

  fail(fault: Fault) {
    if (!this.isOver) this.#fail(fault)
  }

  get name(): string {
    return this.errand.stop.provider.name
  }

  #read(passage: Passage, chunk: Buffer) {
    this.#guarded(() => {
      const piece = passage.push(chunk)
      if (piece.length > 0) {
        this.first_chunk_ms ??= performance.now() - this.began
        this.#sender.said(this, piece)
      }
      if (passage.fault) return this.#fail(passage.fault)
      if (!this.isOver && !this.#isPaused) this.#wait(this.errand.timeouts.between_chunks, 'sent nothing more')
    })
  }

  /** What cannot be read is the provider's fault. */
  #guarded(work: () => void) {
    try {
      work()
    } catch (thrown) {
      this.#fail(thrown instanceof ProviderFault ? thrown.fault : this.#sender.surprised(thrown))
    }
  }

  #faultOf(status: number, text: string): Fault {
    if (status >= 300 && status < 400)
      return broken(`${this.name} redirects, which is not followed.`, 'upstream_failed').fault
    return this.errand.adapter.fault(status, this.#headers, text)
  }

  #fail(fault: Fault) {
    if (this.isOver) return
    const told = { ...fault, message: withoutKey(fault.message, this.errand.stop.provider) }
    this.fault = told
    this.#finish()
    this.#flight?.abort()
    this.#sender.failed(this, told)
  }

  #finish() {
    this.isOver = true
    this.duration_ms = performance.now() - this.began
    this.#calm()
  }

  #wait(ms: number, what: string) {
    // The same time limit again, which is what every chunk brings.
    if (this.#timer && this.#waits_for === what) return void this.#timer.refresh()
    this.#calm()
    this.#waits_for = what
    this.#timer = setTimeout(() => this.#late(ms, what), ms)
  }

  #calm() {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #late(ms: number, what: string) {
    const message = `${this.name} ${what} within ${ms} ms.`
    this.#fail({ status: 504, type: 'api_error', code: 'upstream_timeout', message })
  }
}

const isOf = (type: string, stream: string, is_stream: boolean) =>
  is_stream ? type.startsWith(stream) : type.includes('json')

/** Adds what is the same for everybody who is given this answer. */
export function withTarget(headers: Headers, { errand: { stop, way } }: Attempt, attempts: number): Headers {
  headers['x-flow-provider'] = stop.provider.name
  headers['x-flow-model'] = inHeader(stop.model)
  headers['x-flow-attempts'] = String(attempts)
  if (way.outgoing.dropped.length > 0) headers['x-flow-dropped'] = inHeader(way.outgoing.dropped.join(', '))
  return headers
}

/** Headers are ASCII. */
const inHeader = (text: string) => (/^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text.toWellFormed()))
