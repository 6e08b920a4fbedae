/** The guardrails of one call: they see its prompt before anybody is asked, and its answer before it is told. */

import type { Logger } from 'pino'
import type { Crowd } from '../crowd.ts'
import { parsedExactly } from '../exact.ts'
import type { Asked, Headers } from '../front/exchange.ts'
import type { Pass } from '../front/sign-in.ts'
import type { JsonObject } from '../hub.ts'
import { outlineOf } from '../mouths/outline.ts'
import type { Plane } from '../plane.ts'
import type { Policy, Route } from '../policies/policy.ts'
import type { Answered, Wish } from '../ways/ways.ts'
import { Findings, type Side } from './findings.ts'
import { type Guard, type Looking, screenAnswer, screenRequest } from './guard.ts'
import { StreamScreen } from './stream-screen.ts'
import { telling } from './texts.ts'
import { Looker } from './turns.ts'
import type { Asking } from './whole-rules.ts'

type Body = Answered['body']

/** Of a call that goes there; undefined: nobody looks at it. */
export function watchOf(
  { guards, log }: Plane,
  policy: Policy,
  route: Route | undefined,
  { caller, inside, is_unguarded }: Pass,
  { request_id }: Asked,
): Watch | undefined {
  const guard = is_unguarded ? undefined : guards.of(policy, route)
  return guard && new Watch(guard, { caller, inside, request_id }, log)
}

export class Watch {
  readonly findings = new Findings()
  /** Of the prompt, as the trace may keep it where it is not as it came; null: not at all, as long as not all who look at
   *  it have let it pass. */
  kept: string | null | undefined
  readonly #guard: Guard
  readonly #asking: Asking
  readonly #log: Logger
  readonly #looker = new Looker()
  #screen: StreamScreen | undefined

  constructor(guard: Guard, asking: Asking, log: Logger) {
    this.#guard = guard
    this.#asking = asking
    this.#log = log
    if (guard.input) this.kept = null
  }

  get digest(): string {
    return this.#guard.digest
  }

  get headers(): Headers {
    return this.findings.headers
  }

  /** What may be wished. Throws a `Blocked`. */
  wish(wish: Wish): Wish | Promise<Wish> {
    const { input, output } = this.#guard
    if (output && wish.outline.stream) this.#screen = new StreamScreen(output, wish.mouth, this.#looking('output'))
    if (!input) return wish
    const body = screenRequest(input, wish.mouth, wish.body, this.#looking('input'))
    return body instanceof Promise ? body.then((told) => this.#passed(wish, told)) : this.#passed(wish, body)
  }

  /** The whole answer as it may be told. */
  answer(wish: Wish, body: Body): Body | Promise<Body> {
    const { output } = this.#guard
    if (!output || !telling.has(wish.mouth)) return body
    const answer = parsedExactly(body.toString()) as JsonObject
    const told = (screened: JsonObject) => (screened === answer ? body : JSON.stringify(screened))
    const screened = screenAnswer(output, wish.mouth, answer, this.#looking('output'))
    return screened instanceof Promise ? screened.then(told) : told(screened)
  }

  /** What may be told of a stream for this piece of it; a promise where it is long. */
  piece(piece: Body): Body | Promise<Body> {
    return this.#screen ? this.#screen.push(piece) : piece
  }

  /** As long as a piece is being looked at. */
  get busy(): Promise<void> | undefined {
    return this.#screen?.busy
  }

  /** Where what only flags goes on when the answer is over: until all that it finds is among the findings. When those that
   *  are waited for are told to stop, it is as if it could not look. */
  noted(looking: Crowd<void>): Promise<void> | undefined {
    const noting = this.#screen?.noting
    if (!noting) return undefined
    return new Promise((resolve) => {
      const leave = looking.join(() => {
        for (const { guardrail } of this.#guard.output?.wholes ?? []) {
          if (!this.findings.has(guardrail, 'output')) this.findings.add(guardrail, 'unchecked', 'output')
        }
        resolve()
      })
      void noting.then(() => {
        leave()
        resolve()
      })
    })
  }

  /** Nobody waits for what it would still find. */
  leave() {
    this.#looker.isGone = true
  }

  /** What may be told at its end. */
  last(last: Body): Body | Promise<Body> {
    return this.#screen ? this.#screen.end(last) : last
  }

  #passed(wish: Wish, body: JsonObject): Wish {
    this.kept = body === wish.body ? undefined : JSON.stringify(body)
    if (body === wish.body) return wish
    const { stream } = wish.outline
    return { ...wish, body, outline: { ...outlineOf(wish.mouth, body), stream } }
  }

  #looking(side: Side): Looking {
    return { side, findings: this.findings, asking: this.#asking, looker: this.#looker, log: this.#log }
  }
}
