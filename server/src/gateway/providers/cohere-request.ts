/** A chat as Cohere's v2 reads it (https://docs.cohere.com/v2/reference/chat): near to OpenAI's, with a plan in the place
 *  of a text where tools are called, and documents beside the messages. */

import type { ChatRequest, Json, JsonObject, Message, Reasoning, ReasoningEffort, UserPart } from '../hub.ts'
import { untranslatable } from './faults.ts'
import type { Carries } from './lost.ts'
import { filled, mediaOf } from './read.ts'
import { imagesShown } from './shown-images.ts'

/** Marks what was thought by a model of Cohere's, and the plan that it made before it called tools. */
export const THOUGHT = 'cohere:thinking'
export const PLAN = 'cohere:plan'

/** Cohere's own, which no other format has a word for: a client that names them means them. */
const OWN = new Set(['documents', 'citation_options', 'safety_mode', 'strict_tools', 'priority'])
const NEVER_SAID = ['logit_bias', 'top_logprobs', 'user', 'metadata'] as const

export function chatBodyOf(model: string, request: ChatRequest): { body: JsonObject; dropped: string[] } {
  if (request.n !== undefined && request.n > 1) throw untranslatable('Cohere gives one answer to a request.', 'n')
  const dropped: string[] = NEVER_SAID.filter((name) => request[name] !== undefined)
  if (request.parallel_tool_calls === false) dropped.push('parallel_tool_calls')
  const others = Object.entries(request.others ?? {})
  dropped.push(...others.map(([name]) => name).filter((name) => !OWN.has(name)))
  const { messages, documents } = conversationOf(request.messages)
  const body = filled({
    ...(documents.length > 0 ? { documents } : {}),
    ...Object.fromEntries(others.filter(([name]) => OWN.has(name))),
    model,
    messages,
    stream: request.stream || undefined,
    max_tokens: request.max_completion_tokens,
    temperature: request.temperature,
    p: request.top_p,
    k: request.top_k,
    stop_sequences: request.stop?.length ? request.stop : undefined,
    seed: request.seed,
    presence_penalty: request.presence_penalty,
    frequency_penalty: request.frequency_penalty,
    logprobs: request.logprobs || undefined,
    response_format: formatOf(request, dropped),
    thinking: thinkingOf(model, request, dropped),
    ...toolsOf(request),
  })
  return { body, dropped }
}

export const carriedBy = (request: ChatRequest): Carries => ({
  names: false,
  details: true,
  filename: () => true,
  marks: false,
  tool_marks: false,
  errors: false,
  strict: () => toolsOf(request).strict_tools === true,
  thought: ({ signature }) => signature === THOUGHT || signature === PLAN,
  format: { description: false, strict: true },
})

/** Together with tools there is no JSON by a schema. */
function formatOf({ response_format: format, tools }: ChatRequest, dropped: string[]): JsonObject | undefined {
  if (!format || format.type === 'text') return undefined
  if (tools?.length) {
    dropped.push('response_format')
    return undefined
  }
  return filled({
    type: 'json_object',
    json_schema: format.type === 'json_schema' ? format.json_schema.schema : undefined,
  })
}

function toolsOf({ tools = [], tool_choice: choice }: ChatRequest): { [key: string]: Json | undefined } {
  // There is no word for one tool among others: it is the only one then.
  const wanted = typeof choice === 'object' ? choice.function.name : undefined
  const told = tools.filter(({ function: { name } }) => wanted === undefined || name === wanted)
  if (told.length === 0) return {}
  const isForced = choice === 'required' || wanted !== undefined
  return {
    tools: told.map(({ function: { name, description, parameters = { type: 'object', properties: {} } } }) => ({
      type: 'function',
      function: filled({ name, description, parameters }),
    })),
    tool_choice: choice === 'none' ? 'NONE' : isForced ? 'REQUIRED' : undefined,
    strict_tools: told.every((tool) => tool.function.strict) || undefined,
  }
}

