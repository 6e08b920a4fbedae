/** The life of one call, from a client's request to the line in the ledger:
 *
 *  let in → read → routed → admitted → attempts → answered → settled
 *
 *  `let in` by sign-in.ts, `read` by the mouth's outline, `routed` by route.ts, `admitted` by the Governor, whose ticket
 *  is settled exactly once, however the call ends. Attempts follow each other until one answers; after the first byte
 *  has gone to the client none follows: a stream that breaks then ends with an error event. When everything is in
 *  memory nothing is awaited before the provider is asked. */

import { newId } from '../context.ts'
import { Attempt, type Errand } from './attempt.ts'
import type { Asked, Headers, Reply } from './exchange.ts'
import { internal, resting, uncovered } from './faults.ts'
import type { Fault, JsonObject, MouthName } from './hub.ts'
import { Refusal } from './mouths/mouth.ts'
import { outlineOf } from './mouths/outline.ts'
import { type Counted, countedOf, recordOf } from './noting.ts'
import type { Plane } from './plane.ts'
import type { CallRecord, Policy, Ticket } from './policy.ts'
import { ProviderFault } from './providers/provider.ts'
import { isElsewhere, isTrouble, retryOf, toldToClient } from './retry.ts'
import { estimatesOf, type Way as Routed, type Stop, wayOf } from './route.ts'
import type { Pass } from './sign-in.ts'
import { faultBody, faultHeaders } from './speaking.ts'
import { traced } from './tracing.ts'
import { type Answered, adapterOf, type Wish, wayTo } from './ways.ts'

/** A timer may be early by this much. */
const NEARLY_MS = 20

/** Reads the client's body; throws a `Refusal`. */
export type ReadBody = (body: Buffer) => JsonObject

export class Call {
  readonly id = newId()
  readonly mouth: MouthName
  readonly asked: Asked
  readonly started_at: string
  wish: Wish | undefined
  pass: Pass | undefined
  policy: Policy | undefined
  /** All that were begun, the running ones too. */
  attempts: Attempt[] = []
  /** The one that answers. */
  winner: Attempt | undefined
  /** What the client was told, where it is kept. */
  told: (string | Buffer)[] = []
  readonly #plane: Plane
  readonly #reply: Reply
  readonly #readBody: ReadBody
  #routed: Routed | undefined
  #ticket: Ticket | undefined
  /** What the ticket has the client told. */
  #told: Headers = {}
  #at = 0
  #tries = 0
  #isOver = false
  #hasHedged = false
  #lastFault: Fault | undefined
  #timers = new Set<NodeJS.Timeout>()
  #unfollow = () => {}

  constructor(plane: Plane, mouth: MouthName, asked: Asked, reply: Reply, readBody: ReadBody) {
    this.#plane = plane
    this.mouth = mouth
    this.asked = asked
    this.#reply = reply
    this.#readBody = readBody
    this.started_at = plane.clock.now().toISOString()
  }

  run(pass: Pass | Promise<Pass>) {
    this.#reply.gone = () => this.#abandon()
    this.#guarded(() => this.#then(pass, (known) => this.#letIn(known)))
  }

  #letIn(pass: Pass) {
    this.pass = pass
    const body = this.#readBody(this.asked.body)
    const outline = outlineOf(this.mouth, body)
    const created = Math.floor(this.#plane.clock.now().getTime() / 1000)
    this.wish = { mouth: this.mouth, body, outline, id: this.id, created }
    this.#then(this.#plane.policies.policyOf(pass.caller.organization_id), (policy) => this.#route(pass, policy))
  }

  #route(pass: Pass, policy: Policy) {
    this.policy = policy
    const { breakers, chance, governor } = this.#plane
    const { outline } = this.#wished
    const now = performance.now()
    const routed = wayOf(policy, outline.model, {
      chance: chance(),
      firstChunkMs: (provider, model) => breakers.of(provider, model).firstChunkMs(now),
    })
    if (!('stops' in routed)) throw new Refusal(routed)

