/** What calls of the gateway take and give: OpenAI's formats, with the fields that Flow's own models and translations
 *  know. Parameters that are not named here go to the provider as they are. */

export type ChatRole = 'system' | 'developer' | 'user' | 'assistant' | 'tool'

export type ChatPart =
  | { type: 'text'; text: string }
  | { type: 'image_url'; image_url: { url: string; detail?: 'auto' | 'low' | 'high' } }
  | { type: string; [field: string]: unknown }

export type ChatToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } }

export type ChatMessage = {
  role: ChatRole
  content?: string | ChatPart[] | null
  name?: string
  /** Of an assistant. */
  tool_calls?: ChatToolCall[]
  /** Of a tool: the call that this answers. */
  tool_call_id?: string
  [field: string]: unknown
}

export type ChatTool = {
  type: 'function'
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null }
}

export type ChatParameters = {
  temperature?: number
  max_tokens?: number
  max_completion_tokens?: number
  top_p?: number
  n?: number
  seed?: number
  stop?: string | string[]
  logprobs?: boolean
  top_logprobs?: number
  tools?: ChatTool[]
  tool_choice?: 'none' | 'auto' | 'required' | { type: 'function'; function: { name: string } }
  parallel_tool_calls?: boolean
  response_format?: { type: 'text' | 'json_object' } | { type: 'json_schema'; json_schema: Record<string, unknown> }
  reasoning_effort?: string
  [parameter: string]: unknown
}

export type StreamParameters = ChatParameters & { stream: true; stream_options?: { include_usage?: boolean } }

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'function_call'

export type ChatUsage = {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details?: { cached_tokens?: number }
  completion_tokens_details?: { reasoning_tokens?: number }
}

export type TokenLogprob = {
  token: string
  logprob: number
  bytes: number[] | null
  top_logprobs: Omit<TokenLogprob, 'top_logprobs'>[]
}
export type ChatLogprobs = { content: TokenLogprob[] | null; refusal: TokenLogprob[] | null } | null

export type ChatCompletion = {
  id: string
  object: 'chat.completion'
  created: number
  model: string
  choices: {
    index: number
    message: {
      role: 'assistant'
      content: string | null
      refusal?: string | null
      tool_calls?: ChatToolCall[]
      reasoning_content?: string
      [field: string]: unknown
    }
    logprobs?: ChatLogprobs
    finish_reason: FinishReason
  }[]
  usage?: ChatUsage
}

export type ChatChunk = {
  id: string
  object: 'chat.completion.chunk'
  created: number
  model: string
  choices: {
    index: number
    delta: {
      role?: 'assistant'
      content?: string | null
      refusal?: string | null
      tool_calls?: { index: number; id?: string; type?: 'function'; function?: { name?: string; arguments?: string } }[]
      reasoning_content?: string
      [field: string]: unknown
    }
    logprobs?: ChatLogprobs
    finish_reason: FinishReason | null
  }[]
  /** In the last chunk, where `stream_options.include_usage` asks for it. */
  usage?: ChatUsage | null
}

export type EmbeddingsParameters = { dimensions?: number; user?: string; [parameter: string]: unknown }

export type Embeddings = {
  object: 'list'
  data: { object: 'embedding'; index: number; embedding: number[] }[]
  model: string
  usage: { prompt_tokens: number; total_tokens: number }
}

export type RerankParameters = { top_n?: number; return_documents?: boolean; [parameter: string]: unknown }

export type Rerank = {
  id: string
  model: string
  /** The best first; `index` is the place in the given documents. */
  results: { index: number; relevance_score: number; document?: { text: string } }[]
}

export type GatewayModel = { id: string; object: 'model'; created: number; owned_by: string }
