/** What Anthropic's Messages API answers, whole or in events (https://platform.claude.com/docs/en/build-with-claude/streaming):
 *  blocks of text, thinking and calls. */

import type { ChatAnswer, ChatChunk, ChatRequest, FinishReason, Json, JsonObject, Reasoning, Usage } from '../hub.ts'
import { Content, contentOf, JSON_TOOL } from './answer-tool.ts'
import { faultOfError } from './anthropic-fault.ts'
import { answersByTool } from './anthropic-request.ts'
import { traitsOf } from './anthropic-traits.ts'
import { broken, interrupted } from './faults.ts'
import { type Naming, ProviderFault, type StreamReader } from './provider.ts'
import { countOf, numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

/** Anthropic counts what it read from the cache and what it wrote there apart from the input. */
export function usageOf(told: Json | undefined): Usage {
  const usage = objectOf(told)
  const parts = roundsOf(usage).map((round) => ({
    fresh: countOf(round.input_tokens),
    cached: countOf(round.cache_read_input_tokens),
    cache_written: countOf(round.cache_creation_input_tokens),
    output: countOf(round.output_tokens),
  }))
  const sum = (name: keyof (typeof parts)[number]) => parts.reduce((total, part) => total + part[name], 0)
  const [cached, cache_written] = [sum('cached'), sum('cache_written')]

  return {
    input: sum('fresh') + cached + cache_written,
    cached,
    cache_written,
    output: sum('output'),
    reasoning: countOf(objectOf(usage.output_tokens_details).thinking_tokens),
  }
}

/** A call that was compacted, or asked an adviser, has several rounds, of which the totals tell only the last kind. One
 *  that another model took over has them in its totals. */
function roundsOf(usage: JsonObject): JsonObject[] {
  const rounds = objectsOf(usage.iterations)
  if (rounds.length === 0 || rounds.some(({ type }) => type === 'fallback_message')) return [usage]
  return rounds
}

/** The same of a `message_delta`, which may tell the output only. */
export function usageOfDelta(told: Json | undefined): Partial<Usage> | undefined {
  const usage = objectOf(told)
  if (numberOf(usage.output_tokens) === undefined) return undefined
  const isWhole = [usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens].every(
    (count) => typeof count === 'number',
  )
  const { output, reasoning, ...read } = usageOf(usage)
  const isReasoningTold = numberOf(objectOf(usage.output_tokens_details).thinking_tokens) !== undefined
  return { ...(isWhole ? read : {}), output, ...(isReasoningTold ? { reasoning } : {}) }
}

function finishOf(reason: string | undefined, hasCalls: boolean): FinishReason {
  if (reason === 'max_tokens' || reason === 'model_context_window_exceeded') return 'length'
  if (reason === 'refusal') return 'content_filter'
  return hasCalls ? 'tool_calls' : 'stop'
}

const refusalIn = (about: JsonObject): string | null => textOf(objectOf(about.stop_details).explanation) ?? null

export function chatAnswerOf(body: JsonObject, about: Naming): ChatAnswer {
  if (!Array.isArray(body.content)) throw broken('Anthropic answered without content.', 'malformed_answer')
  const blocks = objectsOf(body.content)
  const called = blocks.filter(({ type }) => type === 'tool_use')
  const inputs = blocks.filter((block) => kindOf(block) === 'json').map(({ input }) => input)
  const texts = blocks.flatMap((block) => spokenIn(block) ?? [])
  const tool_calls = called
    .filter(({ name }) => name !== JSON_TOOL)
    .map((block) => ({
      id: textOf(block.id) ?? '',
      type: 'function' as const,
      function: { name: textOf(block.name) ?? '', arguments: JSON.stringify(block.input ?? {}) },
    }))
  const reasoning = blocks.flatMap(thoughtIn)

  return {
    id: textOf(body.id) ?? about.id,
    created: about.now,
    model: textOf(body.model) ?? '',
    choices: [
      {
        index: 0,
        message: {
          content: contentOf(texts, inputs),
          refusal: refusalIn(body),
          ...(tool_calls.length > 0 ? { tool_calls } : {}),
          ...(reasoning.length > 0 ? { reasoning } : {}),
        },
        finish_reason: finishOf(textOf(body.stop_reason), tool_calls.length > 0),
        stop_sequence: textOf(body.stop_sequence) ?? null,
      },
    ],
    usage: usageOf(body.usage),
  }
}

function spokenIn(block: JsonObject): string | undefined {
  return block.type === 'text' ? textOf(block.text) : undefined
}

function thoughtIn(block: JsonObject): Reasoning[] {
  if (block.type === 'redacted_thinking') return [{ text: '', data: textOf(block.data) ?? '' }]
  if (block.type !== 'thinking') return []
  const signature = textOf(block.signature)
  return [{ text: textOf(block.thinking) ?? '', ...(signature ? { signature } : {}) }]
}

type Delta = ChatChunk['choices'][number]['delta']
/** A block that has begun. `hasInput`: something of a call's input was told. */
type Open = { kind: 'text' | 'json' | 'thought' | 'call' | 'other'; at: number; hasInput: boolean }

export function chatStreamOf(request: ChatRequest, about: Naming): StreamReader {
  return new Reader(request, about)
}

class Reader implements StreamReader {
  readonly #head: { id: string; created: number; model: string }
  readonly #open = new Map<number, Open>()
  #calls = 0
  #thoughts = 0
  #usage: Usage = usageOf({})
  #delta: JsonObject = {}
  #hasBegun = false
  readonly #content: Content
  #isOver = false

  constructor(request: ChatRequest, about: Naming) {
    this.#content = new Content(answersByTool(request, traitsOf(request.model)))
    this.#head = { id: about.id, created: about.now, model: request.model }
  }

  push({ data }: { data: string }): ChatChunk[] {
    const body = parsed(data)
    if (body === undefined) throw broken('Anthropic sent an event that is no JSON.', 'malformed_chunk')
    const event = objectOf(body)
    switch (event.type) {
      case 'message_start':
        return this.#begin(objectOf(event.message))
      case 'content_block_start':
        return this.#said(this.#opened(countOf(event.index), objectOf(event.content_block)))
      case 'content_block_delta':
        return this.#said(this.#grown(countOf(event.index), objectOf(event.delta)))
      case 'content_block_stop':
        return this.#said(this.#closed(countOf(event.index)))
      case 'message_delta':
        this.#delta = { ...this.#delta, ...objectOf(event.delta) }
        this.#usage = { ...this.#usage, ...usageOfDelta(event.usage) }
        return []
      case 'message_stop':
        return this.#finish()
      case 'error':
        throw new ProviderFault(faultOfError(objectOf(event.error)))
      default:
        return []
    }
  }

  get usage(): Usage | undefined {
    return this.#hasBegun ? this.#usage : undefined
  }

  end(): ChatChunk[] {
    if (!this.#isOver) throw interrupted('Anthropic')
    return []
  }

  #begin(message: JsonObject): ChatChunk[] {
    this.#head.id = textOf(message.id) ?? this.#head.id
    this.#head.model = textOf(message.model) ?? this.#head.model
    this.#usage = usageOf(message.usage)
    this.#hasBegun = true
    return []
  }

  #finish(): ChatChunk[] {
    if (this.#isOver) return []
    this.#isOver = true
    const refusal = refusalIn(this.#delta)
    const finish_reason = finishOf(textOf(this.#delta.stop_reason), this.#calls > 0)
    const stop_sequence = textOf(this.#delta.stop_sequence) ?? null
    return [
      ...this.#said(spoken(this.#content.rest())),
      ...(refusal === null ? [] : this.#said({ refusal })),
      { ...this.#head, choices: [{ index: 0, delta: {}, finish_reason, stop_sequence }] },
      { ...this.#head, choices: [], usage: this.#usage },
    ]
  }

  #said(delta: Delta | undefined): ChatChunk[] {
    return delta ? [{ ...this.#head, choices: [{ index: 0, delta, finish_reason: null }] }] : []
  }

  #opened(index: number, block: JsonObject): Delta | undefined {
    const kind = kindOf(block)
    const at = kind === 'call' ? this.#calls++ : kind === 'thought' ? this.#thoughts++ : 0
    const open: Open = { kind, at, hasInput: false }
    this.#open.set(index, open)
    const input = Object.keys(objectOf(block.input)).length > 0 ? JSON.stringify(block.input) : ''
    if (kind === 'call') {
      open.hasInput = input !== ''
      const called = { name: textOf(block.name) ?? '', arguments: input }
      return { tool_calls: [{ index: at, id: textOf(block.id) ?? '', function: called }] }
    }
    if (kind === 'thought') {
      const [thought] = thoughtIn(block)
      return thought && (thought.text || thought.data || thought.signature)
        ? { reasoning: { index: at, ...thought } }
        : undefined
    }
    if (kind !== 'json') return spoken(this.#content.text(textOf(block.text) ?? ''))
    this.#content.begin(index)
    return spoken(this.#content.input(index, input))
  }

  #grown(index: number, delta: JsonObject): Delta | undefined {
    const open = this.#open.get(index)
    if (!open) return undefined
    const piece = textOf(delta.text) ?? textOf(delta.thinking) ?? textOf(delta.partial_json) ?? ''
    const signature = textOf(delta.signature)
    if (open.kind === 'thought' && signature) return { reasoning: { index: open.at, signature } }
    if (piece === '') return undefined
    if (open.kind === 'thought') return { reasoning: { index: open.at, text: piece } }
    if (open.kind === 'call') {
      open.hasInput = true
      return { tool_calls: [{ index: open.at, function: { arguments: piece } }] }
    }
    if (open.kind === 'text') return spoken(this.#content.text(piece))
    return open.kind === 'json' ? spoken(this.#content.input(index, piece)) : undefined
  }

  /** A call without input is one with an empty one. */
  #closed(index: number): Delta | undefined {
    const open = this.#open.get(index)
    this.#open.delete(index)
    if (open?.kind !== 'call' || open.hasInput) return undefined
    return { tool_calls: [{ index: open.at, function: { arguments: '{}' } }] }
  }
}

const spoken = (content: string): Delta | undefined => (content === '' ? undefined : { content })

function kindOf({ type, name }: JsonObject): Open['kind'] {
  if (type === 'text') return 'text'
  if (type === 'thinking' || type === 'redacted_thinking') return 'thought'
  if (type !== 'tool_use') return 'other'
  return name === JSON_TOOL ? 'json' : 'call'
}