    this.#routed = routed
    const start = {
      id: this.id,
      request_id: this.asked.request_id,
      mouth: this.mouth,
      model: outline.model,
      is_stream: outline.stream,
    }
    const estimates = estimatesOf(policy, routed.stops, outline)
    this.#then(governor.admit(policy, pass.caller, start, estimates), (ticket) => this.#admitted(pass, ticket, routed))
  }

  #admitted(pass: Pass, ticket: Ticket, { route }: Routed) {
    this.#ticket = ticket
    this.#told = ticket.headers
    this.#unfollow = pass.follow((fault) => this.#cutOff(fault))
    if (this.#isOver) return void ticket.settle(recordOf(this, 'aborted', 499, null, undefined))
    this.#later(route.timeouts.total, () => this.#late(route.timeouts.total))
    this.#next()
  }

  /** Asks the next target that may be asked. */
  #next() {
    const { stops, route } = this.#way
    let wait_ms = Number.POSITIVE_INFINITY
    for (; this.#at < stops.length; this.#pass()) {
      const stop = stops[this.#at]
      if (!stop || this.#tries >= route.attempts_max) continue
      if (!this.#ticket?.allows(`${stop.provider.name}/${stop.model}`)) continue
      const wait = this.#breakerOf(stop).wait(performance.now())
      wait_ms = Math.min(wait_ms, wait)
      if (wait > NEARLY_MS) continue
      this.#tries += 1
      return this.#launch(stop)
    }
    if (this.#running.length > 0) return
    this.#refuse(this.#lastFault ?? resting(wait_ms))
  }

  #pass() {
    this.#at += 1
    this.#tries = 0
  }

  #launch(stop: Stop) {
    const { route } = this.#way
    const { timeouts, hedge_after_ms } = route
    try {
      const adapter = adapterOf(stop)
      const way = wayTo(stop, this.#wished, this.#ticket?.output_tokens_max ?? null)
      const attempt = new Attempt({
        ...this.#listeners,
        stop,
        adapter,
        way,
        timeouts,
        number: this.attempts.length + 1,
        is_stream: this.#wished.outline.stream,
      })
      this.attempts.push(attempt)
      this.#breakerOf(stop).begin(performance.now())
      const send = this.#plane.sendTo(stop.provider.kind)
      const outgoing = traced(way.outgoing, this.asked.headers.traceparent, this.id)
      if (adapter.sign) {
        this.#then(adapter.sign(outgoing, stop.provider, this.#plane.clock.now()), (signed) =>
          attempt.fly(send, signed),
        )
      } else attempt.fly(send, outgoing)
    } catch (thrown) {
      if (!(thrown instanceof ProviderFault)) throw thrown
      return this.#tryOn(stop, thrown.fault)
    }
    if (hedge_after_ms === null || this.#hasHedged) return
    this.#hasHedged = true
    this.#later(hedge_after_ms, () => this.#hedge())
  }

  /** A second target is asked while the first still thinks. */
  #hedge() {
    if (this.winner || this.#at + 1 >= this.#way.stops.length) return
    this.#pass()
    this.#next()
  }

  readonly #listeners: Pick<Errand, 'answered' | 'said' | 'ended' | 'failed' | 'surprised'> = {
    answered: (attempt, answer) => this.#guarded(() => this.#answered(attempt, answer)),
    said: (attempt, piece) => this.#guarded(() => this.#said(attempt, piece)),
    ended: (attempt, last) => this.#guarded(() => this.#ended(attempt, last)),
    failed: (attempt, fault) => this.#guarded(() => this.#failed(attempt, fault)),
    surprised: (thrown) => this.#surprised(thrown),
  }

  #answered(attempt: Attempt, { body, usage, text_bytes }: Answered) {
    this.#win(attempt)
    this.#keep(body)
    const counted = { usage, output_tokens: Math.ceil(text_bytes / 4), isWhole: true }
    const settled = this.#settle('completed', 200, null, counted)
    const headers = this.#headers(attempt, settled?.nanocredits)
    headers['content-type'] = 'application/json'
    this.#reply.send(200, headers, body)
  }

  #said(attempt: Attempt, piece: string | Buffer) {
    if (this.#isOver) return
    this.#keep(piece)
    if (this.winner !== attempt) {
      this.#win(attempt)
      const headers = this.#headers(attempt)
      headers['content-type'] = 'text/event-stream'
      headers['x-accel-buffering'] = 'no'
      this.#reply.drained = () => attempt.resume()
      this.#reply.begin(200, headers, piece)
    } else if (!this.#reply.write(piece)) attempt.pause()
    if (!this.#ticket?.covers(attempt.passage?.output_tokens ?? 0)) this.#cutOff(uncovered)
  }

  #ended(attempt: Attempt, last: string | Buffer) {
    if (this.#isOver) return
    this.#keep(last)
    this.#settle('completed', 200, null, { ...countedOf(attempt), isWhole: true })
    if (last.length > 0) this.#reply.write(last)
    this.#reply.end()
  }

  #failed(attempt: Attempt, fault: Fault) {
    const { stop } = attempt.errand
    const breaker = this.#breakerOf(stop)
    const now = performance.now()
    if (fault.status === 429 && fault.retry_after_seconds) breaker.stayAway(now, fault.retry_after_seconds * 1000)
    if (isTrouble(fault)) breaker.failed(now)
    else breaker.ended()
    if (this.#isOver) return
    if (this.winner === attempt) return this.#breakOff('failed', fault)
    if (!this.winner) this.#tryOn(stop, fault)
  }

  /** Whether and when somebody is asked again. */
  #tryOn(stop: Stop, fault: Fault) {
    this.#lastFault = toldToClient(fault, stop.provider.name)
    const { stops, route } = this.#way
    if (this.#running.length > 0) return
    const isLast = this.#at + 1 >= stops.length
    const retry = retryOf(fault, this.#tries, this.#plane.chance())
    if (retry === undefined && !isElsewhere(fault)) return this.#refuse(this.#lastFault)
    const isAgain = retry !== undefined && this.#tries < route.attempts_max
    if (isAgain && (isLast || !retry.isLong)) {
      if (retry.isTooLong) return this.#refuse(this.#lastFault)
      return this.#later(retry.wait_ms, () => this.#next())
    }
    this.#pass()
    this.#next()
  }

  #win(attempt: Attempt) {
    this.winner = attempt
    this.#breakerOf(attempt.errand.stop).succeeded(performance.now(), attempt.first_chunk_ms ?? 0)
    for (const other of this.attempts) if (other !== attempt) other.giveUp()
  }

  /** The client went away: the provider need not go on. */
  #abandon() {
    this.#end('aborted', 499, null)
  }

  /** It may not go on: its key was revoked, or nobody pays for more. */
  #cutOff(fault: Fault) {
    if (this.#isOver) return
    if (this.winner) return this.#breakOff('cut_off', fault)
    this.#end('refused', fault.status, fault)
    this.#sendFault(fault)
  }

  #late(ms: number) {
    const message = `The answer was not complete within ${ms} ms.`
    const fault: Fault = { status: 504, type: 'api_error', code: 'upstream_timeout', message }
    for (const attempt of this.#running)
      if (attempt !== this.winner) this.#breakerOf(attempt.errand.stop).failed(performance.now())
    if (this.winner) return this.#breakOff('failed', fault)
    this.#refuse(fault)
  }

  /** A stream that breaks says so. */
  #breakOff(status: CallRecord['status'], fault: Fault) {
    const last = this.winner?.passage?.fail(fault) ?? ''
    this.#keep(last)
    this.#end(status, 200, fault)
    this.#reply.write(last)
    this.#reply.end()
  }

  /** Nobody has answered, and nobody else is asked. */
  #refuse(fault: Fault) {
    if (this.#isOver) return
    this.#end(this.attempts.length > 0 ? 'failed' : 'refused', fault.status, fault)
    this.#sendFault(fault)
  }

  #sendFault(fault: Fault) {
    const headers = { ...this.#common, ...faultHeaders(fault) }
    if (this.attempts.length > 0) headers['x-flow-attempts'] = String(this.attempts.length)
    this.#reply.send(fault.status, headers, JSON.stringify(faultBody(this.mouth, fault, this.asked.request_id)))
  }

  /** The end of whatever still runs, with what was produced so far. */
  #end(status: CallRecord['status'], http_status: number, fault: Fault | null) {
    if (this.#isOver) return
    for (const attempt of this.attempts) {
      if (!attempt.isOver) this.#breakerOf(attempt.errand.stop).ended()
      attempt.giveUp()
    }
    const producer = this.winner ?? this.attempts.findLast((attempt) => attempt.wasAsked && status === 'aborted')
    this.#settle(status, http_status, fault, producer && { ...countedOf(producer), isWhole: false })
  }

  #settle(status: CallRecord['status'], http_status: number, fault: Fault | null, counted?: Counted) {
    this.#isOver = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#unfollow()
    this.#plane.noted(this.mouth, http_status, (performance.now() - this.asked.began) / 1000)
    const ticket = this.#ticket
    this.#ticket = undefined
    return ticket?.settle(recordOf(this, status, http_status, fault, counted))
  }

  #keep(piece: string | Buffer) {
    if (this.policy?.traces.keep_content && piece.length > 0) this.told.push(piece)
  }

  get #wished(): Wish {
    if (!this.wish) throw new Error('the call was not read')
    return this.wish
  }

  get #way(): Routed {
    if (!this.#routed) throw new Error('the call has no route')
    return this.#routed
  }

  get #running(): Attempt[] {
    return this.attempts.filter(({ isOver }) => !isOver)
  }

  #breakerOf({ provider, model }: Stop) {
    return this.#plane.breakers.of(provider, model)
  }

  get #common(): Headers {
    return { ...this.#told, 'x-request-id': this.asked.request_id, 'cache-control': 'no-store' }
  }

  #headers(attempt: Attempt, nanocredits?: number): Headers {
    const { stop, way } = attempt.errand
    const headers: Headers = {
      ...this.#common,
      'x-flow-provider': stop.provider.name,
      'x-flow-model': stop.model,
      'x-flow-attempts': String(this.attempts.length),
      'x-flow-cache': 'off',
    }
    if (nanocredits !== undefined) headers['x-flow-cost'] = String(nanocredits / 1e9)
    if (way.outgoing.dropped.length > 0) headers['x-flow-dropped'] = way.outgoing.dropped.join(', ')
    return headers
  }

  #later(ms: number, work: () => void) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#isOver) this.#guarded(work)
    }, ms)
    this.#timers.add(timer)
  }

  /** Goes on at once where nothing has to be waited for. */
  #then<Value>(value: Value | Promise<Value>, next: (value: Value) => void) {
    if (!(value instanceof Promise)) return next(value)
    value.then(
      (known) => this.#guarded(() => next(known)),
      (thrown: unknown) => this.#threw(thrown),
    )
  }

  #guarded(work: () => void) {
    try {
      work()
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  #threw(thrown: unknown) {
    const isTold = thrown instanceof Refusal || thrown instanceof ProviderFault
    const fault = isTold ? thrown.fault : this.#surprised(thrown)
    if (this.winner) return this.#breakOff('failed', fault)
    this.#refuse(fault)
  }

  #surprised(thrown: unknown): Fault {
    this.#plane.log.error({ err: thrown, request_id: this.asked.request_id }, 'a fault in a call of the gateway')
    return internal
  }
}
