/** What Cohere's chat answers, whole or event by event (https://docs.cohere.com/v2/docs/streaming). Citations have no
 *  place in the hub and are left out; the plan before a call of tools is told as a thought. */

import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  FinishReason,
  Json,
  JsonObject,
  Logprobs,
  Reasoning,
  ToolCall,
  Usage,
} from '../hub.ts'
import { nothing } from '../used.ts'
import { PLAN, THOUGHT } from './cohere-request.ts'
import { broken, interrupted } from './faults.ts'
import type { Naming, StreamReader } from './provider.ts'
import { countOf, numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

export function usageOf(told: Json | undefined): Usage | undefined {
  const { tokens, billed_units, cached_tokens } = objectOf(told)
  const counted = objectOf(tokens ?? billed_units)
  const input = numberOf(counted.input_tokens)
  if (input === undefined) return undefined
  const cached = Math.min(input, countOf(cached_tokens))
  return { input, cached, cache_written: 0, output: countOf(counted.output_tokens), reasoning: 0 }
}

const finishes: Record<string, FinishReason> = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop',
  MAX_TOKENS: 'length',
  TOOL_CALL: 'tool_calls',
}

function finishOf(reason: string | undefined, error: Json | undefined): FinishReason {
  const finish = finishes[reason ?? 'COMPLETE']
  if (finish !== undefined) return finish
  const message = textOf(error) ?? `Cohere’s model did not come to its end (${reason}).`
  throw broken(message, reason === 'TIMEOUT' ? 'upstream_timeout' : 'upstream_failed')
}

/** A call without arguments has null for them. */
const argumentsOf = (given: Json | undefined) => (given === null || given === 'null' ? '{}' : (textOf(given) ?? ''))

function logprobsOf(items: JsonObject[]): Logprobs | null {
  if (items.length === 0) return null
  const content = items.map(({ text, logprobs }) => {
    const token = textOf(text) ?? ''
    // A piece of text may be of several tokens: as likely as all of them.
    const logprob = (Array.isArray(logprobs) ? logprobs : []).reduce<number>(
      (sum, one) => sum + (numberOf(one) ?? 0),
      0,
    )
    return { token, logprob, bytes: [...Buffer.from(token)], top_logprobs: [] }
  })
  return { content, refusal: null }
}

export function chatAnswerOf(body: JsonObject, about: Naming): ChatAnswer {
  const message = objectOf(body.message)
  if (textOf(message.role) === undefined) throw broken('Cohere answered without a message.', 'upstream_malformed')
  const parts = objectsOf(message.content)
  const texts = parts.flatMap(({ text }) => textOf(text) ?? [])
  const plan = textOf(message.tool_plan)
  const reasoning: Reasoning[] = parts.flatMap(({ thinking }) => {
    const text = textOf(thinking)
    return text ? [{ text, signature: THOUGHT }] : []
  })
  if (plan) reasoning.push({ text: plan, signature: PLAN })
  const calls = objectsOf(message.tool_calls).map((call, i): ToolCall => {
    const { name, arguments: given } = objectOf(call.function)
    const called = { name: textOf(name) ?? '', arguments: argumentsOf(given) }
    return { id: textOf(call.id) ?? `call_${about.id}_${i}`, type: 'function', function: called }
  })
  return {
    id: textOf(body.id) ?? about.id,
    created: about.now,
    model: '',
    choices: [
      {
        index: 0,
        message: {
          content: texts.length > 0 ? texts.join('') : null,
          refusal: null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
          ...(reasoning.length > 0 ? { reasoning } : {}),
        },
        finish_reason: finishOf(textOf(body.finish_reason), body.error),
        logprobs: logprobsOf(objectsOf(body.logprobs)),
      },
    ],
    usage: usageOf(body.usage) ?? nothing,
  }
}

type Delta = ChatChunk['choices'][number]['delta']

/** How far a stream has come. */
class Progress {
  /** Numbers of calls and of blocks of thoughts, by those of Cohere. */
  readonly calls = new Map<number, { index: number; isEmpty: boolean }>()
  readonly #blocks = new Map<string, number>()

