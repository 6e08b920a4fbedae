/** A response as a whole: its head, with what it repeats of the request, how it ended, and its items. */

import type { ChatAnswer, ChatRequest, Fault, FinishReason, Json, JsonObject, Usage } from '../hub.ts'
import type { About } from './mouth.ts'
import {
  callItem,
  type ItemStatus,
  logprobsOf,
  messageItem,
  type RefusalOut,
  reasoningItem,
  type TextOut,
} from './responses-items.ts'

/** How far a response has come. */
export type State = {
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  output: Json[]
  usage?: Usage
  finish?: FinishReason
  fault?: Fault
}

const defaults: JsonObject = {
  instructions: null,
  metadata: {},
  parallel_tool_calls: true,
  temperature: null,
  tool_choice: 'auto',
  tools: [],
  top_p: null,
}

export function responseOf(request: ChatRequest, about: About, state: State): JsonObject {
  const { status, output, usage, finish, fault } = state
  return {
    id: `resp_${about.id}`,
    object: 'response',
    created_at: about.created,
    status,
    access_programs: null,
    error: fault ? { code: errorCodeOf(fault), message: fault.message } : null,
    incomplete_details: status === 'incomplete' ? { reason: incompleteReasonOf(finish) } : null,
    ...defaults,
    ...request.echo,
    model: about.model,
    output,
    ...(usage && { usage: toldUsage(usage) }),
  }
}

const incompleteReasonOf = (finish: FinishReason | undefined) =>
  finish === 'content_filter' ? 'content_filter' : 'max_output_tokens'

export const statusOf = (finish: FinishReason): 'completed' | 'incomplete' =>
  finish === 'length' || finish === 'content_filter' ? 'incomplete' : 'completed'

/** The reference knows few. */
function errorCodeOf({ status }: Fault): string {
  if (status === 429) return 'rate_limit_exceeded'
  return status >= 400 && status < 500 ? 'invalid_prompt' : 'server_error'
}

const toldUsage = (usage: Usage): JsonObject => ({
  input_tokens: usage.input,
  input_tokens_details: { cached_tokens: usage.cached, cache_write_tokens: usage.cache_written },
  output_tokens: usage.output,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.input + usage.output,
})

/** The items that a whole answer of the hub amounts to. */
export function responseTo(answer: ChatAnswer, request: ChatRequest, about: About): JsonObject {
  const [choice] = answer.choices
  const { usage } = answer
  if (!choice) return responseOf(request, about, { status: 'completed', output: [], usage })
  const { content, refusal, reasoning = [], tool_calls = [] } = choice.message
  const status = statusOf(choice.finish_reason)
  const logprobs = request.logprobs ? logprobsOf(choice.logprobs) : []
  const parts: (TextOut | RefusalOut)[] = []
  if (content) parts.push({ type: 'output_text', text: content, logprobs })
  if (refusal) parts.push({ type: 'refusal', refusal })

  const count = reasoning.length + (parts.length > 0 ? 1 : 0) + tool_calls.length
  /** What was cut short is the last of them. */
  const endOf = (place: number): ItemStatus => (place === count - 1 ? status : 'completed')
  const output = reasoning.map((block, i) => reasoningItem(idOf('rs', about, i), block))
  if (parts.length > 0) output.push(messageItem(idOf('msg', about, output.length), endOf(output.length), parts))
  for (const { id, function: called } of tool_calls) {
    output.push(callItem(idOf('fc', about, output.length), endOf(output.length), { call_id: id, ...called }))
  }

  return responseOf(request, about, { status, output, usage, finish: choice.finish_reason })
}

/** An item's name, by its place in the output. */
export const idOf = (kind: 'rs' | 'msg' | 'fc', about: About, place: number) => `${kind}_${about.id}_${place}`
