/** What OpenAI's formats have in common when they answer: how usage is told, and how a fault is. */

import type { Fault, JsonObject, Usage } from '../hub.ts'

export function usageInChat(usage: Usage): JsonObject {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cached, audio_tokens: 0, cache_write_tokens: usage.cache_written },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

/** The body of a refusal, and of the event that ends a stream in its middle. */
export function faultInOpenai(fault: Fault): JsonObject {
  return { error: { message: fault.message, type: fault.type, param: fault.param ?? null, code: fault.code } }
}

/** One event of a stream whose clients read only its `data`. */
export const eventOf = (content: JsonObject) => `data: ${JSON.stringify(content)}\n\n`

export const DONE = 'data: [DONE]\n\n'
