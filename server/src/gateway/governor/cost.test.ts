import assert from 'node:assert/strict'
import { test } from 'node:test'
import { costOf, endOf, firstDayOf, mostOf, tokensFor } from './cost.ts'

const at = (moment: string) => Date.parse(moment)

test('periods begin at midnight, on Monday and on the first, UTC', () => {
  assert.equal(firstDayOf('day', at('2026-03-01T23:59:59.999Z')), '2026-03-01')
  assert.equal(firstDayOf('week', at('2026-03-01T23:59:59.999Z')), '2026-02-23')
  assert.equal(firstDayOf('week', at('2026-03-02T00:00:00.000Z')), '2026-03-02')
  assert.equal(firstDayOf('month', at('2026-03-01T00:00:00.000Z')), '2026-03-01')
  assert.equal(endOf('day', '2026-02-28').toISOString(), '2026-03-01T00:00:00.000Z')
  assert.equal(endOf('week', '2026-12-28').toISOString(), '2027-01-04T00:00:00.000Z')
  assert.equal(endOf('month', '2026-12-01').toISOString(), '2027-01-01T00:00:00.000Z')
})

test('what fits costs no more than what there is, and one token more would', () => {
  const price = { input: 3, cached: 1, cache_written: 4, output: 7, call: 11 }
  const estimate = { model: 'p/m', price, input_tokens_max: 10, output_tokens_max: null, answers: 1 }
  for (let free = 0; free < 200; free += 1) {
    const tokens = tokensFor(estimate, free)
    if (tokens < 0) assert.ok(mostOf(estimate, 0) > free)
    else assert.ok(mostOf(estimate, tokens) <= free && mostOf(estimate, tokens + 1) > free)
  }
  const usage = { input: 10, cached: 2, cache_written: 3, output: 5, reasoning: 2 }
  assert.equal(costOf(price, usage), 11 + 5 * 3 + 2 * 1 + 3 * 4 + 5 * 7)
  assert.ok(costOf(price, usage) <= mostOf(estimate, 5))
})
