/** The mouths of the AI gateway: addresses where Flow speaks the formats of others, so that their clients work by another
 *  base URL and key. They are not operations of Flow's own kind (no audit, no idempotent transaction, errors in the
 *  format that was spoken) and are served beside them; here they are described, for readers of the OpenAPI document.
 *  Of each format only the common fields are named: all others travel to the provider as they are.
 *
 *  Sources: OpenAI's API reference (chat completions, completions, responses, embeddings, models), Anthropic's (messages),
 *  Cohere's (rerank). */

import { z } from 'zod'
import { Json } from './common.ts'
import type { Domain } from './operation.ts'

const model = z
  .string()
  .min(1)
  .max(300)
  .describe('`provider/model`, or the name of a route. `GET /gateway/v1/models` lists them.')
const stream = z.boolean().optional().describe('Answers as server-sent events of the same format.')
const max = (what: string) => z.int().min(1).optional().describe(what)
const temperature = z.number().min(0).max(2).optional()
const top_p = z.number().min(0).max(1).optional()
const user = z.string().optional()
const open = z.record(z.string(), Json)

const OpenAiError = z
  .looseObject({
    error: z.looseObject({
      message: z.string().describe('A sentence the caller can act on.'),
      type: z.string(),
      param: z.string().nullable().describe('The field that is to be mended.'),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: 'OpenAiError', description: 'A refusal in OpenAI’s format.' })
const AnthropicError = z
  .looseObject({
    type: z.literal('error'),
    error: z.looseObject({ type: z.string(), message: z.string() }),
    request_id: z.string(),
  })
  .meta({ id: 'AnthropicError', description: 'A refusal in Anthropic’s format.' })

const AnthropicTurns = z.array(z.looseObject({ role: z.enum(['user', 'assistant', 'system']) })).min(1)

const Usage = z.looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
const ChatCompletion = z
  .looseObject({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int().describe('Seconds since 1970.'),
    model: z.string(),
    choices: z.array(
      z.looseObject({
        index: z.int(),
        message: z.looseObject({ role: z.literal('assistant'), content: z.string().nullable() }),
        finish_reason: z.string(),
      }),
    ),
    usage: Usage.optional(),
  })
  .meta({ id: 'ChatCompletion' })
const Completion = z
  .looseObject({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(z.looseObject({ index: z.int(), text: z.string(), finish_reason: z.string().nullable() })),
    usage: Usage.optional(),
  })
  .meta({ id: 'Completion' })
const Response = z
  .looseObject({
    id: z.string(),
    object: z.literal('response'),
    status: z.string(),
    model: z.string(),
    output: z.array(open),
  })
  .meta({ id: 'ModelResponse' })
const Message = z
  .looseObject({
    id: z.string(),
    type: z.literal('message'),
    role: z.literal('assistant'),
    model: z.string(),
    content: z.array(open),
    stop_reason: z.string().nullable(),
    usage: z.looseObject({ input_tokens: z.int(), output_tokens: z.int() }),
  })
  .meta({ id: 'ModelMessage' })
const Embeddings = z
  .looseObject({
    object: z.literal('list'),
    model: z.string(),
    data: z.array(
      z.looseObject({
        object: z.literal('embedding'),
        index: z.int(),
        embedding: z.union([z.array(z.number()), z.string().describe('32-bit floats in base64.')]),
      }),
    ),
    usage: z.looseObject({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .meta({ id: 'Embeddings' })
const Rerank = z
  .looseObject({ id: z.string(), results: z.array(z.looseObject({ index: z.int(), relevance_score: z.number() })) })
  .meta({ id: 'Rerank' })
const Model = z
  .looseObject({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .meta({ id: 'GatewayModel' })

const openai = { permission: 'solutions.write', mouth: { errors: OpenAiError } } as const
const streaming = { permission: 'solutions.write', mouth: { errors: OpenAiError, streams: true } } as const

export const gateway = {
  chatCompletion: {
    ...streaming,
    method: 'POST',
    path: '/gateway/v1/chat/completions',
    summary: 'Ask a model, in OpenAI’s chat format.',
    input: z.object({
      model,
      messages: z.array(z.looseObject({ role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']) })).min(1),
      stream,
      max_completion_tokens: max('Tokens that it may write.'),
      temperature,
      top_p,
      n: z.int().min(1).max(128).optional(),
      tools: z.array(open).optional(),
      response_format: open.optional(),
      user,
    }),
    output: ChatCompletion,
  },
  completion: {
    ...streaming,
    method: 'POST',
    path: '/gateway/v1/completions',
    summary: 'Let a model go on with a text, in OpenAI’s older format.',
    input: z.object({
      model,
      prompt: z.union([z.string(), z.array(z.string())]),
      stream,
      max_tokens: max('Tokens that it may write; 16 where nothing is said.'),
      temperature,
      top_p,
      user,
    }),
    output: Completion,
  },
  response: {
    ...streaming,
    method: 'POST',
    path: '/gateway/v1/responses',
    summary: 'Ask a model, in the format of OpenAI’s Responses.',
    input: z.object({
      model,
      input: z.union([z.string(), z.array(open)]),
      instructions: z.string().nullish(),
      stream,
      max_output_tokens: max('Tokens that it may write.').nullable(),
      tools: z.array(open).optional(),
      temperature,
      top_p,
      user,
    }),
    output: Response,
  },
  message: {
    permission: 'solutions.write',
    mouth: { errors: AnthropicError, streams: true },
    method: 'POST',
    path: '/gateway/v1/messages',
    summary: 'Ask a model, in Anthropic’s format.',
    input: z.object({
      model,
      messages: AnthropicTurns,
      max_tokens: z.int().min(0).describe('Tokens that it may write. 0 only fills Anthropic’s cache.'),
      system: z.union([z.string(), z.array(open)]).optional(),
      stream,
      tools: z.array(open).optional(),
      temperature,
      top_p,
    }),
    output: Message,
  },
  countTokens: {
    permission: 'solutions.write',
    mouth: { errors: AnthropicError },
    method: 'POST',
    path: '/gateway/v1/messages/count_tokens',
    summary: 'Count the tokens of a request in Anthropic’s format. `x-flow-estimated: true` where they are estimated.',
    input: z.object({
      model,
      messages: AnthropicTurns,
      system: z.union([z.string(), z.array(open)]).optional(),
      tools: z.array(open).optional(),
    }),
    output: z.looseObject({ input_tokens: z.int() }).meta({ id: 'TokenCount' }),
  },
  embeddings: {
    ...openai,
    method: 'POST',
    path: '/gateway/v1/embeddings',
    summary: 'Make vectors of texts, in OpenAI’s format.',
    input: z.object({
      model,
      input: z.union([z.string(), z.array(z.string()), z.array(z.int()), z.array(z.array(z.int()))]),
      encoding_format: z.enum(['float', 'base64']).optional(),
      dimensions: max('Numbers of a vector, where the model lets one choose.'),
      user,
    }),
    output: Embeddings,
  },
  rerank: {
    ...openai,
    method: 'POST',
    path: '/gateway/v1/rerank',
    summary: 'Sort documents by how well they answer a query, in Cohere’s format.',
    input: z.object({
      model,
      query: z.string(),
      documents: z.array(z.union([z.string(), z.looseObject({ text: z.string() })])).min(1),
      top_n: max('So many of the best.'),
    }),
    output: Rerank,
  },
  listModels: {
    ...openai,
    method: 'GET',
    path: '/gateway/v1/models',
    summary: 'List the models that you may call.',
    input: z.object({}),
    output: z.looseObject({ object: z.literal('list'), data: z.array(Model) }),
  },
  getModel: {
    ...openai,
    method: 'GET',
    path: '/gateway/v1/models/{model_id}',
    summary: 'Read one model. Its id has a slash, which stands in the path as it is.',
    input: z.object({ model_id: model }),
    output: Model,
  },
} as const satisfies Domain
