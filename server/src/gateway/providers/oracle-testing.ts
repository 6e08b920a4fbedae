/** The AI SDK's providers as an oracle: the same request through them, with a fetch that answers what was recorded.
 *  What they send and what they understand is held beside ours. */

import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4GenerateResult,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider'
import type { ChatRequest, FinishReason, Json, JsonObject, Message, ToolChoice, Usage, UserPart } from '../hub.ts'
import type { Understood } from './exchanges-testing.ts'

export type Captured = { url: string; headers: Record<string, string>; body: JsonObject }

/** A fetch that answers each call with the same bytes and keeps what was asked. */
export function recording(answer: () => Response) {
  const calls: Captured[] = []
  const recorder = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const headers = Object.fromEntries(new Headers(init?.headers))
    calls.push({ url: String(input), headers, body: JSON.parse(String(init?.body ?? '{}')) })
    return answer()
  }
  return { recorder, calls }
}

/** How a provider's own options name what the hub has of its own: signatures, cache marks. */
export type Dialect = { optionsOf(reasoning: { text: string; signature?: string; data?: string }): JsonObject | null }

export function callOptionsOf(request: ChatRequest, provider: string, dialect?: Dialect): LanguageModelV4CallOptions {
  const format = request.response_format
  const schema = format?.type === 'json_schema' ? format.json_schema.schema : undefined
  const effort = request.reasoning_effort
  return {
    prompt: joined(
      request.messages.map((message, index) => promptOf(message, request.messages.slice(0, index), provider, dialect)),
    ),
    maxOutputTokens: request.max_completion_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    stopSequences: request.stop,
    seed: typeof request.seed === 'number' ? request.seed : undefined,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    responseFormat: format && format.type !== 'text' ? { type: 'json', schema } : undefined,
    tools: request.tools?.map(
      ({ function: { name, description, parameters } }): LanguageModelV4FunctionTool => ({
        type: 'function',
        name,
        description,
        inputSchema: parameters ?? {},
      }),
    ),
    toolChoice: request.tool_choice && choiceOf(request.tool_choice),
    reasoning: effort === 'max' ? 'xhigh' : effort,
  }
}

/** The AI SDK has the results of one turn in one message. */
function joined(messages: LanguageModelV4Message[]): LanguageModelV4Message[] {
  const prompt: LanguageModelV4Message[] = []
  for (const message of messages) {
    const last = prompt.at(-1)
    if (message.role === 'tool' && last?.role === 'tool') last.content.push(...message.content)
    else prompt.push(message)
  }
  return prompt
}

const choiceOf = (choice: ToolChoice) =>
  typeof choice === 'string' ? { type: choice } : { type: 'tool' as const, toolName: choice.function.name }

function promptOf(
  message: Message,
  before: Message[],
  provider: string,
  dialect: Dialect | undefined,
): LanguageModelV4Message {
  if (message.role === 'assistant') return assistantOf(message, provider, dialect)
  if (message.role === 'user') {
    const parts: UserPart[] =
      typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content
    return { role: 'user', content: parts.map(userPartOf) }
  }
  if (message.role === 'tool') {
    const called = before.flatMap((m) => (m.role === 'assistant' ? (m.tool_calls ?? []) : []))
    const toolName = called.find((call) => call.id === message.tool_call_id)?.function.name ?? ''
    const value = typeof message.content === 'string' ? message.content : JSON.stringify(message.content)
    const output = { type: message.is_error ? ('error-text' as const) : ('text' as const), value }
    return { role: 'tool', content: [{ type: 'tool-result', toolCallId: message.tool_call_id, toolName, output }] }
  }
  const { content } = message
  return { role: 'system', content: typeof content === 'string' ? content : content.map((p) => p.text).join('') }
}

function assistantOf(
  message: Extract<Message, { role: 'assistant' }>,
  provider: string,
  dialect: Dialect | undefined,
): LanguageModelV4Message {
  const text = typeof message.content === 'string' ? message.content : ''
  const reasoning = (message.reasoning ?? []).flatMap((block) => {
    const options = dialect?.optionsOf(block)
    return options ? [{ type: 'reasoning' as const, text: block.text, providerOptions: { [provider]: options } }] : []
  })
  const calls = (message.tool_calls ?? []).map((call, index) => {
    const signature = message.reasoning?.find((b) => b.signature?.startsWith(`gemini:call${index}:`))?.signature
    const options = signature && { [provider]: { thoughtSignature: signature.slice(`gemini:call${index}:`.length) } }
    const input = JSON.parse(call.function.arguments)
    const base = { type: 'tool-call' as const, toolCallId: call.id, toolName: call.function.name, input }
    return options ? { ...base, providerOptions: options } : base
  })
  return { role: 'assistant', content: [...reasoning, ...(text ? [{ type: 'text' as const, text }] : []), ...calls] }
}

