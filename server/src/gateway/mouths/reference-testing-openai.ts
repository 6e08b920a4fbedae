/** OpenAI's reference: chat completions, completions, embeddings, models, errors. */

import {
  anyObject,
  count,
  decimal,
  exactly,
  fields,
  filled,
  listOf,
  mapOf,
  oneOf,
  orNull,
  text,
} from './reference-testing-shapes.ts'

const usage = fields(
  { prompt_tokens: count, completion_tokens: count, total_tokens: count },
  {
    prompt_tokens_details: fields(
      {},
      {
        cached_tokens: count,
        audio_tokens: count,
        cache_write_tokens: count,
        text_tokens: count,
        image_tokens: count,
      },
    ),
    completion_tokens_details: fields(
      {},
      {
        reasoning_tokens: count,
        audio_tokens: count,
        text_tokens: count,
        accepted_prediction_tokens: count,
        rejected_prediction_tokens: count,
      },
    ),
  },
)

const topLogprob = fields({ token: text, logprob: decimal, bytes: orNull(listOf(count)) })
const logprob = fields({
  token: text,
  logprob: decimal,
  bytes: orNull(listOf(count)),
  top_logprobs: listOf(topLogprob),
})
const logprobs = orNull(fields({ content: orNull(listOf(logprob)), refusal: orNull(listOf(logprob)) }))

const toolCall = fields({
  id: filled,
  type: exactly('function'),
  function: fields({ name: filled, arguments: text }),
})

/** Ours besides: what a model thought, as docs/gateway.md describes it. */
const reasoningDetail = fields(
  { type: oneOf('reasoning.text', 'reasoning.encrypted'), index: count },
  { text, signature: text, data: text, id: text },
)
const thoughts = { reasoning_content: text, reasoning_details: listOf(reasoningDetail, { minItems: 1 }) }

const tier = oneOf('auto', 'default', 'flex', 'scale', 'priority', 'fast', null)
const finish = ['stop', 'length', 'tool_calls', 'content_filter', 'function_call']

const chatAnswer = fields(
  {
    id: filled,
    object: exactly('chat.completion'),
    created: count,
    model: filled,
    choices: listOf(
      fields({
        index: count,
        message: fields(
          { role: exactly('assistant'), content: orNull(text), refusal: orNull(text) },
          { tool_calls: listOf(toolCall, { minItems: 1 }), annotations: listOf(anyObject), ...thoughts },
        ),
        logprobs,
        finish_reason: oneOf(...finish),
      }),
      { minItems: 1 },
    ),
  },
  { usage, system_fingerprint: text, service_tier: tier, metadata: orNull(mapOf(text)) },
)

const callPiece = fields(
  { index: count },
  { id: filled, type: exactly('function'), function: fields({}, { name: filled, arguments: text }) },
)

const chatChunk = fields(
  {
    id: filled,
    object: exactly('chat.completion.chunk'),
    created: count,
    model: filled,
    choices: listOf(
      fields(
        {
          index: count,
          delta: fields(
            {},
            {
              role: exactly('assistant'),
              content: orNull(text),
              refusal: orNull(text),
              tool_calls: listOf(callPiece, { minItems: 1 }),
              ...thoughts,
            },
          ),
          finish_reason: oneOf(...finish, null),
        },
        { logprobs },
      ),
    ),
  },
  { usage: orNull(usage), system_fingerprint: text, service_tier: tier, obfuscation: text },
)

const textLogprobs = fields(
  {},
  {
    text_offset: listOf(count),
    token_logprobs: listOf(decimal),
    tokens: listOf(text),
    top_logprobs: listOf(mapOf(decimal)),
  },
)

/** Of an answer and of a chunk, which share it. */
const completion = (reasons: (string | null)[]) =>
  fields(
    {
      id: filled,
      object: exactly('text_completion'),
      created: count,
      model: filled,
      choices: listOf(fields({ index: count, text, logprobs: orNull(textLogprobs), finish_reason: oneOf(...reasons) })),
    },
    { usage: orNull(usage), system_fingerprint: text },
  )

const embeddings = fields({
  object: exactly('list'),
  data: listOf(
    fields({
      object: exactly('embedding'),
      index: count,
      embedding: {
        anyOf: [listOf(decimal, { minItems: 1 }), { type: 'string', contentEncoding: 'base64', minLength: 4 }],
      },
    }),
  ),
  model: filled,
  usage: fields({ prompt_tokens: count, total_tokens: count }),
})

const model = fields(
  { id: filled, object: exactly('model'), created: count, owned_by: filled },
  { shutdown_date: orNull(text) },
)

export const openaiShapes = {
  'chat.answer': chatAnswer,
  'chat.chunk': chatChunk,
  'completions.answer': completion(['stop', 'length', 'content_filter']),
  'completions.chunk': completion(['stop', 'length', 'content_filter', null]),
  'embeddings.answer': embeddings,
  'models.one': model,
  'models.list': fields({ object: exactly('list'), data: listOf(model) }),
  error: fields({ error: fields({ message: filled, type: filled, param: orNull(text), code: orNull(text) }) }),
  // Cohere's and Jina's answers in one, of which each client reads its own part.
  'rerank.answer': fields({
    id: filled,
    object: exactly('list'),
    model: filled,
    results: listOf(
      fields(
        { index: count, relevance_score: { type: 'number', minimum: 0, maximum: 1 } },
        { document: fields({ text }) },
      ),
    ),
    usage: fields({ prompt_tokens: count, total_tokens: count }),
    meta: fields({ billed_units: fields({ search_units: count }) }),
  }),
}
