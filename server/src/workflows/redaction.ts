/** What is secret in an execution, and how it is told without. Decisions without I/O.
 *
 *  Schemas mark fields; their values are hidden where they stand. And wherever else such a value appears to the letter,
 *  by itself or inside of a longer text (an input that carries it on, an error that quotes it), it is replaced, too.
 *  What was made of a value (its digest, its half) is not recognised. Executions whose schemas mark nothing have no
 *  `Secrets`, and none of this is done for them. */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { ToolConfig } from '@flow/contract/components/tool'
import type { Used } from '../components/components.ts'
import type { Graph, GraphNode } from '../components/workflow-rules.ts'
import { eachOf, fieldOf, SECRET, type SecretFields, secretFieldsOf } from '../expressions/expressions.ts'
import type { Block } from './nodes/node.ts'

export type NodeSecrets = { input?: SecretFields; output?: SecretFields }
export type Secrets = NodeSecrets & { nodes: ReadonlyMap<string, NodeSecrets> }

/** Shorter texts are words: they would be found everywhere. */
const LENGTH_MIN = 6
/** Of an execution with more secrets than this every text is one. */
const TEXTS_MAX = 100
/** How much may stand behind the place where a long message was cut off. */
const TAIL = 32

/** What the schemas of a definition mark. */
export function secretsOf(
  graph: Graph,
  blocks: ReadonlyMap<string, Pick<Block, 'config'>>,
  components: Components = new Map(),
): Secrets | undefined {
  const { input_schema, output_schema } = graph.config
  const nodes = new Map<string, NodeSecrets>()
  for (const at of graph.nodes) {
    const secrets = secretsOfNode(at, blocks, components)
    if (secrets.input || secrets.output) nodes.set(at.node.id, secrets)
  }
  const own = { ...inputOf(input_schema), ...outputOf(output_schema) }
  return own.input || own.output || nodes.size > 0 ? { ...own, nodes } : undefined
}

type Components = ReadonlyMap<string, Pick<Used, 'type' | 'config'>>

function secretsOfNode(
  { node }: GraphNode,
  blocks: ReadonlyMap<string, Pick<Block, 'config'>>,
  components: Components,
): NodeSecrets {
  switch (node.type) {
    case 'code_block':
    case 'codeblock': {
      const { input_schema, output_schema } = blocks.get(node.component_ref)?.config ?? {}
      return { ...inputOf(input_schema), ...outputOf(output_schema) }
    }
    case 'map':
      return outputOf(blocks.get(node.component_ref)?.config.output_schema, eachOf)
    case 'tool':
      return secretsOfTool(components.get(node.component_ref)?.config as ToolConfig | undefined, components)
    case 'human_task':
      return outputOf(node.form)
    case 'webhook_wait':
      return outputOf(node.schema, (fields) => fieldOf('body', fields))
    case 'validation': {
      const isReport = node.on_invalid !== 'fail'
      return { ...inputOf(node.schema), ...outputOf(node.schema, (all) => (isReport ? fieldOf('value', all) : all)) }
    }
    default:
      return {}
  }
}

/** What its parameters mark, or the code that it stands for. */
function secretsOfTool(tool: ToolConfig | undefined, components: Components): NodeSecrets {
  const [ref = ''] = tool?.implementation_ref.split('#') ?? []
  const called = components.get(ref)
  const block = called?.type === 'code_block' ? (called.config as CodeBlockConfig) : undefined
  return { ...inputOf(block?.input_schema), ...inputOf(tool?.parameters), ...outputOf(block?.output_schema) }
}

type Json = Record<string, unknown>

function inputOf(schema: Json | undefined): NodeSecrets {
  const fields = schema && secretFieldsOf(schema)
  return fields ? { input: fields } : {}
}

function outputOf(schema: Json | undefined, inside = (fields: SecretFields) => fields): NodeSecrets {
  const fields = schema && secretFieldsOf(schema)
  return fields ? { output: inside(fields) } : {}
}

/** The secrets with those of children besides, which are known when these have begun. */
export function withNodes(secrets: Secrets | undefined, more: ReadonlyMap<string, NodeSecrets>): Secrets | undefined {
  if (more.size === 0) return secrets
  return { ...secrets, nodes: new Map([...(secrets?.nodes ?? []), ...more]) }
}

/** What is known of an execution while it runs. */
export type Running = {
  execution: { input: unknown }
  snapshot: { graph: Graph; secrets: Secrets | undefined }
  memory: { states: ReadonlyMap<string, { output?: unknown }>; inputAgain(at: GraphNode): unknown }
}

/** An error's message before it is recorded, and so told to parents, listeners and lists. */
export function recordable(message: string, { execution, snapshot, memory }: Running): string {
  const { graph, secrets } = snapshot
  if (!secrets) return message
  const redaction = new Redaction()
  redaction.learn(secrets.input, execution.input)
  for (const [id, { input, output }] of secrets.nodes) {
    const at = graph.byId.get(id)
    if (output) redaction.learn(output, memory.states.get(id)?.output)
    if (input && at) redaction.learn(input, memory.inputAgain(at))
  }
  return redaction.message(message)
}

