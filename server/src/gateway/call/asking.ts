/** Who is asked, one after the other: attempts at the targets of a call until one answers. Whether another one follows
 *  is decided here, by the fault of the one before, by the breakers, and by what the ticket allows. It is over when one
 *  has answered to its end, when nobody else can be asked, or when the call stops it. */

import { resting } from '../faults.ts'
import type { Asked } from '../front/exchange.ts'
import type { Fault } from '../hub.ts'
import type { Plane } from '../plane.ts'
import type { CallRecord, Ticket } from '../policies/policy.ts'
import { type Outgoing, ProviderFault } from '../providers/provider.ts'
import { traced } from '../traces/tracing.ts'
import { type Answered, adapterOf, type Wish, wayTo } from '../ways/ways.ts'
import { Attempt, type Sender } from './attempt.ts'
import type { Breaker } from './breaker.ts'
import { isElsewhere, isTrouble, retryOf, toldToClient } from './retry.ts'
import type { Way as Routed, Stop } from './route.ts'

/** The call, as it is told. */
export type Asker = {
  answered(attempt: Attempt, answer: Answered): void
  said(attempt: Attempt, piece: string | Buffer): void
  ended(attempt: Attempt, last: string | Buffer): void
  /** Nobody has answered, or who had begun has failed, and nobody else is asked. */
  failed(fault: Fault): void
  /** A fault of our own: what the client is told of it. */
  surprised(thrown: unknown): Fault
  /** What is thrown in it ends the call. */
  guarded(work: () => void): void
}

/** A timer may be early by this much. */
const NEARLY_MS = 20

export class Asking implements Sender {
  /** All that were begun, the running ones too. */
  readonly attempts: Attempt[] = []
  /** The one that answers. */
  winner: Attempt | undefined
  readonly #plane: Plane
  readonly #routed: Routed
  readonly #wish: Wish
  readonly #ticket: Ticket
  readonly #asker: Asker
  readonly #asked: Asked
  readonly #began = performance.now()
  #at = 0
  #tries = 0
  #isOver = false
  #hasHedged = false
  #lastFault: Fault | undefined
  /** Until the first of those that were passed over may be asked. */
  #rest_ms = Number.POSITIVE_INFINITY
  /** Those that are over, too: there are few. */
  readonly #timers: NodeJS.Timeout[] = []

  constructor(plane: Plane, routed: Routed, wish: Wish, ticket: Ticket, asker: Asker, asked: Asked) {
    this.#plane = plane
    this.#routed = routed
    this.#wish = wish
    this.#ticket = ticket
    this.#asker = asker
    this.#asked = asked
  }

  begin() {
    const { total } = this.#routed.route.timeouts
    this.#later(total, () => this.#late(total))
    this.#next()
  }

  /** Whose work is paid for when the call ends so. Who was asked when the client went away, or was cut off, may have begun
   *  to work; who failed has not. */
  workerOf(status: CallRecord['status']): Attempt | undefined {
    const isLeft = status === 'aborted' || status === 'cut_off'
    return this.winner ?? (isLeft ? this.attempts.findLast(({ wasAsked, fault }) => wasAsked && !fault) : undefined)
  }

