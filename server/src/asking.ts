/** What code in the sandbox asks of the platform. The rooms that run code ask here; who answers stands above them and
 *  is the same as for requests, with the same rules (http/inside.ts). Here is only what passes between the two. */

import type { Actor } from './context.ts'
import { Failure } from './failure.ts'

/** In whose name something runs that nobody asks for at this moment: a user, and the key that narrows what they may. */
export type Rights = { user_id: string; key_id: string | null }

/** What a call was made by, from inside: the execution, if it is one, and how much lies behind it. */
export type Inside = {
  execution_id: string | null
  workflow_id: string | null
  node_id: string | null
  /** Executions that began each other, events that led to each other, code blocks that called each other. */
  calls: number
  events: number
  blocks: number
  /** What the code and all the code that it calls have asked for together. */
  sum: { asked: number }
  /** Names the run of the code: the same when it runs again after a crash. */
  run_key: string
  /** Of an execution that is traced. */
  trace?: RunTrace | undefined
  /** A text without what is secret in the execution, as far as is known by then. */
  hide?: (text: string) => string
}

/** Where a run stands in the trace that it belongs to, and what may be told of it there. */
export type RunTrace = {
  /** As W3C Trace Context has it. */
  traceparent: string
  /** Whether calls outside are told of it. */
  goes_out: boolean
  inputs: boolean
  outputs: boolean
}

export type Asker = {
  organization_id: string
  workspace_id: string
  request_id: string
  /** Whoever asks at this moment, or whose rights are read with each question. */
  actor: Actor | Rights | undefined
  inside: Inside
  signal: AbortSignal
  /** How often this run of the code has asked the same: the second time is another one than the first. */
  asked: Map<string, number>
}

export type Question = { method: string; args: unknown; asker: Asker }
export type Ask = (question: Question) => Promise<unknown>
export type Asking = {
  ask: Ask
  /** Says who answers; until then, nobody. */
  answerWith(ask: Ask): void
}

export function openAsking(): Asking {
  let answer: Ask = async ({ method }) => {
    throw new Failure('UNAVAILABLE', `Nobody answers "${method}" here.`)
  }
  return {
    ask: (question) => answer(question),
    answerWith(ask) {
      answer = ask
    },
  }
}
