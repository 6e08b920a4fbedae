/** An answer in Anthropic's format: a list of blocks in the order in which a model works. What it thought, what it says,
 *  which tools it calls. */

import { parsedExactly } from '../exact.ts'
import type { ChatAnswer, ChatRequest, Choice, FinishReason, JsonObject, ToolCall } from '../hub.ts'
import { broken } from '../providers/faults.ts'
import { nothing } from '../used.ts'
import { usageInMessages } from './anthropic.ts'
import { thoughtBlocks } from './anthropic-thoughts.ts'
import { isObject } from './checks.ts'
import type { About } from './mouth.ts'

export function answerMessages(given: ChatAnswer, _request: ChatRequest, about: About): JsonObject {
  const [choice] = given.choices
  if (!choice) throw broken('The provider answered without a choice.', 'empty_answer')
  const { refusal } = choice.message
  return {
    ...messageOf(about, contentOf(choice)),
    ...endOf(choice, { hasRefused: Boolean(refusal), hasCalled: Boolean(choice.message.tool_calls?.length) }),
    usage: { ...usageInMessages(given.usage), ...untold },
  }
}

/** What only Anthropic's own servers know. */
const untold = { cache_creation: null, inference_geo: null, service_tier: null, speed: null }

const messageOf = (about: About, content: JsonObject[]): JsonObject => ({
  id: `msg_${about.id}`,
  type: 'message',
  role: 'assistant',
  model: about.model,
  content,
  container: null,
  diagnostics: null,
})

/** How a stream begins: the tokens are told at its end, which is when they are known. */
export const beginningOf = (about: About): JsonObject => ({
  ...messageOf(about, []),
  stop_reason: null,
  stop_sequence: null,
  stop_details: null,
  usage: { ...usageInMessages(nothing), ...untold },
})

function contentOf({ message, finish_reason }: Choice): JsonObject[] {
  const { content, refusal, reasoning = [], tool_calls = [] } = message
  const texts = [content, refusal].filter((text) => text !== null && text !== '')
  return [
    ...reasoning.flatMap(thoughtBlocks),
    ...texts.map((text) => ({ type: 'text', text, citations: null })),
    ...tool_calls.flatMap((call) => callOf(call, finish_reason)),
  ]
}

export const callBlock = (id: string, name: string, input: JsonObject): JsonObject => ({
  type: 'tool_use',
  id,
  name,
  input,
  caller: { type: 'direct' },
})

function callOf({ id, function: called }: ToolCall, finish: FinishReason): JsonObject[] {
  const input = inputOf(called.arguments)
  if (input) return [callBlock(id, called.name, input)]
  // A call that was cut at its length cannot be made.
  if (finish === 'length') return []
  throw broken(`The model called "${called.name}" with what is no JSON object.`, 'malformed_function_call')
}

function inputOf(text: string): JsonObject | undefined {
  if (text.trim() === '') return {}
  const input = parsedExactly(text)
  return isObject(input) ? input : undefined
}

type Said = { hasRefused: boolean; hasCalled: boolean }

/** Why it ended. */
export function endOf(
  { finish_reason, stop_sequence }: Pick<Choice, 'finish_reason' | 'stop_sequence'>,
  { hasRefused, hasCalled }: Said,
): JsonObject {
  const isRefusal = hasRefused || finish_reason === 'content_filter'
  const refused = { type: 'refusal', category: null, explanation: null }
  return {
    stop_reason: isRefusal ? 'refusal' : reasonOf(finish_reason, hasCalled, stop_sequence ?? null),
    stop_sequence: stop_sequence ?? null,
    stop_details: isRefusal ? refused : null,
  }
}

function reasonOf(finish: FinishReason, hasCalled: boolean, stop_sequence: string | null): string {
  if (finish === 'length') return 'max_tokens'
  if (finish === 'tool_calls' || hasCalled) return 'tool_use'
  return stop_sequence === null ? 'end_turn' : 'stop_sequence'
}
