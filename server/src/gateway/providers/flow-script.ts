/** What `flow/scripted` does, as the prompt tells it. The last user message is the script, in one of two forms.
 *
 *  JSON: one step, or a list with a step for each turn. The turn is the number of the assistant's messages that follow
 *  the script, so that a conversation with tool calls goes on in it.
 *
 *    {"say": "It is sunny.", "think": "Easy.", "calls": [{"name": "weather", "arguments": {"city": "Rome"}}],
 *     "delay_ms": 200, "between_ms": 20, "finish": "length", "usage": {"input": 10, "output": 20}}
 *    {"status": 429, "message": "Slower, please.", "retry_after_seconds": 2}
 *    {"say": "one two three", "cut_after": 2}          the connection breaks after two chunks; 0: before any
 *    {"say": "one two three", "hang_after": 2}         nothing more comes after two chunks
 *    {"say": "one two three", "malformed_after": 2}    then comes what is no JSON
 *    {"say": "naïve", "split": true}                   chunks are cut in the middle of characters
 *    {"attempts": [{"status": 503}, {"say": "At last."}]}   the first attempt fails, the second answers
 *
 *  Lines: a word and what belongs to it; `---` begins the next turn. A line that begins otherwise is said.
 *
 *    think Easy.
 *    call weather {"city": "Rome"}
 *    delay 200
 *    ---
 *    It is sunny.
 */

import type { FinishReason } from '../hub.ts'

export type Step = {
  say: string
  think: string
  calls: { id: string; name: string; arguments: string }[]
  /** Before the first chunk, and between two of them. */
  delay_ms: number
  between_ms: number
  status: number
  message: string
  code: string | null
  retry_after_seconds: number | null
  cut_after: number | null
  hang_after: number | null
  malformed_after: number | null
  split: boolean
  content_type: string | null
  finish: FinishReason | null
  /** Null: no usage is told. */
  usage: { input?: number; output?: number; cached?: number; reasoning?: number } | null
}

/** What it cannot read, in a sentence. */
export class BadScript extends Error {}

const plain: Step = {
  say: '',
  think: '',
  calls: [],
  delay_ms: 0,
  between_ms: 0,
  status: 200,
  message: 'The script says so.',
  code: null,
  retry_after_seconds: null,
  cut_after: null,
  hang_after: null,
  malformed_after: null,
  split: false,
  content_type: null,
  finish: null,
  usage: {},
}
const DELAY_MAX_MS = 600_000

/** The step of this turn and attempt (from 1). The last one of a list is repeated. */
export function stepOf(script: string, turn: number, attempt: number): Step {
  const text = script.trim()
  if (!text.startsWith('{') && !text.startsWith('[')) return stepOfLines(text, turn)
  let told: unknown
  try {
    told = JSON.parse(text)
  } catch (error) {
    throw new BadScript(`The script is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
  const ofTurn = Array.isArray(told) ? told[Math.min(turn, told.length - 1)] : told
  const attempts = isObject(ofTurn) ? ofTurn.attempts : undefined
  return readStep(Array.isArray(attempts) ? attempts[Math.min(attempt, attempts.length) - 1] : ofTurn)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function readStep(told: unknown): Step {
  if (!isObject(told)) throw new BadScript('A step of the script is an object, such as {"say": "Hello"}.')
  const step: Record<string, unknown> = { ...plain }
  for (const [name, value] of Object.entries(told)) {
    if (!(name in plain)) throw new BadScript(`A step knows no "${name}", but ${Object.keys(plain).join(', ')}.`)
    step[name] = name === 'calls' ? readCalls(value) : readField(name, value)
  }
  return step as Step
}

function readField(name: string, value: unknown): unknown {
  if (/_(ms|after|seconds)$|^status$/.test(name)) {
    if (value === null || (typeof value === 'number' && value >= 0 && value <= DELAY_MAX_MS)) return value
    throw new BadScript(`"${name}" is a number from 0 to ${DELAY_MAX_MS}.`)
  }
  if (name === 'usage') return value
  if (name === 'split') return value === true
  if (value === null || typeof value === 'string') return value
  return JSON.stringify(value)
}

function readCalls(value: unknown): Step['calls'] {
  if (!Array.isArray(value)) throw new BadScript('"calls" is a list, such as [{"name": "weather", "arguments": {}}].')
  return value.map((call: unknown, i) => {
    if (!isObject(call) || typeof call.name !== 'string') throw new BadScript('A call has a "name".')
    const id = typeof call.id === 'string' ? call.id : `call_${i + 1}`
    const given = typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments ?? {})
    return { id, name: call.name, arguments: given }
  })
}

const words: Record<string, keyof Step> = {
  think: 'think',
  delay: 'delay_ms',
  between: 'between_ms',
  status: 'status',
  retry_after: 'retry_after_seconds',
  cut: 'cut_after',
  hang: 'hang_after',
  malformed: 'malformed_after',
  finish: 'finish',
  message: 'message',
}

function stepOfLines(text: string, turn: number): Step {
  const turns = text.split(/^---$/m)
  const lines = (turns[Math.min(turn, turns.length - 1)] ?? '').trim().split('\n')
  const told: Record<string, unknown> = {}
  const calls: unknown[] = []
  const said: string[] = []
  for (const line of lines) {
    const [, word = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? []
    const field = words[word]
    const [, name, given] = word === 'call' ? (/^([\w.-]+) ?(\{.*\})?$/.exec(rest) ?? []) : []
    if (name) calls.push({ id: `call_${calls.length + 1}`, name, arguments: given ?? '{}' })
    if (name) continue
    if (!field) said.push(word === 'say' ? rest : line)
    if (field) told[field] = /_(ms|after|seconds)$|^status$/.test(field) ? Number(rest) : rest
  }
  return readStep({ ...told, calls, say: said.join('\n') })
}
