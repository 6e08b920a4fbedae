/** OpenAI's older completions: `POST /completions`, for models whose providers do not have that format. A prompt is what
 *  a user says, and the answer's text is what the model says to it; what it thought has no place here.
 *
 *  One prompt makes one conversation: lists of several, token ids, and answers that begin with the prompt (`echo`) or
 *  end with a given text (`suffix`) are for models that have this format by themselves. */

import type { ChatAnswer, ChatChunk, ChatRequest, FinishReason, JsonObject, Logprobs, Usage } from '../hub.ts'
import { biasOf, put, readSampling, streamOptionsOf } from './chat-read.ts'
import {
  emptyArray,
  flagAt,
  integerAt,
  notTranslated,
  othersOf,
  requiredText,
  seedAt,
  textAt,
  textsAt,
} from './checks.ts'
import type { About, ChatMouth, StreamWriter } from './mouth.ts'
import { DONE, eventOf, faultInOpenai, usageInChat } from './openai.ts'
import { CHOICES_MAX } from './outline.ts'
import { missing, refuse, wrongType } from './refuse.ts'

export const completions: ChatMouth = { name: 'completions', read, answer, stream, fault: faultInOpenai }

const KNOWN = new Set([
  'model',
  'prompt',
  'stream',
  'stream_options',
  'max_tokens',
  'temperature',
  'top_p',
  'n',
  'best_of',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'echo',
  'suffix',
  'user',
])
/** OpenAI's default for this format. */
const TOKENS_USUAL = 16
const LOGPROBS_MAX = 5
const STOPS_MAX = 4

function read(body: JsonObject): ChatRequest {
  const prompt = promptOf(body)
  const n = integerAt(body, 'n', 1, CHOICES_MAX)
  refuseUntranslated(body, n ?? 1)
  const request: ChatRequest = {
    model: requiredText(body, 'model'),
    messages: [{ role: 'user', content: prompt }],
    mouth: 'completions',
    max_completion_tokens: integerAt(body, 'max_tokens', 1) ?? TOKENS_USUAL,
  }
  put(request, 'stream', flagAt(body, 'stream'))
  put(request, 'stream_options', streamOptionsOf(body))
  put(request, 'n', n)
  readSampling(body, request)
  put(request, 'stop', textsAt(body, 'stop', STOPS_MAX))
  put(request, 'seed', seedAt(body))
  put(request, 'logit_bias', biasOf(body))
  const tops = integerAt(body, 'logprobs', 0, LOGPROBS_MAX)
  if (tops !== undefined) Object.assign(request, { logprobs: true, top_logprobs: tops })
  put(request, 'user', textAt(body, 'user'))
  put(request, 'others', othersOf(body, KNOWN))

  return request
}

function promptOf({ prompt }: JsonObject): string {
  if (prompt === undefined || prompt === null) throw missing('prompt')
  if (typeof prompt === 'string') return prompt
  if (!Array.isArray(prompt)) throw wrongType('prompt', 'one of a string or array of strings', prompt)
  const [first] = prompt
  if (first === undefined) throw emptyArray('prompt')
  if (typeof first === 'number' || Array.isArray(first))
    throw notTranslated('prompt', 'Send text instead of token ids.')
  if (typeof first !== 'string') throw wrongType('prompt[0]', 'a string', first)
  if (prompt.length > 1) throw notTranslated('prompt', 'Send one prompt with each request.')

  return first
}

function refuseUntranslated(body: JsonObject, n: number): void {
  if (flagAt(body, 'echo')) throw notTranslated('echo', 'Put the prompt before the answer yourself.')
  if (textAt(body, 'suffix')) throw notTranslated('suffix', 'Ask for it in the prompt.')
  const best_of = integerAt(body, 'best_of', 1, CHOICES_MAX) ?? n
  if (best_of < n) throw refuse("'best_of' must be greater than or equal to 'n'.", 'best_of', 'invalid_value')
  if (best_of > n) throw notTranslated('best_of', "Ask for more answers by 'n'.")
}

/** Calls of functions cannot be asked for here. */
const finishOf = (reason: FinishReason) => (reason === 'tool_calls' ? 'stop' : reason)

function answer(given: ChatAnswer, request: ChatRequest, about: About): JsonObject {
  return {
    id: `cmpl-${about.id}`,
    object: 'text_completion',
    created: about.created,
    model: about.model,
    choices: given.choices.map(({ index, message, logprobs, finish_reason }) => ({
      index,
      text: message.content ?? message.refusal ?? '',
      logprobs: toldOf(logprobs, lengthOf(request)).told,
      finish_reason: finishOf(finish_reason),
    })),
    usage: usageInChat(given.usage),
    ...(given.system_fingerprint && { system_fingerprint: given.system_fingerprint }),
  }
}

/** Where the answer begins, counted in characters. */
const lengthOf = ({ messages: [first] }: ChatRequest) =>
  typeof first?.content === 'string' ? [...first.content].length : 0

/** `offset` is where the first of these tokens stands, behind the prompt; `end` where the next one will. */
function toldOf(logprobs: Logprobs | null | undefined, offset: number): { told: JsonObject | null; end: number } {
  const tokens = logprobs?.content ?? logprobs?.refusal
  if (!tokens) return { told: null, end: offset }
  let end = offset
  const text_offset = tokens.map(({ token }) => {
    const own = end
    end += [...token].length
    return own
  })
  const told = {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top_logprobs }) =>
      Object.fromEntries(top_logprobs.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset,
  }
  return { told, end }
}

function stream(request: ChatRequest, about: About): StreamWriter {
  const tellsUsage = request.stream_options?.include_usage === true
  const head = { id: `cmpl-${about.id}`, object: 'text_completion', created: about.created, model: about.model }
  const offsets = new Map<number, number>()
  const finished = new Set<number>()
  let usage: Usage | undefined
  const event = (choices: JsonObject[], told?: JsonObject) =>
    eventOf({ ...head, choices, ...(tellsUsage ? { usage: told ?? null } : {}) })

  function chosen({ index, delta, finish_reason, logprobs }: ChatChunk['choices'][number]): string {
    if (finished.has(index)) return ''
    const { told, end } = toldOf(logprobs, offsets.get(index) ?? lengthOf(request))
    offsets.set(index, end)
    const text = (delta.content ?? '') + (delta.refusal ?? '')
    if (finish_reason !== null) {
      finished.add(index)
      return event([{ index, text, logprobs: told, finish_reason: finishOf(finish_reason) }])
    }
    return text === '' && !told ? '' : event([{ index, text, logprobs: told, finish_reason: null }])
  }

  return {
    begin: () => '',
    chunk(chunk) {
      if (chunk.usage) usage = chunk.usage
      return chunk.choices.map(chosen).join('')
    },
    end: () => (tellsUsage && usage ? event([], usageInChat(usage)) : '') + DONE,
    fail: (fault) => eventOf(faultInOpenai(fault)),
  }
}
