/** The way of a call whose format the provider speaks by itself. Bytes pass as they came, cut at the ends of events. A
 *  chunk is read only when a cheap look finds usage, an error or an end in it, or when it does not look like JSON. */

import { isUtf8 } from 'node:buffer'
import type { Stop } from '../call/route.ts'
import { parsedExactly } from '../exact.ts'
import { failEvent } from '../front/speaking.ts'
import type { Fault, Json, JsonObject, MouthName, Usage } from '../hub.ts'
import { mostOfEach } from '../mouths/outline.ts'
import { broken, interrupted } from '../providers/faults.ts'
import type { Native, Outgoing, StreamPiece } from '../providers/provider.ts'
import { listOf, objectOf, parsed } from '../providers/read.ts'
import { tokensOf } from '../used.ts'
import { CallNumbers } from './call-numbers.ts'
import { isPlain, textIn, writtenIn } from './look.ts'
import { EventCutter, EventReader, EventTooLong, eventsOf } from './sse.ts'
import type { Answered, Passage, Way, Wish } from './ways.ts'

export function nativeWay(native: Native, stop: Stop, wish: Wish, output_tokens_max: number | null): Way {
  const body = bounded(wish, output_tokens_max)
  return {
    outgoing: withBetas(native.request(stop.provider, stop.model, body), wish),
    answer: (bytes) => answerOf(native, stop, wish, bytes),
    stream: () => new NativePassage(native, stop, wish),
  }
}

/** What a client asks for by headers, in the formats that have such: it reaches the provider as the body does. */
const betas = ['anthropic-beta', 'anthropic-version', 'openai-beta']

export function betasIn(headers: Wish['headers']): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of betas) {
    const value = headers[name]
    if (value !== undefined) found[name] = value
  }
  return found
}

const withBetas = (outgoing: Outgoing, { headers }: Wish): Outgoing =>
  betas.some((name) => headers[name] !== undefined)
    ? { ...outgoing, headers: { ...outgoing.headers, ...betasIn(headers) } }
    : outgoing

/** Up to here reading an answer costs next to nothing, and shows that it is whole. */
const READ_BYTES_MAX = 64 * 1024

/** The names of the bound of an answer, the usual one first. */
const boundNames: Partial<Record<MouthName, [string, ...string[]]>> = {
  chat: ['max_completion_tokens', 'max_tokens'],
  completions: ['max_tokens'],
  responses: ['max_output_tokens'],
  messages: ['max_tokens'],
}

/** The client's body, asking for no more than is paid for. */
function bounded({ mouth, body, outline }: Wish, output_tokens_max: number | null): JsonObject {
  const names = boundNames[mouth]
  if (!names) return body
  const { output_tokens_max: asked } = outline
  const said = names.filter((name) => typeof body[name] === 'number')
  const most = output_tokens_max === null ? null : mostOfEach(outline, output_tokens_max)
  if (most === null || (asked !== null && asked <= most)) {
    // What counts where nothing is said is said: hosts differ in it, and others of them write without an end.
    return mouth === 'completions' && asked !== null && said.length === 0 ? { ...body, max_tokens: asked } : body
  }
  if (said.length === 0) return { ...body, [names[0]]: most }
  return { ...body, ...Object.fromEntries(said.map((name) => [name, Math.min(Number(body[name]), most)])) }
}

/** What is an answer has it. */
const LISTS: Partial<Record<MouthName, string>> = {
  chat: 'choices',
  completions: 'choices',
  messages: 'content',
  embeddings: 'data',
}

const VECTOR = '"embedding":'

function answerOf(native: Native, stop: Stop, wish: Wish, bytes: Buffer): Answered {
  const asked = wish.mouth === 'embeddings' ? vectorsFor(wish.body.input) : undefined
  const isRead = bytes.length <= READ_BYTES_MAX || (asked !== undefined && vectorsLookedFor(bytes) !== asked)
  const usage = isRead ? undefined : usageLookedFor(native, bytes)
  if (usage) return { body: bytes, usage, text_bytes: 0 }

  const answer = parsed(bytes.toString())
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw broken(`${stop.provider.name} answered with what is no JSON object.`, 'upstream_malformed')
  }
  const said = objectOf(answer.error)
  if (typeof said.message === 'string')
    throw broken(`${stop.provider.name} answered: ${said.message}`, 'upstream_failed')
  const list = LISTS[wish.mouth]
  if (list && !(Array.isArray(answer[list]) && (answer[list].length > 0 || wish.mouth === 'messages'))) {
    throw broken(`${stop.provider.name} answered without "${list}".`, 'upstream_malformed')
  }
  const given = listOf(answer.data).length
  if (asked !== undefined && given !== asked) {
    const counts = `another number of vectors (${given}) than of inputs (${asked})`
    throw broken(`${stop.provider.name} told ${counts}.`, 'upstream_malformed')
  }
  const told = native.usageOf(answer)
  return { body: bytes, usage: told, text_bytes: told ? 0 : textIn(wish.mouth, bytes.toString('latin1')).bytes }
}

/** How many are owed. Undefined where a host takes what others do not know. */
function vectorsFor(input: Json | undefined): number | undefined {
  if (typeof input === 'string') return 1
  if (!Array.isArray(input)) return undefined
  if (typeof input[0] === 'number') return 1
  return input.every((one) => typeof one === 'string' || Array.isArray(one)) ? input.length : undefined
}

/** How many a long answer seems to have; one that has another number than it should is read. */
function vectorsLookedFor(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(VECTOR); at >= 0; at = bytes.indexOf(VECTOR, at + VECTOR.length)) count += 1
  return count
}

