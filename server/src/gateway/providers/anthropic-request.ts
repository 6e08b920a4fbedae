/** A chat as Anthropic's Messages API reads it (https://platform.claude.com/docs/en/api/messages): how much is written and
 *  thought, by which schema, with which tools. Where two wishes exclude each other, what the answer must be comes before
 *  how it is thought: thinking is left out, and named as dropped. */

import type { ChatRequest, JsonObject, Tool } from '../hub.ts'
import { JSON_TOOL, JSON_TOOL_SAYS, toolsBeside } from './answer-tool.ts'
import { conversationOf, thoughtOf as handedBack, isDocument, lacksThoughts, type Turn } from './anthropic-messages.ts'
import { closedSchema, isClosable } from './anthropic-schema.ts'
import { type Traits, traitsOf } from './anthropic-traits.ts'
import { untranslatable } from './faults.ts'
import type { Carries } from './lost.ts'
import { filled, objectOf } from './read.ts'

export type Made = { body: JsonObject; dropped: string[]; betas: string[] }

/** `traits`: of the model where it is served by another provider than Anthropic. */
export function messageBodyOf(model: string, request: ChatRequest, traits: Traits = traitsOf(model)): Made {
  if ((request.n ?? 1) > 1) throw untranslatable('Anthropic gives one answer to a call. Leave n out.', 'n')
  const { system, turns, hasFiles } = conversationOf(request.messages)
  const max_tokens = request.max_completion_tokens ?? traits.output_max
  const format = formatOf(request, traits)
  const tools = toolingOf(request, traits, format)
  const thought = thoughtOf(request, traits, { turns, max_tokens, mustCall: tools.mustCall })
  const sampling = samplingOf(request, traits, thought.isOn)
  const output = filled({
    effort: thought.effort,
    format: format.is === 'schema' ? { type: 'json_schema', schema: format.schema } : undefined,
  })
  const body = filled({
    model,
    max_tokens,
    system: system.length > 0 ? system : undefined,
    messages: turns,
    ...sampling.fields,
    stop_sequences: request.stop?.length ? request.stop : undefined,
    thinking: thought.thinking,
    output_config: Object.keys(output).length > 0 ? output : undefined,
    tools: tools.tools,
    tool_choice: tools.tool_choice,
    metadata: request.user === undefined ? undefined : { user_id: request.user },
    stream: request.stream || undefined,
  })
  const dropped = [
    ...NEVER_SAID.filter((name) => request[name] !== undefined && request[name] !== false),
    ...(format.is === 'lost' ? ['response_format'] : []),
    ...sampling.dropped,
    ...thought.dropped,
    ...tools.dropped,
    ...Object.keys(request.others ?? {}),
  ]
  return { body, dropped, betas: hasFiles ? ['files-api-2025-04-14'] : [] }
}

const NEVER_SAID = [
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'metadata',
] as const

/** What a call of these models carries. */
export const carriedBy = (request: ChatRequest, traits: Traits): Carries => ({
  names: false,
  details: false,
  filename: isDocument,
  marks: true,
  tool_marks: true,
  errors: true,
  strict: (tool) => isStrict(tool, traits),
  thought: (block) => handedBack(block).length > 0,
  format: { description: false, strict: formatOf(request, traits).is === 'schema' },
})

type Format = { is: 'text' } | { is: 'schema' | 'tool'; schema: JsonObject } | { is: 'lost' }

/** The model's own output format where it has one that says the same, else a tool that it must call. */
function formatOf({ response_format: format, tools }: ChatRequest, traits: Traits): Format {
  if (!format || format.type === 'text') return { is: 'text' }
  const schema = format.type === 'json_schema' ? format.json_schema.schema : undefined
  if (schema && traits.takesFormat && isClosable(schema)) return { is: 'schema', schema: closedSchema(schema) }
  // Any JSON: with tools at hand the model could no longer choose to call one of them.
  const isAsked = schema !== undefined || !tools?.length
  if (isAsked && traits.forcesTools) return { is: 'tool', schema: schema ?? { type: 'object' } }
  if (schema && traits.takesFormat) return { is: 'schema', schema: closedSchema(schema) }
  return { is: 'lost' }
}

/** Whether the answer is what the model calls the tool with. */
export const answersByTool = (request: ChatRequest, traits: Traits): boolean => formatOf(request, traits).is === 'tool'

type Thinking = { thinking?: JsonObject; effort?: string; isOn: boolean; dropped: string[] }
/** Anthropic's least. */
const BUDGET_MIN = 1_024
/** How much of what may be written is thought, for models that know no effort. */
const shares = { minimal: 0.02, low: 0.1, medium: 0.3, high: 0.6, xhigh: 0.9, max: 0.9 } as const

