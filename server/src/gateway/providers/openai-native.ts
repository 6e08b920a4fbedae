/** The formats that OpenAI, Azure and those that speak OpenAI's API have by themselves: bytes pass, but for the model's
 *  name, for fields that have another name at a host, and for usage, which is asked for in every stream and hidden from
 *  a client that did not ask. */

import type { Fault, JsonObject, Usage } from '../hub.ts'
import { usageOf } from './openai-answer.ts'
import { faultIn } from './openai-fault.ts'
import { renamed, traitsOf } from './openai-hosts.ts'
import type { Account, Native, Outgoing, StreamPiece } from './provider.ts'
import { countOf, objectOf, parsed, textOf } from './read.ts'

export type Sent = (account: Account, model: string, path: string, body: JsonObject, dropped?: string[]) => Outgoing

const read = new WeakMap<StreamPiece, JsonObject>()

/** Parsed once, however much is asked of a piece. */
function bodyOf(piece: StreamPiece): JsonObject {
  const known = read.get(piece)
  if (known) return known
  const body = piece.data === '[DONE]' ? {} : objectOf(parsed(piece.data))
  read.set(piece, body)
  return body
}
const faultOfPiece = (piece: StreamPiece): Fault | undefined => faultIn(bodyOf(piece))

/** By these fields OpenRouter is asked for other models than the one that is allowed and paid for, and llama.cpp for a
 *  longer answer. */
const PASSING_BY = ['models', 'n_predict']

/** Chats and completions: chunks, the usage in one of them, and a mark at the end. */
export const chunked = (send: Sent, path: string): Native => ({
  request(account, model, body) {
    const traits = traitsOf(account)
    const dropped = traits.isOpenai ? [] : PASSING_BY.filter((name) => body[name] !== undefined)
    const told: JsonObject = { ...renamed(traits, body), model }
    for (const name of dropped) delete told[name]
    if (body.stream !== true || traits.tellsUsage) return send(account, model, path, told, dropped)
    const stream_options = { ...objectOf(body.stream_options), include_usage: true }
    return send(account, model, path, { ...told, stream_options }, dropped)
  },
  usageOf: (answer) => usageOf(answer.usage),
  usageOfPiece: (piece) => usageOf(bodyOf(piece).usage),
  hides(body, piece) {
    if (objectOf(body.stream_options).include_usage === true) return false
    const { choices, usage } = bodyOf(piece)
    return Array.isArray(choices) && choices.length === 0 && usageOf(usage) !== undefined
  },
  faultOfPiece,
  ends: ({ data }) => data === '[DONE]',
})

/** Has one answer. */
export const embedded = (send: Sent): Native => ({
  request: (account, model, body) => send(account, model, 'embeddings', { ...body, model }),
  usageOf: (answer) => usageOf(answer.usage),
  usageOfPiece: () => undefined,
  faultOfPiece,
  ends: () => false,
})

const ENDS = new Set(['response.completed', 'response.incomplete', 'response.failed'])

/** Responses: the last event carries the whole answer with its usage. A response that failed says so to the client in an
 *  event of its own. */
export const responses = (send: Sent): Native => ({
  request: (account, model, body) => send(account, model, 'responses', { ...body, model }),
  usageOf: (answer) => usageOfResponse(answer.usage),
  usageOfPiece(piece) {
    const { type, response } = bodyOf(piece)
    return ENDS.has(textOf(type) ?? '') ? usageOfResponse(objectOf(response).usage) : undefined
  },
  faultOfPiece(piece) {
    const body = bodyOf(piece)
    if (body.type !== 'error') return undefined
    return faultIn({ error: body.error ?? { ...body, type: 'server_error' } })
  },
  ends: (piece) => ENDS.has(textOf(bodyOf(piece).type) ?? ''),
})

function usageOfResponse(told: JsonObject[string] | undefined): Usage | undefined {
  const usage = objectOf(told)
  if (typeof usage.input_tokens !== 'number') return undefined
  const read = objectOf(usage.input_tokens_details)
  return {
    input: usage.input_tokens,
    cached: countOf(read.cached_tokens),
    cache_written: countOf(read.cache_write_tokens),
    output: countOf(usage.output_tokens),
    reasoning: countOf(objectOf(usage.output_tokens_details).reasoning_tokens),
  }
}
