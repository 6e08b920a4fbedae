/** A chat as Google's `generateContent` reads it (https://ai.google.dev/api/generate-content). Thoughts' signatures go
 *  back to the very part they came with: Gemini 3 refuses a function call without its signature. */

import { parsedExactly } from '../exact.ts'
import type { ChatRequest, Json, JsonObject, Message, Reasoning, ToolCall, UserPart } from '../hub.ts'
import { untranslatable } from './faults.ts'
import type { Carries } from './lost.ts'
import { filled, mediaOf, objectOf } from './read.ts'

type Turn = { role: 'user' | 'model'; parts: JsonObject[] }

/** What Google tells to send where a function call's own signature is not at hand
 *  (https://ai.google.dev/gemini-api/docs/thought-signatures). */
const NO_SIGNATURE = 'skip_thought_signature_validator'

/** Where a signature stood: with a thought, with the text, or with the function call of that number. The client hands
 *  it back inside of its reasoning, which has no such place. */
type Place = 'thought' | 'text' | `call${number}`
export const signed = (place: Place, signature: string) => `gemini:${place}:${signature}`

/** What the models of a name do and do not take. Unknown names are taken for the newest. */
export function traitsOf(model: string) {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase()
  const isGemma = name.startsWith('gemma')
  const isOld = /^gemini-(1|2\.0|pro$|pro-vision)/.test(name)
  const isTwoAndHalf = name.startsWith('gemini-2.5')
  return {
    isGemma,
    isPro: name.includes('-pro'),
    thinks: isGemma || isOld ? 'never' : isTwoAndHalf ? 'by budget' : 'by level',
    hasLeastLevel: /^gemini-3(\.[0-6])?-flash/.test(name),
    takesPenalties: !isTwoAndHalf,
    /** Answers by a schema while it also has functions to call, and reads images in their results. */
    isThird: !isGemma && !isOld && !isTwoAndHalf,
  } as const
}
type Traits = ReturnType<typeof traitsOf>

export function generateBodyOf(model: string, request: ChatRequest): { body: JsonObject; dropped: string[] } {
  const traits = traitsOf(model)
  const { system, contents } = conversationOf(request.messages, traits)
  const dropped = droppedOf(request, traits)
  const body = filled({
    systemInstruction: system.length > 0 && !traits.isGemma ? { parts: system } : undefined,
    contents,
    tools: request.tools?.length ? [{ functionDeclarations: request.tools.map(declarationOf) }] : undefined,
    toolConfig: toolConfigOf(request),
    generationConfig: generationOf(request, traits, dropped),
  })
  return { body, dropped }
}

export const carried: Carries = {
  names: false,
  details: false,
  filename: () => false,
  marks: false,
  tool_marks: false,
  errors: true,
  strict: () => true,
  thought: ({ signature }) => placedIn(signature) !== undefined,
  format: { description: false, strict: true },
}

const NEVER_SAID = ['logit_bias', 'user', 'metadata'] as const

function droppedOf(request: ChatRequest, traits: Traits): string[] {
  const dropped: string[] = NEVER_SAID.filter((name) => request[name] !== undefined)
  if (request.parallel_tool_calls === false) dropped.push('parallel_tool_calls')
  if (formatClashes(request, traits)) dropped.push('response_format')
  if (!traits.takesPenalties) {
    if (request.presence_penalty) dropped.push('presence_penalty')
    if (request.frequency_penalty) dropped.push('frequency_penalty')
  }
  if (traits.thinks === 'never') {
    if (request.reasoning_effort && request.reasoning_effort !== 'none') dropped.push('reasoning_effort')
    if (request.reasoning_tokens) dropped.push('reasoning_tokens')
  }
  return [...dropped, ...Object.keys(request.others ?? {})]
}

/** Before Gemini 3 a call with functions cannot ask for JSON as well. */
const formatClashes = (request: ChatRequest, traits: Traits) =>
  !traits.isThird &&
  request.tools?.length !== undefined &&
  request.tools.length > 0 &&
  request.response_format !== undefined &&
  request.response_format.type !== 'text'

function generationOf(request: ChatRequest, traits: Traits, dropped: string[]): JsonObject | undefined {
  const has = (name: keyof ChatRequest) => !dropped.includes(name)
  const config = filled({
    maxOutputTokens: request.max_completion_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    candidateCount: request.n === 1 ? undefined : request.n,
    stopSequences: request.stop?.length ? request.stop : undefined,
    seed: request.seed,
    presencePenalty: has('presence_penalty') ? request.presence_penalty : undefined,
    frequencyPenalty: has('frequency_penalty') ? request.frequency_penalty : undefined,
    responseLogprobs: request.logprobs || undefined,
    logprobs: request.logprobs && request.top_logprobs ? request.top_logprobs : undefined,
    ...(has('response_format') ? formatOf(request) : {}),
    thinkingConfig: thinkingOf(request, traits),
  })
  return Object.keys(config).length > 0 ? config : undefined
}

