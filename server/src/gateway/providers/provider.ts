/** What a provider's adapter is: pure translations from the hub to what the provider reads and back. An adapter opens
 *  no connection, knows no clock and no key but the one it is given; the data plane sends what it makes. */

import type {
  ChatAnswer,
  ChatChunk,
  ChatRequest,
  EmbeddingsAnswer,
  EmbeddingsRequest,
  Fault,
  JsonObject,
  MouthName,
  RerankAnswer,
  RerankRequest,
  Usage,
} from '../hub.ts'
import type { Carries } from './lost.ts'

/** A provider as an organization has set it up. */
export type Account = {
  kind: ProviderKind
  /** Without a slash at its end. */
  base_url: string
  /** The opened secret: a key, or for Bedrock `access_key_id:secret_access_key[:session_token]` or a bearer key. */
  key: string | null
  /** Sent along with every call. */
  headers: Record<string, string>
  /** What the kind needs besides: Azure's `api_version`, Bedrock's `region`. */
  options: Record<string, string>
}

export type ProviderKind = 'openai' | 'azure' | 'anthropic' | 'gemini' | 'bedrock' | 'cohere' | 'flow'

/** A request ready to be sent. */
export type Outgoing = {
  method: 'POST' | 'GET'
  url: string
  /** In lower case. */
  headers: Record<string, string>
  body: string
  /** Fields that this provider has no word for: the client is warned of them in a header. */
  dropped: string[]
}

/** One event of a provider's stream, as its framing gives it (server-sent events, or Bedrock's binary frames). */
export type StreamPiece = { event: string | null; data: string }

/** The way through one stream. `push` gives what a piece means in the hub, often nothing; `end` what is still owed when
 *  the provider has closed; both throw a `ProviderFault` where the provider says that it failed. `usage`: what the provider
 *  has told of it so far, which counts for a stream that ends early; clients are told at the end. */
export type StreamReader = {
  push(piece: StreamPiece): ChatChunk[]
  end(): ChatChunk[]
  readonly usage?: Partial<Usage> | undefined
}

/** A refusal of the provider, in the hub's words. `status` decides whether another attempt or provider may do better. */
export class ProviderFault extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.message)
    this.fault = fault
  }
}

/** A format that the provider speaks by itself. The request is the client's, with the model's name changed. */
export type Native = {
  /** Whether this account speaks it; missing: each account of the kind does. Where not, the call goes by the hub. */
  speaks?(account: Account): boolean
  /** `body` is the client's, parsed. */
  request(account: Account, model: string, body: JsonObject): Outgoing
  /** What the answer cost, or `undefined` where it does not say. */
  usageOf(answer: JsonObject): Usage | undefined
  /** The same of one piece of a stream: what it says is the total up to there. */
  usageOfPiece(piece: StreamPiece): Partial<Usage> | undefined
  /** Whether a piece is only what `request` asked for besides: the client whose body this is does not see it. */
  hides?(body: JsonObject, piece: StreamPiece): boolean
  /** Why the provider broke off, where this piece says so. */
  faultOfPiece(piece: StreamPiece): Fault | undefined
  /** Whether the stream is whole with this piece. One that closes without it was cut short. */
  ends(piece: StreamPiece): boolean
}

/** Names an answer where the provider does not: `now` is in seconds since 1970. */
export type Naming = { id: string; now: number }

/** Each `request` throws a `ProviderFault` where a part of it cannot be translated and must not be left out, such as
 *  an image that the provider would have to fetch. */
export type Adapter = {
  kind: ProviderKind
  framing: 'sse' | 'aws'
  native: Partial<Record<MouthName, Native>>
  chat?: {
    request(account: Account, model: string, request: ChatRequest): Outgoing
    /** What of this request's messages and tools such a call can carry; `request` itself names the other fields. */
    carries(account: Account, model: string, request: ChatRequest): Carries
    answer(body: JsonObject, about: Naming): ChatAnswer
    /** `request` names the model as the provider calls it. */
    stream(request: ChatRequest, about: Naming): StreamReader
  }
  embeddings?: {
    /** Inputs that one call takes; missing: as many as a client may send. Whoever has more makes several calls. */
    inputsMax?(model: string): number
    request(account: Account, model: string, request: EmbeddingsRequest): Outgoing
    answer(body: JsonObject, request: EmbeddingsRequest): EmbeddingsAnswer
  }
  rerank?: {
    request(account: Account, model: string, request: RerankRequest): Outgoing
    answer(body: JsonObject, request: RerankRequest): RerankAnswer
  }
  /** How the tokens of a request in Anthropic's format are counted, without asking a model. */
  counting?: {
    request(account: Account, model: string, body: JsonObject): Outgoing
    answer(body: JsonObject): number | undefined
  }
  /** What an answer that is no success means. `body` is the text as it came, cut at 64 KiB. */
  fault(status: number, headers: Record<string, string | undefined>, body: string): Fault
  /** How the models of an account are asked for, and read; the same call proves that a key works. */
  models: {
    request(account: Account): Outgoing
    /** Where one list has not all of them: others, read in the same way. One that is refused has none. */
    more?(account: Account): Outgoing[]
    answer(body: JsonObject): { id: string; created: number | null }[]
  }
  /** Signs what is sent, where a key in a header is not enough. */
  sign?(outgoing: Outgoing, account: Account, now: Date): Promise<Outgoing>
}
