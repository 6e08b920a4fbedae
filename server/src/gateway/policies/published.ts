/** What providers publish as the prices of their models, from the open collection of `@pydantic/genai-prices`, which comes
 *  with Flow and is asked for no news. Looked up once for each model, and kept. A credit is a cent of the US dollar.
 *
 *  Where a price depends on the length of the prompt, the shortest counts; on the kind of content, that of text. */

import { calcPrice, findProvider, type ModelPrice } from '@pydantic/genai-prices'
import type { Account, ProviderKind } from '../providers/provider.ts'
import type { Price } from './policy.ts'

/** Nanocredits for a token, where a million of them costs a dollar. */
const NANOCREDITS = 100_000
const KEPT = 5_000

/** Whose prices hold wherever it is reached. A server that speaks OpenAI's format may be anybody's. */
const byKind: Partial<Record<ProviderKind, string>> = {
  anthropic: 'anthropic',
  azure: 'azure',
  bedrock: 'aws',
  cohere: 'cohere',
  gemini: 'google',
}

const kept = new Map<string, Price | undefined>()

/** Undefined: nothing is published. */
export function publishedPrice(account: Pick<Account, 'kind' | 'base_url'>, model: string): Price | undefined {
  const { kind, base_url } = account
  const key = `${kind} ${base_url} ${model}`
  if (kept.has(key)) return kept.get(key)
  const price = priceAt(kind, base_url, model)
  // Clients choose the names of models: what they make up is not kept for ever.
  if (kept.size < KEPT) kept.set(key, price)
  return price
}

function priceAt(kind: ProviderKind, base_url: string, model: string): Price | undefined {
  const provider =
    findProvider({ providerApiUrl: base_url }) ?? (byKind[kind] && findProvider({ providerId: byKind[kind] }))
  if (!provider) return undefined
  const found = calcPrice({ input_tokens: 0 }, model, { provider })
  return found ? priceOf(found.model_price) : undefined
}

function priceOf(published: ModelPrice): Price {
  const input = tokenAt(published.input_mtok) ?? 0
  return {
    input,
    cached: tokenAt(published.cache_read_mtok) ?? input,
    cache_written: tokenAt(published.cache_write_mtok) ?? input,
    output: tokenAt(published.output_mtok) ?? 0,
    call: 0,
  }
}

function tokenAt(price: ModelPrice[string]): number | undefined {
  const dollars = typeof price === 'object' ? price.base : price
  return dollars === undefined ? undefined : Math.round(dollars * NANOCREDITS)
}
