/** The words that OpenTelemetry has for calls of models. All of them are still in development there: whatever is changed
 *  is changed here. Times are in seconds. */

import type { MouthName } from '../hub.ts'
import type { ProviderKind } from '../providers/provider.ts'

export const genAi = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  request_model: 'gen_ai.request.model',
  is_stream: 'gen_ai.request.stream',
  response_model: 'gen_ai.response.model',
  first_chunk_seconds: 'gen_ai.response.time_to_first_chunk',
  input_tokens: 'gen_ai.usage.input_tokens',
  cached_tokens: 'gen_ai.usage.cache_read.input_tokens',
  cache_written_tokens: 'gen_ai.usage.cache_creation.input_tokens',
  output_tokens: 'gen_ai.usage.output_tokens',
  reasoning_tokens: 'gen_ai.usage.reasoning.output_tokens',
} as const

export const operations: Record<MouthName, string> = {
  chat: 'chat',
  completions: 'text_completion',
  responses: 'chat',
  messages: 'chat',
  embeddings: 'embeddings',
  rerank: 'rerank',
}

export const providers: Record<ProviderKind, string> = {
  openai: 'openai',
  azure: 'azure.ai.openai',
  anthropic: 'anthropic',
  gemini: 'gcp.gemini',
  bedrock: 'aws.bedrock',
  cohere: 'cohere',
  flow: 'flow',
}