function formatOf(request: ChatRequest): { [key: string]: Json | undefined } {
  const format = request.response_format
  if (!format || format.type === 'text') return {}
  const schema = format.type === 'json_schema' ? format.json_schema.schema : undefined
  return { responseMimeType: 'application/json', responseJsonSchema: schema && withoutConst(schema) }
}

/** `const` is the one usual word of JSON Schema that `responseJsonSchema` refuses; a list of one says the same. */
function withoutConst(schema: JsonObject): JsonObject {
  const plain: JsonObject = {}
  for (const [word, value] of Object.entries(schema)) {
    if (word === 'const') plain.enum = [value]
    else if (['properties', '$defs', 'definitions'].includes(word))
      plain[word] = Object.fromEntries(Object.entries(objectOf(value)).map(([name, one]) => [name, schemaOf(one)]))
    else if (['items', 'additionalProperties'].includes(word)) plain[word] = schemaOf(value)
    else if (['anyOf', 'oneOf', 'allOf', 'prefixItems'].includes(word) && Array.isArray(value))
      plain[word] = value.map(schemaOf)
    else plain[word] = value
  }
  return plain
}
const schemaOf = (value: Json): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? withoutConst(value) : value

/** Google's own table for OpenAI's efforts (https://ai.google.dev/gemini-api/docs/openai#thinking). */
const budgets = { minimal: 1024, low: 1024, medium: 8192, high: 24_576, xhigh: 24_576, max: 24_576 } as const
/** The least that the Pro models of 2.5 think with: they cannot be told not to. */
const PRO_BUDGET_MIN = 128

function thinkingOf(request: ChatRequest, traits: Traits): JsonObject | undefined {
  const { reasoning_effort: effort, reasoning_tokens: tokens } = request
  if (traits.thinks === 'never') return undefined
  if (tokens !== undefined) return { thinkingBudget: tokens, includeThoughts: tokens > 0 }
  if (effort === undefined) return undefined
  if (traits.thinks === 'by level') {
    const least = traits.hasLeastLevel ? 'minimal' : 'low'
    if (effort === 'none') return { thinkingLevel: least }
    const level = effort === 'minimal' ? least : ['xhigh', 'max'].includes(effort) ? 'high' : effort
    return { thinkingLevel: level, includeThoughts: true }
  }
  if (effort === 'none') return { thinkingBudget: traits.isPro ? PRO_BUDGET_MIN : 0 }
  return { thinkingBudget: budgets[effort], includeThoughts: true }
}

const declarationOf = (tool: NonNullable<ChatRequest['tools']>[number]): JsonObject =>
  filled({
    name: tool.function.name,
    description: tool.function.description ?? '',
    parametersJsonSchema: tool.function.parameters,
  })

function toolConfigOf(request: ChatRequest): JsonObject | undefined {
  const choice = request.tool_choice
  if (!request.tools?.length) return undefined
  const isStrict = request.tools.some((tool) => tool.function.strict)
  if (choice === undefined || choice === 'auto') {
    if (isStrict) return { functionCallingConfig: { mode: 'VALIDATED' } }
    return choice && { functionCallingConfig: { mode: 'AUTO' } }
  }
  if (choice === 'none') return { functionCallingConfig: { mode: 'NONE' } }
  if (choice === 'required') return { functionCallingConfig: { mode: 'ANY' } }
  return { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: [choice.function.name] } }
}

function conversationOf(messages: Message[], traits: Traits): { system: JsonObject[]; contents: Turn[] } {
  const system: JsonObject[] = []
  const contents: Turn[] = []
  /** The names of called functions by the ids of their calls: a result is told by name. */
  const called = new Map<string, string>()
  let results: Turn | undefined

  for (const [index, message] of messages.entries()) {
    if (message.role === 'tool') {
      const name = called.get(message.tool_call_id)
      if (name === undefined)
        throw untranslatable(
          `The result "${message.tool_call_id}" belongs to no function call before it.`,
          `messages[${index}].tool_call_id`,
        )
      // All results of one turn stand together: Gemini counts them against the calls.
      if (!results) {
        results = { role: 'user', parts: [] }
        contents.push(results)
      }
      results.parts.push(...resultOf(message, name, traits, index))
      continue
    }
    results = undefined
    if (message.role === 'system' || message.role === 'developer') system.push(...textsOf(message.content))
    else if (message.role === 'user') contents.push({ role: 'user', parts: partsOf(message.content, index) })
    else if (message.role === 'assistant') {
      for (const call of message.tool_calls ?? []) called.set(call.id, call.function.name)
      const parts = spokenOf(message, traits)
      if (parts.length > 0) contents.push({ role: 'model', parts })
    }
  }
  if (traits.isGemma && system.length > 0) {
    const first = contents.find((turn) => turn.role === 'user')
    first?.parts.unshift({ text: `${system.map((part) => part.text).join('\n\n')}\n\n` })
  }
  return { system, contents }
}

