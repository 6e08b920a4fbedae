/** Where text stands in the events of a stream, for each mouth. Text comes in lanes: the pieces of one lane belong
 *  together (the content of a choice, the reasoning of a block, the arguments of a call). When a lane ends, what is
 *  still held of it goes before the event that ends it. */

import type { Json, JsonObject, MouthName } from '../hub.ts'
import { countOf, objectOf, objectsOf } from '../providers/read.ts'
import { mapTexts, type Step, withoutLikelihoods } from './texts.ts'

export type StreamEvent = { event: string | null; data: JsonObject }
/** A piece's place. */
export type Spot = {
  /** Of the lane; it begins with what it belongs to. */
  lane: string
  /** It is what is said, in contrast to reasoning and calls; lanes with the same group are one text. */
  is_main: boolean
  group: string
  is_arguments: boolean
  /** An event that tells more of the same lane. */
  more(text: string): StreamEvent
}
export type Lanes = {
  /** What may be told now. */
  piece(spot: Spot, text: string): string
  /** Of lanes that begin so: what is still held. */
  rest(beginning: string): StreamEvent[]
  /** The same with its texts as they may be told: what comes at once, or again. */
  whole(value: Json): Json
}

/** The events to tell in the place of this one. */
export function throughLanes(mouth: MouthName, event: StreamEvent, lanes: Lanes): StreamEvent[] {
  if (mouth === 'messages') return ofMessages(event, lanes)
  if (mouth === 'responses') return ofResponses(event, lanes)
  return ofChoices(mouth, event, lanes)
}

/** Of a chunk and of its choices: what is no text of the answer. */
const PLAIN = {
  chunk: new Set([
    ...['id', 'object', 'created', 'model', 'system_fingerprint', 'service_tier', 'provider', 'usage', 'obfuscation'],
    ...['timings', 'x_groq', 'prompt_filter_results'],
  ]),
  choice: new Set([
    ...['index', 'finish_reason', 'native_finish_reason', 'stop_reason', 'matched_stop'],
    ...['content_filter_results', 'content_filter_offsets'],
  ]),
}
/** What all chunks of a stream say. */
const REPEATED = new Set([...PLAIN.chunk].filter((name) => name !== 'usage'))
/** Of a chunk: what is not told in pieces. */
const COMPLETE = new Set(['error', 'citations', 'search_results', 'sources', 'images', 'videos', 'related_questions'])

/** OpenAI's chat: `choices[].delta`. Its completions: `choices[].text`. Other fields may be the same text once more, in
 *  pieces or all of it so far: what is held back would be told by them, so they are left out. */
function ofChoices(mouth: MouthName, { event, data }: StreamEvent, lanes: Lanes): StreamEvent[] {
  if (!Array.isArray(data.choices)) return [{ event, data: objectOf(lanes.whole(data)) }]
  const rests: StreamEvent[] = []
  const field = mouth === 'chat' ? 'delta' : 'text'
  const head = picked(data, PLAIN.chunk)
  for (const name in data) if (COMPLETE.has(name)) head[name] = lanes.whole(data[name] ?? null)
  const choices = objectsOf(data.choices).map((choice) => {
    const index = countOf(choice.index)
    const part = (value: Json): JsonObject => ({ index, [field]: value, logprobs: null, finish_reason: null })
    const alone = (value: Json) => ({ event, data: { ...picked(data, REPEATED), choices: [part(value)] } })
    const more = (path: readonly Step[]) => (text: string) => alone(path.length > 0 ? placed(path, text) : text)
    const told = mapTexts(
      choice[field] ?? null,
      (text, path) => {
        const is_main = isContent(path)
        const place = is_main ? '' : path.map((step) => (typeof step === 'object' ? step.index : step)).join(' ')
        const is_arguments = path.at(-1) === 'arguments'
        const spot = { lane: `${index} ${place}`, is_main, group: String(index), is_arguments, more: more(path) }
        return lanes.piece(spot, text)
      },
      { is_piece: true },
    )
    const now = picked(choice, PLAIN.choice)
    if (field in choice) now[field] = told
    if ('logprobs' in choice) now.logprobs = null
    if (choice.finish_reason === null || choice.finish_reason === undefined) return now
    const rest = lanes.rest(`${index} `)
    if (rest.length === 0) return now
    // What is held comes behind what this event says, and before the end that it tells.
    if (told !== '' && !isEmpty(told)) rests.push(alone(told))
    rests.push(...rest)
    return { ...now, [field]: mouth === 'chat' ? {} : '' }
  })
  head.choices = choices
  return [...rests, { event, data: head }]
}

