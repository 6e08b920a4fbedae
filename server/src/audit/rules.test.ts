import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { AuditEvent } from '@flow/contract/audit'
import { canonical, linkHash } from './rules.ts'

const event: AuditEvent = {
  event_id: '019a0000-0000-7000-8000-000000000001',
  event_type: 'users.invite',
  timestamp: '2026-02-01T00:00:00.000Z',
  actor: '019a0000-0000-7000-8000-000000000002',
  actor_kind: 'user',
  actor_name: 'Alice',
  user_id: '019a0000-0000-7000-8000-000000000002',
  actor_ip: '192.0.2.1',
  resource_type: 'user',
  resource_id: null,
  action: 'invite',
  outcome: 'success',
  metadata: {},
  workspace_id: null,
  request_id: null,
}

test('the canonical text does not depend on the order of keys', () => {
  assert.equal(canonical({ b: [{ d: 1, c: 'x' }], a: null }), '{"a":null,"b":[{"c":"x","d":1}]}')
  assert.equal(canonical(JSON.parse('{"c":"x","d":1}')), canonical(JSON.parse('{"d":1,"c":"x"}')))
})

test('the hash of a link depends on the key, the tenant, the place, the link before and every field', () => {
  const key = randomBytes(32)
  const organization = '019a0000-0000-7000-8000-00000000000a'
  const hashes = [
    linkHash(key, organization, 1, '', event),
    linkHash(randomBytes(32), organization, 1, '', event),
    linkHash(key, '019a0000-0000-7000-8000-00000000000b', 1, '', event),
    linkHash(key, organization, 2, '', event),
    linkHash(key, organization, 1, 'ab', event),
    ...Object.keys(event).map((field) => linkHash(key, organization, 1, '', { ...event, [field]: 'changed' })),
  ]
  assert.equal(new Set(hashes).size, hashes.length)
  assert.equal(linkHash(key, organization, 1, '', { ...event }), hashes[0])
})
