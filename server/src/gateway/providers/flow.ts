/** The models that are built in, as a provider in the process: they need no key and no network, are deterministic, and
 *  no intelligence is claimed for them.
 *
 *  - `flow/echo` says what the last user message said.
 *  - `flow/scripted` does what the last user message tells it (flow-script.ts): the fake of all our tests.
 *  - `flow/hash-embedding-384` hashes texts to vectors (flow-embedding.ts).
 *  - `flow/hash-rerank-384` sorts documents by how near their vectors are to the query's.
 *
 *  They speak OpenAI's format in bytes, as a server behind a socket would, so that whatever reads them reads the others,
 *  too. A token is four bytes here, rounded up. */

import { randomUUID } from 'node:crypto'
import type { Flight, Landing, Send } from '../call/forward.ts'
import type { Json, JsonObject } from '../hub.ts'
import { HASH_DIMENSIONS, hashEmbedding } from './flow-embedding.ts'
import { BadScript, type Step, stepOf } from './flow-script.ts'
import { chatBy, modelsIn } from './openai.ts'
import { fault } from './openai-fault.ts'
import { chunked, embedded, type Sent } from './openai-native.ts'
import type { Adapter, Outgoing } from './provider.ts'
import { listOf, objectOf, objectsOf, textOf } from './read.ts'
import { rerankAnswerOf, rerankBodyOf } from './rerank.ts'

export const flowModels = ['echo', 'scripted', 'hash-embedding-384', 'hash-rerank-384'] as const

/** What is sent to the client's side of the socket, in order. */
type Act =
  | { do: 'wait'; ms: number }
  | { do: 'head'; status: number; headers: Record<string, string> }
  | { do: 'say'; bytes: Buffer }
  | { do: 'end' | 'cut' | 'hang' }

/** `now` in milliseconds since 1970. */
export const createFlow =
  (now: () => number): Send =>
  (outgoing, attempt, landing) =>
    play(acts(outgoing, attempt, Math.floor(now() / 1000)), landing)

function play(acts: Act[], landing: Landing): Flight {
  let next = 0
  let timer: NodeJS.Timeout | undefined
  let isWaiting = false
  let isPaused = false
  let isOver = false
  const go = (): void => {
    while (!isOver && !isPaused && !isWaiting) {
      const act = acts[next]
      next += 1
      if (act?.do === 'wait') {
        isWaiting = true
        timer = setTimeout(() => {
          isWaiting = false
          go()
        }, act.ms)
        return
      }
      if (act?.do === 'head') landing.head(act.status, act.headers)
      if (act?.do === 'say') landing.chunk(act.bytes)
      if (act && act.do !== 'end' && act.do !== 'cut' && act.do !== 'hang') continue
      isOver = true
      if (act?.do === 'cut') {
        landing.fail({
          status: 502,
          type: 'api_error',
          code: 'upstream_failed',
          message: 'The connection to flow broke.',
        })
      }
      if (act?.do === 'end') landing.end()
    }
  }
  // Nobody is told of anything before they know what they have started.
  setImmediate(() => {
    if (isOver) return
    landing.sent()
    go()
  })
  return {
    abort() {
      isOver = true
      clearTimeout(timer)
    },
    pause() {
      isPaused = true
    },
    resume() {
      if (!isPaused) return
      isPaused = false
      go()
    },
  }
}

function acts(outgoing: Outgoing, attempt: number, now: number): Act[] {
  const body = objectOf(JSON.parse(outgoing.body) as Json)
  try {
    if (outgoing.url.endsWith('/embeddings')) return embeddings(body)
    if (outgoing.url.endsWith('/rerank')) return rerank(body)
    if (outgoing.url.endsWith('/chat/completions')) return chat(body, attempt, now)
    return refusal(404, `flow has nothing at ${outgoing.url}.`, 'not_found')
  } catch (error) {
    if (error instanceof BadScript) return refusal(400, error.message, 'bad_script')
    throw error
  }
}

const json = (value: JsonObject) => Buffer.from(JSON.stringify(value))

