/** What a call of a model costs an organization. The rate card's rate of the model goes before; then the organization's own
 *  price; then what the provider publishes; then the rate card's rate of every model. The built-in models are free until
 *  somebody prices them. */

import { usualRate } from '../../billing/billing.ts'
import type { StoredPolicy } from './policies-store.ts'
import type { Policy, Price } from './policy.ts'
import { publishedPrice } from './published.ts'

const KEPT = 1000

export function pricing(stored: Pick<StoredPolicy, 'rates' | 'prices' | 'providers'>): Policy['priceOf'] {
  const rates = new Map(stored.rates.map(({ model, nanocredits_per_unit }) => [model, nanocredits_per_unit]))
  const usual = flat(rates.get(null) ?? usualRate('llm_call'))
  const own = new Map(stored.prices.map(({ model, ...price }) => [model, price]))
  const patterns = stored.prices
    .filter(({ model }) => model.endsWith('*'))
    .map(({ model, ...price }) => ({ beginning: model.slice(0, -1), price }))
    .toSorted((a, b) => b.beginning.length - a.beginning.length)
  const found = new Map<string, Price>()

  const providers = new Map(stored.providers.map((provider) => [provider.name, provider]))

  const find = (name: string, provider: string, model: string): Price => {
    const rate = rates.get(name)
    if (rate !== undefined) return flat(rate)
    const priced = own.get(name) ?? patterns.find(({ beginning }) => name.startsWith(beginning))?.price
    if (priced) return priced
    if (provider === 'flow') return flat(0)
    const account = providers.get(provider)
    return (account && publishedPrice(account, model)) ?? usual
  }
  return (provider, model) => {
    const name = `${provider}/${model}`
    const before = found.get(name)
    if (before) return before
    const price = find(name, provider, model)
    // Clients choose the names of models: what they make up is not kept for ever.
    if (found.size < KEPT) found.set(name, price)
    return price
  }
}

/** Every token costs the same. */
const flat = (nanocredits: number): Price => ({
  input: nanocredits,
  cached: nanocredits,
  cache_written: nanocredits,
  output: nanocredits,
  call: 0,
})
