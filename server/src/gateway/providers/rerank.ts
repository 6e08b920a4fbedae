/** Rerank as nearly everybody speaks it: Cohere's request and answer, which Jina, vLLM, llama.cpp and others took over. */

import type { JsonObject, RerankAnswer, RerankRequest } from '../hub.ts'
import { broken } from './faults.ts'
import { countOf, filled, numberOf, objectOf, objectsOf, textOf } from './read.ts'

export const rerankBodyOf = (model: string, request: RerankRequest): JsonObject =>
  filled({
    ...request.others,
    model,
    query: request.query,
    documents: request.documents,
    top_n: request.top_n,
  })

export function rerankAnswerOf(body: JsonObject, request: RerankRequest): RerankAnswer {
  const told = objectsOf(body.results ?? body.data).map((result) => ({
    index: numberOf(result.index) ?? -1,
    score: numberOf(result.relevance_score) ?? numberOf(result.score) ?? Number.NaN,
  }))
  const isOdd = told.some(({ index, score }) => request.documents[index] === undefined || Number.isNaN(score))
  const isMissing = told.length === 0 && request.documents.length > 0
  if (isOdd || isMissing) throw broken('The provider’s scores do not fit the documents.', 'upstream_malformed')

  // llama.cpp tells the model's raw numbers; the order stays the same.
  const isRaw = told.some(({ score }) => score < 0 || score > 1)
  const results = told.map(({ index, score }) => ({ index, score: isRaw ? 1 / (1 + Math.exp(-score)) : score }))
  return {
    id: textOf(body.id) ?? '',
    model: textOf(body.model) ?? '',
    results: results.sort((a, b) => b.score - a.score),
    usage: { input: inputOf(body), cached: 0, cache_written: 0, output: 0, reasoning: 0 },
  }
}

function inputOf({ usage, meta }: JsonObject): number {
  const { prompt_tokens, total_tokens } = objectOf(usage)
  const { tokens, billed_units } = objectOf(meta)
  return countOf(
    numberOf(prompt_tokens) ??
      numberOf(total_tokens) ??
      objectOf(tokens).input_tokens ??
      objectOf(billed_units).input_tokens,
  )
}