/** What is said, in one piece or in a part of it, is one text. */
const isContent = (path: readonly Step[]): boolean =>
  path.length === 0 || (path[0] === 'content' && (path.length === 1 || (path.length === 3 && path[2] === 'text')))

function picked(of: JsonObject, names: ReadonlySet<string>): JsonObject {
  const told: JsonObject = {}
  for (const name in of) if (names.has(name)) told[name] = of[name] ?? null
  return told
}

const isEmpty = (value: Json) => typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** The value with this text at its place, and nothing besides. */
function placed(path: readonly Step[], text: string): Json {
  return path.reduceRight<Json>((inner, step) => {
    if (typeof step === 'string') return { [step]: inner }
    if (typeof step === 'number') return [inner]
    const { is_index, index, type } = step
    return [{ ...(is_index && { index }), ...(type !== undefined && { type }), ...objectOf(inner) }]
  }, text)
}

/** Anthropic's: blocks that begin, go on by deltas and stop. One that begins with text is told as one that goes on by it. */
function ofMessages({ event, data }: StreamEvent, lanes: Lanes): StreamEvent[] {
  const index = countOf(data.index)
  if (data.type === 'content_block_start') {
    const block = objectOf(data.content_block)
    const field = { text: 'text', thinking: 'thinking' }[String(block.type)]
    const text = field === undefined ? '' : block[field]
    if (field === undefined || typeof text !== 'string' || text === '') {
      return [{ event, data: { ...data, content_block: lanes.whole(data.content_block ?? null) } }]
    }
    const empty = { ...data, content_block: lanes.whole({ ...block, [field]: '' }) }
    const type = 'content_block_delta'
    const begun = { event: event && type, data: { type, index, delta: { type: `${field}_delta`, [field]: text } } }
    return [{ event, data: empty }, ...ofMessages(begun, lanes)]
  }
  if (data.type === 'content_block_stop') return [...lanes.rest(`${index} `), { event, data }]
  if (data.type === 'message_delta') return [{ event, data }]
  if (data.type !== 'content_block_delta') return [{ event, data: objectOf(lanes.whole(data)) }]
  const delta = objectOf(data.delta)
  const field = { text_delta: 'text', thinking_delta: 'thinking', input_json_delta: 'partial_json' }[String(delta.type)]
  const text = field === undefined ? undefined : delta[field]
  if (field === undefined || typeof text !== 'string') return [{ event, data: { ...data, delta: lanes.whole(delta) } }]
  const more = (told: string) => ({ event, data: { ...data, delta: { ...delta, [field]: told } } })
  const spot = { is_main: field === 'text', group: '', is_arguments: field === 'partial_json', more }
  return [more(lanes.piece({ lane: `${index} ${field}`, ...spot }, text))]
}

/** OpenAI's responses: `….delta` events, each followed by a `….done` that says it all again, as the last event does. */
function ofResponses(one: StreamEvent, lanes: Lanes): StreamEvent[] {
  const { event, data } = one
  const type = String(data.type)
  const about = type.replace(/\.(delta|done)$/, '')
  const lane = `${countOf(data.output_index)} ${data.content_index ?? data.summary_index ?? ''} ${about} `
  if (type.endsWith('.delta') && typeof data.delta === 'string') {
    const more = (delta: string) => ({ event, data: { ...data, delta, ...('logprobs' in data && { logprobs: [] }) } })
    const spot = {
      is_main: about === 'response.output_text',
      group: '',
      is_arguments: about.endsWith('arguments'),
      more,
    }
    return [more(lanes.piece({ lane, ...spot }, data.delta))]
  }
  if (typeof data.response === 'object' && data.response !== null) {
    const response = objectOf(data.response)
    const output = withoutLikelihoods(lanes.whole(response.output ?? []))
    return [{ event, data: { ...data, response: { ...response, output } } }]
  }
  const begun = type.endsWith('part.added') ? begunBy(one) : undefined
  if (begun) return begun.flatMap((each) => ofResponses(each, lanes))
  const rest = type.endsWith('.done') ? lanes.rest(lane) : []
  return [...rest, { event, data: objectOf(withoutLikelihoods(lanes.whole(data))) }]
}

/** A part that begins with text, as one that goes on by it. */
function begunBy({ event, data }: StreamEvent): StreamEvent[] | undefined {
  const { part: given, ...at } = data
  const part = objectOf(given)
  const kind = String(part.type)
  const field = kind === 'refusal' ? 'refusal' : 'text'
  const delta = part[field]
  if (typeof delta !== 'string' || delta === '') return undefined
  const type = `response.${kind === 'summary_text' ? 'reasoning_summary_text' : kind}.delta`
  return [
    { event, data: { ...data, part: { ...part, [field]: '' } } },
    { event: event && type, data: { ...at, type, delta } },
  ]
}
