/** A chat as Bedrock's Converse reads it (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html).
 *  What all models know has a place there; what only some know goes into `additionalModelRequestFields`, in the words of
 *  whoever made the model. Of Anthropic's models the adapter of Anthropic knows what they take, here as there. */

import type { ChatRequest, JsonObject, Tool, ToolChoice } from '../hub.ts'
import { JSON_TOOL, JSON_TOOL_SAYS, toolsBeside } from './answer-tool.ts'
import {
  carriedBy as carriedByClaude,
  answersByTool as claudeAnswersByTool,
  messageBodyOf,
} from './anthropic-request.ts'
import { closedSchema } from './anthropic-schema.ts'
import { type Traits, traitsOf } from './anthropic-traits.ts'
import { cachePointOf, conversationOf, thoughtOf as handedBack, isDocument } from './bedrock-messages.ts'
import { caches, type Family, familyOf, jsonBy, tellsErrors } from './bedrock-models.ts'
import { untranslatable } from './faults.ts'
import type { Carries } from './lost.ts'
import { filled, objectOf, objectsOf, textOf } from './read.ts'

/** What a family makes of the wishes. */
type Made = {
  inference: JsonObject
  tools: JsonObject[]
  toolChoice?: JsonObject
  output?: JsonObject
  additional: JsonObject
  dropped: string[]
}

export function converseBodyOf(model: string, request: ChatRequest): { body: JsonObject; dropped: string[] } {
  if ((request.n ?? 1) > 1) throw untranslatable('Bedrock gives one answer to a call. Leave n out.', 'n')
  const family = familyOf(model)
  const { system, turns, called } = conversationOf(model, family, request.messages)
  const made = family === 'claude' ? madeForClaude(model, request) : madeFor(family, request)
  const requestMetadata = metadataOf(request)
  // A conversation in which tools were called is refused without tools.
  const tools = made.tools.length > 0 ? made.tools : [...called].map((name) => toolSpec({ name }))
  const body = filled({
    messages: turns,
    system: system.length > 0 ? system : undefined,
    inferenceConfig: unlessEmpty(made.inference),
    toolConfig: tools.length > 0 ? filled({ tools, toolChoice: made.toolChoice }) : undefined,
    outputConfig: made.output,
    additionalModelRequestFields: unlessEmpty(made.additional),
    additionalModelResponseFieldPaths:
      family === 'claude' && request.stop?.length ? ['/stop_sequence', '/delta/stop_sequence'] : undefined,
    requestMetadata,
  })
  const dropped = new Set(made.dropped)
  if (requestMetadata) dropped.delete('metadata')

  return { body, dropped: [...dropped] }
}

const unlessEmpty = (fields: JsonObject) => (Object.keys(fields).length > 0 ? fields : undefined)

const METADATA = /^[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}$/

/** Where all of it is of characters that Bedrock writes into its logs. */
function metadataOf({ metadata }: ChatRequest): JsonObject | undefined {
  const pairs = Object.entries(metadata ?? {})
  const isTaken = pairs.length > 0 && pairs.every(([name, value]) => METADATA.test(name) && METADATA.test(value))
  return isTaken ? Object.fromEntries(pairs) : undefined
}

export function carriedBy(model: string, request: ChatRequest): Carries {
  const family = familyOf(model)
  const filename = isDocument
  const thought: Carries['thought'] = (block) => handedBack(block, family).length > 0
  if (family === 'claude') {
    const carried = carriedByClaude(request, claudeTraitsOf(model))
    return { ...carried, filename, thought, format: { ...carried.format, description: carried.format.strict } }
  }
  const isBySchema = formatOf(family, request).is === 'schema'
  return {
    names: false,
    details: false,
    filename,
    marks: caches(family),
    tool_marks: false,
    errors: tellsErrors(family),
    strict: () => false,
    thought,
    format: { description: isBySchema, strict: isBySchema },
  }
}

type Spec = { name: string; description?: string; schema?: JsonObject; strict?: boolean }

function toolSpec({ name, description, schema, strict }: Spec): JsonObject {
  const given = schema ?? {}
  const json: JsonObject = given.type === undefined ? { type: 'object', properties: {}, ...given } : given
  return { toolSpec: filled({ name, description: description || undefined, inputSchema: { json }, strict }) }
}

// Anthropic's models.

/** Those for which Bedrock promises answers by a schema, and tools whose input keeps to theirs
 *  (https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html). */
