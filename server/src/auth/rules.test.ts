import assert from 'node:assert/strict'
import test from 'node:test'
import { type Grant, Permission, permissionsOf, Role } from '@flow/contract/access'
import type { Actor } from '../context.ts'
import { domainOf, isOwnAddress, may, networkOf, slowDown, waitSeconds } from './rules.ts'

const here = { workspace_id: 'w1' }
const elsewhere = { workspace_id: 'w2' }
const organizationWide = ['organization.write', 'users.write', 'billing.read', 'billing.write', 'audit.read']

const actorWith = (grants: Grant[], more: Partial<Actor> = {}): Actor => ({
  kind: 'user',
  id: 'u1',
  user_id: 'u1',
  name: 'Ada',
  organization_id: 'o1',
  grants,
  ...more,
})

/** The product's own matrix, written out once more so that a slip in the contract's is seen. */
const matrix: Record<Role, Permission[]> = {
  admin: Permission.options,
  solution_builder: ['organization.read', 'solutions.read', 'solutions.write', 'deployments.write', 'connectors.write'],
  viewer: ['organization.read', 'solutions.read'],
  billing_manager: ['organization.read', 'billing.read', 'billing.write'],
  security_auditor: ['organization.read', 'solutions.read', 'audit.read'],
}

test('a role for the organization gives its permissions in every workspace, and no other', () => {
  for (const role of Role.options) {
    const actor = actorWith([{ role, scope: 'organization' }])
    for (const permission of Permission.options) {
      const expected = matrix[role].includes(permission)
      for (const at of [here, elsewhere, { ...elsewhere, solution_id: 's1' }]) {
        assert.equal(may(actor, permission, at), expected, `${role} ${permission}`)
      }
    }
  }
})

test('a role in a workspace counts there alone, and gives nothing that is the whole organization’s', () => {
  for (const role of Role.options) {
    const actor = actorWith([{ role, scope: 'workspace', scope_id: 'w1' }])
    for (const permission of Permission.options) {
      const isAny = permission === 'organization.read'
      const expected = isAny || (matrix[role].includes(permission) && !organizationWide.includes(permission))
      assert.equal(may(actor, permission, here), expected, `${role} ${permission} here`)
      assert.equal(may(actor, permission, elsewhere), isAny, `${role} ${permission} elsewhere`)
    }
  }
})

test('a role in a solution counts for that solution alone', () => {
  const actor = actorWith([{ role: 'solution_builder', scope: 'solution', scope_id: 's1' }])
  assert.equal(may(actor, 'solutions.write', { ...here, solution_id: 's1' }), true)
  assert.equal(may(actor, 'solutions.write', { ...here, solution_id: 's2' }), false)
  assert.equal(may(actor, 'solutions.write', here), false)
  assert.equal(may(actor, 'organization.read', here), true)
})

test('several roles add up, and none gives nothing', () => {
  const both = actorWith([
    { role: 'viewer', scope: 'organization' },
    { role: 'solution_builder', scope: 'workspace', scope_id: 'w1' },
  ])
  assert.equal(may(both, 'solutions.write', here), true)
  assert.equal(may(both, 'solutions.write', elsewhere), false)
  assert.equal(may(both, 'solutions.read', elsewhere), true)
  for (const permission of Permission.options) assert.equal(may(actorWith([]), permission, here), false)
})

test('a key’s scopes narrow what its maker may and never widen it', () => {
  const admin: Grant[] = [{ role: 'admin', scope: 'organization' }]
  for (const scope of Permission.options) {
    const narrowed = actorWith(admin, { kind: 'api_key', scopes: [scope] })
    for (const permission of Permission.options) assert.equal(may(narrowed, permission, here), permission === scope)
  }
  const viewer = actorWith([{ role: 'viewer', scope: 'organization' }], { kind: 'api_key', scopes: Permission.options })
  assert.equal(may(viewer, 'solutions.write', here), false)
  assert.equal(may(viewer, 'solutions.read', here), true)
  const service = actorWith(admin, { kind: 'service_token', scopes: [] })
  for (const permission of Permission.options) assert.equal(may(service, permission, here), false)
})

test('a key that is bound to a workspace is worth nothing outside of it', () => {
  const bound = actorWith([{ role: 'admin', scope: 'organization' }], { kind: 'api_key', workspace_id: 'w1' })
  for (const permission of permissionsOf.admin) {
    const isAny = permission === 'organization.read'
    assert.equal(may(bound, permission, here), isAny || !organizationWide.includes(permission), permission)
    assert.equal(may(bound, permission, elsewhere), isAny, permission)
  }
})

test('sign-in waits twice as long with each failure, up to a limit', () => {
  const waits = (kind: 'pair' | 'account', failures: number[]) => failures.map((each) => waitSeconds(kind, each))
  assert.deepEqual(waits('pair', [0, 1, 4, 5, 6, 7, 8, 20, 5000]), [0, 0, 0, 1, 2, 4, 8, 900, 900])
  assert.deepEqual(waits('account', [49, 50, 55, 5000]), [0, 1, 30, 30])
  assert.ok(slowDown.account.wait_seconds_max <= 60, 'strangers must not keep the owner of an account out')
})

test('an IPv6 subscriber counts as one network, an IPv4 address as itself', () => {
  const cases: [string, string][] = [
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['local', 'local'],
  ]
  for (const [address, network] of cases) assert.equal(networkOf(address), network)
})

test('a browser is sent with a code to this platform, allowed origins and the person’s own machine only', () => {
  const config = {
    public_url: 'https://flow.example',
    cors_origins: ['https://console.example', 'http://old.example:81'],
  }
  const own = [
    'https://flow.example/anywhere?x=1',
    'https://console.example/callback',
    'http://old.example:81/',
    'http://localhost:49152/cb',
    'http://127.0.0.1:1/',
    'http://[::1]:9/',
  ]
  const foreign = [
    'https://flow.example.evil.example/',
    'https://evil.example/?https://flow.example',
    'http://flow.example/',
    'https://flow.example:444/',
    'https://user@flow.example/',
    'https://localhost/',
    'http://localhost.evil.example/',
    'javascript:alert(1)',
    'https://flow.example/#x',
    'nonsense',
  ]
  for (const address of own) assert.equal(isOwnAddress(config, address), true, address)
  for (const address of foreign) assert.equal(isOwnAddress(config, address), false, address)
})

test('the domain of an address is what stands after its last @', () => {
  assert.equal(domainOf('Ada@Example.COM'), 'example.com')
  assert.equal(domainOf('"a@b"@example.com'), 'example.com')
})
