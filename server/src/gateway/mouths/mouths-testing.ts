/** What the tests of all mouths need: streams of the hub made at random, and a `fetch` that gives a client our bytes. */

import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  Choice,
  FinishReason,
  JsonObject,
  Reasoning,
  ToolCall,
  Usage,
} from '../hub.ts'
import type { About, ChatMouth } from './mouth.ts'
import { Refusal } from './mouth.ts'

export const about: About = { id: '0123456789abcdef', model: 'acme/large', created: 1_760_000_000 }
export const usage: Usage = { input: 120, cached: 40, cache_written: 10, output: 30, reasoning: 8 }

/** A stream of server-sent events as a client would read it. */
export function streamOf(mouth: ChatMouth, request: ChatRequest, chunks: ChatChunk[]): string {
  const writer = mouth.stream(request, about)

  return writer.begin() + chunks.map((chunk) => writer.chunk(chunk)).join('') + writer.end()
}

export function faultOf(read: () => unknown) {
  try {
    read()
  } catch (refusal) {
    if (refusal instanceof Refusal) return refusal.fault
    throw refusal
  }
  throw new Error('It was not refused.')
}

/** Gives every request these bytes, cut where it hurts: inside of lines and of characters. */
export function fetchOf(body: string | JsonObject, status = 200): typeof fetch {
  const isStream = typeof body === 'string'
  const bytes = Buffer.from(isStream ? body : JSON.stringify(body))

  return async () => {
    const pieces: Uint8Array[] = []
    for (let at = 0, step = 1; at < bytes.length; at += step, step = (step % 97) + 13) {
      pieces.push(bytes.subarray(at, at + step))
    }
    return new Response(ReadableStream.from(pieces), {
      status,
      headers: { 'content-type': isStream ? 'text/event-stream' : 'application/json' },
    })
  }
}

/** Numbers between 0 and 1 that are the same for the same seed. */
export function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const WORDS = ['Grüße ', 'aus "Köln"\n', '日本', '🦊', ' \\ ', 'a', 'data: x\n\n', '\u2028', 'event: error\n', 'end. ']

type Step = ChatChunk['choices'][number]
export type Told = { chunks: ChatChunk[]; answer: ChatAnswer }

/** A stream and the answer that it amounts to. `interleaves`: pieces of parallel tool calls come mixed. */
export function tellAtRandom(
  seed: number,
  about: { choices?: number; reasons?: boolean; interleaves?: boolean } = {},
): Told {
  const random = chance(seed)
  const lines = Array.from({ length: about.choices ?? 1 }, (_, index) => choiceAtRandom(index, random, about))
  const chunks: ChatChunk[] = []
  const open = lines.map((line) => [...line.steps])
  while (open.some((steps) => steps.length > 0)) {
    const steps = open[Math.floor(random() * open.length)]
    const step = steps?.shift()
    if (step) chunks.push(chunkOf([step]))
  }
  chunks.push({ ...chunkOf([]), usage })

  return {
    chunks,
    answer: { id: 'up-1', created: 1, model: 'large-1', choices: lines.map((line) => line.choice), usage },
  }
}

export const chunkOf = (choices: Step[]): ChatChunk => ({ id: 'up-1', created: 1, model: 'large-1', choices })

export const said = (delta: Step['delta'], finish_reason: FinishReason | null = null, index = 0): ChatChunk =>
  chunkOf([{ index, delta, finish_reason }])

function choiceAtRandom(
  index: number,
  random: () => number,
  about: { reasons?: boolean; interleaves?: boolean },
): { steps: Step[]; choice: Choice } {
  const steps: Step[] = []
  const push = (delta: Step['delta'], finish_reason: FinishReason | null = null) =>
    steps.push({ index, delta, finish_reason })
  const message: Choice['message'] = { content: null, refusal: null }

  if (about.reasons && random() < 0.7) message.reasoning = reasonAtRandom(random, push)
  if (random() < 0.8) message.content = piecesAtRandom(random, (content) => push({ content }))
  const calls = random() < 0.6 ? Math.ceil(random() * 3) : 0
  if (calls > 0) message.tool_calls = callAtRandom(index, calls, random, push, about.interleaves === true)
  if (message.content === null && calls === 0) message.content = piecesAtRandom(random, (content) => push({ content }))
  const finish_reason: FinishReason = calls > 0 ? 'tool_calls' : random() < 0.8 ? 'stop' : 'length'
  push({}, finish_reason)

  return { steps, choice: { index, message, finish_reason } }
}

function piecesAtRandom(random: () => number, push: (piece: string) => void): string {
  let whole = ''
  for (let i = Math.ceil(random() * 6); i > 0; i--) {
    const piece = WORDS[Math.floor(random() * WORDS.length)] ?? ''
    whole += piece
    push(piece)
  }

  return whole
}

function reasonAtRandom(random: () => number, push: (delta: Step['delta']) => void): Reasoning[] {
  const text = piecesAtRandom(random, (piece) => push({ reasoning: { index: 0, text: piece } }))
  push({ reasoning: { index: 0, signature: 'c2lnbmVk' } })
  if (random() < 0.5) return [{ text, signature: 'c2lnbmVk' }]
  push({ reasoning: { index: 1, data: 'c2VhbGVk' } })

  return [
    { text, signature: 'c2lnbmVk' },
    { text: '', data: 'c2VhbGVk' },
  ]
}

function callAtRandom(
  choice: number,
  count: number,
  random: () => number,
  push: (delta: Step['delta']) => void,
  interleaves: boolean,
): ToolCall[] {
  const waiting: Step['delta'][][] = []
  const calls = Array.from({ length: count }, (_, index): ToolCall => {
    const id = `call_${choice}_${index}`
    const name = `tool_${index}`
    const pieces: Step['delta'][] = [{ tool_calls: [{ index, id, function: { name, arguments: '' } }] }]
    let rest = JSON.stringify({ city: 'Köln "Mitte"', n: Math.floor(random() * 100), deep: { list: [1, 'a}'] } })
    const call: ToolCall = { id, type: 'function', function: { name, arguments: rest } }
    while (rest !== '') {
      const length = Math.ceil(random() * 12)
      pieces.push({ tool_calls: [{ index, function: { arguments: rest.slice(0, length) } }] })
      rest = rest.slice(length)
    }
    waiting.push(pieces)
    return call
  })
  // Mixed or not, a call begins before the next one does.
  let begun = 0
  while (waiting.some((pieces) => pieces.length > 0)) {
    const first = waiting.findIndex((pieces) => pieces.length > 0)
    const pick = interleaves ? Math.min(Math.floor(random() * count), begun) : first
    const piece = waiting[pick]?.shift()
    if (!piece) continue
    begun = Math.max(begun, pick + 1)
    push(piece)
  }

  return calls
}