function thoughtOf(
  request: ChatRequest,
  traits: Traits,
  { turns, max_tokens, mustCall }: { turns: Turn[]; max_tokens: number; mustCall: boolean },
): Thinking {
  const { reasoning_effort: effort, reasoning_tokens: tokens } = request
  const off: Thinking = { isOn: false, dropped: [] }
  if (effort === undefined && tokens === undefined) return off
  const asked = tokens === undefined ? 'reasoning_effort' : 'reasoning_tokens'
  const without = { isOn: false, dropped: [asked] }
  if (effort === 'none' || tokens === 0) return leastOf(traits)
  if (traits.thinks === 'never') return without
  if (traits.thinks === 'by effort' && (tokens === undefined || !traits.takesBudget)) {
    // Who thinks may choose its tool.
    if (mustCall) return { ...leastOf(traits), dropped: [asked] }
    const thinking = { type: 'adaptive', display: 'summarized' }
    if (effort === undefined) return { thinking, isOn: true, dropped: [] }
    return { thinking, effort: effortOf(effort, traits), isOn: true, dropped: [] }
  }

  const wished = tokens ?? Math.round(max_tokens * shares[effort ?? 'medium'])
  const budget_tokens = Math.min(Math.max(wished, BUDGET_MIN), max_tokens - 1)
  if (budget_tokens < BUDGET_MIN || mustCall || lacksThoughts(turns)) return without
  return { thinking: { type: 'enabled', budget_tokens }, isOn: true, dropped: [] }
}

function leastOf({ least, thinks }: Traits): Thinking {
  if (thinks === 'never') return { isOn: false, dropped: [] }
  if (least === 'low effort') return { effort: 'low', isOn: true, dropped: [] }
  return { thinking: { type: least }, isOn: least !== 'disabled', dropped: [] }
}

function effortOf(effort: NonNullable<ChatRequest['reasoning_effort']>, traits: Traits): string {
  if (effort === 'minimal') return 'low'
  return effort === 'xhigh' && !traits.takesXhigh ? 'max' : effort
}

/** Anthropic's temperatures end at 1; while a model thinks it takes none of these, and newer ones never do. */
function samplingOf(request: ChatRequest, traits: Traits, isThinking: boolean) {
  const { temperature, top_p, top_k } = request
  const isTaken = traits.takesSampling && !isThinking
  const hasBoth = temperature !== undefined && top_p !== undefined
  const fields = isTaken
    ? { temperature: temperature && Math.min(temperature, 1), top_p: hasBoth ? undefined : top_p, top_k }
    : {}
  const asked = { temperature, top_p, top_k }
  const dropped = (['temperature', 'top_p', 'top_k'] as const).filter((name) => {
    return asked[name] !== undefined && fields[name] !== asked[name]
  })
  return { fields, dropped }
}

type Tooling = { tools?: JsonObject[]; tool_choice?: JsonObject; mustCall: boolean; dropped: string[] }

function toolingOf(request: ChatRequest, traits: Traits, format: Format): Tooling {
  const choice = request.tool_choice
  if (format.is === 'tool') {
    const answer = { name: JSON_TOOL, description: JSON_TOOL_SAYS, input_schema: format.schema }
    const beside = toolsBeside(request).map((tool) => toolOf(tool, traits))
    const tool_choice = { type: 'any', disable_parallel_tool_use: true }
    return { tools: [...beside, answer], tool_choice, mustCall: true, dropped: [] }
  }
  const tools = (request.tools ?? []).map((tool) => toolOf(tool, traits))
  if (tools.length === 0) return { mustCall: false, dropped: [] }

  const single: JsonObject = request.parallel_tool_calls === false ? { disable_parallel_tool_use: true } : {}
  if (choice === 'none') return { tools, tool_choice: { type: 'none' }, mustCall: false, dropped: [] }
  if (choice === undefined || choice === 'auto') {
    const isSaid = choice === 'auto' || request.parallel_tool_calls === false
    return { tools, ...(isSaid ? { tool_choice: { type: 'auto', ...single } } : {}), mustCall: false, dropped: [] }
  }
  if (!traits.forcesTools) {
    const tool_choice = { type: 'auto', ...single }
    const allowed = toolsBeside(request).map((tool) => toolOf(tool, traits))
    return { tools: allowed, tool_choice, mustCall: false, dropped: ['tool_choice'] }
  }
  const forced: JsonObject = choice === 'required' ? { type: 'any' } : { type: 'tool', name: choice.function.name }
  return { tools, tool_choice: { ...forced, ...single }, mustCall: true, dropped: [] }
}

function schemaOf({ function: { parameters: given = {} } }: Tool): JsonObject {
  return given.type === undefined ? { type: 'object', properties: {}, ...given } : given
}

const isStrict = (tool: Tool, traits: Traits) =>
  tool.function.strict === true && traits.takesFormat && isClosable(schemaOf(tool))

function toolOf(tool: Tool, traits: Traits): JsonObject {
  const { name, description } = tool.function
  const schema = schemaOf(tool)
  const keepsTo = isStrict(tool, traits)
  return filled({
    name,
    description,
    input_schema: keepsTo ? closedSchema(objectOf(schema)) : schema,
    strict: keepsTo || undefined,
    cache_control: tool.cache_control && { ...tool.cache_control },
  })
}
