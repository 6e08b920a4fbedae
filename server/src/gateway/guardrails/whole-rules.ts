/** Guardrails that look at a text as a whole: whether it is JSON of a form, what it is about, and what a code block of
 *  the organization says of it. They may have to wait: for a provider's vectors, or for the sandbox. */

import { setImmediate as turn } from 'node:timers/promises'
import type { Inside } from '../../asking.ts'
import { compileJsonSchema } from '../../expressions/expressions.ts'
import type { Caller, Guardrail } from '../policies/policy.ts'
import { hashEmbedding } from '../providers/flow-embedding.ts'
import { parsed } from '../providers/read.ts'
import type { Keep } from './examples.ts'
import type { Side } from './findings.ts'

/** What is looked at: all texts of a side, and those that are to be of a form. */
export type Looked = { texts: readonly string[]; main: readonly string[] }
/** `told`: what is to stand in the place of a text, where it is another one. */
export type Verdict = { is_found: boolean; told?: Map<string, string> }
/** For whom it is asked. */
export type Asking = { caller: Caller; request_id: string; inside: Inside | undefined }
export type WholeRule = {
  guardrail: Guardrail
  /** Throws where it cannot say. */
  look(looked: Looked, side: Side, asking: Asking): Promise<Verdict>
}

/** What a guardrail asks of others. */
export type Means = {
  /** Vectors of these texts by a provider's model. */
  embed(model: string, texts: string[], asking: Asking): Promise<number[][]>
  /** What a code block says of this. */
  run(component_id: string, input: { text: string; side: Side }, asking: Asking): Promise<unknown>
}

/** `keep` is for the examples of topics. */
export function wholeRuleOf(guardrail: Guardrail, means: Means, keep: Keep): WholeRule | undefined {
  const { rule } = guardrail
  if (rule.type === 'json_schema') return { guardrail, look: formOf(rule) }
  if (rule.type === 'topics') return { guardrail, look: topicsOf(rule, means, keep) }
  if (rule.type === 'code_block') return { guardrail, look: codeOf(guardrail, rule.component_id, means) }
  return undefined
}

type RuleOf<Type> = Extract<Guardrail['rule'], { type: Type }>

function formOf({ schema }: RuleOf<'json_schema'>): WholeRule['look'] {
  // It was a schema when it was saved.
  const check = compileJsonSchema(schema as Record<string, unknown>)
  return async ({ main }) => {
    const isWrong = (text: string) => {
      const value = parsed(text)
      return value === undefined || check(value).length > 0
    }
    // Where nothing is said but calls of tools, there is nothing to be of a form.
    return { is_found: main.some((text) => text !== '' && isWrong(text)) }
  }
}

/** A text is compared line by line, long lines in pieces of about so many characters, and no more of them. */
export const PIECE_CHARACTERS = 500
export const PIECES_MAX = 1024
const BATCH = 64
/** What is hashed before others have their turn. */
const TURN = 16
const HASH_MODEL = 'flow/hash-embedding-384'

function topicsOf({ topics, threshold, model }: RuleOf<'topics'>, means: Means, keep: Keep): WholeRule['look'] {
  const vectorsOf = async (texts: string[], asking: Asking): Promise<number[][]> => {
    const vectors: number[][] = []
    const step = model === HASH_MODEL ? TURN : BATCH
    for (let i = 0; i < texts.length; i += step) {
      const batch = texts.slice(i, i + step)
      vectors.push(...(model === HASH_MODEL ? batch.map(hashEmbedding) : await means.embed(model, batch, asking)))
      if (model === HASH_MODEL && texts.length > step) await turn()
    }
    return vectors
  }
  const said = topics.flatMap(({ examples }) => examples)
  return async ({ texts }, _side, asking) => {
    const pieces = [...new Set(texts.flatMap(piecesOf))]
    if (pieces.length > PIECES_MAX) throw new TooLong()
    if (pieces.length === 0) return { is_found: false }
    const examples = await keep(model, said, () => vectorsOf(said, asking))
    const vectors = await vectorsOf(pieces, asking)
    return { is_found: vectors.some((vector) => examples.some((example) => cosine(vector, example) >= threshold)) }
  }
}

/** More than can be looked at. */
export class TooLong extends Error {}

export const piecesOf = (text: string): string[] =>
  text
    .split('\n')
    .flatMap(piecesOfLine)
    .filter((piece) => /[\p{L}\p{N}]/u.test(piece))

/** Cut behind a sentence where there is one, else behind a word. */
function piecesOfLine(line: string): string[] {
  const pieces: string[] = []
  let rest = line.trim()
  while (rest.length > PIECE_CHARACTERS && pieces.length <= PIECES_MAX) {
    const head = rest.slice(0, PIECE_CHARACTERS)
    const ends = [...head.matchAll(/[.!?。！？]\s?/g)].at(-1)
    const end = ends && ends.index > PIECE_CHARACTERS / 4 ? ends.index + ends[0].length : head.lastIndexOf(' ') + 1
    const length = end > 0 ? end : PIECE_CHARACTERS
    pieces.push(rest.slice(0, length).trim())
    rest = rest.slice(length).trimStart()
  }
  return [...pieces, rest]
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [product, lengthA, lengthB] = [0, 0, 0]
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0]
    product += x * y
    lengthA += x * x
    lengthB += y * y
  }
  return lengthA === 0 || lengthB === 0 ? 0 : product / Math.sqrt(lengthA * lengthB)
}

/** Characters that a code block is asked about at once. */
const ASKED_MAX = 4 * 1024 * 1024
/** Texts that a code block rewrites one by one. */
export const REWRITTEN_MAX = 256
const AT_A_TIME = 4

function codeOf({ action }: Guardrail, component_id: string, means: Means): WholeRule['look'] {
  const ask = async (text: string, side: Side, asking: Asking) => {
    if (text.length > ASKED_MAX) throw new TooLong()
    return answerIn(await means.run(component_id, { text, side }, asking))
  }
  if (action !== 'redact') {
    return async ({ texts }, side, asking) => {
      if (texts.length === 0) return { is_found: false }
      return { is_found: !(await ask(texts.join('\n\n'), side, asking)).ok }
    }
  }
  return async ({ texts }, side, asking) => {
    if (texts.length > REWRITTEN_MAX) throw new TooLong()
    const told = new Map<string, string>()
    for (let i = 0; i < texts.length; i += AT_A_TIME) {
      const answers = texts.slice(i, i + AT_A_TIME).map(async (text) => {
        const answer = await ask(text, side, asking)
        const other = answer.ok ? (answer.text ?? text) : (answer.text ?? '[REDACTED]')
        if (other !== text) told.set(text, other)
      })
      await Promise.all(answers)
    }
    return { is_found: told.size > 0, told }
  }
}

function answerIn(output: unknown): { ok: boolean; text?: string } {
  const { ok, text } = (typeof output === 'object' && output !== null ? output : {}) as Record<string, unknown>
  if (typeof ok !== 'boolean') throw new Error('a code block of a guardrail answers {ok: true} or {ok: false}')
  return { ok, ...(typeof text === 'string' && { text }) }
}
