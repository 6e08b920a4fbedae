/** What Google's `generateContent` answers, whole or in pieces (https://ai.google.dev/api/generate-content). A piece of a
 *  stream is a whole answer with a part of the text; function calls always come whole. */

import { parsedExactly } from '../exact.ts'
import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  Choice,
  FinishReason,
  Json,
  JsonObject,
  Logprobs,
  Reasoning,
  TokenLogprob,
  ToolCall,
  Usage,
} from '../hub.ts'
import { broken, interrupted } from './faults.ts'
import { faultOfError } from './gemini-fault.ts'
import { signed } from './gemini-request.ts'
import { type Naming, ProviderFault, type StreamReader } from './provider.ts'
import { countOf, numberOf, objectOf, objectsOf, textOf } from './read.ts'

const BLOCKED = new Set([
  'SAFETY',
  'RECITATION',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'LANGUAGE',
  'IMAGE_SAFETY',
  'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION',
])
/** The model wrote a call that is none. Tried again it mostly writes a right one. */
const MALFORMED = new Set(['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'MALFORMED_RESPONSE'])

export function usageOf(metadata: Json | undefined): Usage {
  const usage = objectOf(metadata)
  const reasoning = countOf(usage.thoughtsTokenCount)
  return {
    input: countOf(usage.promptTokenCount) + countOf(usage.toolUsePromptTokenCount),
    cached: countOf(usage.cachedContentTokenCount),
    cache_written: 0,
    output: countOf(usage.candidatesTokenCount) + reasoning,
    reasoning,
  }
}

/** Why the prompt itself was refused, if it was: then there is no candidate. */
function blockOf(body: JsonObject): string | undefined {
  const reason = textOf(objectOf(body.promptFeedback).blockReason)
  return reason === undefined || reason.endsWith('UNSPECIFIED') ? undefined : reason
}

function finishOf(reason: string, hasCalls: boolean): FinishReason {
  if (reason === 'MAX_TOKENS' || reason === 'CONTINUATION') return 'length'
  if (BLOCKED.has(reason)) return 'content_filter'
  if (MALFORMED.has(reason) && !hasCalls)
    throw broken(`Gemini's model wrote a function call that cannot be read (${reason}).`, 'malformed_function_call')
  return hasCalls ? 'tool_calls' : 'stop'
}

/** Gemini 3 names its calls; for the others a name is made that no other answer has. */
const callIdOf = (named: Json | undefined, about: Naming, choice: number, call: number) =>
  textOf(named) || `call_${about.id.replace(/[^a-zA-Z0-9]/g, '').slice(-24)}${choice}${call}`

/** One part in the hub's words; `calls` is how many this choice has made before. */
type Said =
  | { kind: 'text'; text: string; signature?: string }
  | { kind: 'thought'; text: string; signature?: string }
  | { kind: 'call'; call: ToolCall; signature?: string }
  | undefined

function saidOf(part: JsonObject, about: Naming, choice: number, calls: number): Said {
  const signature = textOf(part.thoughtSignature)
  const called = objectOf(part.functionCall)
  const name = textOf(called.name)
  if (name !== undefined) {
    const text = JSON.stringify(called.args ?? {})
    const id = callIdOf(called.id, about, choice, calls)
    return { kind: 'call', call: { id, type: 'function', function: { name, arguments: text } }, signature }
  }
  const text = textOf(part.text)
  if (text === undefined && signature === undefined) return undefined
  return { kind: part.thought === true ? 'thought' : 'text', text: text ?? '', signature }
}

function logprobsOf(candidate: JsonObject): Logprobs | null {
  const result = objectOf(candidate.logprobsResult)
  const chosen = objectsOf(result.chosenCandidates)
  if (chosen.length === 0) return null
  const tops = objectsOf(result.topCandidates)
  const content = chosen.map(
    (token, index): TokenLogprob => ({
      ...likelihoodOf(token),
      top_logprobs: objectsOf(tops[index]?.candidates).map(likelihoodOf),
    }),
  )
  return { content, refusal: null }
}
const likelihoodOf = (candidate: JsonObject) => {
  const token = textOf(candidate.token) ?? ''
  return { token, logprob: numberOf(candidate.logProbability) ?? 0, bytes: [...Buffer.from(token)] }
}

const indexOf = (candidate: JsonObject) => countOf(candidate.index)

export function chatAnswerOf(body: JsonObject, about: Naming): ChatAnswer {
  const candidates = objectsOf(body.candidates)
  const block = blockOf(body)
  if (candidates.length === 0 && block === undefined)
    throw broken('Gemini answered without a candidate.', 'empty_answer')

  const choices = candidates.map((candidate) => choiceOf(candidate, about))
  if (choices.length === 0) choices.push(blocked(0))
  return {
    id: textOf(body.responseId) ?? about.id,
    created: about.now,
    model: textOf(body.modelVersion) ?? '',
    choices,
    usage: usageOf(body.usageMetadata),
  }
}

const blocked = (index: number): Choice => ({
  index,
  message: { content: null, refusal: null },
  finish_reason: 'content_filter',
})

function choiceOf(candidate: JsonObject, about: Naming): Choice {
  const index = indexOf(candidate)
  const calls: ToolCall[] = []
  const reasoning: Reasoning[] = []
  let content: string | null = null
  for (const part of objectsOf(objectOf(candidate.content).parts)) {
    const said = saidOf(part, about, index, calls.length)
    if (!said) continue
    const { signature } = said
    if (said.kind === 'thought') {
      reasoning.push({ text: said.text, signature: signature && signed('thought', signature) })
      continue
    }
    const place = said.kind === 'call' ? (`call${calls.length}` as const) : 'text'
    if (signature) reasoning.push({ text: '', signature: signed(place, signature) })
    if (said.kind === 'call') calls.push(said.call)
    else if (said.text !== '') content = (content ?? '') + said.text
  }
  return {
    index,
    message: {
      content,
      refusal: null,
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
      ...(reasoning.length > 0 ? { reasoning } : {}),
    },
    finish_reason: finishOf(textOf(candidate.finishReason) ?? 'STOP', calls.length > 0),
    logprobs: logprobsOf(candidate),
  }
}

/** How far one choice of a stream has come. */
type Progress = { calls: number; block: number; isThinking: boolean; finish: string | undefined }
type Delta = ChatChunk['choices'][number]['delta']

/** Each choice's end is told when the stream is over, and not before: pieces may follow the one with the reason. */
export function chatStreamOf(request: ChatRequest, about: Naming): StreamReader {
  const progress = new Map<number, Progress>()
  const head = { id: about.id, created: about.now, model: request.model }
  let usage: Json | undefined
  let block: string | undefined

  const chunksOf = (candidate: JsonObject): ChatChunk[] => {
    const index = indexOf(candidate)
    const own = progress.get(index) ?? { calls: 0, block: 0, isThinking: false, finish: undefined }
    progress.set(index, own)
    const reason = textOf(candidate.finishReason)
    if (reason !== undefined && !reason.endsWith('UNSPECIFIED')) own.finish = reason
    const deltas = objectsOf(objectOf(candidate.content).parts).flatMap((part) => deltasOf(part, own, index, about))
    const logprobs = logprobsOf(candidate)
    if (logprobs && deltas.length === 0) deltas.push({ content: '' })
    return deltas.map((delta, at) => ({
      ...head,
      choices: [{ index, delta, finish_reason: null, ...(logprobs && at === 0 ? { logprobs } : {}) }],
    }))
  }

  return {
    get usage() {
      return usage === undefined ? undefined : usageOf(usage)
    },
    push(piece) {
      const body = parsedExactly(piece.data)
      if (body === undefined) throw broken('Gemini sent a piece of a stream that is not JSON.', 'malformed_chunk')
      const answer = objectOf(body)
      if (answer.error !== undefined) throw new ProviderFault(faultOfError(objectOf(answer.error)))
      head.id = textOf(answer.responseId) ?? head.id
      head.model = textOf(answer.modelVersion) ?? head.model
      usage = answer.usageMetadata ?? usage
      block = blockOf(answer) ?? block
      return objectsOf(answer.candidates).flatMap(chunksOf)
    },
    end() {
      if (progress.size === 0 && block !== undefined) progress.set(0, { ...atStart, finish: 'SAFETY' })
      const ends = [...progress].map(([index, own]): ChatChunk => {
        if (own.finish === undefined && block === undefined) throw interrupted('Gemini')
        const finish_reason = finishOf(own.finish ?? 'SAFETY', own.calls > 0)
        return { ...head, choices: [{ index, delta: {}, finish_reason }] }
      })
      if (ends.length === 0) throw interrupted('Gemini')
      return usage === undefined ? ends : [...ends, { ...head, choices: [], usage: usageOf(usage) }]
    },
  }
}
const atStart: Progress = { calls: 0, block: 0, isThinking: false, finish: undefined }

function deltasOf(part: JsonObject, own: Progress, choice: number, about: Naming): Delta[] {
  const said = saidOf(part, about, choice, own.calls)
  if (!said) return []
  const { signature } = said
  if (said.kind === 'thought') {
    own.isThinking = signature === undefined
    const index = own.isThinking ? own.block : own.block++
    return [{ reasoning: { index, text: said.text, signature: signature && signed('thought', signature) } }]
  }
  if (own.isThinking) own.block++
  own.isThinking = false
  const deltas: Delta[] = []
  const place = said.kind === 'call' ? (`call${own.calls}` as const) : 'text'
  if (signature) deltas.push({ reasoning: { index: own.block++, signature: signed(place, signature) } })
  if (said.kind === 'call') {
    const { id, function: called } = said.call
    deltas.push({ tool_calls: [{ index: own.calls++, id, function: called }] })
  } else if (said.text !== '') deltas.push({ content: said.text })
  return deltas
}
