/** The way to a provider: one request out, its answer back piece by piece as it comes, without a stream or a promise in
 *  between. Connections are kept and used again; each is opened by the guarded connector, so that no address inside the
 *  network is reached unless the operator allows it by name. Redirects are not followed: keys go where they were meant
 *  to go. Time limits are the caller's: it aborts. */

import type { Config } from '../../config.ts'
import { Failure } from '../../failure.ts'
import { type Agent, guardedAgent, isTimeout } from '../../fetch.ts'
import type { Fault } from '../hub.ts'
import type { Outgoing } from '../providers/provider.ts'

export type AnswerHeaders = Record<string, string | undefined>

/** Who waits for an answer. After `end` or `fail` nothing more is said; after `abort` nothing at all. */
export type Landing = {
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

export function createForward(config: Pick<Config, 'allowed_hosts'>): Forward {
  const agent = guardedAgent(config, { connections: CONNECTIONS_MAX })
  return { send: (outgoing, _attempt, landing) => fly(agent, outgoing, landing), close: () => agent.destroy() }
}

const aborted = new Error('The call was given up.')

function fly(agent: Agent, { url, method, headers, body }: Outgoing, landing: Landing): Flight {
  const slash = url.indexOf('/', url.indexOf('://') + 3)
  const origin = slash < 0 ? url : url.slice(0, slash)
  const path = slash < 0 ? '/' : url.slice(slash)
  const flying = new Flying(landing, origin)
  agent.dispatch({ origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }, flying)
  return flying
}

type Handler = Parameters<Agent['dispatch']>[1]
type Controller = Parameters<NonNullable<Handler['onRequestStart']>>[0]

const tell = (flying: Flying) => flying.tell()

class Flying implements Flight, Handler {
  readonly #landing: Landing
  readonly #origin: string
  #controller: Controller | undefined
  /** Pieces that came in this turn of the loop: of one read, often, in which each event is a chunk of its own. */
  #pieces: Buffer[] = []
  #isOver = false

  constructor(landing: Landing, origin: string) {
    this.#landing = landing
    this.#origin = origin
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
    this.#landing.fail(faultOfLoss(error, this.#origin))
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
function faultOfLoss(error: Error, origin: string): Fault {
  const host = origin.slice(origin.indexOf('://') + 3)
  if (error instanceof Failure && error.code === 'BAD_REQUEST') {
    return { status: 502, type: 'api_error', code: 'upstream_refused', message: error.message, is_retryable: false }
  }
  if (isTimeout(error)) {
    return { status: 504, type: 'api_error', code: 'upstream_timeout', message: `${host} did not take the connection.` }
  }
  const message = `The connection to ${host} broke: ${error.message}`
  return { status: 502, type: 'api_error', code: 'upstream_failed', message }
}