  thought(name: string, text: string): Delta[] {
    if (text === '') return []
    const index = this.#blocks.get(name) ?? this.#blocks.size
    this.#blocks.set(name, index)
    return [{ reasoning: { index, text } }]
  }

  /** What has come of a block is signed, so that it can be handed back. */
  signed(name: string, signature: string): Delta[] {
    const index = this.#blocks.get(name)
    return index === undefined ? [] : [{ reasoning: { index, signature } }]
  }

  call(place: number, call: JsonObject, about: Naming): Delta[] {
    const { name, arguments: given } = objectOf(call.function)
    const written = textOf(given) ?? ''
    const known = this.calls.get(place) ?? { index: this.calls.size, isEmpty: true }
    known.isEmpty &&= written === ''
    const { index } = known
    if (this.calls.has(place)) return [{ tool_calls: [{ index, function: { arguments: written } }] }]
    this.calls.set(place, known)
    const id = textOf(call.id) ?? `call_${about.id}_${index}`
    return [{ tool_calls: [{ index, id, function: { name: textOf(name) ?? '', arguments: written } }] }]
  }

  /** A call without arguments has an empty object of them. */
  callEnded(place: number): Delta[] {
    const known = this.calls.get(place)
    return known?.isEmpty ? [{ tool_calls: [{ index: known.index, function: { arguments: '{}' } }] }] : []
  }
}

/** What an event says, but for its likelihoods and its end. */
function deltasOf(type: string, event: JsonObject, own: Progress, about: Naming): Delta[] {
  const message = objectOf(objectOf(event.delta).message)
  const place = countOf(event.index)
  switch (type) {
    case 'content-start':
    case 'content-delta': {
      const { text, thinking } = objectOf(message.content)
      const thought = textOf(thinking)
      if (thought !== undefined) return own.thought(`thought ${place}`, thought)
      return textOf(text) ? [{ content: textOf(text) ?? '' }] : []
    }
    case 'content-end':
      return own.signed(`thought ${place}`, THOUGHT)
    case 'tool-plan-delta':
      return own.thought('plan', textOf(message.tool_plan) ?? '')
    case 'tool-call-start': {
      const plan = own.calls.size === 0 ? own.signed('plan', PLAN) : []
      return [...plan, ...own.call(place, objectOf(message.tool_calls), about)]
    }
    case 'tool-call-delta':
      return own.call(place, objectOf(message.tool_calls), about)
    case 'tool-call-end':
      return own.callEnded(place)
    default:
      return []
  }
}

export function chatStreamOf(request: ChatRequest, about: Naming): StreamReader {
  const head = { id: about.id, created: about.now, model: request.model }
  const own = new Progress()
  let isOver = false

  const ended = (delta: JsonObject): ChatChunk[] => {
    isOver = true
    const finish_reason = finishOf(textOf(delta.finish_reason), delta.error)
    const usage = usageOf(delta.usage)
    const end: ChatChunk = { ...head, choices: [{ index: 0, delta: {}, finish_reason }] }
    return usage ? [end, { ...head, choices: [], usage }] : [end]
  }
  const read = (type: string, event: JsonObject): ChatChunk[] => {
    if (type === 'message-start') head.id = textOf(event.id) ?? head.id
    if (type === 'message-end') return ended(objectOf(event.delta))
    const logprobs = logprobsOf(event.logprobs ? [objectOf(event.logprobs)] : [])
    const deltas = deltasOf(type, event, own, about)
    if (logprobs && deltas.length === 0) deltas.push({ content: '' })
    return deltas.map((delta) => ({
      ...head,
      choices: [{ index: 0, delta, finish_reason: null, ...(logprobs ? { logprobs } : {}) }],
    }))
  }

  return {
    push({ event: name, data }) {
      if (isOver || data.trim() === '[DONE]') return []
      const body = parsed(data)
      if (body === undefined) throw broken('Cohere sent an event that is not JSON.', 'upstream_malformed')
      const event = objectOf(body)
      return read(textOf(event.type) ?? name ?? '', event)
    },
    end() {
      if (!isOver) throw interrupted('Cohere')
      return []
    },
  }
}
