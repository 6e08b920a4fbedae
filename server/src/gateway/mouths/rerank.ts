/** Rerank: `POST /rerank`, as Cohere and Jina have it. Their clients read the same scores from the same places, and each
 *  its own word for what it cost. */

import type { Json, JsonObject, RerankAnswer, RerankRequest } from '../hub.ts'
import { emptyArray, flagAt, integerAt, isObject, othersOf, requiredText, tooLong } from './checks.ts'
import type { About, RerankMouth } from './mouth.ts'
import { missing, refuse, wrongType } from './refuse.ts'

export const rerank: RerankMouth = { read, answer }

const KNOWN = new Set(['model', 'query', 'documents', 'top_n', 'return_documents', 'stream'])
const DOCUMENTS_MAX = 10_000
/** What Cohere counts as one search. */
const DOCUMENTS_OF_A_SEARCH = 100

function read(body: JsonObject): RerankRequest {
  const query = requiredText(body, 'query')
  if (query === '') throw refuse("Invalid 'query': it cannot be an empty string.", 'query', 'empty_string')
  const top_n = integerAt(body, 'top_n', 1)
  const return_documents = flagAt(body, 'return_documents')
  const others = othersOf(body, KNOWN)

  return {
    model: requiredText(body, 'model'),
    query,
    documents: documentsOf(body.documents),
    ...(top_n !== undefined && { top_n }),
    ...(return_documents !== undefined && { return_documents }),
    ...(others !== undefined && { others }),
  }
}

function documentsOf(given: Json | undefined): string[] {
  if (given === undefined || given === null) throw missing('documents')
  if (!Array.isArray(given)) throw wrongType('documents', 'an array of strings', given)
  if (given.length === 0) throw emptyArray('documents')
  if (given.length > DOCUMENTS_MAX) throw tooLong('documents', given.length, DOCUMENTS_MAX)

  return given.map((document, i) => {
    if (typeof document === 'string') return document
    if (isObject(document)) return requiredText(document, 'text', `documents[${i}]`)
    throw wrongType(`documents[${i}]`, "a string, or an object with a 'text'", document)
  })
}

function answer({ results, usage }: RerankAnswer, request: RerankRequest, about: About): JsonObject {
  return {
    id: about.id,
    object: 'list',
    model: about.model,
    results: results.slice(0, request.top_n).map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(request.return_documents && { document: { text: request.documents[index] ?? '' } }),
    })),
    usage: { prompt_tokens: usage.input, total_tokens: usage.input },
    meta: { billed_units: { search_units: Math.ceil(request.documents.length / DOCUMENTS_OF_A_SEARCH) } },
  }
}
