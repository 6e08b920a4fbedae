/** The way to a provider: one request out, its answer back piece by piece as it comes, without a stream or a promise in
 *  between. Connections are kept and used again; each is opened by the guarded connector, so that no address inside the
 *  network is reached unless the operator allows it by name. Redirects are not followed: keys go where they were meant
 *  to go. Time limits are the caller's: it aborts. Where a provider lives is told to the log, and to no client. */

import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { Failure } from '../../failure.ts'
import { type Agent, guardedAgent, isTimeout } from '../../fetch.ts'
import type { Fault } from '../hub.ts'
import type { Outgoing } from '../providers/provider.ts'

export type AnswerHeaders = Record<string, string | undefined>

/** Who waits for an answer. After `end` or `fail` nothing more is said; after `abort` nothing at all. */
export type Landing = {
  /** Who is asked, as clients know it. */
  readonly name: string
  /** The request is on its way over a connection. */
  sent(): void
  head(status: number, headers: AnswerHeaders): void
  chunk(bytes: Buffer): void
  end(): void
  fail(fault: Fault): void
}

/** A request on its way. */
export type Flight = { abort(): void; pause(): void; resume(): void }

/** `attempt` counts from 1 over all targets of a call. */
export type Send = (outgoing: Outgoing, attempt: number, landing: Landing) => Flight

/** At one origin, at the same time; more wait for their turn. */
export const CONNECTIONS_MAX = 1_024

export type Forward = { send: Send; close(): Promise<void> }

export function createForward(config: Pick<Config, 'allowed_hosts'>, log: Logger): Forward {
  const agent = guardedAgent(config, { connections: CONNECTIONS_MAX })
  return { send: (outgoing, _attempt, landing) => fly(agent, log, outgoing, landing), close: () => agent.destroy() }
}

const aborted = new Error('The call was given up.')

function fly(agent: Agent, log: Logger, { url, method, headers, body }: Outgoing, landing: Landing): Flight {
  const slash = url.indexOf('/', url.indexOf('://') + 3)
  const origin = slash < 0 ? url : url.slice(0, slash)
  const path = slash < 0 ? '/' : url.slice(slash)
  const flying = new Flying(landing, origin, log)
  agent.dispatch({ origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }, flying)
  return flying
}

type Handler = Parameters<Agent['dispatch']>[1]
type Controller = Parameters<NonNullable<Handler['onRequestStart']>>[0]

const tell = (flying: Flying) => flying.tell()

class Flying implements Flight, Handler {
  readonly #landing: Landing
  readonly #origin: string
  readonly #log: Logger
  #controller: Controller | undefined
  /** Pieces that came in this turn of the loop: of one read, often, in which each event is a chunk of its own. */
  #pieces: Buffer[] = []
  #isOver = false

  constructor(landing: Landing, origin: string, log: Logger) {
    this.#landing = landing
    this.#origin = origin
    this.#log = log
  }

  onRequestStart(controller: Controller) {
    this.#controller = controller
    // Given up while it waited for a connection.
    if (this.#isOver) return controller.abort(aborted)
    this.#landing.sent()
  }

  onResponseStart(_controller: Controller, status: number, headers: object) {
    // 103 and the like come before the answer.
    if (!this.#isOver && status >= 200) this.#landing.head(status, headers as AnswerHeaders)
  }

  onResponseData(_controller: Controller, chunk: Buffer) {
    if (this.#pieces.push(chunk) === 1) process.nextTick(tell, this)
  }

  /** What came is told as one chunk, which is read, kept and sent on once. */
  tell() {
    const pieces = this.#pieces
    const [only] = pieces
    if (only === undefined) return
    this.#pieces = []
    if (!this.#isOver) this.#landing.chunk(pieces.length === 1 ? only : Buffer.concat(pieces))
  }

  onResponseEnd() {
    this.tell()
    if (this.#isOver) return
    this.#isOver = true
    this.#landing.end()
  }

  onResponseError(_controller: Controller, error: Error) {
    this.tell()
    if (this.#isOver) return
    this.#isOver = true
    const { name } = this.#landing
    // Not the error as it is: what came of an answer hangs on it.
    const lost = { provider: name, origin: this.#origin, reason: error.message }
    this.#log.warn(lost, 'a connection to a provider was lost')
    this.#landing.fail(faultOfLoss(error, name))
  }

  abort() {
    if (this.#isOver) return
    this.#isOver = true
    this.#controller?.abort(aborted)
  }

  pause() {
    this.#controller?.pause()
  }

  resume() {
    this.#controller?.resume()
  }
}

/** What a broken connection means for whoever waits. */
function faultOfLoss(error: Error, name: string): Fault {
  if (error instanceof Failure && error.code === 'BAD_REQUEST') {
    const message = `Flow does not call the address of ${name}: it is not on the public internet. An operator can allow it.`
    return { status: 502, type: 'api_error', code: 'upstream_refused', message, is_retryable: false }
  }
  if (isTimeout(error)) {
    return { status: 504, type: 'api_error', code: 'upstream_timeout', message: `${name} did not take the connection.` }
  }
  return { status: 502, type: 'api_error', code: 'upstream_failed', message: sentenceOn(error, name) }
}

/** By its code: an error's own words have addresses in them. */
function sentenceOn(error: Error, name: string): string {
  const code = 'code' in error ? String(error.code) : ''
  if (error instanceof Failure) return `The host of ${name} is not known.`
  if (code === 'ECONNREFUSED') return `${name} takes no connections.`
  if (UNREACHABLE.has(code)) return `${name} cannot be reached.`
  if (INSECURE.test(code)) return `The connection to ${name} could not be made a safe one.`
  if (error.name === 'HTTPParserError') return `${name} answered with what is no HTTP.`
  return `The connection to ${name} broke.`
}

const UNREACHABLE = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ETIMEDOUT'])
/** What TLS and its certificates stumble over. */
const INSECURE = /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_)/
