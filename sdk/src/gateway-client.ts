/** Calls of models, by whom they are needed: chats, whole and in streams, embeddings, reranking, and which models there
 *  are. A stream comes to its end or throws; it never ends silently. */

import { FlowConnectionError, FlowTimeoutError } from './errors.ts'
import { parsed } from './events.ts'
import { faultIn, GatewayStreamError, gatewayErrorOf } from './gateway-errors.ts'
import type {
  ChatChunk,
  ChatCompletion,
  ChatMessage,
  ChatParameters,
  Embeddings,
  EmbeddingsParameters,
  GatewayModel,
  Rerank,
  RerankParameters,
  StreamParameters,
} from './gateway-types.ts'
import { createTransport, type Transport } from './transport.ts'

export const GATEWAY_PATH = '/api/v1/gateway/v1'

export type GatewayClientOptions = {
  /** Such as `http://localhost:8080/api/v1/gateway/v1`, or only the origin. `GATEWAY_URL`, else `PLATFORM_API_URL`. */
  base_url?: string
  /** An API key (`fl_…`) or an access token. `AUTH_TOKEN`. */
  auth_token?: string
  /** `WORKSPACE_ID`. */
  workspace_id?: string
  /** How long an answer may take, and a stream be silent, in seconds; 60 by default. */
  timeout?: number
  max_retries?: number
  /** Gives a new token after the server refused the old one, once for all calls that wait; they are then made once more. */
  on_auth_token_refresh?: () => string | Promise<string>
  fetch?: (request: Request) => Response | Promise<Response>
}

export type GatewayCallOptions = {
  signal?: AbortSignal
  /** Makes a repetition harmless, and so lets a broken connection be tried again. For what does not stream. */
  idempotency_key?: string
  /** Another workspace than the client's own. */
  workspace_id?: string
  /** The id that this request bears in answers, logs and traces. A UUID. */
  request_id?: string
  /** Further headers, such as `x-flow-cache-seconds`. */
  headers?: Record<string, string>
}

export class GatewayClient {
  readonly base_url: string
  readonly #transport: Transport
  readonly #timeout: number

