/** The life of one call, from a client's request to the line in the ledger:
 *
 *  let in → read → routed → looked at → found or not → admitted → asked → answered → settled
 *
 *  `let in` by front/sign-in.ts, `read` by the mouth's outline, `routed` by route.ts, `looked at` by the guardrails that
 *  hold, as the answer is later, `found` in the cache, `admitted` by the Governor, whose ticket is settled exactly once,
 *  however the call ends; `asked` by asking.ts. After the first byte has gone to the client nobody else is asked: a stream
 *  that breaks then ends with an error event. When everything is in memory nothing is awaited before the provider is
 *  asked. */

import { written } from '../../context.ts'
import { internal, toldBy, uncovered } from '../faults.ts'
import type { Answerer, Asked, Headers, Reply } from '../front/exchange.ts'
import type { Pass } from '../front/sign-in.ts'
import { faultBody, faultHeaders, withId } from '../front/speaking.ts'
import { Blocked } from '../guardrails/findings.ts'
import { type Watch, watchOf } from '../guardrails/watch.ts'
import type { Fault, JsonObject, MouthName } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import { outlineOf } from '../mouths/outline.ts'
import type { Plane } from '../plane.ts'
import type { CallRecord, Policy, Ticket } from '../policies/policy.ts'
import { type Counted, tokensOf } from '../used.ts'
import type { Answered, Wish } from '../ways/ways.ts'
import { type Asker, Asking } from './asking.ts'
import { type Attempt, withTarget } from './attempt.ts'
import { type Cached, cacheKeyOf, estimateOf, type Leading } from './cache.ts'
import { CONTENT_BYTES_MAX, cachedOf, countedOf, kindOf, recordOf, writeDown } from './noting.ts'
import { type Held, type Kept, keyOf } from './replays.ts'
import { estimatesOf, type Way as Routed, wayOf } from './route.ts'

/** Reads the client's body; throws a `Refusal`. */
export type ReadBody = (body: Buffer) => JsonObject

export class Call implements Asker, Answerer {
  readonly id: string
  readonly mouth: MouthName
  readonly asked: Asked
  readonly started_at: string
  /** Seconds since 1970. */
  readonly created: number
  wish: Wish | undefined
  pass: Pass | undefined
  policy: Policy | undefined
  asking: Asking | undefined
  /** The guardrails that look at it, if any do. */
  watch: Watch | undefined
  /** The answer was given before. */
  cached: Cached | undefined
  /** What the client was told, where it is kept. */
  told: (string | Buffer)[] = []
  readonly #plane: Plane
  readonly #reply: Reply
  readonly #readBody: ReadBody
  #ticket: Ticket | undefined
  /** What the client is told, whatever the answer is. */
  #headers: Headers = {}
  /** The idempotency key, from when it is held until the answer is stored with it. */
  #held: Held | undefined
  /** Resolves when the key can be used again, after a call that failed. */
  #freed: Promise<void> | undefined
  /** Of the cache: others may wait for this answer. */
  #leading: Leading | undefined
  /** What the answer used, from when it is all there until it may be told. */
  #counted: Counted | undefined
  /** What was used was not told, and is counted by what passed. */
  #isEstimated = false
  #told_length = 0
  #output_tokens_max: number | null = null
  /** The answer is over, and guardrails that only flag still look at it: until they have. */
  #noted: Promise<void> | undefined
  #isBeingAdmitted = false
  #hasBegun = false
  #isOver = false
  #unfollow = nothing
  #leave = nothing

  constructor(plane: Plane, mouth: MouthName, asked: Asked, reply: Reply, readBody: ReadBody) {
    this.#plane = plane
    this.id = asked.id
    this.mouth = mouth
    this.asked = asked
    this.#reply = reply
    this.#readBody = readBody
    const now = plane.clock.now()
    this.started_at = written(now)
    this.created = Math.floor(now.getTime() / 1000)
  }

