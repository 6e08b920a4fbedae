/** OpenAI (https://platform.openai.com/docs/api-reference) and everything that speaks its API: Mistral, Groq, DeepSeek,
 *  Together, OpenRouter, vLLM, llama.cpp, Ollama, LM Studio … Clients that speak it, too, are passed on; those that speak
 *  another format go by the hub. Where hosts differ stands in openai-hosts.ts.
 *
 *  Options of an account: `responses`, `completions` and `rerank` say `native` or `none`, where it is not known of a host
 *  whether it speaks them. */

import type { JsonObject, RerankRequest } from '../hub.ts'
import { faultOf } from './faults.ts'
import { chatAnswerOf, chatStreamOf } from './openai-answer.ts'
import { fault } from './openai-fault.ts'
import { speaks, traitsOf } from './openai-hosts.ts'
import { chunked, embedded, responses, type Sent } from './openai-native.ts'
import { carriedBy, chatBodyOf } from './openai-request.ts'
import { type Account, type Adapter, type Outgoing, ProviderFault } from './provider.ts'
import { numberOf, objectsOf, textOf } from './read.ts'
import { rerankAnswerOf, rerankBodyOf } from './rerank.ts'

const headersOf = ({ key, headers }: Account): Record<string, string> => ({
  'content-type': 'application/json',
  ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  ...headers,
})

const send: Sent = (account, _model, path, body, dropped = []) => ({
  method: 'POST',
  url: `${account.base_url}/${path}`,
  headers: headersOf(account),
  body: JSON.stringify(body),
  dropped,
})

/** Chats by the hub; `send` says where to. */
export const chatBy = (send: Sent): NonNullable<Adapter['chat']> => ({
  request(account, model, request) {
    const { body, dropped } = chatBodyOf(traitsOf(account), model, request)
    return send(account, model, 'chat/completions', body, dropped)
  },
  carries: (account) => carriedBy(traitsOf(account)),
  answer: chatAnswerOf,
  stream: chatStreamOf,
})

export const nativeBy = (send: Sent): Adapter['native'] => ({
  chat: chunked(send, 'chat/completions'),
  completions: { speaks: (account) => speaks(account, 'completions'), ...chunked(send, 'completions') },
  responses: { speaks: (account) => speaks(account, 'responses'), ...responses(send) },
  embeddings: embedded(send),
})

export function modelsIn(body: JsonObject): { id: string; created: number | null }[] {
  const list = body.data ?? body.models
  if (!Array.isArray(list)) throw new TypeError('there is no list of models in it')
  return objectsOf(list).flatMap((model) => {
    const id = textOf(model.id)
    return id === undefined ? [] : [{ id, created: numberOf(model.created) ?? null }]
  })
}

export const openai: Adapter = {
  kind: 'openai',
  framing: 'sse',
  native: nativeBy(send),
  chat: chatBy(send),
  rerank: { request: rerankRequest, answer: rerankAnswerOf },
  fault,
  models: {
    request: (account) => ({
      method: 'GET',
      url: `${account.base_url}/models`,
      headers: headersOf(account),
      body: '',
      dropped: [],
    }),
    answer: modelsIn,
  },
}

function rerankRequest(account: Account, model: string, request: RerankRequest): Outgoing {
  if (speaks(account, 'rerank')) return send(account, model, 'rerank', rerankBodyOf(model, request))
  const message = 'The models of this provider cannot be asked to rerank.'
  throw new ProviderFault(faultOf(400, message, { code: 'unsupported', is_retryable: false }))
}
