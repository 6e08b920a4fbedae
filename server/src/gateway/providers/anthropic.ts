/** Anthropic by its own API, version 2023-06-01 (https://platform.claude.com/docs/en/api): messages, the counting of their
 *  tokens, and models. */

import type { JsonObject } from '../hub.ts'
import { chatAnswerOf, chatStreamOf, usageOf, usageOfDelta } from './anthropic-answer.ts'
import { fault, faultOfError } from './anthropic-fault.ts'
import { carriedBy, messageBodyOf } from './anthropic-request.ts'
import { traitsOf } from './anthropic-traits.ts'
import type { Account, Adapter, Native, Outgoing } from './provider.ts'
import { numberOf, objectOf, objectsOf, parsed, textOf } from './read.ts'

const headersOf = (account: Account): Record<string, string> => ({
  'content-type': 'application/json',
  'anthropic-version': '2023-06-01',
  ...(account.key === null ? {} : { 'x-api-key': account.key }),
  ...account.headers,
})

const sent = (account: Account, path: string, body: JsonObject): Outgoing => ({
  method: 'POST',
  url: `${account.base_url}/${path}`,
  headers: headersOf(account),
  body: JSON.stringify(body),
  dropped: [],
})

const messages: Native = {
  request: (account, model, body) => sent(account, 'messages', { ...body, model }),
  usageOf: (answer) => (answer.usage === undefined ? undefined : usageOf(answer.usage)),
  usageOfPiece({ data }) {
    const event = objectOf(parsed(data))
    if (event.type === 'message_start') return usageOf(objectOf(event.message).usage)
    return event.type === 'message_delta' ? usageOfDelta(event.usage) : undefined
  },
  faultOfPiece({ data }) {
    if (!data.includes('"error"')) return undefined
    const event = objectOf(parsed(data))
    return event.type === 'error' ? faultOfError(objectOf(event.error)) : undefined
  },
  ends: ({ data }) => data.includes('"message_stop"') && objectOf(parsed(data)).type === 'message_stop',
}

export const anthropic: Adapter = {
  kind: 'anthropic',
  framing: 'sse',
  native: { messages },
  chat: {
    request(account, model, request) {
      const { body, dropped, betas } = messageBodyOf(model, request)
      const outgoing = { ...sent(account, 'messages', body), dropped }
      if (betas.length > 0) {
        const asked = [outgoing.headers['anthropic-beta'], ...betas].filter(Boolean).join(',')
        outgoing.headers['anthropic-beta'] = asked
      }
      return outgoing
    },
    carries: (_account, model, request) => carriedBy(request, traitsOf(model)),
    answer: chatAnswerOf,
    stream: chatStreamOf,
  },
  counting: {
    request: (account, model, body) => sent(account, 'messages/count_tokens', { ...body, model }),
    answer: (body) => numberOf(body.input_tokens),
  },
  fault,
  models: {
    request: (account) => ({
      method: 'GET',
      url: `${account.base_url}/models?limit=1000`,
      headers: headersOf(account),
      body: '',
      dropped: [],
    }),
    answer: modelsIn,
  },
}

function modelsIn(body: JsonObject): { id: string; created: number | null }[] {
  if (!Array.isArray(body.data)) throw new TypeError('there is no list of models in it')
  return objectsOf(body.data).flatMap(({ id, created_at }) => {
    const name = textOf(id)
    const made = Date.parse(textOf(created_at) ?? '')
    return name === undefined ? [] : [{ id: name, created: made > 0 ? Math.floor(made / 1000) : null }]
  })
}
