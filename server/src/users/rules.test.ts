import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Grant } from '@flow/contract/access'
import { grantFaults, invitationEnd, isAdmin, isOfDomain, takesAdminAway } from './rules.ts'

const workspace = '019a0000-0000-7000-8000-000000000001'
const solution = '019a0000-0000-7000-8000-000000000003'
const admin: Grant = { role: 'admin', scope: 'organization' }
const viewer: Grant = { role: 'viewer', scope: 'organization' }

test('an admin of one workspace is not an admin of the organization', () => {
  assert.equal(isAdmin([{ role: 'admin', scope: 'workspace', scope_id: workspace }, viewer]), false)
  assert.equal(isAdmin([viewer, admin]), true)
})

test('only a change of an active admin takes an admin away', () => {
  const cases = [
    [{ status: 'active', grants: [admin] }, { status: 'suspended' }, true],
    [{ status: 'active', grants: [admin] }, { grants: [viewer] }, true],
    [{ status: 'active', grants: [admin] }, { grants: [viewer, admin] }, false],
    [{ status: 'active', grants: [admin] }, { status: 'active' }, false],
    [{ status: 'suspended', grants: [admin] }, { grants: [viewer] }, false],
    [{ status: 'invited', grants: [admin] }, { grants: [viewer] }, false],
    [{ status: 'active', grants: [viewer] }, { status: 'suspended' }, false],
  ] as const
  for (const [before, change, expected] of cases) {
    const taken = takesAdminAway(
      { ...before, grants: [...before.grants] },
      change as Parameters<typeof takesAdminAway>[1],
    )
    assert.equal(taken, expected, JSON.stringify([before, change]))
  }
})

test('each scope that does not fit is named with its place', () => {
  const faults = grantFaults(
    [
      viewer,
      { role: 'viewer', scope: 'organization', scope_id: workspace },
      { role: 'viewer', scope: 'workspace' },
      { role: 'viewer', scope: 'workspace', scope_id: workspace.toUpperCase() },
      { role: 'viewer', scope: 'workspace', scope_id: '019a0000-0000-7000-8000-000000000002' },
      { role: 'viewer', scope: 'solution', scope_id: workspace },
      { role: 'viewer', scope: 'solution', scope_id: solution },
    ],
    { workspace: new Set([workspace]), solution: new Set([solution]) },
  )
  assert.deepEqual(
    faults.map((fault) => fault.field),
    ['grants[1].scope_id', 'grants[2].scope_id', 'grants[4].scope_id', 'grants[5].scope_id'],
  )
  assert.equal(faults[3]?.message, `There is no solution "${workspace}".`)
})

test('an address is of a domain only when nothing stands between', () => {
  assert.equal(isOfDomain('a@example.com', 'example.com'), true)
  assert.equal(isOfDomain('a@evil-example.com', 'example.com'), false)
  assert.equal(isOfDomain('a@sub.example.com', 'example.com'), false)
})

test('an invitation lives seven days', () => {
  assert.equal(invitationEnd('2026-02-27T12:00:00.000Z'), '2026-03-06T12:00:00.000Z')
})