const whole = (status: number, answer: JsonObject, headers: Record<string, string> = {}): Act[] => [
  { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
  { do: 'say', bytes: json(answer) },
  { do: 'end' },
]

function refusal(
  status: number,
  message: string,
  code: string | null,
  param: string | null = null,
  headers: Record<string, string> = {},
): Act[] {
  const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error'
  return whole(status, { error: { message, type, param, code } }, headers)
}

const unable = (message: string) => refusal(400, message, 'unsupported_model', 'model')

const EMBEDS = `hash-embedding-${HASH_DIMENSIONS}`
const RERANKS = `hash-rerank-${HASH_DIMENSIONS}`

function embeddings(body: JsonObject): Act[] {
  if (body.model !== EMBEDS) return unable(`flow/${body.model} makes no vectors. flow/${EMBEDS} does.`)
  const texts = (Array.isArray(body.input) ? body.input : [body.input]).map(textOf)
  if (texts.includes(undefined)) return refusal(400, 'It reads texts, and no token ids.', 'unsupported_value', 'input')
  const { dimensions } = body
  if (dimensions !== undefined && dimensions !== null && dimensions !== HASH_DIMENSIONS) {
    return refusal(400, `Its vectors have ${HASH_DIMENSIONS} numbers.`, 'unsupported_value', 'dimensions')
  }
  const prompt_tokens = texts.reduce((sum, text) => sum + tokensOf(text ?? ''), 0)
  const encode = (vector: number[]): Json =>
    body.encoding_format === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector
  const data = texts.map((text = '', index) => ({ object: 'embedding', index, embedding: encode(hashEmbedding(text)) }))
  return whole(200, { object: 'list', data, model: EMBEDS, usage: { prompt_tokens, total_tokens: prompt_tokens } })
}

/** What shares no word and no part of a word with the query has the score 0. */
function rerank(body: JsonObject): Act[] {
  if (body.model !== RERANKS) return unable(`flow/${body.model} sorts no documents. flow/${RERANKS} does.`)
  const query = hashEmbedding(textOf(body.query) ?? '')
  const documents = listOf(body.documents).map((document) => textOf(document) ?? '')
  const scoreOf = (text: string) => {
    const cosine = hashEmbedding(text).reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0)
    return Math.min(1, Math.max(0, cosine))
  }
  const results = documents.map((text, index) => ({ index, relevance_score: scoreOf(text) }))
  const prompt_tokens = [textOf(body.query) ?? '', ...documents].reduce((sum, text) => sum + tokensOf(text), 0)
  results.sort((a, b) => b.relevance_score - a.relevance_score)
  const top_n = typeof body.top_n === 'number' ? body.top_n : results.length
  return whole(200, {
    id: randomUUID(),
    model: RERANKS,
    results: results.slice(0, top_n),
    usage: { prompt_tokens, total_tokens: prompt_tokens },
  })
}

const tokensOf = (text: string) => Math.ceil(Buffer.byteLength(text) / 4)

/** The text of a message, whether it comes in one piece or in parts. */
function said(message: JsonObject | undefined): string {
  const { content } = message ?? {}
  if (typeof content === 'string') return content
  return listOf(content)
    .map((part) => textOf(objectOf(part).text) ?? '')
    .join('')
}

function chat(body: JsonObject, attempt: number, now: number): Act[] {
  if (body.model === EMBEDS || body.model === RERANKS)
    return unable(`flow/${body.model} does not chat. flow/echo does.`)
  const messages = objectsOf(body.messages)
  const last = messages.findLastIndex(({ role }) => role === 'user')
  const turn = messages.slice(last + 1).filter(({ role }) => role === 'assistant').length
  const prompt = said(messages[last])
  const step = stepOf(body.model === 'scripted' ? prompt : JSON.stringify({ say: prompt }), turn, attempt)
  const wait: Act[] = step.delay_ms > 0 ? [{ do: 'wait', ms: step.delay_ms }] : []
  if (step.status !== 200) {
    const { retry_after_seconds: seconds } = step
    const headers: Record<string, string> = seconds === null ? {} : { 'retry-after': String(seconds) }
    return [...wait, ...refusal(step.status, step.message, step.code, null, headers)]
  }
  const bounded = bound(step, body)
  const about = { id: `chatcmpl-${randomUUID()}`, created: now, model: String(body.model) }
  const usage = usageOf(bounded, messages.map(said).join(''))
  return [
    ...wait,
    ...(body.stream === true ? streamed(bounded, body, about, usage) : answered(bounded, body, about, usage)),
  ]
}

/** No more is said than was asked for: `max_completion_tokens` is four bytes each here, too. */
function bound(step: Step, body: JsonObject): Step {
  const most = body.max_completion_tokens ?? body.max_tokens
  if (typeof most !== 'number' || tokensOf(step.say) <= most) return step
  const cut = new TextDecoder().decode(Buffer.from(step.say).subarray(0, most * 4), { stream: true })
  return { ...step, say: cut, calls: [], finish: 'length' }
}

type About = { id: string; created: number; model: string }

function usageOf(step: Step, prompt: string): JsonObject | undefined {
  if (!step.usage) return undefined
  const thought = step.think === '' ? 0 : tokensOf(step.think)
  const called = step.calls.reduce((sum, call) => sum + tokensOf(call.name + call.arguments), 0)
  const prompt_tokens = step.usage.input ?? tokensOf(prompt)
  const completion_tokens = step.usage.output ?? tokensOf(step.say) + thought + called
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: step.usage.cached ?? 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: step.usage.reasoning ?? thought, audio_tokens: 0 },
  }
}

const finishOf = (step: Step) => step.finish ?? (step.calls.length > 0 ? 'tool_calls' : 'stop')
const choicesOf = (body: JsonObject) => (typeof body.n === 'number' ? Math.max(1, body.n) : 1)

