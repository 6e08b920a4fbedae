/** OpenAI's models on Azure (https://learn.microsoft.com/azure/ai-foundry/openai/reference). A model is called by the name
 *  of its deployment. Without `options.api_version` the API without versions is spoken (`/openai/v1/`); with a date the
 *  older one, which has the deployment in the address.
 *
 *  The base URL is the resource's, `https://NAME.openai.azure.com`, with or without `/openai/v1` behind it. */

import { chatBy, nativeBy } from './openai.ts'
import { fault } from './openai-fault.ts'
import type { Sent } from './openai-native.ts'
import type { Account, Adapter } from './provider.ts'

const headersOf = ({ key, headers }: Account): Record<string, string> => ({
  'content-type': 'application/json',
  ...credentialOf(key),
  ...headers,
})

/** A token of Microsoft Entra is a JWT; a key is not. */
function credentialOf(key: string | null): Record<string, string> {
  if (key === null) return {}
  return key.startsWith('eyJ') ? { authorization: `Bearer ${key}` } : { 'api-key': key }
}

const isDated = (version: string | undefined) => version !== undefined && /^\d{4}-/.test(version)

/** `deployment` null: what is not about one, or names it in its body. */
function urlOf({ base_url, options: { api_version } }: Account, path: string, deployment: string | null): string {
  const root = base_url.replace(/\/openai(\/v1)?$/, '')
  const query = api_version === undefined ? '' : `?api-version=${encodeURIComponent(api_version)}`
  if (!isDated(api_version)) return `${root}/openai/v1/${path}${query}`
  const place = deployment === null ? '' : `deployments/${encodeURIComponent(deployment)}/`
  return `${root}/openai/${place}${path}${query}`
}

const send: Sent = (account, model, path, body, dropped = []) => ({
  method: 'POST',
  url: urlOf(account, path, path === 'responses' ? null : model),
  headers: headersOf(account),
  body: JSON.stringify(body),
  dropped,
})

export const azure: Adapter = {
  kind: 'azure',
  framing: 'sse',
  native: nativeBy(send),
  chat: chatBy(send),
  fault,
  models: {
    request: (account) => ({
      method: 'GET',
      url: urlOf(account, 'models', null),
      headers: headersOf(account),
      body: '',
      dropped: [],
    }),
    // Azure lists what could be deployed, and not what is: whoever calls it knows the deployment's name.
    answer(body) {
      if (!Array.isArray(body.data)) throw new TypeError('there is no list of models in it')
      return []
    },
  },
}