const textsOf = (content: string | { text: string }[]): JsonObject[] =>
  typeof content === 'string' ? [{ text: content }] : content.map((part) => ({ text: part.text }))

function partsOf(content: string | UserPart[], index: number): JsonObject[] {
  if (typeof content === 'string') return [{ text: content }]
  return content.map((part, at) => userPartOf(part, `messages[${index}].content[${at}]`))
}

function userPartOf(part: UserPart, where: string): JsonObject {
  if (part.type === 'text') return { text: part.text }
  if (part.type === 'image_url') return linked(part.image_url.url, `${where}.image_url.url`)
  if (part.type === 'input_audio')
    return { inlineData: { mimeType: `audio/${part.input_audio.format}`, data: part.input_audio.data } }
  const url = part.file.file_data ?? part.file.file_id
  if (url === undefined) throw untranslatable('A file needs its content as a data: URL in file_data.', `${where}.file`)
  return linked(url, `${where}.file`)
}

const kindsByEnding: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  heic: 'image/heic',
  pdf: 'application/pdf',
}

/** Gemini takes bytes in the call, and fetches public https addresses and files of its own store. */
function linked(url: string, where: string): JsonObject {
  const media = mediaOf(url)
  if (media) return { inlineData: { mimeType: media.type, data: media.data } }
  if (!/^(https?|gs):/.test(url)) throw untranslatable('Only data: and https: URLs are understood here.', where)
  const ending = /\.([a-z]+)(?:[?#]|$)/i.exec(url)?.[1]?.toLowerCase() ?? ''
  return { fileData: filled({ fileUri: url, mimeType: kindsByEnding[ending] }) }
}

function spokenOf(message: Extract<Message, { role: 'assistant' }>, traits: Traits): JsonObject[] {
  const signatures = signaturesOf(message.reasoning ?? [])
  const texts = typeof message.content === 'string' ? [message.content] : (message.content ?? []).map(spokenTextOf)
  if (message.refusal) texts.push(message.refusal)
  const parts = signatures.thoughts
  for (const text of texts) if (text !== '') parts.push({ text })
  const last = parts.at(-1)
  if (signatures.text !== undefined && texts.length > 0 && last && !last.thought)
    last.thoughtSignature = signatures.text
  return [...parts, ...callsOf(message.tool_calls ?? [], signatures.calls, traits)]
}
const spokenTextOf = (part: { type: 'text'; text: string } | { type: 'refusal'; refusal: string }) =>
  part.type === 'text' ? part.text : part.refusal

const placedIn = (signature = '') => /^gemini:(thought|text|call)(\d*):(.*)$/s.exec(signature) ?? undefined

/** What the client handed back, sorted by where it stood. Thoughts without a signature of Gemini's stay here. */
function signaturesOf(reasoning: Reasoning[]) {
  const thoughts: JsonObject[] = []
  const calls = new Map<number, string>()
  let text: string | undefined
  for (const block of reasoning) {
    const placed = placedIn(block.signature)
    if (!placed) continue
    const [, place, number, signature = ''] = placed
    if (place === 'thought') thoughts.push({ text: block.text, thought: true, thoughtSignature: signature })
    else if (place === 'text') text = signature
    else calls.set(Number(number), signature)
  }
  return { thoughts, calls, text }
}

function callsOf(calls: ToolCall[], signatures: Map<number, string>, traits: Traits): JsonObject[] {
  let isSigned = false
  return calls.map((call, index) => {
    const own = signatures.get(index)
    // One signature covers the parallel calls behind it.
    const signature = own ?? (traits.isThird && !isSigned ? NO_SIGNATURE : undefined)
    isSigned ||= own !== undefined
    const args = objectOf(parsedExactly(call.function.arguments))
    return filled({ functionCall: { id: call.id, name: call.function.name, args }, thoughtSignature: signature })
  })
}

function resultOf(
  message: Extract<Message, { role: 'tool' }>,
  name: string,
  traits: Traits,
  index: number,
): JsonObject[] {
  const { content } = message
  const parts = typeof content === 'string' ? [] : content
  const text =
    typeof content === 'string' ? content : parts.flatMap((p) => (p.type === 'text' ? p.text : [])).join('\n')
  const images = parts.flatMap<JsonObject>((part, at) =>
    part.type === 'image_url' ? linked(part.image_url.url, `messages[${index}].content[${at}]`) : [],
  )
  const response: JsonObject = message.is_error ? { error: text } : { output: text }
  const answered = { id: message.tool_call_id, name, response }
  if (images.length === 0) return [{ functionResponse: answered }]
  if (traits.isThird) return [{ functionResponse: { ...answered, parts: images } }]
  return [{ functionResponse: answered }, ...images]
}