function userPartOf(part: UserPart) {
  if (part.type === 'text') return { type: 'text' as const, text: part.text }
  const url = part.type === 'image_url' ? part.image_url.url : part.type === 'file' ? (part.file.file_data ?? '') : ''
  const [, mediaType = 'image/png', data] = /^data:([^;]+);base64,(.*)$/s.exec(url) ?? []
  const filename = part.type === 'file' ? part.file.filename : undefined
  if (data === undefined) return { type: 'file' as const, mediaType, data: { type: 'url' as const, url: new URL(url) } }
  return { type: 'file' as const, mediaType, filename, data: { type: 'data' as const, data } }
}

/** Null where the oracle has a word of its own that the hub has not (`error`, `other`, `interrupted`). */
const finishes: Record<string, FinishReason> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
}

export type Opinion = Omit<Understood, 'finish'> & {
  finish: FinishReason | null
  usage: Omit<Usage, 'reasoning'> & { reasoning: number | undefined }
}

type Finish = Extract<LanguageModelV4StreamPart, { type: 'finish' }>
/** The providers come with versions of the interface that know different reasons for an end. */
type Ended<Told extends { finishReason: unknown }> = Omit<Told, 'finishReason'> & { finishReason: { unified: string } }
type StreamPart = Exclude<LanguageModelV4StreamPart, Finish> | Ended<Finish> | { type: 'ping' }
export type Oracle = {
  doGenerate(options: LanguageModelV4CallOptions): PromiseLike<Ended<LanguageModelV4GenerateResult>>
  doStream(options: LanguageModelV4CallOptions): PromiseLike<{ stream: ReadableStream<StreamPart> }>
}
const usageOf = ({ usage }: Pick<Finish, 'usage'>): Opinion['usage'] => ({
  input: usage.inputTokens.total ?? 0,
  cached: usage.inputTokens.cacheRead ?? 0,
  cache_written: usage.inputTokens.cacheWrite ?? 0,
  output: usage.outputTokens.total ?? 0,
  reasoning: usage.outputTokens.reasoning,
})

export async function opinionOf(model: Oracle, options: LanguageModelV4CallOptions): Promise<Opinion> {
  const result = await model.doGenerate(options)
  const texts = (type: 'text' | 'reasoning') =>
    result.content.flatMap((part) => (part.type === type ? part.text : [])).join('')
  return {
    text: texts('text'),
    reasoning: texts('reasoning'),
    calls: result.content.flatMap((part) =>
      part.type === 'tool-call'
        ? [{ id: part.toolCallId, name: part.toolName, arguments: JSON.parse(part.input) as Json }]
        : [],
    ),
    finish: finishes[result.finishReason.unified] ?? null,
    usage: usageOf(result),
  }
}

/** The same of a stream; the error is the first that it told. */
export async function opinionOfStream(
  model: Oracle,
  options: LanguageModelV4CallOptions,
): Promise<Opinion & { error: unknown }> {
  const { stream } = await model.doStream(options)
  const opinion: Opinion & { error: unknown } = {
    ...{ text: '', reasoning: '', calls: [], finish: null, error: undefined },
    usage: { input: 0, cached: 0, cache_written: 0, output: 0, reasoning: 0 },
  }
  for await (const part of stream) {
    if (part.type === 'text-delta') opinion.text += part.delta
    if (part.type === 'reasoning-delta') opinion.reasoning += part.delta
    if (part.type === 'tool-call')
      opinion.calls.push({ id: part.toolCallId, name: part.toolName, arguments: JSON.parse(part.input) as Json })
    if (part.type === 'error') opinion.error ??= part.error
    if (part.type !== 'finish') continue
    opinion.finish = finishes[part.finishReason.unified] ?? null
    opinion.usage = usageOf(part)
  }
  return opinion
}