/** The usage of a long answer without reading the rest: within a JSON string its quotes would be escaped. */
function usageLookedFor(native: Native, bytes: Buffer): Usage | undefined {
  if (bytes[0] !== 0x7b || bytes[bytes.length - 1] !== 0x7d) return undefined
  const key = bytes.lastIndexOf('"usage":')
  if (key < 0 || bytes.length - key > 4_096) return undefined
  const tail = bytes.toString('utf8', key + 8)
  for (let end = tail.indexOf('}'); end >= 0; end = tail.indexOf('}', end + 1)) {
    const usage = parsed(tail.slice(0, end + 1))
    if (usage !== undefined) return native.usageOf({ usage })
  }
  return undefined
}

/** Events of responses are numbered; the next one after these. */
function nextNumber(events: string): number {
  const numbers = [...events.matchAll(/"sequence_number": ?(\d+)/g)]
  return Number(numbers.at(-1)?.[1] ?? -1) + 1
}

const EMPTY_LINE = Buffer.from('\n\n')
const DONE = Buffer.from('data: [DONE]\n\n')
const FINISHED = /"finish_reason": ?"/g

class NativePassage implements Passage {
  fault: Fault | undefined
  usage: Partial<Usage> | undefined
  readonly #native: Native
  readonly #stop: Stop
  readonly #wish: Wish
  readonly #cutter = new EventCutter()
  readonly #numbers = new CallNumbers()
  #text_bytes = 0
  #deltas = 0
  #isEnded = false
  /** How many choices said why they ended, where that is how a stream ends. */
  #finished = Number.NEGATIVE_INFINITY
  #hasSaid = false
  /** The events that were last told, a character for each byte. */
  #last = ''

  constructor(native: Native, stop: Stop, wish: Wish) {
    this.#native = native
    this.#stop = stop
    this.#wish = wish
    if (wish.mouth === 'chat' || wish.mouth === 'completions') this.#finished = 0
  }

  /** A delta is a token at least, and four bytes are about one. */
  get output_tokens(): number {
    return Math.max(this.#deltas, tokensOf(this.#text_bytes))
  }

  push(chunk: Buffer): Buffer {
    const events = this.#cut(chunk)
    if (events.length === 0) return events
    const text = events.toString('latin1')
    this.#count(text)
    const told = this.#passes(events, text) ? events : this.#look(events)
    if (told.length > 0) {
      this.#hasSaid = true
      this.#last = text
    }
    return told
  }

  /** Some hosts leave out the last empty line, and some the mark at the end of what is complete without it. */
  end(): Buffer {
    const { rest } = this.#cutter
    this.#count(rest.toString('latin1'))
    const last = rest.length === 0 ? rest : this.#look(Buffer.concat([rest, EMPTY_LINE]))
    if (this.#isEnded) return last
    const isWhole = this.#finished >= this.#wish.outline.n && !this.fault
    if (!isWhole) throw interrupted(this.#stop.provider.name)
    return Buffer.concat([last, DONE])
  }

  fail(fault: Fault): string {
    return failEvent(this.#wish.mouth, fault, this.#wish.id, nextNumber(this.#last))
  }

  #count(events: string) {
    const { bytes, deltas } = writtenIn(this.#wish.mouth, events)
    this.#text_bytes += bytes
    this.#deltas += deltas
    this.#finished += events.match(FINISHED)?.length ?? 0
  }

  #cut(chunk: Buffer): Buffer {
    try {
      return this.#cutter.push(chunk)
    } catch (error) {
      if (error instanceof EventTooLong) throw broken(error.message, 'upstream_malformed')
      throw error
    }
  }

  #passes(events: Buffer, text: string): boolean {
    return isPlain(this.#wish.mouth, text) && isUtf8(events) && !this.#hasCalls(text)
  }

  #hasCalls(text: string): boolean {
    return this.#wish.mouth === 'chat' && text.includes('"tool_calls"')
  }

  #look(events: Buffer): Buffer {
    const kept: Buffer[] = []
    for (const event of eventsOf(events)) {
      if (this.#isEnded) break
      if (this.#passes(event, event.toString('latin1'))) {
        kept.push(event)
        continue
      }
      const [piece] = new EventReader().push(event)
      const fault = piece && this.#faultOf(piece)
      if (fault) {
        this.fault = fault
        break
      }
      // What keeps the connection awake is no answer yet: another provider may still be asked.
      if (!piece && !this.#hasSaid) continue
      if (!piece || !this.#note(piece)) kept.push(piece ? this.#numbered(event, piece) : event)
    }
    return kept.length === 1 && kept[0] ? kept[0] : Buffer.concat(kept)
  }

  #numbered(event: Buffer, { data }: StreamPiece): Buffer {
    if (!this.#hasCalls(data)) return event
    const chunk = objectOf(parsedExactly(data))
    return this.#numbers.mend(chunk) ? Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`) : event
  }

  #faultOf(piece: StreamPiece): Fault | undefined {
    const isMarked = piece.data.startsWith('[')
    if (!isMarked && parsed(piece.data) === undefined) {
      return broken(`${this.#stop.provider.name} sent an event that is no JSON.`, 'upstream_malformed').fault
    }
    return this.#native.faultOfPiece(piece)
  }

  /** Whether the client does not see it. */
  #note(piece: StreamPiece): boolean {
    const usage = this.#native.usageOfPiece(piece)
    if (usage) this.usage = { ...this.usage, ...usage }
    if (this.#native.ends(piece)) this.#isEnded = true
    return this.#native.hides?.(this.#wish.body, piece) ?? false
  }
}
