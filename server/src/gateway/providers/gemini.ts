/** Google's Gemini by its own API, version v1beta (https://ai.google.dev/api): chats, embeddings and models. */

import type { EmbeddingsAnswer, EmbeddingsRequest, JsonObject } from '../hub.ts'
import { broken, untranslatable } from './faults.ts'
import { chatAnswerOf, chatStreamOf, usageOf } from './gemini-answer.ts'
import { fault } from './gemini-fault.ts'
import { carried, generateBodyOf } from './gemini-request.ts'
import type { Account, Adapter, Outgoing } from './provider.ts'
import { filled, objectOf, objectsOf, textOf, vectorOf } from './read.ts'

const INPUTS_MAX = 100

function sent(account: Account, path: string, body: JsonObject, dropped: string[]): Outgoing {
  return {
    method: 'POST',
    url: `${account.base_url}/${path}`,
    headers: headersOf(account),
    body: JSON.stringify(body),
    dropped,
  }
}
const headersOf = (account: Account): Record<string, string> => ({
  'content-type': 'application/json',
  ...(account.key === null ? {} : { 'x-goog-api-key': account.key }),
  ...account.headers,
})

const TUNED = 'tunedModels/'
/** A tuned model's name has a folder of its own. Callers choose names: none leads to another place of this host, and none
 *  is a second name of a model, past its limits and its price. */
const pathOf = (model: string) =>
  model.startsWith(TUNED)
    ? TUNED + encodeURIComponent(model.slice(TUNED.length))
    : `models/${encodeURIComponent(model)}`

/** Task types in Google's words and in Cohere's, which other clients know. */
const tasks: Record<string, string> = {
  search_query: 'RETRIEVAL_QUERY',
  search_document: 'RETRIEVAL_DOCUMENT',
  query: 'RETRIEVAL_QUERY',
  document: 'RETRIEVAL_DOCUMENT',
  classification: 'CLASSIFICATION',
  clustering: 'CLUSTERING',
}

function embeddingsRequest(account: Account, model: string, request: EmbeddingsRequest): Outgoing {
  const name = pathOf(model)
  const requests = request.input.map((text): JsonObject => {
    if (typeof text !== 'string') throw untranslatable("Token ids are of OpenAI's models: Gemini embeds text.", 'input')
    return filled({
      model: name,
      content: { parts: [{ text }] },
      taskType: request.input_type && (tasks[request.input_type] ?? request.input_type.toUpperCase()),
      outputDimensionality: request.dimensions,
    })
  })
  const dropped = [...(request.user === undefined ? [] : ['user']), ...Object.keys(request.others ?? {})]
  const [first] = requests
  if (requests.length === 1 && first) return sent(account, `${name}:embedContent`, first, dropped)
  return sent(account, `${name}:batchEmbedContents`, { requests }, dropped)
}

function embeddingsAnswer(body: JsonObject, request: EmbeddingsRequest): EmbeddingsAnswer {
  const embeddings = body.embedding === undefined ? objectsOf(body.embeddings) : [objectOf(body.embedding)]
  if (embeddings.length !== request.input.length)
    throw broken(`Gemini gave ${embeddings.length} vectors for ${request.input.length} texts.`, 'malformed_answer')
  return {
    model: request.model,
    vectors: embeddings.map((one) => vectorOf(one.values)),
    usage: { ...usageOf(body.usageMetadata), output: 0, reasoning: 0 },
  }
}

export const gemini: Adapter = {
  kind: 'gemini',
  framing: 'sse',
  native: {},
  chat: {
    request(account, model, request) {
      const { body, dropped } = generateBodyOf(model, request)
      const verb = request.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
      return sent(account, `${pathOf(model)}:${verb}`, body, dropped)
    },
    carries: () => carried,
    answer: chatAnswerOf,
    stream: chatStreamOf,
  },
  embeddings: { inputsMax: () => INPUTS_MAX, request: embeddingsRequest, answer: embeddingsAnswer },
  fault,
  models: {
    request: (account) => ({
      method: 'GET',
      url: `${account.base_url}/models?pageSize=1000`,
      headers: headersOf(account),
      body: '',
      dropped: [],
    }),
    answer: (body) =>
      objectsOf(body.models).flatMap((model) => {
        const name = textOf(model.name)
        return name === undefined ? [] : [{ id: name.replace(/^models\//, ''), created: null }]
      }),
  },
}
