/** What a chat completion answers, whole or in chunks (https://platform.openai.com/docs/api-reference/chat/object), and
 *  what servers that speak this format make of it: thoughts have three names, calls come without names and numbers,
 *  and usage is counted in more than one way. */

import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  Choice,
  FinishReason,
  Json,
  JsonObject,
  Logprobs,
  Reasoning,
  TokenLogprob,
  ToolCall,
  Usage,
} from '../hub.ts'
import { nothing } from '../used.ts'
import { broken, interrupted } from './faults.ts'
import { faultIn } from './openai-fault.ts'
import { sealed } from './openai-request.ts'
import { type Naming, ProviderFault, type StreamReader } from './provider.ts'
import { countOf, listOf, numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

/** Undefined where none is told. */
export function usageOf(told: Json | undefined): Usage | undefined {
  const usage = objectOf(told)
  const input = numberOf(usage.prompt_tokens) ?? numberOf(usage.total_tokens)
  if (input === undefined) return undefined
  const read = objectOf(usage.prompt_tokens_details)
  const written = countOf(usage.completion_tokens)
  const reasoning = countOf(objectOf(usage.completion_tokens_details).reasoning_tokens)
  // xAI counts thoughts beside what is said, and not as a part of it.
  const isBeside = reasoning > 0 && usage.total_tokens === input + written + reasoning
  return {
    input,
    // DeepSeek and Moonshot have names of their own.
    cached: countOf(read.cached_tokens ?? usage.prompt_cache_hit_tokens ?? usage.cached_tokens),
    cache_written: countOf(read.cache_write_tokens),
    output: isBeside ? written + reasoning : written,
    reasoning,
  }
}

const finishes: Record<string, FinishReason> = {
  length: 'length',
  model_length: 'length',
  max_tokens: 'length',
  content_filter: 'content_filter',
  tool_calls: 'tool_calls',
  function_call: 'tool_calls',
}
/** Mistral's, OpenRouter's and DeepSeek's words for a model that did not come to its end. */
const failures = new Set(['error', 'insufficient_system_resource'])

function finishOf(reason: string | undefined, hasCalls: boolean): FinishReason {
  if (reason !== undefined && failures.has(reason)) throw broken(`The model broke off (${reason}).`, 'upstream_failed')
  const finish = finishes[reason ?? ''] ?? 'stop'
  return finish === 'stop' && hasCalls ? 'tool_calls' : finish
}

type Said = { text: string; thought: string }

/** Mistral's thinking models answer in parts. */
function saidIn(content: Json | undefined): Said {
  if (typeof content === 'string') return { text: content, thought: '' }
  const said: Said = { text: '', thought: '' }
  for (const part of objectsOf(content)) {
    if (part.type === 'thinking') said.thought += textOf(part.thinking) ?? saidIn(part.thinking).text
    else said.text += textOf(part.text) ?? ''
  }
  return said
}

/** One block as OpenRouter tells it. What has a signature or is sealed goes back with all that was told of it. */
function blockOf(detail: JsonObject): Reasoning {
  const { text, summary, index: _, ...rest } = detail
  const block: Reasoning = { text: textOf(text) ?? textOf(summary) ?? '' }
  const id = textOf(rest.id)
  if (id !== undefined) block.id = id
  if (textOf(rest.data) !== undefined) block.data = sealed(rest)
  else if (textOf(rest.signature)) block.signature = sealed(rest)
  return block
}

const thoughtIn = (said: JsonObject): string => textOf(said.reasoning_content) ?? textOf(said.reasoning) ?? ''
const argumentsOf = (given: Json | undefined): string =>
  typeof given === 'object' && given !== null ? JSON.stringify(given) : (textOf(given) ?? '')
const callIdOf = (about: Naming, choice: number, call: number) =>
  `call_${about.id.replace(/[^a-zA-Z0-9]/g, '').slice(-24)}${choice}${call}`

function logprobsOf(told: Json | undefined): Logprobs | null {
  const { content, refusal } = objectOf(told)
  if (!Array.isArray(content) && !Array.isArray(refusal)) return null
  return { content: tokensOf(content), refusal: tokensOf(refusal) }
}
const tokensOf = (tokens: Json | undefined): TokenLogprob[] | null =>
  Array.isArray(tokens)
    ? objectsOf(tokens).map((token) => ({
        ...likelihoodOf(token),
        top_logprobs: objectsOf(token.top_logprobs).map(likelihoodOf),
      }))
    : null
function likelihoodOf({ token: said, logprob, bytes }: JsonObject) {
  const token = textOf(said) ?? ''
  const own = Array.isArray(bytes) ? listOf(bytes).map(countOf) : [...Buffer.from(token)]
  return { token, logprob: numberOf(logprob) ?? 0, bytes: own }
}

export function chatAnswerOf(body: JsonObject, about: Naming): ChatAnswer {
  const fault = faultIn(body)
  if (fault) throw new ProviderFault(fault)
  const choices = objectsOf(body.choices).map((choice, at) => choiceOf(choice, at, about))
  if (choices.length === 0) throw broken('The provider answered without a choice.', 'upstream_malformed')
  return {
    id: textOf(body.id) ?? about.id,
    created: numberOf(body.created) ?? about.now,
    model: textOf(body.model) ?? '',
    choices,
    usage: usageOf(body.usage) ?? nothing,
    ...(textOf(body.system_fingerprint) ? { system_fingerprint: textOf(body.system_fingerprint) ?? null } : {}),
  }
}

function choiceOf(choice: JsonObject, at: number, about: Naming): Choice {
  const message = objectOf(choice.message)
  const index = numberOf(choice.index) ?? at
  const { text, thought } = saidIn(message.content)
  const calls = objectsOf(message.tool_calls).map((call, number): ToolCall => {
    const { name, arguments: given } = objectOf(call.function)
    const called = { name: textOf(name) ?? '', arguments: argumentsOf(given) }
    return { id: textOf(call.id) || callIdOf(about, index, number), type: 'function', function: called }
  })
  const details = objectsOf(message.reasoning_details).map(blockOf)
  const plain = thoughtIn(message) || thought
  const reasoning = details.length > 0 || plain === '' ? details : [{ text: plain }]
  return {
    index,
    message: {
      content: text === '' && (message.content === null || message.content === undefined) ? null : text,
      refusal: textOf(message.refusal) ?? null,
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
      ...(reasoning.length > 0 ? { reasoning } : {}),
    },
    finish_reason: finishOf(textOf(choice.finish_reason), calls.length > 0),
    logprobs: logprobsOf(choice.logprobs),
  }
}

// Streams.

type Call = { told: number | undefined; id: string | undefined; isTold: boolean; held: string }
/** How far one choice has come. */
type Progress = {
  calls: Call[]
  /** Numbers of blocks of thoughts, by what the host calls them. */
  blocks: Map<string, number>
  /** Counts the times that something else was said in between. */
  turn: number
  isThinking: boolean
  finish: string | undefined
}
type Delta = ChatChunk['choices'][number]['delta']

export function chatStreamOf(request: ChatRequest, about: Naming): StreamReader {
  const progress = new Map<number, Progress>()
  const head: Pick<ChatChunk, 'id' | 'created' | 'model' | 'system_fingerprint'> = {
    id: about.id,
    created: about.now,
    model: request.model,
  }
  let usage: Usage | undefined
  let isOver = false

  const stepsOf = (choice: JsonObject): ChatChunk[] => {
    const index = countOf(choice.index)
    const own = progress.get(index) ?? newProgress()
    progress.set(index, own)
    own.finish = textOf(choice.finish_reason) ?? own.finish
    const deltas = deltasOf(objectOf(choice.delta), own, index, about)
    const logprobs = logprobsOf(choice.logprobs)
    if (logprobs && deltas.length === 0) deltas.push({ content: '' })
    return deltas.map((delta, at) => ({
      ...head,
      choices: [{ index, delta, finish_reason: null, ...(logprobs && at === deltas.length - 1 ? { logprobs } : {}) }],
    }))
  }
  const ends = (isMarked: boolean): ChatChunk[] => {
    isOver = true
    if (progress.size === 0) throw interrupted('The provider')
    const told = [...progress].map(([index, own]): ChatChunk => {
      if (own.finish === undefined && !isMarked) throw interrupted('The provider')
      return { ...head, choices: [{ index, delta: {}, finish_reason: finishOf(own.finish, own.calls.length > 0) }] }
    })
    return usage ? [...told, { ...head, choices: [], usage }] : told
  }

  return {
    get usage() {
      return usage
    },
    push({ data }) {
      if (isOver) return []
      if (data.trim() === '[DONE]') return ends(true)
      const body = parsed(data)
      if (typeof body !== 'object' || body === null) {
        throw broken('The provider sent a piece of a stream that is not JSON.', 'upstream_malformed')
      }
      const chunk = objectOf(body)
      const fault = faultIn(chunk)
      if (fault) throw new ProviderFault(fault)
      head.id = textOf(chunk.id) || head.id
      head.model = textOf(chunk.model) || head.model
      const fingerprint = textOf(chunk.system_fingerprint)
      if (fingerprint) head.system_fingerprint = fingerprint
      usage = usageOf(chunk.usage) ?? usageOf(objectOf(chunk.x_groq).usage) ?? usage
      return objectsOf(chunk.choices).flatMap(stepsOf)
    },
    end: () => (isOver ? [] : ends(false)),
  }
}

const newProgress = (): Progress => ({
  calls: [],
  blocks: new Map(),
  turn: 0,
  isThinking: false,
  finish: undefined,
})

function deltasOf(delta: JsonObject, own: Progress, choice: number, about: Naming): Delta[] {
  const { text, thought } = saidIn(delta.content)
  const deltas = thoughtsIn(delta, thought, own)
  const refusal = textOf(delta.refusal)
  const calls = objectsOf(delta.tool_calls).flatMap((call) => callPieceOf(call, own, choice, about))
  if (text === '' && !refusal && calls.length === 0) return deltas
  if (own.isThinking) own.turn += 1
  own.isThinking = false
  if (text !== '') deltas.push({ content: text })
  if (refusal) deltas.push({ refusal })
  if (calls.length > 0) deltas.push({ tool_calls: calls })
  return deltas
}

function thoughtsIn(delta: JsonObject, thought: string, own: Progress): Delta[] {
  const numberOfBlock = (name: string) => {
    const number = own.blocks.get(name) ?? own.blocks.size
    own.blocks.set(name, number)
    own.isThinking = true
    return number
  }
  const details = objectsOf(delta.reasoning_details)
  if (details.length > 0) {
    return details.map((detail) => {
      const { text, ...sealedOf } = blockOf(detail)
      const index = numberOfBlock(`${textOf(detail.type) ?? ''} ${countOf(detail.index)} ${own.turn}`)
      return { reasoning: { index, ...(text === '' ? {} : { text }), ...sealedOf } }
    })
  }
  const plain = thoughtIn(delta) || thought
  return plain === '' ? [] : [{ reasoning: { index: numberOfBlock(`plain ${own.turn}`), text: plain } }]
}

type CallPiece = NonNullable<Delta['tool_calls']>[number]

/** Some give no numbers, some no ids, and some the same number to each call. A call is told when its name is known. */
function callPieceOf(piece: JsonObject, own: Progress, choice: number, about: Naming): CallPiece[] {
  const told = numberOf(piece.index)
  const id = textOf(piece.id) || undefined
  const { name: called, arguments: given } = objectOf(piece.function)
  const name = textOf(called) || undefined
  let index = own.calls.findLastIndex((call) =>
    told === undefined ? id === undefined || call.id === id : call.told === told,
  )
  const known = own.calls[index]
  const isAnother = known?.isTold && name !== undefined && id !== undefined && known.id !== undefined && known.id !== id
  if (!known || isAnother) index = own.calls.push({ told, id, isTold: false, held: '' }) - 1
  const call = own.calls[index]
  if (!call) return []
  if (call.isTold) return [{ index, function: { arguments: argumentsOf(given) } }]
  call.id ??= id
  call.held += argumentsOf(given)
  if (name === undefined) return []
  call.isTold = true
  return [{ index, id: call.id ?? callIdOf(about, choice, index), function: { name, arguments: call.held } }]
}
