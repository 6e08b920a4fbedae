/** What a client asked for in parts of fields that its mouth understands, and that the hub has no word for: no provider of
 *  another format is told. By paths of the client's format; fields that are unknown as a whole are the request's `others`. */

import type { Json, JsonObject } from '../hub.ts'
import { isObject } from './checks.ts'
import type { ChatMouth } from './mouth.ts'
import { isSaid, says } from './said.ts'

const byMouth: Record<ChatMouth['name'], (body: JsonObject) => string[]> = {
  chat: unmetInChat,
  completions: () => [],
  responses: unmetInResponses,
  messages: unmetInMessages,
}

/** `body`: one that its mouth has read. */
export const unmetIn = (mouth: ChatMouth['name'], body: JsonObject): string[] => byMouth[mouth](body)

const FUNCTION_FIELDS = ['name', 'description', 'parameters', 'strict']
const MARKS = ['cache_control', 'prompt_cache_breakpoint']

function unmetInChat(body: JsonObject): string[] {
  const { tools } = body
  const functions = listOf(tools).map((tool) => (isObject(tool) ? (tool.function ?? null) : null))
  return [
    ...saidOf(body, ['messages[].audio']),
    ...othersInAll(tools, 'tools[]', ['type', 'function', ...MARKS]),
    ...othersInAll(functions, 'tools[].function', FUNCTION_FIELDS),
  ]
}

/** What the fields say where nothing is asked for. */
const usual: Record<string, string> = {
  truncation: 'disabled',
  'text.verbosity': 'medium',
  'reasoning.context': 'auto',
  'reasoning.mode': 'standard',
}
/** A summary is told, whether it is asked for or not. */
const REASONING_FIELDS = ['effort', 'summary', 'generate_summary', 'context', 'mode']

function unmetInResponses(body: JsonObject): string[] {
  const text = isObject(body.text) ? body.text : {}
  const reasoning = isObject(body.reasoning) ? body.reasoning : {}
  const given: Record<string, Json | undefined> = {
    truncation: body.truncation,
    'text.verbosity': text.verbosity,
    'reasoning.context': reasoning.context,
    'reasoning.mode': reasoning.mode,
  }
  return [
    ...saidOf(body, ['store']),
    ...Object.keys(given).filter((path) => isSaid(given[path]) && given[path] !== usual[path]),
    // Who asks is told to the provider once.
    ...(isSaid(body.user) ? saidOf(body, ['safety_identifier']) : []),
    ...saidOf(body, ['input[].phase']),
    ...othersIn(text, 'text', ['format', 'verbosity']),
    ...othersIn(reasoning, 'reasoning', REASONING_FIELDS),
    ...othersInAll(body.tools, 'tools[]', ['type', ...FUNCTION_FIELDS]),
  ]
}

const BLOCK_FIELDS = [
  'messages[].content[].citations',
  'messages[].content[].content[].citations',
  'messages[].content[tool_use].cache_control',
]
const TOOL_FIELDS = ['type', 'name', 'description', 'input_schema', 'strict', 'cache_control']

function unmetInMessages(body: JsonObject): string[] {
  const { thinking, output_config, tools } = body
  const asked = isObject(thinking) ? thinking : {}
  // The effort counts where nothing else says how much is thought.
  const isOverruled = asked.type !== undefined && asked.type !== 'adaptive'
  return [
    ...saidOf(body, BLOCK_FIELDS),
    ...(asked.display === 'summarized' ? [] : saidOf(body, ['thinking.display'])),
    ...(isOverruled ? saidOf(body, ['output_config.effort']) : []),
    ...othersIn(asked, 'thinking', ['type', 'budget_tokens', 'display']),
    ...othersIn(output_config, 'output_config', ['effort', 'format']),
    ...othersInAll(tools, 'tools[]', TOOL_FIELDS),
  ]
}

const saidOf = (body: JsonObject, paths: string[]) => paths.filter((path) => says(body, path))
const listOf = (given: Json | undefined): Json[] => (Array.isArray(given) ? given : [])

/** The fields of an object that are said and not among these, by their paths. */
const othersIn = (given: Json | undefined, at: string, known: readonly string[]): string[] =>
  isObject(given)
    ? Object.keys(given).flatMap((name) => (!known.includes(name) && isSaid(given[name]) ? `${at}.${name}` : []))
    : []

const othersInAll = (given: Json | undefined, at: string, known: readonly string[]): string[] =>
  listOf(given).flatMap((item) => othersIn(item, at, known))
