/** The built-in models for clients of other formats than theirs, which is OpenAI's chat completion: the hub is that
 *  format nearly, so only the reasoning, the faults and the end of a stream need words. */

import type { ChatAnswer, ChatChunk, ChatRequest, FinishReason, Json, JsonObject, ToolCall, Usage } from '../hub.ts'
import { broken, faultOf, interrupted } from './faults.ts'
import { type Naming, ProviderFault, type StreamReader } from './provider.ts'
import { countOf, filled, objectOf, objectsOf, parsed, textOf } from './read.ts'

const none: Usage = { input: 0, cached: 0, cache_written: 0, output: 0, reasoning: 0 }

/** What they read of a request. */
export const bodyOf = (model: string, request: ChatRequest): JsonObject =>
  filled({
    model,
    messages: request.messages as Json,
    max_completion_tokens: request.max_completion_tokens,
    n: request.n,
    ...(request.stream ? { stream: true, stream_options: { include_usage: true } } : {}),
  })

export function usageOf(told: Json | undefined): Usage | undefined {
  const usage = objectOf(told)
  if (typeof usage.prompt_tokens !== 'number') return undefined
  return {
    input: usage.prompt_tokens,
    cached: countOf(objectOf(usage.prompt_tokens_details).cached_tokens),
    cache_written: 0,
    output: countOf(usage.completion_tokens),
    reasoning: countOf(objectOf(usage.completion_tokens_details).reasoning_tokens),
  }
}

const finishes: FinishReason[] = ['stop', 'length', 'tool_calls', 'content_filter']
const finishOf = (told: Json | undefined): FinishReason | null => finishes.find((each) => each === told) ?? null

const headOf = (body: JsonObject, about: Naming) => ({
  id: textOf(body.id) ?? about.id,
  created: about.now,
  model: textOf(body.model) ?? '',
})

export function answerOf(body: JsonObject, about: Naming): ChatAnswer {
  const choices = objectsOf(body.choices).map((choice): ChatAnswer['choices'][number] => {
    const message = objectOf(choice.message)
    const thought = textOf(message.reasoning_content)
    const tool_calls = objectsOf(message.tool_calls).map(callOf)
    return {
      index: countOf(choice.index),
      message: {
        content: textOf(message.content) ?? null,
        refusal: null,
        ...(tool_calls.length > 0 ? { tool_calls } : {}),
        ...(thought ? { reasoning: [{ text: thought }] } : {}),
      },
      finish_reason: finishOf(choice.finish_reason) ?? 'stop',
    }
  })
  return { ...headOf(body, about), choices, usage: usageOf(body.usage) ?? none }
}

function callOf(call: JsonObject): ToolCall {
  const { name, arguments: given } = objectOf(call.function)
  return {
    id: textOf(call.id) ?? '',
    type: 'function',
    function: { name: textOf(name) ?? '', arguments: textOf(given) ?? '' },
  }
}

export function streamOf(about: Naming): StreamReader {
  let isDone = false
  return {
    push({ data }) {
      if (data === '[DONE]') isDone = true
      if (isDone) return []
      const body = parsed(data)
      if (body === undefined) throw broken('flow sent an event that is no JSON.', 'upstream_malformed')
      const chunk = objectOf(body)
      if (chunk.error) throw new ProviderFault(faultOf(502, textOf(objectOf(chunk.error).message) ?? data))
      const choices = objectsOf(chunk.choices).map((choice) => ({
        index: countOf(choice.index),
        delta: deltaOf(objectOf(choice.delta)),
        finish_reason: finishOf(choice.finish_reason),
      }))
      const usage = usageOf(chunk.usage)
      return [{ ...headOf(chunk, about), choices, ...(usage ? { usage } : {}) }]
    },
    end() {
      if (!isDone) throw interrupted('flow')
      return []
    },
  }
}

function deltaOf(told: JsonObject): ChatChunk['choices'][number]['delta'] {
  const thought = textOf(told.reasoning_content)
  const tool_calls = objectsOf(told.tool_calls).map((call) => {
    const { name, arguments: given } = objectOf(call.function)
    const [id, called] = [textOf(call.id), textOf(name)]
    const piece = { arguments: textOf(given) ?? '', ...(called === undefined ? {} : { name: called }) }
    return { index: countOf(call.index), ...(id === undefined ? {} : { id }), function: piece }
  })
  return {
    ...(textOf(told.content) ? { content: textOf(told.content) } : {}),
    ...(tool_calls.length > 0 ? { tool_calls } : {}),
    ...(thought ? { reasoning: { index: 0, text: thought } } : {}),
  }
}
