/** The way of a call whose provider speaks another format than the client: read by the mouth, asked by the adapter,
 *  and the same back, piece by piece. What the client asked for is read once, for all targets of the call. */

import type { Stop } from '../call/route.ts'
import { parsedExactly } from '../exact.ts'
import type { ChatChunk, ChatRequest, Fault, JsonObject, Usage } from '../hub.ts'
import type { About, ChatMouth, StreamWriter } from '../mouths/mouth.ts'
import { namesFor } from '../mouths/names.ts'
import { mostOfEach } from '../mouths/outline.ts'
import { unmetIn } from '../mouths/unmet.ts'
import { broken } from '../providers/faults.ts'
import { lostIn } from '../providers/lost.ts'
import { type Adapter, type Outgoing, ProviderFault, type StreamReader } from '../providers/provider.ts'
import { type Counted, tokensOf, usedBy } from '../used.ts'
import { BadFrame, FrameReader } from './aws-frames.ts'
import { EventReader, EventTooLong } from './sse.ts'
import type { Answered, Passage, Way, Wish } from './ways.ts'

type Chat = NonNullable<Adapter['chat']>
type Journey = {
  adapter: Adapter
  chat: Chat
  mouth: ChatMouth
  stop: Stop
  wish: Wish
  request: ChatRequest
  about: About
}

const read = new WeakMap<Wish, ChatRequest>()

export function chatWay(
  adapter: Adapter,
  chat: Chat,
  mouth: ChatMouth,
  stop: Stop,
  wish: Wish,
  output_tokens_max: number | null,
): Way {
  const asked = read.get(wish) ?? mouth.read(wish.body)
  read.set(wish, asked)
  const about = { id: wish.id, model: wish.outline.model, created: wish.created }
  const journey: Journey = { adapter, chat, mouth, stop, wish, request: asked, about }
  const request = bounded(asked, wish, output_tokens_max)
  return {
    outgoing: outgoingOf(journey, request),
    answer: (bytes) => answerOf(journey, bytes),
    stream: () => new ChatPassage(journey),
  }
}

/** What could not be told is named as the client knows it. */
function outgoingOf({ chat, mouth, stop, wish }: Journey, request: ChatRequest): Outgoing {
  const outgoing = chat.request(stop.provider, stop.model, request)
  const carries = chat.carries(stop.provider, stop.model, request)
  const lost = [...outgoing.dropped, ...lostIn(request, carries), ...unmetIn(mouth.name, wish.body)]
  return lost.length === 0 ? outgoing : { ...outgoing, dropped: namesFor(mouth.name, wish.body, lost) }
}

/** No more is asked for than is paid for. */
function bounded(asked: ChatRequest, { outline }: Wish, output_tokens_max: number | null): ChatRequest {
  if (output_tokens_max === null) return asked
  const most = mostOfEach(outline, output_tokens_max)
  return { ...asked, max_completion_tokens: Math.min(asked.max_completion_tokens ?? most, most) }
}

const namingOf = ({ wish }: Journey) => ({ id: wish.id, now: wish.created })

function answerOf(journey: Journey, bytes: Buffer): Answered {
  const { chat, mouth, request, about, stop } = journey
  const answer = readable(stop, () => chat.answer(objectIn(stop, bytes), namingOf(journey)))
  let text_bytes = 0
  for (const { message } of answer.choices) {
    text_bytes += Buffer.byteLength(message.content ?? '') + Buffer.byteLength(message.refusal ?? '')
    for (const call of message.tool_calls ?? []) text_bytes += Buffer.byteLength(call.function.arguments)
    for (const block of message.reasoning ?? []) text_bytes += Buffer.byteLength(block.text)
  }
  const told = usedIn(journey, { usage: answer.usage, output_tokens: tokensOf(text_bytes), isWhole: true })
  const body = JSON.stringify(mouth.answer({ ...answer, usage: told.usage }, request, about))
  return { body, usage: answer.usage, text_bytes }
}

/** The client is told what is billed, whether its provider tells it or not. */
const usedIn = ({ wish }: Journey, counted: Counted) => usedBy(counted, wish.outline.text_bytes)

/** The answer as JSON. */
export function objectIn(stop: Stop, bytes: Buffer): JsonObject {
  const body = parsedExactly(bytes.toString())
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  throw broken(`${stop.provider.name} answered with what is no JSON object.`, 'upstream_malformed')
}

/** What an adapter stumbles over is an answer that is not what the provider promises. */
export function readable<Value>(stop: Stop, work: () => Value): Value {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof ProviderFault) throw thrown
    const isOurs = !(thrown instanceof EventTooLong || thrown instanceof BadFrame || thrown instanceof SyntaxError)
    if (isOurs && !(thrown instanceof TypeError)) throw thrown
    throw broken(`${stop.provider.name} sent what cannot be read: ${thrown.message}`, 'upstream_malformed')
  }
}

class ChatPassage implements Passage {
  fault: Fault | undefined
  #usage: Partial<Usage> | undefined
  readonly #journey: Journey
  readonly #frames: EventReader | FrameReader
  readonly #reader: StreamReader
  readonly #writer: StreamWriter
  #hasBegun = false
  #text_bytes = 0
  #deltas = 0

  constructor(journey: Journey) {
    const { adapter, chat, mouth, stop, request, about } = journey
    this.#journey = journey
    this.#frames = adapter.framing === 'aws' ? new FrameReader() : new EventReader()
    this.#reader = chat.stream({ ...request, model: stop.model }, namingOf(journey))
    this.#writer = mouth.stream(request, about)
  }

  get usage(): Partial<Usage> | undefined {
    return this.#usage ?? this.#reader.usage
  }

  get output_tokens(): number {
    return Math.max(this.#deltas, tokensOf(this.#text_bytes))
  }

  push(chunk: Buffer): string {
    let text = ''
    try {
      const { stop } = this.#journey
      for (const piece of readable(stop, () => this.#frames.push(chunk))) {
        text += this.#write(readable(stop, () => this.#reader.push(piece)))
      }
    } catch (thrown) {
      if (!(thrown instanceof ProviderFault)) throw thrown
      // What was said before it goes out first.
      this.fault = thrown.fault
    }
    return text
  }

  end(): string {
    const text = this.#write(this.#reader.end())
    const { usage, output_tokens } = this
    const used = usedIn(this.#journey, { usage, output_tokens, isWhole: true })
    if (!used.is_estimated) return text + this.#writer.end()
    const { id, created, model } = this.#journey.about
    return text + this.#writer.chunk({ id, created, model, choices: [], usage: used.usage }) + this.#writer.end()
  }

  fail(fault: Fault): string {
    return this.#writer.fail(fault)
  }

  #write(chunks: ChatChunk[]): string {
    let text = ''
    for (const chunk of chunks) {
      if (!this.#hasBegun) {
        this.#hasBegun = true
        text += this.#writer.begin()
      }
      this.#count(chunk)
      text += this.#writer.chunk(chunk)
    }
    return text
  }

  #count({ choices, usage }: ChatChunk): void {
    if (usage) this.#usage = usage
    for (const { delta } of choices) {
      const { content, refusal, reasoning, tool_calls } = delta
      const texts = [content, refusal, reasoning?.text, ...(tool_calls ?? []).map((call) => call.function?.arguments)]
      for (const text of texts) {
        if (!text) continue
        this.#text_bytes += Buffer.byteLength(text)
        this.#deltas += 1
      }
    }
  }
}
