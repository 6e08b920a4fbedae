/** What a token costs, from whom it is known. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredProvider } from './policies-store.ts'
import { pricing } from './pricing.ts'

const provider = (name: string, kind: StoredProvider['kind'], base_url: string): StoredProvider => ({
  id: name,
  name,
  kind,
  base_url,
  key: null,
  headers: {},
  options: {},
  models: [],
})
const providers = [
  provider('openai', 'openai', 'https://api.openai.com/v1'),
  provider('claude', 'anthropic', 'https://proxy.example.com'),
  provider('own', 'openai', 'http://127.0.0.1:8000/v1'),
]
const ours = { input: 7, cached: 7, cache_written: 7, output: 9, call: 0 }

test('a model costs what its provider publishes, in cents, until somebody says otherwise', () => {
  const priceOf = pricing({ providers, rates: [], prices: [] })
  const { input, cached, output, call } = priceOf('openai', 'gpt-4o')
  // 2.50, 1.25 and 10 dollars for a million tokens.
  assert.deepEqual({ input, cached, output, call }, { input: 250_000, cached: 125_000, output: 1_000_000, call: 0 })
  const claude = priceOf('claude', 'claude-sonnet-4-5')
  assert.deepEqual(
    [claude.input, claude.cache_written, claude.cached, claude.output],
    [300_000, 375_000, 30_000, 1_500_000],
  )
  assert.equal(priceOf('openai', 'text-embedding-3-small').output, 0)
})

test('what nobody publishes costs what the rate card says of every model, and built-in models nothing', () => {
  const usual = pricing({ providers, rates: [], prices: [] })
  assert.equal(usual('own', 'gpt-4o').input, 100_000)
  assert.equal(usual('openai', 'nobody-knows-it').output, 100_000)
  assert.equal(usual('flow', 'echo').output, 0)
  const ratedAll = pricing({ providers, rates: [{ model: null, nanocredits_per_unit: 5 }], prices: [] })
  assert.deepEqual([ratedAll('own', 'm').output, ratedAll('openai', 'gpt-4o').input], [5, 250_000])
})

test('a rate of the very model goes before a price of one’s own, and that before what is published', () => {
  const prices = [
    { model: 'openai/gpt-4o', ...ours },
    { model: 'flow/*', ...ours },
  ]
  const priced = pricing({ providers, rates: [], prices })
  assert.deepEqual([priced('openai', 'gpt-4o').output, priced('flow', 'echo').output], [9, 9])
  const rated = pricing({ providers, rates: [{ model: 'openai/gpt-4o', nanocredits_per_unit: 3 }], prices })
  assert.equal(rated('openai', 'gpt-4o').output, 3)
})