const BY_SCHEMA = /claude-(opus-4-[56]|sonnet-4-5|haiku-4-5)/

/** What a model of Anthropic's takes here. */
function claudeTraitsOf(model: string): Traits {
  const traits = traitsOf(model)
  return { ...traits, takesFormat: traits.takesFormat && BY_SCHEMA.test(model) }
}

function madeForClaude(model: string, request: ChatRequest): Made {
  const { body, dropped } = messageBodyOf(model, request, claudeTraitsOf(model))
  const choice = objectOf(body.tool_choice)
  // What Converse has no word for is told in Anthropic's own.
  const isOwnChoice = choice.type === 'none' || choice.disable_parallel_tool_use !== undefined
  const isThinking = objectOf(body.thinking).type === 'enabled'
  const { format, ...effort } = objectOf(body.output_config)
  return {
    inference: filled({
      // Thoughts are part of what may be written.
      maxTokens: isThinking ? body.max_tokens : request.max_completion_tokens,
      temperature: body.temperature,
      topP: body.top_p,
      stopSequences: body.stop_sequences,
    }),
    tools: objectsOf(body.tools).flatMap(claudeTool),
    toolChoice: isOwnChoice ? undefined : choiceOf(choice),
    output: format === undefined ? undefined : textFormat(objectOf(objectOf(format).schema), request),
    additional: filled({
      thinking: body.thinking,
      output_config: unlessEmpty(effort),
      top_k: body.top_k,
      tool_choice: isOwnChoice ? choice : undefined,
    }),
    dropped: [...dropped, ...(request.user === undefined ? [] : ['user'])],
  }
}

function claudeTool(tool: JsonObject): JsonObject[] {
  const mark = objectOf(tool.cache_control)
  const spec = toolSpec({
    name: textOf(tool.name) ?? '',
    description: textOf(tool.description),
    schema: objectOf(tool.input_schema),
    strict: tool.strict === true || undefined,
  })
  if (tool.cache_control === undefined) return [spec]
  return [spec, ...cachePointOf({ cache_control: { type: 'ephemeral', ttl: textOf(mark.ttl) } }, 'claude')]
}

function choiceOf({ type, name }: JsonObject): JsonObject | undefined {
  if (type === 'any') return { any: {} }
  return type === 'tool' ? { tool: { name: name ?? '' } } : undefined
}

// All other models.

const NEVER_SAID = [
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'metadata',
  'user',
] as const

function madeFor(family: Exclude<Family, 'claude'>, request: ChatRequest): Made {
  const dropped: string[] = NEVER_SAID.filter((name) => request[name] !== undefined && request[name] !== false)
  const thought = thoughtOf(family, request, dropped)
  const made = {
    inference: inferenceOf(family, request, thought.isHigh, dropped),
    additional: { ...thought.fields, ...topKOf(family, request, dropped) },
  }
  const format = formatOf(family, request)
  if (format.is === 'lost') dropped.push('response_format')
  if (request.parallel_tool_calls === false && request.tools?.length) dropped.push('parallel_tool_calls')
  dropped.push(...Object.keys(request.others ?? {}))
  if (format.is === 'tool') {
    const answer = toolSpec({ name: JSON_TOOL, description: JSON_TOOL_SAYS, schema: format.schema })
    return { ...made, tools: [...toolsBeside(request).map(plainTool), answer], toolChoice: { any: {} }, dropped }
  }
  const tooling = toolingOf(request, dropped)
  if (format.is === 'schema') return { ...made, ...tooling, output: textFormat(format.schema, request), dropped }
  return { ...made, ...tooling, dropped }
}

/** Temperatures end at 1 there. OpenAI's own models take none, and nothing at which to stop. */
function inferenceOf(family: Family, request: ChatRequest, isHigh: boolean, dropped: string[]): JsonObject {
  const { temperature, top_p, stop } = request
  const takesSampling = family !== 'gpt' && !isHigh
  const takesStop = family !== 'gpt' && family !== 'gpt-oss'
  const fields = {
    maxTokens: request.max_completion_tokens,
    temperature: takesSampling && temperature !== undefined ? Math.min(temperature, 1) : undefined,
    topP: takesSampling ? top_p : undefined,
    stopSequences: takesStop && stop?.length ? stop : undefined,
  }
  if (fields.temperature !== temperature) dropped.push('temperature')
  if (fields.topP !== top_p) dropped.push('top_p')
  if (stop?.length && !takesStop) dropped.push('stop')

  return filled(fields)
}