/** Models that were there before Cohere's could think. */
const NEVER_THINK = /^(command(-light|-nightly)?$|command-r|command-a-(03|vision|translate)|c4ai-aya)/
/** Shares of the most that is thought with. */
const shares: Record<Exclude<ReasoningEffort, 'none'>, number> = {
  minimal: 0.02,
  low: 0.1,
  medium: 0.3,
  high: 0.6,
  xhigh: 0.9,
  max: 1,
}
const BUDGET_MAX = 32_768
const BUDGET_MIN = 1_024

function thinkingOf(model: string, request: ChatRequest, dropped: string[]): JsonObject | undefined {
  const { reasoning_effort: effort, reasoning_tokens: tokens } = request
  if (effort === undefined && tokens === undefined) return undefined
  const isOff = tokens === undefined ? effort === 'none' : tokens === 0
  if (NEVER_THINK.test(model)) {
    if (!isOff) dropped.push(tokens === undefined ? 'reasoning_effort' : 'reasoning_tokens')
    return undefined
  }
  if (isOff) return { type: 'disabled' }
  const share = effort === undefined || effort === 'none' ? 1 : shares[effort]
  return { type: 'enabled', token_budget: tokens ?? Math.max(BUDGET_MIN, Math.round(BUDGET_MAX * share)) }
}

type Conversation = { messages: JsonObject[]; documents: JsonObject[] }

function conversationOf(given: Message[]): Conversation {
  const documents: JsonObject[] = []
  const messages = imagesShown(given).map(({ message, at }): JsonObject => {
    if (message.role === 'assistant') return spokenOf(message)
    if (message.role === 'tool') {
      return { role: 'tool', tool_call_id: message.tool_call_id, content: textIn(message.content) }
    }
    if (message.role !== 'user') return { role: 'system', content: textIn(message.content) }
    return { role: 'user', content: partsOf(message.content, `messages[${at}].content`, documents) }
  })
  return { messages, documents }
}

const textIn = (content: string | { type: string; text?: string; refusal?: string }[]): string =>
  typeof content === 'string' ? content : content.map(({ text, refusal }) => text ?? refusal ?? '').join('\n')

function partsOf(content: string | UserPart[], at: string, documents: JsonObject[]): Json {
  if (typeof content === 'string') return content
  const parts = content.flatMap((part, i): JsonObject[] => partOf(part, `${at}[${i}]`, documents))
  const texts = parts.flatMap((part) => (typeof part.text === 'string' ? part.text : []))
  return texts.length === parts.length ? texts.join('\n') : parts
}

function partOf(part: UserPart, at: string, documents: JsonObject[]): JsonObject[] {
  if (part.type === 'text') return [{ type: 'text', text: part.text }]
  if (part.type === 'image_url') return [{ type: 'image_url', image_url: filled(part.image_url) }]
  if (part.type === 'input_audio') throw untranslatable('Cohere’s models do not listen: send a text.', at)
  const media = mediaOf(part.file.file_data ?? '')
  if (!media || !/^(text\/|application\/json$)/.test(media.type)) {
    throw untranslatable('Cohere reads files of text only, as a data: URL in file_data.', `${at}.file`)
  }
  const text = Buffer.from(media.data, 'base64').toString()
  documents.push({ data: filled({ text, title: part.file.filename }) })
  return []
}

function spokenOf({
  content,
  refusal,
  tool_calls,
  reasoning = [],
}: Extract<Message, { role: 'assistant' }>): JsonObject {
  const said = textIn(content ?? '') || (refusal ?? '')
  const ofMark = (mark: string) => reasoning.filter(({ signature }) => signature === mark)
  if (!tool_calls?.length) return { role: 'assistant', content: withThoughts(said, ofMark(THOUGHT)) }
  const plan =
    ofMark(PLAN)
      .map(({ text }) => text)
      .join('') || said
  return filled({ role: 'assistant', tool_calls, tool_plan: plan || undefined, content: thoughtsOf(ofMark(THOUGHT)) })
}

const thoughtsOf = (thoughts: Reasoning[]): JsonObject[] | undefined =>
  thoughts.length === 0 ? undefined : thoughts.map(({ text }) => ({ type: 'thinking', thinking: text }))
const withThoughts = (said: string, thoughts: Reasoning[]): Json => {
  const thought = thoughtsOf(thoughts)
  return thought ? [...thought, { type: 'text', text: said }] : said
}
