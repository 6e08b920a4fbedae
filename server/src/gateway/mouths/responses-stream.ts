/** The events of a response as it comes. Each item is added, filled by deltas and done, each part of it likewise; every
 *  event has its number. Text and reasoning are done when something else begins. Calls are done at the end: pieces of
 *  parallel calls may come mixed. The last event brings the whole response, with its usage. */

import type { ChatChunk, ChatRequest, Fault, FinishReason, Json, JsonObject, Logprobs, Usage } from '../hub.ts'
import type { About, StreamWriter } from './mouth.ts'
import { idOf, responseOf, type State, statusOf } from './responses-answer.ts'
import {
  callItem,
  emptyReasoning,
  type ItemStatus,
  logprobsOf,
  messageItem,
  partOf,
  type RefusalOut,
  reasoningItem,
  type TextOut,
} from './responses-items.ts'

type Choice = ChatChunk['choices'][number]
type Thought = NonNullable<Choice['delta']['reasoning']>
type CallPiece = NonNullable<Choice['delta']['tool_calls']>[number]

type Item = { id: string; place: number }
type SpokenItem = Item & { kind: 'message'; parts: (TextOut | RefusalOut)[] }
type ThoughtItem = Item & { kind: 'reasoning'; block: Thought; text: string }
type CallItem = Item & { kind: 'call'; call_id: string; name: string; arguments: string }

export class ResponseWriter implements StreamWriter {
  readonly #request: ChatRequest
  readonly #about: About
  #events = 0
  #hasBegun = false
  /** By place; an item is replaced by its end. */
  #output: Json[] = []
  #open: SpokenItem | ThoughtItem | undefined
  #calls = new Map<number, CallItem>()
  #logprobs: Json[] = []
  #usage: Usage | undefined
  #finish: FinishReason | undefined

  constructor(request: ChatRequest, about: About) {
    this.#request = request
    this.#about = about
  }

