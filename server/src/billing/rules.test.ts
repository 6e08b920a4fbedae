import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceType } from '@flow/contract/billing'
import { badgeOf, monthOf, services, toNanocredits } from './rules.ts'

test('the badge follows what remains of everything purchased', () => {
  const cases = [
    [100, 0, 'healthy'],
    [100, 79, 'healthy'],
    [100, 80, 'low_balance'],
    [100, 94, 'low_balance'],
    [100, 95, 'critical'],
    [100, 100, 'critical'],
    [100, 101, 'overdrawn'],
    [0, 0, 'critical'],
    [0, 1, 'overdrawn'],
  ] as const
  for (const [purchased, consumed, badge] of cases) assert.equal(badgeOf(purchased, consumed), badge)
})

test('the smallest amount on the wire is one whole nanocredit', () => {
  assert.equal(toNanocredits(0.000_000_001), 1)
  assert.equal(toNanocredits(0.1 + 0.2), 300_000_000)
})

test('every service type has a price that is a whole number of nanocredits', () => {
  for (const type of ServiceType.options) {
    const nanocredits = services[type].credits_per_unit * 1e9
    assert.ok(Math.abs(nanocredits - Math.round(nanocredits)) < 1e-6, type)
  }
})

test('a month is named by its first day, UTC', () => {
  assert.equal(monthOf('2026-02-28T23:59:59.999Z'), '2026-02-01')
})
