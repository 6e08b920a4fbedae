import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Policy, Provider, Route } from '../policies/policy.ts'
import { Breaker } from './breaker.ts'
import { isElsewhere, retryOf, toldToClient } from './retry.ts'
import { plainRoute, type Way, wayOf } from './route.ts'

const provider = (name: string, models: string[] = []): [string, Provider] => [
  name,
  { id: name, name, kind: 'openai', base_url: '', key: null, headers: {}, options: {}, models },
]
const route = (name: string, more: Partial<Route> = {}): [string, Route] => {
  const targets = ['a', 'b', 'c'].map((each, i) => ({ provider: each, model: 'm', weight: i }))
  return [name, { ...plainRoute('a', 'm'), name, targets, ...more }]
}
const policy = {
  providers: new Map([
    provider('a'),
    provider('b', ['m', 'gpt-*']),
    provider('c'),
    ['flow', { ...provider('flow')[1], kind: 'flow' }],
  ]),
  routes: new Map([
    route('ordered'),
    route('weighted', { strategy: 'weighted' }),
    route('fastest', { strategy: 'fastest' }),
    route('team/fast', { strategy: 'ordered' }),
    route('lost', { targets: [{ provider: 'gone', model: 'm', weight: 1 }] }),
  ]),
} as unknown as Policy

const speeds: Record<string, number> = { a: 300, b: 100, c: 200 }
const namesOf = (name: string, chance = 0): string[] | string => {
  const way = wayOf(policy, name, { chance, firstChunkMs: ({ name }) => speeds[name] ?? 0 })
  return 'stops' in way ? way.stops.map(({ provider, model }) => `${provider.name}/${model}`) : (way.code ?? '')
}

test('a plain name leads to its provider, if that offers the model', () => {
  assert.deepEqual(namesOf('a/some/model'), ['a/some/model'])
  assert.deepEqual(namesOf('b/m'), ['b/m'])
  assert.deepEqual(namesOf('b/gpt-5'), ['b/gpt-5'])
  for (const wrong of ['b/other', 'nobody/m', 'a/', '/m', 'a', '', 'flow/other', 'lost']) {
    assert.equal(namesOf(wrong), 'model_not_found', wrong)
  }
  assert.deepEqual(namesOf('flow/echo'), ['flow/echo'])
})

test('a route leads to its targets in the order of its strategy', () => {
  assert.deepEqual(namesOf('ordered'), ['a/m', 'b/m', 'c/m'])
  assert.deepEqual(namesOf('team/fast'), ['a/m', 'b/m', 'c/m'])
  assert.deepEqual(namesOf('fastest'), ['b/m', 'c/m', 'a/m'])
})

test('chance draws the first by the weights, and the others follow in their order', () => {
  assert.deepEqual(namesOf('weighted', 0), ['b/m', 'a/m', 'c/m'])
  assert.deepEqual(namesOf('weighted', 0.34), ['c/m', 'a/m', 'b/m'])
  assert.deepEqual(namesOf('weighted', 0.999), ['c/m', 'a/m', 'b/m'])
})

test('a target whose time nobody knows is worth a try', () => {
  const way = wayOf(policy, 'fastest', { chance: 0, firstChunkMs: ({ name }) => (name === 'c' ? 0 : 50) }) as Way
  assert.equal(way.stops[0]?.provider.name, 'c')
})

test('a breaker opens on failures of late, lets one call try, and closes when that succeeds', () => {
  const breaker = new Breaker()
  for (let at = 0; at < 4; at += 1) breaker.failed(at)
  assert.equal(breaker.wait(4), 0)
  breaker.failed(4)
  assert.equal(breaker.wait(4), 5_000)
  assert.equal(breaker.wait(5_004), 0)
  breaker.begin(5_004)
  assert.ok(breaker.wait(5_005) > 0, 'only one may try')
  breaker.failed(5_100)
  assert.equal(breaker.wait(5_100), 10_000)
  breaker.begin(15_100)
  breaker.succeeded(15_200, 10)
  assert.equal(breaker.wait(15_200), 0)
  breaker.failed(15_300)
  assert.equal(breaker.wait(15_300), 0)
})

test('failures among many successes, or long ago, open nothing', () => {
  const busy = new Breaker()
  for (let at = 0; at < 100; at += 1) busy.succeeded(at, 5)
  for (let at = 100; at < 110; at += 1) busy.failed(at)
  assert.equal(busy.wait(110), 0)
  const slow = new Breaker()
  for (let at = 0; at < 10; at += 1) slow.failed(at * 10_000)
  assert.equal(slow.wait(100_000), 0)
})

test('a probe that ends without a word leaves the breaker to the next', () => {
  const breaker = new Breaker()
  for (let at = 0; at < 5; at += 1) breaker.failed(at)
  breaker.begin(6_000)
  breaker.ended()
  assert.equal(breaker.wait(6_001), 0)
})

test('a provider that asks to be left alone is, and that is no failure', () => {
  const breaker = new Breaker()
  breaker.stayAway(0, 3_000)
  assert.equal(breaker.wait(1_000), 2_000)
  assert.equal(breaker.wait(3_000), 0)
})

test('the time to the first chunk is that of late', () => {
  const breaker = new Breaker()
  assert.equal(breaker.firstChunkMs(0), 0)
  breaker.succeeded(0, 100)
  breaker.succeeded(1, 200)
  assert.equal(breaker.firstChunkMs(2), 130)
  assert.equal(breaker.firstChunkMs(100_000), 0)
})

test('what is worth another attempt, and where', () => {
  const fault = (status: number, more: object = {}) => ({ status, type: 't', code: null, message: 'm', ...more })
  for (const status of [408, 429, 500, 502, 503, 529]) assert.ok(retryOf(fault(status), 1, 0.5), String(status))
  for (const status of [400, 401, 404, 413, 422]) assert.equal(retryOf(fault(status), 1, 0.5), undefined)
  assert.equal(retryOf(fault(500, { is_retryable: false }), 1, 0.5), undefined)
  assert.deepEqual(retryOf(fault(429, { retry_after_seconds: 3 }), 1, 0.5), {
    wait_ms: 3_000,
    isLong: true,
    isTooLong: false,
  })
  assert.ok((retryOf(fault(500), 3, 0)?.wait_ms ?? 0) > (retryOf(fault(500), 1, 0)?.wait_ms ?? 0))
  for (const status of [401, 404, 429, 500]) assert.equal(isElsewhere(fault(status)), true)
  assert.equal(isElsewhere(fault(400)), false)
  assert.equal(isElsewhere(fault(400, { code: 'context_length_exceeded' })), true)
  assert.deepEqual([toldToClient(fault(401), 'a').status, toldToClient(fault(404), 'a').status], [502, 404])
})