  run(pass: Pass | Promise<Pass>) {
    this.#reply.tells(this)
    if (this.#isOver) return
    this.guarded(() => this.#then(pass, (known) => this.#letIn(known)))
  }

  gone() {
    this.#end('aborted', 499, null)
  }

  drained() {
    if (!this.watch?.busy) this.asking?.winner?.resume()
  }

  #letIn(pass: Pass) {
    this.pass = pass
    const body = this.#readBody(this.asked.body)
    const outline = outlineOf(this.mouth, body)
    // These have one answer, whatever is asked.
    if (this.mouth === 'embeddings' || this.mouth === 'rerank') outline.stream = false
    const wish = { mouth: this.mouth, body, outline, headers: this.asked.headers, id: this.id, created: this.created }
    this.wish = wish
    const key = outline.stream ? undefined : keyOf(this.asked)
    if (key === undefined) return this.#rule(pass, wish)
    this.#then(this.#plane.replays.hold(pass, key, this.asked), (found) => this.#recalled(pass, wish, found))
  }

  #recalled(pass: Pass, wish: Wish, found: Held | Kept) {
    if ('body' in found) {
      this.#isOver = true
      const headers = { ...found.headers, ...this.#usual(), 'idempotent-replayed': 'true' }
      return this.#reply.send(200, headers, found.body)
    }
    this.#held = found
    this.#rule(pass, wish)
  }

  #rule(pass: Pass, wish: Wish) {
    // The client went away while its key was looked for.
    if (this.#isOver) return void this.#held?.letGo()
    const policy = this.#plane.policies.policyOf(pass.caller.organization_id)
    this.#then(policy, (known) => this.#route(pass, wish, known))
  }

  #route(pass: Pass, wish: Wish, policy: Policy) {
    if (this.#isOver) return
    this.policy = policy
    const { breakers, chance } = this.#plane
    const now = performance.now()
    const routed = wayOf(policy, wish.outline.model, {
      chance: chance(),
      firstChunkMs: (provider, name) => breakers.of(provider, name).firstChunkMs(now),
    })
    this.watch = watchOf(this.#plane, policy, 'stops' in routed ? routed.route : undefined, pass, this.asked)
    if (!('stops' in routed)) throw new Refusal(routed)
    if (!this.watch) return this.#find(pass, wish, policy, routed)
    this.#then(this.watch.wish(wish), (allowed) => {
      // The client went away while its prompt was looked at.
      if (this.#isOver) return
      this.wish = allowed
      this.#find(pass, allowed, policy, routed)
    })
  }

  /** Whether it was answered before. */
  #find(pass: Pass, wish: Wish, policy: Policy, routed: Routed) {
    const key = cacheKeyOf(pass, policy, wish, this.asked.body, routed.route, this.watch?.digest)
    if (!key) return this.#admit(pass, wish, policy, routed)
    this.#then(this.#plane.cache.find(key), (found) => {
      if ('body' in found) this.cached = found
      else this.#leading = found
      // The client went away while it waited for the answer of another.
      if (this.#isOver) return this.#leading?.leave()
      this.#admit(pass, wish, policy, routed)
    })
  }

  #admit(pass: Pass, wish: Wish, policy: Policy, routed: Routed) {
    const { model, stream } = wish.outline
    const start = { id: this.id, request_id: this.asked.request_id, mouth: this.mouth, model, is_stream: stream }
    const estimates = this.cached ? [estimateOf(this.cached)] : estimatesOf(policy, routed.stops, wish.outline)
    this.#isBeingAdmitted = true
    this.#then(this.#plane.governor.admit(policy, pass.caller, start, estimates), (ticket) => {
      this.#isBeingAdmitted = false
      this.#ticket = ticket
      // The client went away while its leave was being fetched.
      if (this.#isOver) return this.#settle('aborted', 499, null)
      this.#headers = ticket.headers
      this.#output_tokens_max = ticket.output_tokens_max
      if (this.cached) return this.#recall(this.cached)
      this.#unfollow = pass.follow(this.#cutOff)
      this.#leave = this.#plane.running.join(this.#stop)
      this.asking = new Asking(this.#plane, routed, wish, ticket, this, this.asked)
      this.asking.begin()
    })
  }

  /** The answer that was given before. */
  #recall({ headers, body, usage, findings }: Cached) {
    this.#keep(body)
    for (const { guardrail, action, side } of findings) this.watch?.findings.add({ name: guardrail }, action, side)
    const settled = this.#settle('completed', 200, null, { usage, output_tokens: 0, isWhole: true })
    this.#tell({ ...headers, ...this.#usual(), 'x-flow-cache': 'hit' }, body, settled?.nanocredits)
  }

  #tell(headers: Headers, body: string | Buffer, nanocredits?: number) {
    if (nanocredits !== undefined) headers['x-flow-cost'] = String(nanocredits / 1e9)
    const held = this.#held
    this.#held = undefined
    if (!held) return this.#reply.send(200, headers, body)
    // Stored before it is told: an answer that gets lost on its way can be asked for again.
    this.#then(held.keep({ headers, body: body.toString() }), () => this.#reply.send(200, headers, body))
  }

  answered(attempt: Attempt, { body, usage, text_bytes }: Answered) {
    const counted = { usage, output_tokens: tokensOf(text_bytes), isWhole: true }
    if (!this.watch || !this.wish) return this.#give(attempt, body, counted)
    this.#counted = counted
    this.#then(this.watch.answer(this.wish, body), (allowed) => this.#give(attempt, allowed, counted))
  }

  #give(attempt: Attempt, body: string | Buffer, counted: Counted) {
    if (this.#isOver) return
    this.#keep(body)
    const settled = this.#settle('completed', 200, null, counted)
    const headers = this.#answerHeaders(attempt)
    if (this.#isEstimated) headers['x-flow-estimated'] = 'true'
    this.#store(attempt, [body], counted)
    this.#tell(headers, body, settled?.nanocredits)
  }

  said(attempt: Attempt, given: string | Buffer) {
    if (this.#isOver) return
    const piece = this.watch ? this.watch.piece(given) : given
    if (!(piece instanceof Promise)) return void this.#say(attempt, piece)
    // No more is read before this is looked at.
    attempt.pause()
    this.#then(piece, (allowed) => {
      if (this.#say(attempt, allowed)) this.drained()
    })
  }

  /** False: no more is to be read. */
  #say(attempt: Attempt, piece: string | Buffer): boolean {
    if (this.#isOver) return false
    this.#keep(piece)
    const isFirst = !this.#hasBegun && piece.length > 0
    if (isFirst) this.#begin(attempt, piece)
    const isTaken = isFirst || this.#reply.write(piece)
    if (!isTaken) attempt.pause()
    if (!this.#ticket?.covers(attempt.passage?.output_tokens ?? 0)) this.#cutOff(uncovered)
    return isTaken
  }

  #begin(attempt: Attempt, piece: string | Buffer) {
    this.#hasBegun = true
    const headers = this.#answerHeaders(attempt)
    headers['x-accel-buffering'] = 'no'
    this.#reply.begin(200, headers, piece)
  }

  ended(attempt: Attempt, last: string | Buffer) {
    if (this.#isOver) return
    const counted = { ...countedOf(attempt), isWhole: true }
    if (!this.watch) return this.#close(attempt, last, counted)
    this.#counted = counted
    this.#then(this.watch.last(last), (allowed) => this.#close(attempt, allowed, counted))
  }

  #close(attempt: Attempt, last: string | Buffer, counted: Counted) {
    if (this.#isOver) return
    this.#keep(last)
    this.#settle('completed', 200, null, counted)
    if (this.#leading) this.#then(this.#noted, () => this.#store(attempt, this.told, counted))
    if (!this.#hasBegun) this.#begin(attempt, last)
    else if (last.length > 0) this.#reply.write(last)
    this.#reply.end()
  }

  #store(attempt: Attempt, told: (string | Buffer)[], counted: Counted) {
    if (!this.#leading) return
    const cached = cachedOf(this, attempt, told, counted, this.#output_tokens_max)
    if (!cached) return this.#leading.giveUp()
    this.#leading.store(cached)
    this.#leading = undefined
  }

  /** It may not go on: its key was revoked, or nobody pays for more. */
  readonly #cutOff = (fault: Fault) => this.#fail('cut_off', fault)
  /** The server stops. */
  readonly #stop = (fault: Fault) => this.#fail('failed', fault)

  failed(fault: Fault) {
    // What was said before it is told before it.
    this.#then(this.watch?.busy, () => this.#fail('failed', fault))
  }

  /** A stream that has begun says so at its end; otherwise the fault is the answer. */
  #fail(status: 'failed' | 'cut_off', fault: Fault) {
    if (this.#isOver) return
    if (this.#hasBegun) {
      const last = this.asking?.winner?.passage?.fail(fault) ?? ''
      this.#keep(last)
      this.#end(status, 200, fault)
      this.#reply.write(last)
      this.#reply.end()
      return
    }
    const { length = 0 } = this.asking?.attempts ?? []
    this.#end(length > 0 ? status : 'refused', fault.status, fault)
    const headers = Object.assign(this.#usual(), faultHeaders(fault))
    if (length > 0) headers['x-flow-attempts'] = String(length)
    const body = JSON.stringify(faultBody(this.mouth, fault, this.asked.request_id))
    // Whoever is told may ask again at once, with the same key.
    this.#then(this.#freed, () => this.#reply.send(fault.status, headers, body))
  }

  /** The end before the end: what was produced so far is settled. */
  #end(status: CallRecord['status'], http_status: number, fault: Fault | null) {
    if (this.#isOver) return
    this.asking?.stop()
    const produced = this.asking?.workerOf(status)
    const counted = this.#counted ?? (produced && { ...countedOf(produced), isWhole: false })
    this.#settle(status, http_status, fault, counted)
  }

  #settle(status: CallRecord['status'], http_status: number, fault: Fault | null, counted?: Counted) {
    this.#isOver = true
    this.asking?.stop()
    this.#unfollow()
    this.#leave()
    if (status !== 'completed') {
      this.watch?.leave()
      this.#freed = this.#held?.letGo()
      if (status === 'failed') this.#leading?.giveUp()
      else this.#leading?.leave()
    }
    this.#plane.noted(this.mouth, http_status, (performance.now() - this.asked.began) / 1000)
    const ticket = this.#ticket
    this.#ticket = undefined
    // What cannot be read is not yet a call; and of one whose leave is being fetched it is seen to when it is there.
    if (!this.wish || this.#isBeingAdmitted) return undefined
    const record = recordOf(this, status, http_status, fault, counted)
    this.#isEstimated = record.is_estimated
    this.#noted = status === 'completed' ? this.watch?.noted(this.#plane.looking) : undefined
    return writeDown(this.#plane, this, record, ticket, this.#noted)
  }

  #keep(piece: string | Buffer) {
    if (piece.length === 0 || !(this.policy?.traces.keep_content || this.#leading)) return
    this.#told_length += piece.length
    // Nobody keeps one that is so long: neither the trace nor the cache.
    if (this.#told_length > CONTENT_BYTES_MAX) this.told.length = 0
    else this.told.push(piece)
  }

  get cache(): CallRecord['cache'] {
    if (this.cached) return 'hit'
    return this.#leading ? 'miss' : 'off'
  }

  #usual(): Headers {
    const headers = withId(this.#headers, this.mouth, this.asked.request_id)
    headers['cache-control'] = 'no-store'
    return this.watch ? Object.assign(headers, this.watch.headers) : headers
  }

  #answerHeaders(attempt: Attempt): Headers {
    const headers = this.#usual()
    headers['content-type'] = kindOf(this)
    headers['x-flow-cache'] = this.cache
    return withTarget(headers, attempt, this.asking?.attempts.length ?? 0)
  }

  /** Goes on at once where nothing has to be waited for. */
  #then<Value>(value: Value | Promise<Value>, next: (value: Value) => void) {
    if (!(value instanceof Promise)) return next(value)
    value.then(
      (known) => this.guarded(() => next(known)),
      (thrown: unknown) => this.#threw(thrown),
    )
  }

  guarded(work: () => void) {
    try {
      work()
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  #threw(thrown: unknown) {
    const fault = toldBy(thrown) ?? this.surprised(thrown)
    const wasAdmitted = !this.#isBeingAdmitted
    this.#isBeingAdmitted = false
    // The client went away, and would not have got leave.
    if (this.#isOver && !wasAdmitted) return void this.#settle('aborted', 499, null)
    if (!this.#isOver) return this.#fail(thrown instanceof Blocked ? 'cut_off' : 'failed', fault)
    // It was settled, and could not be told.
    const body = JSON.stringify(faultBody(this.mouth, fault, this.asked.request_id))
    this.#reply.send(fault.status, faultHeaders(fault), body)
  }

  surprised(thrown: unknown): Fault {
    this.#plane.log.error({ err: thrown, request_id: this.asked.request_id }, 'a fault in a call of the gateway')
    return internal
  }
}

const nothing = () => {}