  constructor(options: GatewayClientOptions = {}) {
    const { env } = process
    const given = options.base_url ?? env.GATEWAY_URL ?? env.PLATFORM_API_URL ?? 'http://localhost:8080'
    const { timeout = 60, auth_token = env.AUTH_TOKEN, workspace_id = env.WORKSPACE_ID } = options
    this.base_url = withPath(given)
    this.#timeout = timeout
    const { base_url } = this
    this.#transport = createTransport({
      ...options,
      base_url,
      timeout,
      auth_token,
      workspace_id,
      refusal: gatewayErrorOf,
    })
  }

  /** A chat: whole, or with `stream: true` chunk by chunk. */
  chatCompletion(
    model: string,
    messages: ChatMessage[],
    parameters: StreamParameters,
    options?: GatewayCallOptions,
  ): AsyncIterable<ChatChunk>
  chatCompletion(
    model: string,
    messages: ChatMessage[],
    parameters?: ChatParameters & { stream?: false },
    options?: GatewayCallOptions,
  ): Promise<ChatCompletion>
  chatCompletion(
    model: string,
    messages: ChatMessage[],
    parameters: ChatParameters & { stream?: boolean } = {},
    options: GatewayCallOptions = {},
  ): AsyncIterable<ChatChunk> | Promise<ChatCompletion> {
    const body = { model, messages, ...parameters }
    if (parameters.stream) return this.#stream<ChatChunk>('/chat/completions', body, options)
    return this.#ask<ChatCompletion>('POST', '/chat/completions', body, options)
  }

  /** A vector for each text. */
  embeddings(
    model: string,
    input: string | string[],
    parameters: EmbeddingsParameters = {},
    options: GatewayCallOptions = {},
  ): Promise<Embeddings> {
    const body = { model, input, encoding_format: 'float', ...parameters }
    return this.#ask<Embeddings>('POST', '/embeddings', body, options)
  }

  /** Documents by how well they answer the query, the best first. */
  rerank(
    model: string,
    query: string,
    documents: string[],
    parameters: RerankParameters = {},
    options: GatewayCallOptions = {},
  ): Promise<Rerank> {
    return this.#ask<Rerank>('POST', '/rerank', { model, query, documents, ...parameters }, options)
  }

  /** The models that may be called. */
  async models(options: GatewayCallOptions = {}): Promise<GatewayModel[]> {
    const { data } = await this.#ask<{ data: GatewayModel[] }>('GET', '/models', undefined, options)
    return data
  }

  /** One model, by its id: `provider/model`. */
  model(id: string, options: GatewayCallOptions = {}): Promise<GatewayModel> {
    const path = id.split('/').map(encodeURIComponent).join('/')
    return this.#ask<GatewayModel>('GET', `/models/${path}`, undefined, options)
  }

  async #ask<Answer>(method: string, path: string, body: unknown, options: GatewayCallOptions): Promise<Answer> {
    const repeatable = method === 'GET' || options.idempotency_key !== undefined
    const { signal } = options
    const response = await this.#transport.send({ method, path, body, headers: headersOf(options), signal, repeatable })
    const text = await response.text()
    try {
      return JSON.parse(text) as Answer
    } catch (cause) {
      throw new FlowConnectionError(`${this.base_url} answered with what is no JSON.`, cause)
    }
  }

  async *#stream<Chunk>(path: string, body: unknown, options: GatewayCallOptions): AsyncGenerator<Chunk> {
    const silence = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, silence.signal]) : silence.signal
    const headers = { ...headersOf(options), accept: 'text/event-stream' }
    const sent = { method: 'POST', path, body, headers, signal, repeatable: false, streams: true }
    const response = await this.#transport.send(sent)
    const told = { request_id: response.headers.get('x-request-id') ?? undefined }
    const wait = () => setTimeout(() => silence.abort(), this.#timeout * 1000)
    let clock = wait()
    try {
      for await (const { data } of parsed(response, () => clock.refresh())) {
        if (data === '[DONE]') return
        const fault = data.includes('"error"') ? faultIn(data) : undefined
        if (fault) throw new GatewayStreamError(fault, told)
        // Whoever takes a chunk has all the time they need for it.
        clearTimeout(clock)
        yield chunkOf<Chunk>(data, told)
        clock = wait()
      }
    } catch (cause) {
      if (cause instanceof GatewayStreamError) throw cause
      if (options.signal?.aborted) throw options.signal.reason
      if (silence.signal.aborted) throw new FlowTimeoutError(this.#timeout, cause)
      throw new GatewayStreamError({ message: 'The connection broke in the middle of the stream.' }, { ...told, cause })
    } finally {
      clearTimeout(clock)
      // Leaving the loop early ends the call at the provider.
      silence.abort()
    }
    throw new GatewayStreamError({ message: 'The stream ended before it was complete.' }, told)
  }
}

/** An origin stands for the gateway of the platform there. */
function withPath(url: string): string {
  const bare = url.replace(/\/+$/, '')
  return new URL(bare).pathname === '/' ? bare + GATEWAY_PATH : bare
}

function headersOf(options: GatewayCallOptions): Record<string, string> {
  const headers: Record<string, string> = { ...options.headers }
  if (options.idempotency_key) headers['idempotency-key'] = options.idempotency_key
  if (options.workspace_id) headers['x-workspace-id'] = options.workspace_id
  if (options.request_id) headers['x-request-id'] = options.request_id
  return headers
}

function chunkOf<Chunk>(data: string, told: { request_id?: string }): Chunk {
  try {
    return JSON.parse(data) as Chunk
  } catch (cause) {
    throw new GatewayStreamError({ message: 'The stream has an event that is no JSON.' }, { ...told, cause })
  }
}
