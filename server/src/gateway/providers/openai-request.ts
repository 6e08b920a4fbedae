/** A chat from the hub as a chat completion's request (https://platform.openai.com/docs/api-reference/chat/create). The
 *  hub is nearly this format; what remains is what models refuse, and where hosts differ. */

import { createHash } from 'node:crypto'
import type { CacheMark, ChatRequest, Json, JsonObject, Message, Reasoning, ReasoningEffort, UserPart } from '../hub.ts'
import type { Carries } from './lost.ts'
import { renamed, type Traits } from './openai-hosts.ts'
import { filled, objectOf, parsed } from './read.ts'
import { imagesShown } from './shown-images.ts'

type Fields = { [key: string]: Json | undefined }

export function chatBodyOf(
  traits: Traits,
  model: string,
  request: ChatRequest,
): { body: JsonObject; dropped: string[] } {
  const dropped: string[] = []
  const fields: Fields = {
    ...(request.mouth === 'chat' ? request.others : {}),
    model,
    messages: messagesOf(request.messages, traits),
    ...streamOf(request, traits),
    max_completion_tokens: request.max_completion_tokens,
    ...samplingOf(request),
    response_format: formatOf(request),
    ...toolsOf(request),
    ...effortOf(request, model, traits, dropped),
    user: request.user,
    metadata: request.metadata,
  }
  if (request.mouth !== 'chat') dropped.push(...Object.keys(request.others ?? {}))
  for (const name of refusedBy(traits, model, fields)) {
    if (fields[name] !== undefined) dropped.push(name)
    delete fields[name]
  }
  return { body: renamed(traits, filled(fields)), dropped }
}

export const carriedBy = (traits: Traits): Carries => ({
  names: !traits.unknown.has('name'),
  details: true,
  filename: () => true,
  marks: traits.hasMarks,
  tool_marks: false,
  errors: false,
  strict: () => true,
  thought: (block) => Object.keys(thoughtsOf([block], traits)).length > 0,
  format: { description: true, strict: true },
})

const streamOf = ({ stream }: ChatRequest, traits: Traits): Fields => {
  if (!stream) return {}
  return { stream, stream_options: traits.tellsUsage ? undefined : { include_usage: true } }
}

const samplingOf = (request: ChatRequest): Fields => ({
  temperature: request.temperature,
  top_p: request.top_p,
  top_k: request.top_k,
  n: request.n === 1 ? undefined : request.n,
  stop: request.stop?.length ? request.stop : undefined,
  seed: request.seed,
  presence_penalty: request.presence_penalty,
  frequency_penalty: request.frequency_penalty,
  logit_bias: request.logit_bias,
  logprobs: request.logprobs || undefined,
  top_logprobs: request.logprobs ? request.top_logprobs : undefined,
})

const formatOf = ({ response_format: format }: ChatRequest): JsonObject | undefined => {
  if (format?.type !== 'json_schema') return format && { type: format.type }
  return { type: 'json_schema', json_schema: filled(format.json_schema) }
}

function toolsOf(request: ChatRequest): Fields {
  if (!request.tools?.length) return {}
  const tools = request.tools.map(({ function: { name, description, parameters, strict } }) => ({
    type: 'function',
    function: filled({ name, description, parameters, strict: strict ?? undefined }),
  }))
  return { tools, tool_choice: request.tool_choice, parallel_tool_calls: request.parallel_tool_calls }
}

// What thinks, and how much.

type Version = { major: number; minor: number }

/** Of OpenAI's own models: those that think. Chat variants and older ones do not. */
function thinkerOf(model: string): Version | undefined {
  if (/^o\d/.test(model)) return { major: 4, minor: 0 }
  const [, major, minor = '0', variant = ''] = /^gpt-(\d+)(?:\.(\d+))?(?:-(.*))?$/.exec(model) ?? []
  const isChat = variant.startsWith('chat') && minor === '0'
  return Number(major) >= 5 && !isChat ? { major: Number(major), minor: Number(minor) } : undefined
}

const NEVER_WITH_THOUGHTS = ['presence_penalty', 'frequency_penalty', 'logit_bias']
const ONLY_WITHOUT_THOUGHTS = ['temperature', 'top_p', 'logprobs', 'top_logprobs']

/** https://platform.openai.com/docs/guides/latest-model says what thinking models refuse. */
function refusedBy(traits: Traits, model: string, fields: Fields): string[] {
  const refused = [...traits.unknown]
  // OpenAI takes metadata only of what it stores.
  if (traits.isOpenai && fields.store !== true) refused.push('metadata')
  const thinker = traits.isOpenai ? thinkerOf(model) : undefined
  if (!thinker) return refused
  const { major, minor } = thinker
  const mayNotThink = major === 5 && minor >= 1 && fields.reasoning_effort === 'none'
  return [...refused, ...NEVER_WITH_THOUGHTS, ...(mayNotThink ? [] : ONLY_WITHOUT_THOUGHTS)]
}

function effortOf(request: ChatRequest, model: string, traits: Traits, dropped: string[]): Fields {
  const { reasoning_effort: effort, reasoning_tokens: tokens } = request
  const drop = (): Fields => {
    if (effort !== undefined && effort !== 'none') dropped.push('reasoning_effort')
    if (tokens) dropped.push('reasoning_tokens')
    return {}
  }
  if (traits.isOpenai) return effortAtOpenai(request, model, drop)
  if (effort === undefined && tokens === undefined) return {}
  if (traits.effort === 'object') return { reasoning: effort === undefined ? { max_tokens: tokens ?? 0 } : { effort } }
  if (traits.effort === 'switch') {
    const isOff = effort === undefined ? tokens === 0 : effort === 'none'
    return { thinking: { type: isOff ? 'disabled' : 'enabled' } }
  }
  // A model that cannot think refuses to be told how much: only what was asked for by name is told.
  if (traits.effort === 'none' || effort === undefined) return drop()
  return { reasoning_effort: plainEfforts[effort] ?? effort }
}

