/** Amazon Bedrock by its own API, version 2023-09-30 (https://docs.aws.amazon.com/bedrock/latest/APIReference): chats by
 *  Converse, embeddings and rerank by InvokeModel, and the models that an account may call. The base URL is
 *  `https://bedrock-runtime.{region}.amazonaws.com`. */

import type { EmbeddingsAnswer, EmbeddingsRequest, JsonObject, RerankRequest } from '../hub.ts'
import { chatAnswerOf, chatStreamOf } from './bedrock-answer.ts'
import { fault } from './bedrock-fault.ts'
import { carriedBy, converseBodyOf } from './bedrock-request.ts'
import { sign } from './bedrock-sign.ts'
import { broken, untranslatable } from './faults.ts'
import type { Account, Adapter, Outgoing } from './provider.ts'
import { countOf, filled, listOf, objectOf, objectsOf, vectorOf } from './read.ts'
import { rerankAnswerOf } from './rerank.ts'

function sent(account: Account, model: string, verb: string, body: JsonObject, dropped: string[]): Outgoing {
  return {
    method: 'POST',
    // An ARN has colons and slashes in it.
    url: `${account.base_url}/model/${encodeURIComponent(model)}/${verb}`,
    headers: { 'content-type': 'application/json', ...account.headers },
    body: JSON.stringify(body),
    dropped,
  }
}

// Embeddings.

const isCohere = (model: string) => model.includes('cohere.')
const COHERE_INPUTS_MAX = 96

/** Cohere's words, and those of Gemini, which other clients know. */
const purposes: Record<string, string> = {
  query: 'search_query',
  document: 'search_document',
  retrieval_query: 'search_query',
  retrieval_document: 'search_document',
}

function embeddingsRequest(account: Account, model: string, request: EmbeddingsRequest): Outgoing {
  const texts = request.input.map((text) => {
    if (typeof text === 'string') return text
    throw untranslatable("Token ids are of OpenAI's models: Bedrock embeds text.", 'input')
  })
  const dropped = [...(request.user === undefined ? [] : ['user']), ...Object.keys(request.others ?? {})]
  const { dimensions, input_type } = request
  if (isCohere(model)) {
    const asked = input_type?.toLowerCase() ?? 'search_document'
    // Before version 4 their length is fixed.
    const takesLength = !/embed-(english|multilingual)-v3/.test(model)
    if (!takesLength && dimensions !== undefined) dropped.push('dimensions')
    const output_dimension = takesLength ? dimensions : undefined
    const body = filled({ texts, input_type: purposes[asked] ?? asked, output_dimension })
    return sent(account, model, 'invoke', body, dropped)
  }
  if (input_type !== undefined) dropped.push('input_type')
  const takesLength = !/titan-embed-(text-v1|g1)/.test(model)
  if (!takesLength && dimensions !== undefined) dropped.push('dimensions')
  const body = filled({ inputText: texts[0] ?? '', dimensions: takesLength ? dimensions : undefined })
  return sent(account, model, 'invoke', body, dropped)
}

function embeddingsAnswer(body: JsonObject, request: EmbeddingsRequest): EmbeddingsAnswer {
  const many = Array.isArray(body.embeddings) ? body.embeddings : listOf(objectOf(body.embeddings).float)
  const vectors = (body.embedding === undefined ? many : [body.embedding]).map(vectorOf)
  if (vectors.length !== request.input.length) {
    throw broken(`Bedrock gave ${vectors.length} vectors for ${request.input.length} texts.`, 'malformed_answer')
  }
  const input = body.inputTextTokenCount === undefined ? guessed(request.input) : countOf(body.inputTextTokenCount)
  const usage = { input, cached: 0, cache_written: 0, output: 0, reasoning: 0 }

  return { model: request.model, vectors, usage }
}

/** Of Cohere's models Bedrock does not tell the tokens in the answer: four bytes are about one. */
const guessed = (input: EmbeddingsRequest['input']) =>
  input.reduce((sum: number, text) => sum + (typeof text === 'string' ? Math.ceil(Buffer.byteLength(text) / 4) : 0), 0)

// Models.

/** Lists are given by another host than calls, of the same owner: `bedrock.{region}.amazonaws.com`. */
const controlOf = (base_url: string) =>
  base_url.replace(/^(https:\/\/)bedrock-runtime((?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com|api\.aws))/, '$1bedrock$2')

/** Models that are called by their own names, or the inference profiles by which the others are. */
function modelsIn(body: JsonObject): { id: string; created: number | null }[] {
  const { modelSummaries, inferenceProfileSummaries } = body
  if (!Array.isArray(modelSummaries) && !Array.isArray(inferenceProfileSummaries)) {
    throw new TypeError('there is no list of models in it')
  }
  const models = objectsOf(modelSummaries)
    .filter(({ inferenceTypesSupported: types }) => types === undefined || listOf(types).includes('ON_DEMAND'))
    .filter(({ modelLifecycle }) => objectOf(modelLifecycle).status !== 'LEGACY')
    .map(({ modelId }) => modelId)
  // The organization's own have a name that says nothing, and are called by their ARN.
  const profiles = objectsOf(inferenceProfileSummaries).map(({ type, inferenceProfileId, inferenceProfileArn }) =>
    type === 'APPLICATION' ? inferenceProfileArn : inferenceProfileId,
  )
  return [...models, ...profiles].flatMap((id) => (typeof id === 'string' ? [{ id, created: null }] : []))
}

const listing = (account: Account, path: string): Outgoing => ({
  method: 'GET',
  url: `${controlOf(account.base_url)}/${path}`,
  headers: { ...account.headers },
  body: '',
  dropped: [],
})

// Rerank.

function rerankRequest(account: Account, model: string, request: RerankRequest): Outgoing {
  const { query, documents, top_n } = request
  // Cohere's models ask which of their formats this is.
  const body = filled({ query, documents, top_n, api_version: isCohere(model) ? 2 : undefined })
  return sent(account, model, 'invoke', body, Object.keys(request.others ?? {}))
}

export const bedrock: Adapter = {
  kind: 'bedrock',
  framing: 'aws',
  native: {},
  chat: {
    request(account, model, request) {
      const { body, dropped } = converseBodyOf(model, request)
      return sent(account, model, request.stream ? 'converse-stream' : 'converse', body, dropped)
    },
    carries: (_account, model, request) => carriedBy(model, request),
    answer: chatAnswerOf,
    stream: chatStreamOf,
  },
  embeddings: {
    inputsMax: (model) => (isCohere(model) ? COHERE_INPUTS_MAX : 1),
    request: embeddingsRequest,
    answer: embeddingsAnswer,
  },
  rerank: { request: rerankRequest, answer: rerankAnswerOf },
  fault,
  models: {
    request: (account) => listing(account, 'foundation-models'),
    more: (account) => [listing(account, 'inference-profiles?maxResults=1000')],
    answer: modelsIn,
  },
  sign,
}