function topKOf(family: Family, { top_k }: ChatRequest, dropped: string[]): JsonObject {
  if (top_k === undefined) return {}
  if (family === 'nova' || family === 'nova2') return { inferenceConfig: { topK: top_k } }
  dropped.push('top_k')
  return {}
}

type Thought = { fields: JsonObject; isHigh: boolean }
const efforts = { minimal: 'low', low: 'low', medium: 'medium', high: 'high', xhigh: 'high', max: 'high' } as const

/** `isHigh`: Nova takes no sampling then, and no limit; where there is one it thinks less, so that no more is written
 *  than is paid for. */
function thoughtOf(family: Family, request: ChatRequest, dropped: string[]): Thought {
  const { reasoning_effort: effort, reasoning_tokens: tokens } = request
  if (tokens) dropped.push('reasoning_tokens')
  if (effort === undefined) return { fields: {}, isHigh: false }
  const level = effort === 'none' ? undefined : efforts[effort]
  if (family === 'nova2') {
    if (!level) return { fields: { reasoningConfig: { type: 'disabled' } }, isHigh: false }
    const isLimited = level === 'high' && request.max_completion_tokens !== undefined
    if (isLimited) dropped.push('reasoning_effort')
    const maxReasoningEffort = isLimited ? 'medium' : level
    const reasoningConfig = { type: 'enabled', maxReasoningEffort }
    return { fields: { reasoningConfig }, isHigh: maxReasoningEffort === 'high' }
  }
  // It cannot be told not to think.
  if (family === 'gpt-oss') return { fields: { reasoning_effort: level ?? 'low' }, isHigh: false }
  if (family === 'gpt') return { fields: { reasoning: { effort } }, isHigh: false }
  if (level) dropped.push('reasoning_effort')
  return { fields: {}, isHigh: false }
}

type Format = { is: 'text' | 'lost' } | { is: 'schema' | 'tool'; schema: JsonObject }

function formatOf(family: Exclude<Family, 'claude'>, { response_format: format, tools }: ChatRequest): Format {
  if (!format || format.type === 'text') return { is: 'text' }
  const schema = format.type === 'json_schema' ? format.json_schema.schema : undefined
  const by = jsonBy[family]
  if (by === 'schema' && schema) return { is: 'schema', schema: closedSchema(schema) }
  // Any JSON: with tools at hand the model could no longer choose to call one of them.
  if (by === 'tool' && (schema || !tools?.length)) return { is: 'tool', schema: schema ?? { type: 'object' } }
  return { is: 'lost' }
}

/** Whether the answer is what the model calls the tool with. */
export function answersByTool(model: string, request: ChatRequest): boolean {
  const family = familyOf(model)
  if (family === 'claude') return claudeAnswersByTool(request, claudeTraitsOf(model))
  return formatOf(family, request).is === 'tool'
}

function textFormat(schema: JsonObject, { response_format: format }: ChatRequest): JsonObject {
  const named = format?.type === 'json_schema' ? format.json_schema : undefined
  const jsonSchema = filled({ name: named?.name, description: named?.description, schema: JSON.stringify(schema) })
  return { textFormat: { type: 'json_schema', structure: { jsonSchema } } }
}

/** `auto` is what happens unsaid, and some refuse to be told. There is no word for `none`: the tools are left out. */
function toolingOf(request: ChatRequest, dropped: string[]): Pick<Made, 'tools' | 'toolChoice'> {
  const { tool_choice: choice, tools = [] } = request
  const hasCalls = request.messages.some((message) => message.role === 'assistant' && message.tool_calls?.length)
  if (choice === 'none' && !hasCalls) return { tools: [] }
  if (choice === 'none') dropped.push('tool_choice')
  const toolChoice = forcedOf(choice)
  return { tools: tools.map(plainTool), ...(toolChoice && tools.length > 0 ? { toolChoice } : {}) }
}

function forcedOf(choice: ToolChoice | undefined): JsonObject | undefined {
  if (choice === 'required') return { any: {} }
  return typeof choice === 'object' ? { tool: { name: choice.function.name } } : undefined
}

const plainTool = ({ function: { name, description, parameters } }: Tool): JsonObject =>
  toolSpec({ name, description, schema: parameters })