/** Servers that people run know three words, and "none". */
const plainEfforts: Partial<Record<ReasoningEffort, ReasoningEffort>> = { minimal: 'low', xhigh: 'high', max: 'high' }

function effortAtOpenai(request: ChatRequest, model: string, drop: () => Fields): Fields {
  const thinker = thinkerOf(model)
  if (!thinker) return drop()
  const { reasoning_effort: effort = ofTokens(request.reasoning_tokens), tools } = request
  // These have functions only while they do not think, outside of /responses.
  const isSilent = thinker.major === 5 && thinker.minor >= 6 && (tools?.length ?? 0) > 0
  if (!isSilent) return { reasoning_effort: effort === 'max' ? 'xhigh' : effort }
  drop()
  return { reasoning_effort: 'none' }
}

function ofTokens(tokens: number | undefined): ReasoningEffort | undefined {
  if (tokens === undefined) return undefined
  if (tokens < 4_096) return 'low'
  return tokens < 16_384 ? 'medium' : 'high'
}

// Messages.

function messagesOf(messages: Message[], traits: Traits): JsonObject[] {
  const told = imagesShown(messages).map(({ message }) => messageOf(message, traits))
  return traits.isStrict ? inOrder(told) : told
}

/** What a user says behind the results of tools stands at the end of the last one. */
function inOrder(messages: JsonObject[]): JsonObject[] {
  const told: JsonObject[] = []
  for (const message of messages) {
    const before = told.at(-1)
    const isText = typeof message.content === 'string' && typeof before?.content === 'string'
    if (before?.role === 'tool' && message.role === 'user' && isText) {
      told[told.length - 1] = { ...before, content: `${before.content}\n\n${message.content}` }
    } else told.push(message)
  }
  return told
}

/** A name of another provider's, shortened; the same each time. */
function idOf(id: string, { isStrict }: Traits): string {
  if (!isStrict || /^[a-zA-Z0-9]{9}$/.test(id)) return id
  return createHash('sha256').update(id).digest('hex').slice(0, 9)
}

function messageOf(message: Message, traits: Traits): JsonObject {
  if (message.role === 'assistant') return spokenOf(message, traits)
  if (message.role === 'tool') {
    const { content } = message
    const tool_call_id = idOf(message.tool_call_id, traits)
    return { role: 'tool', tool_call_id, content: contentOf(content, traits) }
  }
  const name = traits.unknown.has('name') ? undefined : message.name
  // Only OpenAI knows developers.
  const role = message.role === 'developer' && !traits.isOpenai ? 'system' : message.role
  return filled({ role, content: contentOf(message.content, traits), name })
}

type Spoken = Extract<Message, { role: 'assistant' }>
type Part = UserPart | { type: 'refusal'; refusal: string }

function spokenOf(message: Spoken, traits: Traits): JsonObject {
  const { content, refusal, tool_calls, reasoning = [] } = message
  return filled({
    role: 'assistant',
    content: content === undefined || content === null ? null : contentOf(content, traits),
    refusal: refusal ?? undefined,
    name: traits.unknown.has('name') ? undefined : message.name,
    tool_calls: tool_calls?.length ? tool_calls.map((call) => ({ ...call, id: idOf(call.id, traits) })) : undefined,
    ...thoughtsOf(reasoning, traits),
  })
}

/** Texts alone become one: not every server reads lists in every role. */
function contentOf(content: string | Part[], traits: Traits): Json {
  if (typeof content === 'string') return content
  const texts = content.flatMap((part) => (part.type === 'text' ? part : []))
  const isPlain = texts.length === content.length && !(traits.hasMarks && texts.some((part) => part.cache_control))
  if (isPlain && (texts.length < 2 || !traits.readsLists)) return texts.map(({ text }) => text).join('\n')
  return content.map((part) => partOf(part, traits))
}

function partOf(part: Part, traits: Traits): JsonObject {
  const { cache_control, ...plain }: Part & CacheMark = part
  return filled({ ...plain, cache_control: cache_control && traits.hasMarks ? filled(cache_control) : undefined })
}

function thoughtsOf(reasoning: Reasoning[], traits: Traits): Fields {
  if (traits.thoughts === 'none') return {}
  // What is signed by another kind of provider stays here.
  const own = reasoning.filter(({ signature, data }) =>
    [signature, data].every((seal) => seal === undefined || isOurs(seal)),
  )
  if (own.length === 0) return {}
  if (traits.thoughts === 'reasoning_details') return { reasoning_details: own.map(detailOf) }
  const text = own.map((block) => block.text).join('')
  return text === '' ? {} : { reasoning_content: text }
}

const MARK = 'openai:'
const isOurs = (seal: string) => seal.startsWith(MARK)
/** What a host told of a block besides its text, to be handed back as it came. */
export const sealed = (detail: JsonObject) => MARK + JSON.stringify(detail)

function detailOf({ text, signature, data, id }: Reasoning, index: number): JsonObject {
  const rest = objectOf(parsed((data ?? signature ?? '').slice(MARK.length)))
  const type = typeof rest.type === 'string' ? rest.type : 'reasoning.text'
  const said: Fields = type === 'reasoning.summary' ? { summary: text } : { text: text || undefined }
  return filled({ id, ...rest, type, ...said, index })
}
