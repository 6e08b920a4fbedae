import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Attempt, urlFault, verdictOf } from './rules.ts'

const now = '2030-01-01T00:00:00.000Z'
const refused: Attempt = {
  at: now,
  duration_ms: 5,
  status_code: 503,
  answer: '',
  error: 'The receiver answered 503.',
  retry_after: null,
}
const secondsUntil = (at: string | null) => (at === null ? undefined : (Date.parse(at) - Date.parse(now)) / 1000)
const pauseOf = (attempt: Attempt, failures = 0, chance = 0.5) =>
  secondsUntil(verdictOf(attempt, { failures, failing_since: null }, now, chance).next_attempt_at)

test('pauses vary by a tenth either way', () => {
  assert.equal(pauseOf(refused, 1, 0), 270)
  assert.equal(pauseOf(refused, 1, 0.5), 300)
  assert.equal(pauseOf(refused, 1, 1), 330)
})

test('Retry-After is honoured, in seconds or as a date, up to the pause that would be next', () => {
  assert.equal(pauseOf({ ...refused, retry_after: '60' }), 60)
  assert.equal(pauseOf({ ...refused, retry_after: '999999' }), 300)
  assert.equal(pauseOf({ ...refused, retry_after: 'Tue, 01 Jan 2030 00:02:00 GMT' }), 120)
  assert.equal(pauseOf({ ...refused, retry_after: '999999' }, 8), 86_400)
})

test('a Retry-After that says nothing, or is sooner than the pause, changes nothing', () => {
  for (const retry_after of ['soon', '-5', '1', '', 'Tue, 01 Jan 2019 00:00:00 GMT']) {
    assert.equal(pauseOf({ ...refused, retry_after }), 5, retry_after)
  }
})

test('a subscription is disabled when every attempt has failed for five days, and not before', () => {
  const after = (failing_since: string) => verdictOf(refused, { failures: 0, failing_since }, now, 0.5)

  assert.equal(after('2029-12-27T00:00:00.001Z').disabled_reason, null)
  assert.match(after('2029-12-27T00:00:00.000Z').disabled_reason ?? '', /5 days/)
})

test('an address that an operator allows by name may be any; the same on another port may not', () => {
  const config = { allowed_hosts: ['hooks.internal', 'localhost:3000'] }

  assert.equal(urlFault(config, 'http://hooks.internal/a'), undefined)
  assert.equal(urlFault(config, 'http://localhost:3000/'), undefined)
  assert.ok(urlFault(config, 'http://localhost:3001/'))
  assert.ok(urlFault(config, 'http://user@hooks.internal/'))
  assert.equal(urlFault({ allowed_hosts: [] }, 'https://example.com/a'), undefined)
})