/** First it learns the secrets of an execution, then it tells what there is without them. */
export class Redaction {
  readonly #texts = new Set<string>()
  #search: Search | undefined

  /** Takes note of what is secret in a value. */
  learn(fields: SecretFields | undefined, value: unknown): void {
    fields?.(value, (secret) => this.#learnTexts(secret))
  }

  #learnTexts(secret: unknown): void {
    if (this.#texts.size > TEXTS_MAX) return
    if (typeof secret === 'string' && secret.length >= LENGTH_MIN && secret !== SECRET) {
      this.#texts.add(secret)
      this.#search = undefined
    }
    if (typeof secret === 'object' && secret !== null) for (const one of Object.values(secret)) this.#learnTexts(one)
  }

  /** A value as it may be told; `fields` mark what is secret in it. */
  tell(value: unknown, fields?: SecretFields): unknown {
    const marked = fields ? fields(value) : value
    if (this.#texts.size === 0) return marked
    return replacing(marked, (text) => this.#without(text, false))
  }

  /** A text as it may be told. */
  text(text: string): string {
    return this.#texts.size === 0 ? text : this.#without(text, false)
  }

  /** A message as it may be told: it may have been cut off in the midst of a secret. */
  message(text: string): string {
    return this.#texts.size === 0 ? text : this.#without(text, true)
  }

  #without(text: string, isCutOff: boolean): string {
    if (text.length < LENGTH_MIN) return text
    if (this.#texts.size > TEXTS_MAX) return SECRET
    this.#search ??= searchOf(this.#texts)
    const { needles } = this.#search
    const ends = isCutOff ? needles.flatMap((needle) => cutOff(text, needle)) : []
    return replaced(text, [...rangesIn(text, this.#search), ...ends])
  }
}

/** The value with each of its texts replaced, names of fields included. */
function replacing(value: unknown, replace: (text: string) => string): unknown {
  if (typeof value === 'string') return replace(value)
  if (Array.isArray(value)) return value.map((item) => replacing(item, replace))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [replace(key), replacing(field, replace)]))
}

// ---- finding

/** Secrets are found by how they begin: one expression for all of them goes through a text once, however many there
 *  are. Whatever begins like one is hidden as far as it goes on like one. */
type Search = { needles: string[]; beginnings: RegExp; byBeginning: ReadonlyMap<string, string[]> }

const BEGINNING = 16

function searchOf(texts: ReadonlySet<string>): Search {
  const needles = [...new Set([...texts].flatMap((text) => [text, ...escaped(text)]))]
  const byBeginning = Map.groupBy(needles, (needle) => needle.slice(0, BEGINNING))
  const longestFirst = [...byBeginning.keys()].sort((a, b) => b.length - a.length)
  return { needles, byBeginning, beginnings: new RegExp(longestFirst.map(literally).join('|'), 'g') }
}

/** As a text stands inside of JSON and of addresses. */
function escaped(text: string): string[] {
  const sound = text.toWellFormed()
  const inQuery = new URLSearchParams({ '': sound }).toString().slice(1)
  return [JSON.stringify(text).slice(1, -1), encodeURIComponent(sound), inQuery]
}

const literally = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

type Range = readonly [from: number, to: number]

function rangesIn(text: string, { beginnings, byBeginning }: Search): Range[] {
  const ranges: Range[] = []
  beginnings.lastIndex = 0
  for (let found = beginnings.exec(text); found; found = beginnings.exec(text)) {
    const { index: from } = found
    const lengths = (byBeginning.get(found[0]) ?? []).map((needle) => inCommon(text, from, needle))
    ranges.push([from, from + Math.max(found[0].length, ...lengths)])
    // Secrets may overlap.
    beginnings.lastIndex = from + 1
  }
  return ranges
}

/** How far the text goes on like the secret. */
function inCommon(text: string, from: number, needle: string): number {
  let length = 0
  while (length < needle.length && text.charCodeAt(from + length) === needle.charCodeAt(length)) length += 1
  return length
}

/** Where a text ends in the beginning of a secret, but for a few characters. */
function cutOff(text: string, needle: string): Range[] {
  const beginning = needle.slice(0, LENGTH_MIN)
  for (
    let at = text.indexOf(beginning, text.length - needle.length - TAIL);
    at >= 0;
    at = text.indexOf(beginning, at + 1)
  ) {
    const to = at + inCommon(text, at, needle)
    if (to >= text.length - TAIL) return [[at, to]]
  }
  return []
}

/** Where secrets overlap, what they cover together is replaced. */
function replaced(text: string, ranges: readonly Range[]): string {
  if (ranges.length === 0) return text
  let told = ''
  let end = 0
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    if (from >= end) told += text.slice(end, from) + SECRET
    end = Math.max(end, to)
  }
  return told + text.slice(end)
}
