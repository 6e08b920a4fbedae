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

/** OpenAI's chat: `choices[].delta`. Its completions: `choices[].text`. */
function ofChoices(mouth: MouthName, { event, data }: StreamEvent, lanes: Lanes): StreamEvent[] {
  if (!Array.isArray(data.choices)) return [{ event, data }]
  const rests: StreamEvent[] = []
  const field = mouth === 'chat' ? 'delta' : 'text'
  const choices = objectsOf(data.choices).map((choice) => {
    const index = countOf(choice.index)
    const part = (value: Json): JsonObject => ({ index, [field]: value, logprobs: null, finish_reason: null })
    const more = (path: readonly Step[]) => (text: string) => {
      const { usage: _, ...others } = data
      return { event, data: { ...others, choices: [part(path.length > 0 ? placed(path, text) : text)] } }
    }
    const told = mapTexts(
      choice[field] ?? null,
      (text, path) => {
        const isMain = path.length === 0 || (path.length === 1 && path[0] === 'content')
        const lane = `${index} ${path.map((step) => (typeof step === 'object' ? step.index : step)).join(' ')}`
        const is_arguments = path.at(-1) === 'arguments'
        return lanes.piece({ lane, is_main: isMain, group: String(index), is_arguments, more: more(path) }, text)
      },
      { is_piece: true },
    )
    const { [field]: _told, ...beside } = choice
    const now = { ...objectOf(withoutLikelihoods(beside)), [field]: told }
    if (choice.finish_reason === null || choice.finish_reason === undefined) return now
    const rest = lanes.rest(`${index} `)
    if (rest.length === 0) return now
    // What is held comes behind what this event says, and before the end that it tells.
    const { usage: _, ...others } = data
    if (told !== '' && !isEmpty(told)) rests.push({ event, data: { ...others, choices: [part(told)] } })
    rests.push(...rest)
    return { ...now, [field]: mouth === 'chat' ? {} : '' }
  })
  return [...rests, { event, data: { ...data, choices } }]
}

const isEmpty = (value: Json) => typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** The value with this text at its place, and nothing besides. */
function placed(path: readonly Step[], text: string): Json {
  return path.reduceRight<Json>((inner, step) => {
    if (typeof step === 'string') return { [step]: inner }
    if (typeof step === 'number') return [inner]
    return [{ index: step.index, ...(step.type !== undefined && { type: step.type }), ...objectOf(inner) }]
  }, text)
}

/** Anthropic's: blocks that begin, go on by deltas and stop. */
function ofMessages({ event, data }: StreamEvent, lanes: Lanes): StreamEvent[] {
  const index = countOf(data.index)
  if (data.type === 'content_block_start') {
    return [{ event, data: { ...data, content_block: lanes.whole(data.content_block ?? null) } }]
  }
  if (data.type === 'content_block_stop') return [...lanes.rest(`${index} `), { event, data }]
  if (data.type !== 'content_block_delta') return [{ event, data }]
  const delta = objectOf(data.delta)
  const field = { text_delta: 'text', thinking_delta: 'thinking', input_json_delta: 'partial_json' }[String(delta.type)]
  const text = field === undefined ? undefined : delta[field]
  if (field === undefined || typeof text !== 'string') return [{ event, data: { ...data, delta: lanes.whole(delta) } }]
  const more = (told: string) => ({ event, data: { ...data, delta: { ...delta, [field]: told } } })
  const spot = { is_main: field === 'text', group: '', is_arguments: field === 'partial_json', more }
  return [more(lanes.piece({ lane: `${index} ${field}`, ...spot }, text))]
}

/** OpenAI's responses: `….delta` events, each followed by a `….done` that says it all again, as the last event does. */
function ofResponses({ event, data }: StreamEvent, lanes: Lanes): StreamEvent[] {
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
  const rest = type.endsWith('.done') ? lanes.rest(lane) : []
  return [...rest, { event, data: objectOf(withoutLikelihoods(lanes.whole(data))) }]
}
