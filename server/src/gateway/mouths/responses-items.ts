/** The items of a response as OpenAI's reference has them: messages, calls of functions, and reasoning.
 *
 *  What a model thought is told as the item's summary. What must come back with it unchanged, such as a signature, is
 *  in `encrypted_content`, whether it was asked for or not: nothing is stored here, so a client that hands its items
 *  back is the only one who has it. */

import type { Json, JsonObject, Logprobs, Reasoning } from '../hub.ts'
import { isObject } from './checks.ts'

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete'

export type TextOut = { type: 'output_text'; text: string; logprobs: Json[] }
export type RefusalOut = { type: 'refusal'; refusal: string }

export const partOf = (part: TextOut | RefusalOut): JsonObject =>
  part.type === 'refusal'
    ? { type: 'refusal', refusal: part.refusal }
    : { type: 'output_text', text: part.text, annotations: [], logprobs: part.logprobs }

export const messageItem = (id: string, status: ItemStatus, parts: (TextOut | RefusalOut)[]): JsonObject => ({
  id,
  type: 'message',
  role: 'assistant',
  status,
  content: parts.map(partOf),
})

export type Called = { call_id: string; name: string; arguments: string }

export const callItem = (id: string, status: ItemStatus, called: Called): JsonObject => ({
  id,
  type: 'function_call',
  status,
  ...called,
})

export const reasoningItem = (id: string, block: Reasoning): JsonObject => ({
  id,
  type: 'reasoning',
  summary: block.text === '' ? [] : [{ type: 'summary_text', text: block.text }],
  encrypted_content: sealedOf(block),
})

/** One that has only begun. */
export const emptyReasoning = (id: string): JsonObject => ({ id, type: 'reasoning', summary: [] })

const OURS = 'flow:'

/** All but the text, in one word. There is one even for nothing: some clients hand back no thoughts without it. */
const sealedOf = ({ signature, data, id }: Reasoning): string =>
  OURS + Buffer.from(JSON.stringify({ signature, data, id })).toString('base64url')

/** The block that an item tells; undefined where it tells nothing. What was sealed by OpenAI is for OpenAI alone. */
export function blockOf(text: string, sealed: string | undefined): Reasoning | undefined {
  if (sealed === undefined) return text === '' ? undefined : { text }
  if (!sealed.startsWith(OURS)) return { text, data: `openai:${sealed}` }
  const block: Reasoning = { text }
  const told = opened(sealed.slice(OURS.length))
  for (const name of ['signature', 'data', 'id'] as const) {
    const value = told[name]
    if (typeof value === 'string') block[name] = value
  }

  return text === '' && block.signature === undefined && block.data === undefined ? undefined : block
}

/** A client may hand back anything: what cannot be read is worth nothing, and is the provider's to miss. */
function opened(sealed: string): JsonObject {
  try {
    const told: Json = JSON.parse(Buffer.from(sealed, 'base64url').toString())
    return isObject(told) ? told : {}
  } catch {
    return {}
  }
}

export function logprobsOf(logprobs: Logprobs | null | undefined): Json[] {
  return (logprobs?.content ?? []).map(({ top_logprobs, ...token }) => ({
    ...likelihoodOf(token),
    top_logprobs: top_logprobs.map(likelihoodOf),
  }))
}

const likelihoodOf = ({ token, logprob, bytes }: { token: string; logprob: number; bytes: number[] | null }) => ({
  token,
  logprob,
  ...(bytes && { bytes }),
})
