/** The one format in the middle. A mouth turns what was asked into it, a provider's adapter turns it into what the
 *  provider reads, and the other way round for answers and chunks, so that six mouths and six providers need twelve
 *  translations and not thirty-six. It is OpenAI's chat completion (its published reference names the fields), with
 *  what other formats have besides: reasoning that must be handed back unchanged, and where a prompt may be cached.
 *
 *  Nothing here does anything. Where a mouth and a provider speak the same format, none of this is used: bytes pass. */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** What clients speak: `/chat/completions`, `/completions`, `/responses`, `/messages`, `/embeddings`, `/rerank`. */
export type MouthName = 'chat' | 'completions' | 'responses' | 'messages' | 'embeddings' | 'rerank'

/** Tokens of one call. `input` is all that the model read, with what it had cached (`cached`) and what it cached now
 *  (`cache_written`); `output` all that it wrote, with its `reasoning`. */
export type Usage = { input: number; cached: number; cache_written: number; output: number; reasoning: number }

/** Why a call was refused or failed, before a mouth says it in its own words. `type` and `code` are OpenAI's where it
 *  has one: `invalid_request_error`, `authentication_error`, `permission_error`, `not_found_error`, `rate_limit_error`,
 *  `insufficient_quota`, `server_error`, `api_error`. */
export type Fault = {
  status: number
  type: string
  code: string | null
  message: string
  /** The field that is to be mended, as the client knows it: `messages[0].role`. */
  param?: string
  retry_after_seconds?: number
  /** False: trying again is of no use until something else has changed, such as a budget. Told as `x-should-retry`. */
  is_retryable?: boolean
  /** What is told besides, such as which limit was met. */
  headers?: Record<string, string>
}

/** Marks where everything up to here may be cached by the provider (Anthropic's `cache_control`). */
export type CacheMark = { cache_control?: { type: 'ephemeral'; ttl?: string } }

export type TextPart = { type: 'text'; text: string } & CacheMark
export type ImagePart = {
  type: 'image_url'
  /** `https:` or `data:`. */
  image_url: { url: string; detail?: 'auto' | 'low' | 'high' }
} & CacheMark
export type AudioPart = { type: 'input_audio'; input_audio: { data: string; format: string } }
export type FilePart = {
  type: 'file'
  /** `file_data` is a `data:` URL, or an address for providers that fetch it themselves. */
  file: { filename?: string; file_data?: string; file_id?: string }
} & CacheMark
export type RefusalPart = { type: 'refusal'; refusal: string }
export type UserPart = TextPart | ImagePart | AudioPart | FilePart

/** What a model thought, to be handed back in the next turn as it came. `text` may be empty while `data` is sealed.
 *  A `signature` or `data` that only one kind of provider understands begins with that kind and a colon
 *  (`gemini:…`), so that no other is handed it; base64 has no colon. */
export type Reasoning = { text: string; signature?: string; data?: string; id?: string }

export type ToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } }

export type Message =
  | { role: 'system' | 'developer'; content: string | TextPart[]; name?: string }
  | { role: 'user'; content: string | UserPart[]; name?: string }
  | {
      role: 'assistant'
      content?: string | (TextPart | RefusalPart)[] | null
      refusal?: string | null
      name?: string
      tool_calls?: ToolCall[]
      reasoning?: Reasoning[]
    }
  | { role: 'tool'; tool_call_id: string; content: string | (TextPart | ImagePart)[]; is_error?: boolean }

export type Tool = {
  type: 'function'
  function: { name: string; description?: string; parameters?: JsonObject; strict?: boolean | null }
} & CacheMark
export type ToolChoice = 'none' | 'auto' | 'required' | { type: 'function'; function: { name: string } }
export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | { type: 'json_schema'; json_schema: { name: string; description?: string; schema?: JsonObject; strict?: boolean } }

export type ReasoningEffort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max'

/** A number; an object where a double does not hold it (exact.ts). */
export type Seed = number | JsonObject

export type ChatRequest = {
  model: string
  messages: Message[]
  stream?: boolean
  stream_options?: { include_usage?: boolean }
  max_completion_tokens?: number
  temperature?: number
  top_p?: number
  top_k?: number
  n?: number
  stop?: string[]
  seed?: Seed
  presence_penalty?: number
  frequency_penalty?: number
  logit_bias?: Record<string, number>
  logprobs?: boolean
  top_logprobs?: number
  response_format?: ResponseFormat
  tools?: Tool[]
  tool_choice?: ToolChoice
  parallel_tool_calls?: boolean
  reasoning_effort?: ReasoningEffort
  /** Tokens that may be thought with, where a format counts them (Anthropic's `thinking.budget_tokens`). */
  reasoning_tokens?: number
  user?: string
  metadata?: Record<string, string>
  /** The format it was asked in, whose names `others` bears. */
  mouth?: MouthName
  /** What was asked besides, by names of the mouth's own format. It reaches providers of that format unchanged;
   *  adapters of another one name it in `dropped`. */
  others?: JsonObject
  /** What the mouth's answer repeats of the request, in its own names. No adapter reads it. */
  echo?: JsonObject
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'
export type TokenLogprob = {
  token: string
  logprob: number
  bytes: number[] | null
  top_logprobs: { token: string; logprob: number; bytes: number[] | null }[]
}
export type Logprobs = { content: TokenLogprob[] | null; refusal: TokenLogprob[] | null }

export type Choice = {
  index: number
  message: {
    content: string | null
    refusal: string | null
    tool_calls?: ToolCall[]
    reasoning?: Reasoning[]
  }
  finish_reason: FinishReason
  /** The sequence that ended it, where the provider says so. */
  stop_sequence?: string | null
  logprobs?: Logprobs | null
}
export type ChatAnswer = {
  id: string
  /** Seconds since 1970. */
  created: number
  /** As the provider calls it; empty where it does not say. */
  model: string
  choices: Choice[]
  /** Nothing but zeros: the provider did not tell it. */
  usage: Usage
  system_fingerprint?: string | null
}

/** One step of a stream, in OpenAI's sense: deltas are to be appended; `index` says to which choice, and in
 *  `tool_calls` to which call. Every choice ends with one `finish_reason`; usage comes last, once, without choices. */
export type ChatChunk = {
  id: string
  created: number
  model: string
  choices: {
    index: number
    delta: {
      content?: string
      refusal?: string
      tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[]
      /** Pieces of one block of reasoning carry its number; `signature` and `data` come whole. */
      reasoning?: { index: number; text?: string; signature?: string; data?: string; id?: string }
    }
    finish_reason: FinishReason | null
    stop_sequence?: string | null
    logprobs?: Logprobs | null
  }[]
  usage?: Usage
  system_fingerprint?: string | null
}

export type EmbeddingsRequest = {
  model: string
  /** Texts, or token ids of OpenAI's models. */
  input: string[] | number[][]
  dimensions?: number
  encoding_format?: 'float' | 'base64'
  user?: string
  /** What the vectors are for, where a provider asks (Cohere's and Gemini's task types). */
  input_type?: string
  others?: JsonObject
}
export type EmbeddingsAnswer = { model: string; vectors: number[][]; usage: Usage }

export type RerankRequest = {
  model: string
  query: string
  documents: string[]
  top_n?: number
  /** The answer has the documents' texts besides; the mouth puts them there. */
  return_documents?: boolean
  others?: JsonObject
}
/** Best first. `score` is between 0 and 1. */
export type RerankAnswer = { id: string; model: string; results: { index: number; score: number }[]; usage: Usage }
