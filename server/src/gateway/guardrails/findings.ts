/** What guardrails have found in a call, and how a call that they end is refused: by the name of the guardrail, never
 *  by what it found. */

import type { Headers } from '../front/exchange.ts'
import type { Fault } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { CallRecord, Guardrail } from '../policies/policy.ts'

export type Side = 'input' | 'output'
type Finding = CallRecord['findings'][number]
type Named = Pick<Guardrail, 'name'>

/** What does not fit into a header is in the trace. */
const HEADER_MAX = 2_000

/** A guardrail ends the call. */
export class Blocked extends Refusal {}

/** One line for each guardrail and side, however often it found something. */
export class Findings {
  readonly all: Finding[] = []

  add({ name }: Named, action: string, side: Side) {
    const isKnown = this.all.some((one) => one.guardrail === name && one.side === side && one.action === action)
    if (!isKnown) this.all.push({ guardrail: name, action, side })
  }

  has({ name }: Named, side: Side): boolean {
    return this.all.some((one) => one.guardrail === name && one.side === side)
  }

  /** As it is told in the head of an answer: `input=redact:Name, output=flag:Other%20name`. */
  get headers(): Headers {
    if (this.all.length === 0) return {}
    const told = this.all.map(({ guardrail, action, side }) => `${side}=${action}:${encodeURIComponent(guardrail)}`)
    while (told.join(', ').length > HEADER_MAX) told.pop()
    return { 'x-flow-guardrails': told.join(', ') }
  }
}

const of = (side: Side) => (side === 'input' ? 'prompt' : 'answer')

const refusal = (code: string, message: string, more: Partial<Fault> = {}) =>
  new Blocked({ status: 400, type: 'invalid_request_error', code, message, is_retryable: false, ...more })

export const blockedBy = ({ name }: Named, side: Side): Blocked =>
  refusal('guardrail_blocked', `The guardrail "${name}" does not let this ${of(side)} pass.`)

/** It is not known whether the guardrail would let it pass: it does not. */
export const uncheckedBy = ({ name }: Named, side: Side): Blocked =>
  refusal('guardrail_failed', `The guardrail "${name}" could not look at the ${of(side)}. Try again.`, {
    status: 503,
    type: 'server_error',
    is_retryable: true,
  })

export const tooMuchFor = ({ name }: Named, side: Side): Blocked =>
  refusal('guardrail_limit', `The ${of(side)} is more than the guardrail "${name}" can look at. Make it shorter.`)

export const unreadable = ({ name }: Named): Blocked =>
  refusal('guardrail_unreadable', `The guardrail "${name}" looks at text: send the prompt as text, not as token ids.`)
