/** A stream in Anthropic's format: blocks that begin, grow and end, one after the other. Other formats mix the pieces of
 *  parallel calls; here a block waits until the one before it is complete, and where that cannot be known yet, until the
 *  end. */

import type { ChatChunk, Fault, FinishReason, JsonObject, Usage } from '../hub.ts'
import { nothing } from '../used.ts'
import { eventNamed, faultInAnthropic, usageInMessages } from './anthropic.ts'
import { packed, signedBy } from './anthropic-thoughts.ts'
import { beginningOf, callBlock, endOf } from './messages-answer.ts'
import type { About, StreamWriter } from './mouth.ts'

type Step = ChatChunk['choices'][number]
type Thought = NonNullable<Step['delta']['reasoning']>
type CallPiece = NonNullable<Step['delta']['tool_calls']>[number]

/** What a block is made of, and what of it has to wait. */
type Block = {
  key: string
  start: JsonObject
  /** The deltas that were not told yet. */
  waiting: JsonObject[]
  /** Of a call: its input so far, to know whether it is whole. */
  input?: string
}

export const streamMessages = (about: About): StreamWriter => new Writer(about)

class Writer implements StreamWriter {
  readonly #about: About
  #hasBegun = false
  /** Blocks that were begun so far. */
  #count = 0
  #open: Block | undefined
  readonly #waiting = new Map<string, Block>()
  readonly #called = new Set<number>()
  /** Calls that are told: they cannot be begun again. */
  readonly #ended = new Set<string>()
  #hasRefused = false
  #finish: { finish_reason: FinishReason; stop_sequence?: string | null } = { finish_reason: 'stop' }
  #usage: Usage | undefined

  constructor(about: About) {
    this.#about = about
  }

  begin(): string {
    this.#hasBegun = true
    return eventNamed('message_start', { message: beginningOf(this.#about) }) + eventNamed('ping', {})
  }

  chunk({ choices, usage }: ChatChunk): string {
    if (usage) this.#usage = usage
    let text = ''
    for (const step of choices) {
      // This format has one answer.
      if (step.index === 0) text += this.#said(step)
    }
    return text
  }

  end(): string {
    const begun = this.#hasBegun ? '' : this.begin()
    let rest = this.#stop()
    for (const block of this.#waiting.values()) rest += this.#start(block) + this.#stop()
    const said = { hasRefused: this.#hasRefused, hasCalled: this.#called.size > 0 }
    const delta = { ...endOf(this.#finish, said), container: null }
    const last = eventNamed('message_delta', { delta, usage: usageInMessages(this.#usage ?? nothing) })

    return begun + rest + last + eventNamed('message_stop', {})
  }

  fail(fault: Fault): string {
    return `event: error\ndata: ${JSON.stringify(faultInAnthropic(fault, this.#about.id))}\n\n`
  }

  #said({ delta, finish_reason, stop_sequence }: Step): string {
    let text = ''
    if (delta.reasoning) text += this.#thought(delta.reasoning)
    if (delta.content) text += this.#text(delta.content)
    if (delta.refusal) {
      this.#hasRefused = true
      text += this.#text(delta.refusal)
    }
    for (const call of delta.tool_calls ?? []) text += this.#call(call)
    if (stop_sequence) this.#finish.stop_sequence = stop_sequence
    if (finish_reason) this.#finish.finish_reason = finish_reason
    return text
  }

  #text(text: string): string {
    return this.#grow('text', () => ({ type: 'text', text: '', citations: null }), { type: 'text_delta', text })
  }

  #thought({ index, text, signature, data, id }: Thought): string {
    const key = `thought ${index}`
    const start = () => ({ type: 'thinking', thinking: '', signature: '' })
    let told = ''
    if (text) told += this.#grow(key, start, { type: 'thinking_delta', thinking: text })
    if (signature) told += this.#grow(key, start, { type: 'signature_delta', signature: signedBy(signature, id) })
    if (data === undefined) return told
    return told + this.#grow(`sealed ${index}`, () => ({ type: 'redacted_thinking', data: packed(data, id) }))
  }

  #call({ index, id, function: called }: CallPiece): string {
    this.#called.add(index)
    // A client cannot answer a call without a name for it.
    const start = () => callBlock(id ?? `toolu_${this.#about.id}_${index}`, called?.name ?? '', {})
    const piece = called?.arguments
    const delta = piece ? { type: 'input_json_delta', partial_json: piece } : undefined
    return this.#grow(`call ${index}`, start, delta, piece ?? '')
  }

  /** `input`: of a call, and then its next piece. */
  #grow(key: string, start: () => JsonObject, delta?: JsonObject, input?: string): string {
    if (this.#open?.key === key) {
      if (input !== undefined) this.#open.input += input
      return delta ? this.#delta(delta) : ''
    }
    if (this.#ended.has(key)) return ''
    const block: Block = this.#waiting.get(key) ?? {
      key,
      start: start(),
      waiting: [],
      ...(input === undefined ? {} : { input: '' }),
    }
    if (input !== undefined) block.input += input
    if (delta) block.waiting.push(delta)
    this.#waiting.set(key, block)
    return this.#advance()
  }

  /** Begins what waits, as far as what is before it is whole. */
  #advance(): string {
    let text = ''
    for (const [key, block] of this.#waiting) {
      if (this.#open && !isWhole(this.#open)) break
      this.#waiting.delete(key)
      text += this.#stop() + this.#start(block)
    }
    return text
  }

  #start(block: Block): string {
    this.#open = block
    this.#count += 1
    const begun = eventNamed('content_block_start', { index: this.#count - 1, content_block: block.start })
    return begun + block.waiting.map((delta) => this.#delta(delta)).join('')
  }

  #delta(delta: JsonObject): string {
    return eventNamed('content_block_delta', { index: this.#count - 1, delta })
  }

  #stop(): string {
    if (!this.#open) return ''
    if (this.#open.input !== undefined) this.#ended.add(this.#open.key)
    this.#open = undefined
    return eventNamed('content_block_stop', { index: this.#count - 1 })
  }
}

/** A text is whole when something else begins; a call when its input is. */
function isWhole({ input }: Block): boolean {
  if (input === undefined) return true
  if (!input.trimEnd().endsWith('}')) return false
  try {
    JSON.parse(input)
    return true
  } catch {
    return false
  }
}