function answered(step: Step, body: JsonObject, about: About, usage: JsonObject | undefined): Act[] {
  const tool_calls = step.calls.map(({ id, name, arguments: given }) => ({
    id,
    type: 'function',
    function: { name, arguments: given },
  }))
  const message: JsonObject = {
    role: 'assistant',
    content: step.say === '' && tool_calls.length > 0 ? null : step.say,
    refusal: null,
    ...(step.think === '' ? {} : { reasoning_content: step.think }),
    ...(tool_calls.length > 0 ? { tool_calls } : {}),
    annotations: [],
  }
  const choices = Array.from({ length: choicesOf(body) }, (_, index) => ({
    index,
    message,
    logprobs: null,
    finish_reason: finishOf(step),
  }))
  const answer = { ...about, object: 'chat.completion', choices, ...(usage ? { usage } : {}) }
  const bytes = json(answer)
  const headers = { 'content-type': step.content_type ?? 'application/json' }
  const head: Act = { do: 'head', status: 200, headers }
  if (step.hang_after !== null) return [head, { do: 'hang' }]
  if (step.cut_after === 0) return [{ do: 'cut' }]
  if (step.cut_after !== null) return [head, { do: 'say', bytes: bytes.subarray(0, bytes.length >> 1) }, { do: 'cut' }]
  if (step.malformed_after !== null) return [head, { do: 'say', bytes: bytes.subarray(0, -1) }, { do: 'end' }]
  return [head, { do: 'say', bytes }, { do: 'end' }]
}

function streamed(step: Step, body: JsonObject, about: About, usage: JsonObject | undefined): Act[] {
  const isUsageAsked = objectOf(body.stream_options).include_usage === true
  const common = { ...about, object: 'chat.completion.chunk' }
  const event = (fields: JsonObject) =>
    Buffer.from(`data: ${JSON.stringify({ ...common, ...(isUsageAsked ? { usage: null } : {}), ...fields })}\n\n`)
  const chunk = (index: number, delta: JsonObject, finish_reason: string | null) =>
    event({ choices: [{ index, delta, logprobs: null, finish_reason }] })

  const chunks = Array.from({ length: choicesOf(body) }, (_, index) => index).flatMap((index) => [
    chunk(index, { role: 'assistant', content: '', refusal: null }, null),
    ...deltasOf(step).map((delta) => chunk(index, delta, null)),
    chunk(index, {}, finishOf(step)),
  ])
  if (isUsageAsked && usage) chunks.push(event({ choices: [], usage }))
  chunks.push(Buffer.from('data: [DONE]\n\n'))
  const head: Act = { do: 'head', status: 200, headers: { 'content-type': step.content_type ?? 'text/event-stream' } }
  return step.cut_after === 0 ? [{ do: 'cut' }] : [head, ...faulty(step, chunks)]
}

function deltasOf(step: Step): JsonObject[] {
  const pieces = (text: string) => text.match(/\S+\s*|\s+/g) ?? []
  return [
    ...pieces(step.think).map((reasoning_content) => ({ reasoning_content })),
    ...pieces(step.say).map((content) => ({ content })),
    ...step.calls.flatMap(({ id, name, arguments: given }, index) => [
      { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] },
      ...(given.match(/.{1,12}/gs) ?? []).map((part) => ({ tool_calls: [{ index, function: { arguments: part } }] })),
    ]),
  ]
}

/** The chunks as the script has them come, and what goes wrong among them. */
function faulty(step: Step, chunks: Buffer[]): Act[] {
  const says = step.split ? halved(chunks) : chunks
  const acts: Act[] = []
  for (const [i, bytes] of says.entries()) {
    if (i === step.cut_after) return [...acts, { do: 'cut' }]
    if (i === step.hang_after) return [...acts, { do: 'hang' }]
    if (i === step.malformed_after) acts.push({ do: 'say', bytes: Buffer.from('data: {"choices": [{"delta"\n\n') })
    if (i > 0 && step.between_ms > 0) acts.push({ do: 'wait', ms: step.between_ms })
    acts.push({ do: 'say', bytes })
  }
  return [...acts, { do: 'end' }]
}

/** The same bytes in pieces of seven: each character of several bytes is cut somewhere. */
function halved(chunks: Buffer[]): Buffer[] {
  const all = Buffer.concat(chunks)
  return Array.from({ length: Math.ceil(all.length / 7) }, (_, i) => all.subarray(i * 7, i * 7 + 7))
}

const send: Sent = ({ base_url, key }, _model, path, body, dropped = []) => ({
  method: 'POST',
  url: `${base_url}/${path}`,
  headers: { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
  body: JSON.stringify(body),
  dropped,
})

/** The adapter: the format is OpenAI's. */
export const flow: Adapter = {
  kind: 'flow',
  framing: 'sse',
  native: { chat: chunked(send, 'chat/completions'), embeddings: embedded(send) },
  chat: chatBy(send),
  rerank: {
    request: (account, model, request) => send(account, model, 'rerank', rerankBodyOf(model, request)),
    answer: rerankAnswerOf,
  },
  fault,
  models: { request: (account) => ({ ...send(account, '', 'models', {}), method: 'GET' }), answer: modelsIn },
}
