/** What Bedrock's Converse answers, whole or in events
 *  (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html): blocks of text, thoughts and
 *  calls. */

import type { ChatAnswer, ChatChunk, ChatRequest, FinishReason, Json, JsonObject, Reasoning, Usage } from '../hub.ts'
import { Content, contentOf, JSON_TOOL } from './answer-tool.ts'
import { faultNamed, isFailure } from './bedrock-fault.ts'
import { sealedHere } from './bedrock-messages.ts'
import { answersByTool } from './bedrock-request.ts'
import { broken, interrupted } from './faults.ts'
import { type Naming, ProviderFault, type StreamReader } from './provider.ts'
import { countOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

/** What was read from the cache, and written to it, is counted apart from the input. */
export function usageOf(told: Json | undefined): Usage {
  const usage = objectOf(told)
  const [cached, cache_written] = [countOf(usage.cacheReadInputTokens), countOf(usage.cacheWriteInputTokens)]
  return {
    input: countOf(usage.inputTokens) + cached + cache_written,
    cached,
    cache_written,
    output: countOf(usage.outputTokens),
    reasoning: 0,
  }
}

const LENGTH = new Set(['max_tokens', 'model_context_window_exceeded'])
const FILTERED = new Set(['guardrail_intervened', 'content_filtered', 'refusal'])

function finishOf(reason: string | undefined, hasCalls: boolean): FinishReason {
  if (reason && LENGTH.has(reason)) return 'length'
  if (reason && FILTERED.has(reason)) return 'content_filter'
  // Tried again it mostly writes what can be read.
  if (reason?.startsWith('malformed_')) throw broken(`The model wrote what cannot be read (${reason}).`, reason)
  return hasCalls ? 'tool_calls' : 'stop'
}

function stopIn(told: Json | undefined): { stop_sequence?: string } {
  const fields = objectOf(told)
  const sequence = textOf(fields.stop_sequence) ?? textOf(objectOf(fields.delta).stop_sequence)
  return sequence === undefined ? {} : { stop_sequence: sequence }
}

export function chatAnswerOf(body: JsonObject, about: Naming): ChatAnswer {
  const message = objectOf(objectOf(body.output).message)
  if (!Array.isArray(message.content)) throw broken('Bedrock answered without a message.', 'malformed_answer')
  const blocks = objectsOf(message.content)
  const texts = blocks.flatMap((block) => textIn(block) ?? [])
  const calls = blocks.flatMap(({ toolUse }) => (toolUse === undefined ? [] : [objectOf(toolUse)]))
  const inputs = calls.filter(({ name }) => name === JSON_TOOL).map(({ input }) => input)
  const tool_calls = calls.flatMap(({ toolUseId, name, input }) => {
    if (name === JSON_TOOL) return []
    const called = { name: textOf(name) ?? '', arguments: JSON.stringify(input ?? {}) }
    return [{ id: textOf(toolUseId) ?? '', type: 'function' as const, function: called }]
  })
  const reasoning = blocks.flatMap(({ reasoningContent }) => thoughtIn(reasoningContent))

  return {
    id: about.id,
    created: about.now,
    model: '',
    choices: [
      {
        index: 0,
        message: {
          content: contentOf(texts, inputs),
          refusal: null,
          ...(tool_calls.length > 0 ? { tool_calls } : {}),
          ...(reasoning.length > 0 ? { reasoning } : {}),
        },
        finish_reason: finishOf(textOf(body.stopReason), tool_calls.length > 0),
        ...stopIn(body.additionalModelResponseFields),
      },
    ],
    usage: usageOf(body.usage),
  }
}

function textIn({ text, citationsContent }: JsonObject): string | undefined {
  if (citationsContent === undefined) return textOf(text)
  return objectsOf(objectOf(citationsContent).content)
    .map((part) => textOf(part.text) ?? '')
    .join('')
}

function thoughtIn(told: Json | undefined): Reasoning[] {
  const { reasoningText, redactedContent } = objectOf(told)
  const sealed = textOf(redactedContent)
  if (sealed !== undefined) return [{ text: '', data: sealedHere(sealed) }]
  if (reasoningText === undefined) return []
  const { text, signature } = objectOf(reasoningText)
  const signed = textOf(signature)
  return [{ text: textOf(text) ?? '', ...(signed ? { signature: signed } : {}) }]
}

type Delta = ChatChunk['choices'][number]['delta']
const spoken = (content: string): Delta[] => (content === '' ? [] : [{ content }])

/** A block that is being written. Signatures and what is sealed come in pieces here, and whole in the hub. */
type Block =
  | { is: 'text' | 'json' }
  | { is: 'call'; call: number; isEmpty: boolean }
  | { is: 'thought'; index: number; signature: string; sealed: string }

export function chatStreamOf(request: ChatRequest, about: Naming): StreamReader {
  const head = { id: about.id, created: about.now, model: request.model }
  const blocks = new Blocks(answersByTool(request.model, request))
  let isStopped = false
  const chunk = (delta: Delta, more: { finish_reason?: FinishReason; stop_sequence?: string } = {}): ChatChunk => ({
    ...head,
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  })

  return {
    push({ event, data }) {
      if (isFailure(event)) throw new ProviderFault(faultOfEvent(event, data))
      const told = parsed(data)
      if (told === undefined) throw broken('Bedrock sent an event that is no JSON.', 'malformed_chunk')
      const body = objectOf(told)
      if (event === 'metadata') return [{ ...head, choices: [], usage: usageOf(body.usage) }]
      if (event !== 'messageStop') return blocks.deltasOf(event, body).map((delta) => chunk(delta))
      isStopped = true
      const rest = blocks.closeAll().map((delta) => chunk(delta))
      const finish_reason = finishOf(textOf(body.stopReason), blocks.calls > 0)
      return [...rest, chunk({}, { finish_reason, ...stopIn(body.additionalModelResponseFields) })]
    },
    end() {
      if (!isStopped) throw interrupted('Bedrock')
      return []
    },
  }
}

/** An exception that is none of the client's words is the provider's failure. */
function faultOfEvent(event: string, data: string) {
  const body = objectOf(parsed(data))
  const message = textOf(body.message) ?? textOf(body.originalMessage)
  return faultNamed(event, message ?? `Bedrock broke off: ${event}.`, 502)
}

class Blocks {
  calls = 0
  #thoughts = 0
  #open = new Map<number, Block>()
  readonly #content: Content

  constructor(isByTool: boolean) {
    this.#content = new Content(isByTool)
  }

  deltasOf(event: string | null, body: JsonObject): Delta[] {
    const at = countOf(body.contentBlockIndex)
    if (event === 'contentBlockStart') return this.#begin(at, objectOf(objectOf(body.start).toolUse))
    if (event === 'contentBlockDelta') return this.#add(at, objectOf(body.delta))
    return event === 'contentBlockStop' ? this.#close(at) : []
  }

  closeAll(): Delta[] {
    return [...[...this.#open.keys()].flatMap((at) => this.#close(at)), ...spoken(this.#content.rest())]
  }

  #begin(at: number, called: JsonObject): Delta[] {
    const name = textOf(called.name)
    if (name === undefined) return []
    if (name === JSON_TOOL) {
      this.#open.set(at, { is: 'json' })
      this.#content.begin(at)
      return []
    }
    const call = this.calls++
    this.#open.set(at, { is: 'call', call, isEmpty: true })
    return [{ tool_calls: [{ index: call, id: textOf(called.toolUseId) ?? '', function: { name, arguments: '' } }] }]
  }

  #add(at: number, delta: JsonObject): Delta[] {
    const input = textOf(objectOf(delta.toolUse).input)
    if (input) return this.#called(at, input)
    if (delta.reasoningContent !== undefined) return this.#thought(at, objectOf(delta.reasoningContent))
    return spoken(this.#content.text(textOf(delta.text) ?? ''))
  }

  #called(at: number, input: string): Delta[] {
    const block = this.#open.get(at)
    if (block?.is === 'json') return spoken(this.#content.input(at, input))
    if (block?.is !== 'call') throw broken('Bedrock sent a piece of a call that has not begun.', 'malformed_chunk')
    block.isEmpty = false
    return [{ tool_calls: [{ index: block.call, function: { arguments: input } }] }]
  }

  #thought(at: number, told: JsonObject): Delta[] {
    let block = this.#open.get(at)
    if (block?.is !== 'thought') {
      block = { is: 'thought', index: this.#thoughts++, signature: '', sealed: '' }
      this.#open.set(at, block)
    }
    block.signature += textOf(told.signature) ?? ''
    block.sealed += textOf(told.redactedContent) ?? ''
    const text = textOf(told.text)
    return text ? [{ reasoning: { index: block.index, text } }] : []
  }

  #close(at: number): Delta[] {
    const block = this.#open.get(at)
    this.#open.delete(at)
    // A call without input is one with nothing in it.
    if (block?.is === 'call' && block.isEmpty) {
      return [{ tool_calls: [{ index: block.call, function: { arguments: '{}' } }] }]
    }
    if (block?.is !== 'thought') return []
    const { index, signature, sealed } = block
    if (signature) return [{ reasoning: { index, signature } }]
    return sealed ? [{ reasoning: { index, data: sealedHere(sealed) } }] : []
  }
}
