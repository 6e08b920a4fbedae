/** Recorded exchanges with a provider, written from its published reference, and what they mean. One JSON file for each
 *  provider; every test reads all of them. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  Fault,
  FinishReason,
  Json,
  JsonObject,
  Logprobs,
  Usage,
} from '../hub.ts'
import type { StreamPiece, StreamReader } from './provider.ts'

/** What somebody understood of one choice. */
export type Understood = {
  text: string
  reasoning: string
  calls: { id: string; name: string; arguments: Json }[]
  finish: FinishReason
}
export type Exchange = {
  /** A true sentence. */
  name: string
  /** Where the provider has several: the one that this was recorded at. */
  base_url?: string
  /** As the hub has it; without it, the exchange is only about the answer. */
  request?: ChatRequest
  sent?: { path: string; body: JsonObject; dropped?: string[] }
  status?: number
  headers?: Record<string, string>
  body?: JsonObject
  /** The body, where it is no JSON. */
  text?: string
  pieces?: StreamPiece[]
  means?: Understood & { usage: Usage }
  /** Besides the first. */
  others?: Understood[]
  fault?: Partial<Fault>
  /** The AI SDK is no oracle here, for this reason. */
  alone?: string
}

export function exchangesOf(provider: string): Exchange[] {
  const text = readFileSync(new URL(`exchanges/${provider}.json`, import.meta.url), 'utf8')
  return JSON.parse(text) as Exchange[]
}

export const named = (exchanges: Exchange[], name: string): Exchange => {
  const found = exchanges.find((exchange) => exchange.name === name)
  assert.ok(found, `There is no exchange "${name}".`)
  return found
}

const argumentsOf = (text: string): Json => JSON.parse(text === '' ? '{}' : text)

export const understoodOf = (answer: ChatAnswer): Understood[] =>
  answer.choices.map(({ message, finish_reason }) => ({
    text: message.content ?? '',
    reasoning: (message.reasoning ?? []).map(({ text }) => text).join(''),
    calls: (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: argumentsOf(call.function.arguments),
    })),
    finish: finish_reason,
  }))

/** All that a reader gives for these pieces. */
export const chunksOf = (reader: StreamReader, pieces: StreamPiece[]): ChatChunk[] => [
  ...pieces.flatMap((piece) => reader.push(piece)),
  ...reader.end(),
]

/** Puts a stream together as a client does, and holds it to what the hub promises of streams. */
export function collected(chunks: ChatChunk[]): ChatAnswer {
  const answer: ChatAnswer = { ...headOf(chunks), choices: [], usage: none }
  for (const [at, chunk] of chunks.entries()) {
    if (chunk.usage) {
      assert.deepEqual(chunk.choices, [], 'usage comes without choices')
      assert.equal(at, chunks.length - 1, 'usage comes last')
      answer.usage = chunk.usage
    }
    for (const choice of chunk.choices) add(answer, choice)
  }
  for (const choice of answer.choices) {
    assert.ok(choice.finish_reason, 'every choice ends')
    for (const call of choice.message.tool_calls ?? []) assert.ok(call.id && call.function.name, 'calls have names')
  }
  return answer
}
const none: Usage = { input: 0, cached: 0, cache_written: 0, output: 0, reasoning: 0 }
const headOf = ([first]: ChatChunk[]) => ({
  id: first?.id ?? '',
  created: first?.created ?? 0,
  model: first?.model ?? '',
})

type Growing = Omit<ChatAnswer['choices'][number], 'finish_reason'> & { finish_reason: FinishReason | '' }

function add(answer: ChatAnswer, step: ChatChunk['choices'][number]) {
  const choices: Growing[] = answer.choices
  let choice = choices.find((one) => one.index === step.index)
  if (!choice) {
    choice = { index: step.index, message: { content: null, refusal: null }, finish_reason: '' }
    choices.push(choice)
  }
  assert.equal(choice.finish_reason, '', 'nothing follows the end of a choice')
  const { message } = choice
  const { content, tool_calls: calls, reasoning } = step.delta
  if (content !== undefined) message.content = (message.content ?? '') + content
  if (reasoning) {
    message.reasoning ??= []
    const { index, ...piece } = reasoning
    assert.ok(index <= message.reasoning.length, 'blocks of reasoning are numbered without gaps')
    const known = message.reasoning[index]
    message.reasoning[index] = { ...known, ...piece, text: (known?.text ?? '') + (piece.text ?? '') }
  }
  for (const call of calls ?? []) {
    message.tool_calls ??= []
    assert.ok(call.index <= message.tool_calls.length, 'calls are numbered without gaps')
    const known = message.tool_calls[call.index] ?? {
      id: call.id ?? '',
      type: 'function' as const,
      function: { name: call.function?.name ?? '', arguments: '' },
    }
    known.function.arguments += call.function?.arguments ?? ''
    message.tool_calls[call.index] = known
  }
  if (step.logprobs) choice.logprobs = joined(choice.logprobs, step.logprobs)
  if (step.stop_sequence !== undefined) choice.stop_sequence = step.stop_sequence
  if (step.finish_reason) choice.finish_reason = step.finish_reason
}
const joined = (before: Logprobs | null | undefined, more: Logprobs): Logprobs => ({
  content: [...(before?.content ?? []), ...(more.content ?? [])],
  refusal: null,
})

/** Cuts at places that a small generator chooses: the same seed, the same cuts. */
export function splitBy<Whole extends { length: number; slice(from: number, to?: number): Whole }>(
  whole: Whole,
  seed: number,
): Whole[] {
  const parts: Whole[] = []
  let state = seed
  let from = 0
  while (from < whole.length) {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    const longest = seed % 3 === 0 ? 3 : 60
    const to = from + 1 + (Math.floor(state / 65_536) % longest)
    parts.push(whole.slice(from, to))
    from = to
  }
  return parts
}
