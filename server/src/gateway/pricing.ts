/** What a call of a model costs an organization. The rate card's rate of the model goes before; then the organization's own
 *  price; then the rate card's rate of every model. */

import { usualRate } from '../billing/billing.ts'
import type { StoredPolicy } from './policies-store.ts'
import type { Policy, Price } from './policy.ts'

const KEPT = 1000

export function pricing(stored: Pick<StoredPolicy, 'rates' | 'prices'>): Policy['priceOf'] {
  const rates = new Map(stored.rates.map(({ model, nanocredits_per_unit }) => [model, nanocredits_per_unit]))
  const usual = flat(rates.get(null) ?? usualRate('llm_call'))
  const own = new Map(stored.prices.map(({ model, ...price }) => [model, price]))
  const patterns = stored.prices
    .filter(({ model }) => model.endsWith('*'))
    .map(({ model, ...price }) => ({ beginning: model.slice(0, -1), price }))
    .toSorted((a, b) => b.beginning.length - a.beginning.length)
  const found = new Map<string, Price>()

  const find = (name: string): Price => {
    const rate = rates.get(name)
    if (rate !== undefined) return flat(rate)
    return own.get(name) ?? patterns.find(({ beginning }) => name.startsWith(beginning))?.price ?? usual
  }
  return (provider, model) => {
    const name = `${provider}/${model}`
    const before = found.get(name)
    if (before) return before
    const price = find(name)
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