  begin(): string {
    if (this.#hasBegun) return ''
    this.#hasBegun = true
    const response = this.#response({ status: 'in_progress', output: [] })
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response })
  }

  chunk({ choices, usage }: ChatChunk): string {
    if (usage) this.#usage = usage
    let text = ''
    for (const choice of choices) if (choice.index === 0 && this.#finish === undefined) text += this.#chosen(choice)
    return text
  }

  end(): string {
    const begun = this.begin()
    const finish = this.#finish ?? 'stop'
    const status = statusOf(finish)
    const closed = this.#closeAll(status)
    const response = this.#response({ status, output: this.#output, usage: this.#usage, finish })
    return begun + closed + this.#event(`response.${status}`, { response })
  }

  /** Clients that look at events see the response fail; those that do not throw for the error. Its output is empty: what
   *  was told is with the client, and of the rest a guardrail may have held something back. */
  fail(fault: Fault): string {
    const begun = this.begin()
    const response = this.#response({ status: 'failed', output: [], usage: this.#usage, fault })
    const { code, message, param } = fault
    return (
      begun +
      this.#event('response.failed', { response }) +
      this.#event('error', { code: code ?? fault.type, message, param: param ?? null })
    )
  }

  #chosen({ delta, finish_reason, logprobs }: Choice): string {
    let text = ''
    if (delta.reasoning) text += this.#thought(delta.reasoning)
    if (logprobs && this.#request.logprobs) this.#logprobs.push(...logprobsOf(logprobs as Logprobs))
    if (delta.content) text += this.#said(delta.content)
    if (delta.refusal) text += this.#refused(delta.refusal)
    for (const call of delta.tool_calls ?? []) text += this.#called(call)
    if (finish_reason === null) return text
    this.#finish = finish_reason

    return text + this.#closeAll(statusOf(finish_reason))
  }

  #thought(piece: Thought): string {
    let text = ''
    let open = this.#open
    if (open?.kind !== 'reasoning' || open.block.index !== piece.index) {
      text += this.#close('completed')
      open = { kind: 'reasoning', ...this.#place('rs'), block: { index: piece.index }, text: '' }
      this.#open = open
      text += this.#added(open, emptyReasoning(open.id))
    }
    const { text: said, ...rest } = piece
    open.block = { ...open.block, ...rest }
    if (!said) return text
    const summary = { item_id: open.id, output_index: open.place, summary_index: 0 }
    if (open.text === '') {
      text += this.#event('response.reasoning_summary_part.added', {
        ...summary,
        part: { type: 'summary_text', text: '' },
      })
    }
    open.text += said

    return text + this.#event('response.reasoning_summary_text.delta', { ...summary, delta: said })
  }

  #said(delta: string): string {
    const { text, item, place } = this.#part({ type: 'output_text', text: '', logprobs: [] })
    const part = item.parts[place]
    if (part?.type !== 'output_text') return text
    part.text += delta
    const logprobs = this.#logprobs
    part.logprobs.push(...logprobs)
    this.#logprobs = []

    return text + this.#event('response.output_text.delta', { ...inPart(item, place), delta, logprobs })
  }

  #refused(delta: string): string {
    const { text, item, place } = this.#part({ type: 'refusal', refusal: '' })
    const part = item.parts[place]
    if (part?.type === 'refusal') part.refusal += delta

    return text + this.#event('response.refusal.delta', { ...inPart(item, place), delta })
  }

  /** The part of the message that goes on, or this new one. */
  #part(fresh: TextOut | RefusalOut): { text: string; item: SpokenItem; place: number } {
    let text = ''
    let item = this.#open
    if (item?.kind !== 'message') {
      text += this.#close('completed')
      item = { kind: 'message', ...this.#place('msg'), parts: [] }
      this.#open = item
      text += this.#added(item, messageItem(item.id, 'in_progress', []))
    }
    const last = item.parts.at(-1)
    if (last?.type === fresh.type) return { text, item, place: item.parts.length - 1 }
    if (last) text += this.#partDone(item, item.parts.length - 1)
    const place = item.parts.push(fresh) - 1

    return {
      text: text + this.#event('response.content_part.added', { ...inPart(item, place), part: partOf(fresh) }),
      item,
      place,
    }
  }

  #called({ index, id, function: piece }: CallPiece): string {
    let text = ''
    let call = this.#calls.get(index)
    if (!call) {
      text += this.#close('completed')
      // A client cannot answer a call without a name for it.
      const call_id = id ?? `call_${this.#about.id}_${index}`
      call = { kind: 'call', ...this.#place('fc'), call_id, name: piece?.name ?? '', arguments: '' }
      this.#calls.set(index, call)
      text += this.#added(call, itemOf(call, 'in_progress'))
    }
    const delta = piece?.arguments
    if (!delta) return text
    call.arguments += delta
    const { id: item_id, place: output_index } = call

    return text + this.#event('response.function_call_arguments.delta', { item_id, output_index, delta })
  }

  #place(kind: 'rs' | 'msg' | 'fc'): Item {
    const place = this.#output.length
    return { id: idOf(kind, this.#about, place), place }
  }

  #added({ place }: Item, item: JsonObject): string {
    this.#output[place] = item
    return this.#event('response.output_item.added', { output_index: place, item })
  }

  /** What was cut short is the last item. */
  #closeAll(status: 'completed' | 'incomplete'): string {
    const last = this.#output.length - 1
    const endOf = ({ place }: Item): ItemStatus => (place === last ? status : 'completed')
    let text = this.#open ? this.#close(endOf(this.#open)) : ''
    for (const call of this.#calls.values()) {
      const { id: item_id, place: output_index } = call
      text += this.#event('response.function_call_arguments.done', { item_id, output_index, arguments: call.arguments })
      text += this.#done(call, endOf(call))
    }
    this.#calls.clear()

    return text
  }

  #close(status: ItemStatus): string {
    const item = this.#open
    if (!item) return ''
    this.#open = undefined
    const ended = item.kind === 'message' ? this.#partDone(item, item.parts.length - 1) : this.#summaryDone(item)

    return ended + this.#done(item, status)
  }

  #partDone(item: SpokenItem, place: number): string {
    const part = item.parts[place]
    if (!part) return ''
    const where = inPart(item, place)
    if (part.type === 'refusal') {
      const done = this.#event('response.refusal.done', { ...where, refusal: part.refusal })
      return done + this.#event('response.content_part.done', { ...where, part: partOf(part) })
    }
    part.logprobs.push(...this.#logprobs)
    this.#logprobs = []
    const { text, logprobs } = part
    const done = this.#event('response.output_text.done', { ...where, text, logprobs })

    return done + this.#event('response.content_part.done', { ...where, part: partOf(part) })
  }

  #summaryDone({ id, place, text }: ThoughtItem): string {
    if (text === '') return ''
    const summary = { item_id: id, output_index: place, summary_index: 0 }
    return (
      this.#event('response.reasoning_summary_text.done', { ...summary, text }) +
      this.#event('response.reasoning_summary_part.done', { ...summary, part: { type: 'summary_text', text } })
    )
  }

  #done(item: SpokenItem | ThoughtItem | CallItem, status: ItemStatus): string {
    const whole = itemOf(item, status)
    this.#output[item.place] = whole
    return this.#event('response.output_item.done', { output_index: item.place, item: whole })
  }

  #response(state: State): JsonObject {
    return responseOf(this.#request, this.#about, state)
  }

  #event(type: string, content: JsonObject): string {
    const rest = JSON.stringify(content).slice(1)
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${this.#events++},${rest}\n\n`
  }
}

const inPart = (item: Item, content_index: number) => ({ item_id: item.id, output_index: item.place, content_index })

function itemOf(item: SpokenItem | ThoughtItem | CallItem, status: ItemStatus): JsonObject {
  if (item.kind === 'message') return messageItem(item.id, status, item.parts)
  if (item.kind === 'reasoning') return reasoningItem(item.id, { ...item.block, text: item.text })
  const { call_id, name, arguments: given } = item

  return callItem(item.id, status, { call_id, name, arguments: given })
}
