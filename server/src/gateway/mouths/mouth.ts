/** What a mouth is: pure translations between a client's format and the hub. A mouth reads no request and writes no
 *  answer; the data plane does, with what the mouth makes. */

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
} from '../hub.ts'

/** What a request lacks or has too much; the client is told as `param`. */
export class Refusal extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.message)
    this.fault = fault
  }
}

/** How the answer names things: `id` without the mouth's prefix, `model` as the client asked for it. */
export type About = { id: string; model: string; created: number }

/** The way of a stream to the client, as the text of server-sent events. `end` closes it; `fail` ends it in the middle
 *  with an error event, as this format's clients expect one. */
export type StreamWriter = {
  begin(): string
  chunk(chunk: ChatChunk): string
  end(): string
  fail(fault: Fault): string
}

/** The mouths whose calls are chats. The others (`embeddings`, `rerank`) have a format of their own in the hub. */
export type ChatMouth = {
  name: Extract<MouthName, 'chat' | 'completions' | 'responses' | 'messages'>
  /** Reads and checks; throws a `Refusal`. */
  read(body: JsonObject): ChatRequest
  answer(answer: ChatAnswer, request: ChatRequest, about: About): JsonObject
  stream(request: ChatRequest, about: About): StreamWriter
  fault(fault: Fault): JsonObject
}

/** The mouths whose calls have one question and one answer. */
export type FlatMouth<Request, Answer> = {
  /** Reads and checks; throws a `Refusal`. */
  read(body: JsonObject): Request
  answer(answer: Answer, request: Request, about: About): JsonObject
}
export type EmbeddingsMouth = FlatMouth<EmbeddingsRequest, EmbeddingsAnswer>
export type RerankMouth = FlatMouth<RerankRequest, RerankAnswer>
