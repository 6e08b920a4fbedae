/** Cohere by its own API, version 2 (https://docs.cohere.com/v2/reference): chats, embeddings, rerank and models. The base
 *  URL is `https://api.cohere.com`, with or without the version. */

import type { EmbeddingsAnswer, EmbeddingsRequest, Fault, Json, JsonObject } from '../hub.ts'
import { chatAnswerOf, chatStreamOf } from './cohere-answer.ts'
import { carriedBy, chatBodyOf } from './cohere-request.ts'
import { broken, faultOf, retryAfterOf, tooLong, untranslatable } from './faults.ts'
import type { Account, Adapter, Outgoing } from './provider.ts'
import { countOf, filled, listOf, objectOf, objectsOf, parsed, textOf, vectorOf } from './read.ts'
import { rerankAnswerOf, rerankBodyOf } from './rerank.ts'

const INPUTS_MAX = 96

const rootOf = ({ base_url }: Account) => base_url.replace(/\/v[12]$/, '')
const headersOf = ({ key, headers }: Account): Record<string, string> => ({
  'content-type': 'application/json',
  ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  ...headers,
})
const send = (account: Account, path: string, body: JsonObject, dropped: string[] = []): Outgoing => ({
  method: 'POST',
  url: `${rootOf(account)}/v2/${path}`,
  headers: headersOf(account),
  body: JSON.stringify(body),
  dropped,
})

/** What vectors are for, in Cohere's words and in Google's. */
const purposes: Record<string, string> = {
  query: 'search_query',
  document: 'search_document',
  retrieval_query: 'search_query',
  retrieval_document: 'search_document',
}
/** Whoever does not say it keeps what he embeds. */
const PURPOSE_USUAL = 'search_document'
const OWN = new Set(['truncate', 'max_tokens', 'priority'])

function embeddingsRequest(account: Account, model: string, request: EmbeddingsRequest): Outgoing {
  const texts = request.input.map((text): string => {
    if (typeof text === 'string') return text
    throw untranslatable("Token ids are of OpenAI's models: Cohere embeds text.", 'input')
  })
  const purpose = request.input_type?.toLowerCase() ?? PURPOSE_USUAL
  const others = Object.entries(request.others ?? {})
  const body = filled({
    ...Object.fromEntries(others.filter(([name]) => OWN.has(name))),
    model,
    texts,
    input_type: purposes[purpose] ?? purpose,
    embedding_types: [request.encoding_format === 'base64' ? 'base64' : 'float'],
    output_dimension: request.dimensions,
  })
  const dropped = [...(request.user === undefined ? [] : ['user']), ...others.map(([name]) => name)]
  return send(
    account,
    'embed',
    body,
    dropped.filter((name) => !OWN.has(name)),
  )
}

function embeddingsAnswer(body: JsonObject, request: EmbeddingsRequest): EmbeddingsAnswer {
  const { float, base64 } = objectOf(body.embeddings)
  const vectors = Array.isArray(float) ? float.map(vectorOf) : listOf(base64).map(decoded)
  if (vectors.length !== request.input.length) {
    throw broken(`Cohere gave ${vectors.length} vectors for ${request.input.length} texts.`, 'upstream_malformed')
  }
  const input = countOf(objectOf(objectOf(body.meta).billed_units).input_tokens)
  return { model: request.model, vectors, usage: { input, cached: 0, cache_written: 0, output: 0, reasoning: 0 } }
}

/** 32-bit numbers, little-endian. */
function decoded(text: Json): number[] {
  const bytes = Buffer.from(textOf(text) ?? '', 'base64')
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4))
}

function fault(status: number, headers: Record<string, string | undefined>, text: string): Fault {
  const { message: said } = objectOf(parsed(text))
  const message = textOf(said) ?? `Cohere answered with status ${status}.`
  const wait = retryAfterOf(headers)
  // "Invalid token": a status of Cohere's own.
  if (status === 498) return faultOf(401, message)
  if (status === 400 && /too many tokens|context length|token limit/i.test(message)) return tooLong(message)
  if (status === 400 && /blocked (input|output|content)|safety/i.test(message)) {
    return faultOf(400, message, { code: 'content_filter' })
  }
  if (status === 429 && /\/ ?month|per month|billing/i.test(message)) {
    return faultOf(429, message, { type: 'insufficient_quota', code: 'insufficient_quota', is_retryable: false })
  }
  return faultOf(status, message, wait === undefined ? {} : { retry_after_seconds: wait })
}

export const cohere: Adapter = {
  kind: 'cohere',
  framing: 'sse',
  native: {},
  chat: {
    request(account, model, request) {
      const { body, dropped } = chatBodyOf(model, request)
      return send(account, 'chat', body, dropped)
    },
    carries: (_account, _model, request) => carriedBy(request),
    answer: chatAnswerOf,
    stream: chatStreamOf,
  },
  embeddings: { inputsMax: () => INPUTS_MAX, request: embeddingsRequest, answer: embeddingsAnswer },
  rerank: {
    request: (account, model, request) => send(account, 'rerank', rerankBodyOf(model, request)),
    answer: rerankAnswerOf,
  },
  fault,
  models: {
    request: (account) => ({
      method: 'GET',
      url: `${rootOf(account)}/v1/models?page_size=1000`,
      headers: headersOf(account),
      body: '',
      dropped: [],
    }),
    answer(body) {
      if (!Array.isArray(body.models)) throw new TypeError('there is no list of models in it')
      return objectsOf(body.models).flatMap(({ name, is_deprecated }) => {
        const id = textOf(name)
        return id === undefined || is_deprecated === true ? [] : [{ id, created: null }]
      })
    },
  },
}