  /** Nobody waits for an answer any longer. */
  stop() {
    this.#isOver = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const attempt of this.#running) {
      attempt.errand.breaker.ended()
      attempt.giveUp()
    }
  }

  /** Asks the next target that may be asked. */
  #next() {
    const { stops, route } = this.#routed
    for (; this.#at < stops.length; this.#pass()) {
      const stop = stops[this.#at]
      if (!stop || this.#tries >= route.attempts_max) continue
      if (!this.#ticket.allows(`${stop.provider.name}/${stop.model}`)) continue
      const breaker = this.#plane.breakers.of(stop.provider, stop.model)
      const now = performance.now()
      const wait = breaker.wait(now)
      if (wait > NEARLY_MS) {
        this.#rest_ms = Math.min(this.#rest_ms, wait)
        continue
      }
      this.#tries += 1
      this.#launch(stop, breaker, now)
      return
    }
    if (this.#running.length === 0) this.#asker.failed(this.#outcome)
  }

  /** A client for whom a target that rests may do it in a moment is told to come again. */
  get #outcome(): Fault {
    const fault = this.#lastFault
    const isFinal = fault && (!Number.isFinite(this.#rest_ms) || retryOf(fault, 1, 0) !== undefined)
    return isFinal ? fault : resting(this.#rest_ms)
  }

  #pass() {
    this.#at += 1
    this.#tries = 0
  }

  #launch(stop: Stop, breaker: Breaker, now: number) {
    const { timeouts, hedge_after_ms } = this.#routed.route
    try {
      const adapter = adapterOf(stop)
      const way = wayTo(stop, this.#wish, this.#ticket.output_tokens_max)
      const number = this.attempts.length + 1
      const { stream: is_stream } = this.#wish.outline
      const whole_ms = is_stream ? undefined : this.#shareOf(timeouts.total)
      const attempt = new Attempt({ stop, adapter, way, breaker, number, is_stream, timeouts, whole_ms }, this)
      this.attempts.push(attempt)
      breaker.begin(now)
      this.#send(attempt, way.outgoing)
    } catch (thrown) {
      if (!(thrown instanceof ProviderFault)) throw thrown
      this.#tryOn(stop, thrown.fault)
      return
    }
    if (hedge_after_ms === null || this.#hasHedged) return
    this.#hasHedged = true
    this.#later(hedge_after_ms, () => this.#hedge())
  }

  /** Of what is left of the time: each target that can still be asked has as much. */
  #shareOf(total_ms: number): number | undefined {
    const targets = this.#routed.stops.length - this.#at
    return targets < 2 ? undefined : Math.max(1, (this.#began + total_ms - performance.now()) / targets)
  }

  #send(attempt: Attempt, outgoing: Outgoing) {
    const { stop, adapter, number } = attempt.errand
    const send = this.#plane.sendTo(stop.provider.kind)
    const ready = traced(outgoing, this.#asked, this.#wish.id, number)
    if (!adapter.sign) return attempt.fly(send, ready)
    adapter.sign(ready, stop.provider, this.#plane.clock.now()).then(
      (signed) => this.#asker.guarded(() => attempt.fly(send, signed)),
      (thrown: unknown) => attempt.fail(thrown instanceof ProviderFault ? thrown.fault : this.#asker.surprised(thrown)),
    )
  }

  /** A second target is asked while the first still thinks. */
  #hedge() {
    if (this.winner || this.#at + 1 >= this.#routed.stops.length) return
    this.#pass()
    this.#next()
  }

  // What attempts tell.

  send(attempt: Attempt, outgoing: Outgoing) {
    this.#asker.guarded(() => this.#send(attempt, outgoing))
  }

  answered(attempt: Attempt, answer: Answered) {
    if (this.#isHeard(attempt)) this.#asker.guarded(() => this.#asker.answered(attempt, answer))
  }

  said(attempt: Attempt, piece: string | Buffer) {
    if (this.#isHeard(attempt)) this.#asker.guarded(() => this.#asker.said(attempt, piece))
  }

  ended(attempt: Attempt, last: string | Buffer) {
    if (this.#isHeard(attempt)) this.#asker.guarded(() => this.#asker.ended(attempt, last))
  }

  failed(attempt: Attempt, fault: Fault) {
    this.#asker.guarded(() => this.#failed(attempt, fault))
  }

  surprised(thrown: unknown): Fault {
    return this.#asker.surprised(thrown)
  }

  /** The first that says something answers; the others are let go. */
  #isHeard(attempt: Attempt): boolean {
    if (this.#isOver) return false
    if (this.winner === attempt) return true
    this.winner = attempt
    attempt.errand.breaker.succeeded(performance.now(), attempt.first_chunk_ms ?? 0)
    for (const other of this.#running) {
      if (other === attempt) continue
      other.errand.breaker.ended()
      other.giveUp()
    }
    return true
  }

  #failed(attempt: Attempt, fault: Fault) {
    const { stop, breaker } = attempt.errand
    const now = performance.now()
    if (fault.status === 429 && fault.retry_after_seconds) breaker.stayAway(now, fault.retry_after_seconds * 1000)
    if (isTrouble(fault)) breaker.failed(now)
    else breaker.ended()
    if (this.#isOver) return
    if (this.winner === attempt) this.#asker.failed(fault)
    if (!this.winner) this.#tryOn(stop, fault)
  }

  /** Whether and when somebody is asked again. */
  #tryOn(stop: Stop, fault: Fault) {
    const retry = retryOf(fault, this.#tries, this.#plane.chance())
    // What one target cannot do is no answer to a client for whom another one may do it in a moment.
    if (retry !== undefined || !this.#lastFault || retryOf(this.#lastFault, 1, 0) === undefined) {
      this.#lastFault = toldToClient(fault, stop.provider.name)
    }
    if (this.#running.length > 0) return
    const { stops, route } = this.#routed
    const isLast = this.#at + 1 >= stops.length
    if (retry === undefined && !isElsewhere(fault)) return this.#asker.failed(this.#lastFault)
    const isAgain = retry !== undefined && this.#tries < route.attempts_max && (isLast || !retry.isLong)
    if (isAgain && retry.isTooLong) return this.#asker.failed(this.#lastFault)
    if (isAgain) return this.#later(retry.wait_ms, () => this.#next())
    this.#pass()
    this.#next()
  }

  #late(ms: number) {
    const message = `The answer was not complete within ${ms} ms.`
    const fault: Fault = { status: 504, type: 'api_error', code: 'upstream_timeout', message }
    for (const attempt of this.#running) {
      if (attempt !== this.winner) attempt.errand.breaker.failed(performance.now())
    }
    this.#asker.failed(fault)
  }

  get #running(): Attempt[] {
    return this.attempts.filter(({ isOver }) => !isOver)
  }

  #later(ms: number, work: () => void) {
    const timer = setTimeout(() => {
      if (!this.#isOver) this.#asker.guarded(work)
    }, ms)
    this.#timers.push(timer)
  }
}
