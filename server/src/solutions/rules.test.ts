import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SolutionStatus } from '@flow/contract/solutions'
import { compare } from 'semver'
import { isAdminOf, isOpen, nextStatuses, transitionFault, versionOrder } from './rules.ts'

test('versions are ordered as semantic versions are', () => {
  const numbers = ['0', '1', '2', '10', '999999999999999']
  const parts = ['0', '2', '10', 'alpha', 'alpha-1', 'beta', 'A', '1a', '-', 'rc']
  const versions = numbers.flatMap((a) => numbers.map((b) => `${a}.${b}.1`))
  for (const one of parts) {
    versions.push(`1.0.0-${one}`)
    for (const two of parts) versions.push(`1.0.0-${one}.${two}`, `1.0.0-alpha.${one}.${two}`)
  }
  for (const a of versions) {
    for (const b of versions) {
      const [x, y] = [versionOrder(a), versionOrder(b)]
      assert.equal(Math.sign(compare(a, b)), x < y ? -1 : x > y ? 1 : 0, `${a} ${b}`)
    }
  }
})

test('a status becomes what the table says, and each refusal says what it can become', () => {
  for (const status of SolutionStatus.options) {
    for (const to of SolutionStatus.options) {
      const fault = transitionFault({ slug: 'claims', status }, to)
      const isFine = status === to || nextStatuses[status].includes(to)
      assert.equal(fault === undefined, isFine, `${status} to ${to}`)
      for (const next of isFine ? [] : nextStatuses[status]) assert.ok(fault?.includes(`"${next}"`))
    }
  }
  assert.deepEqual(SolutionStatus.options.filter(isOpen), ['draft', 'in_progress'])
})

test('an admin of a workspace is one there, of a solution nowhere', () => {
  const actor = (scope: 'organization' | 'workspace' | 'solution', scope_id?: string) => ({
    kind: 'user' as const,
    id: 'u',
    user_id: 'u',
    name: 'Ada',
    organization_id: 'o',
    grants: [{ role: 'admin' as const, scope, scope_id }],
  })
  assert.equal(isAdminOf(actor('organization'), 'w'), true)
  assert.equal(isAdminOf(actor('workspace', 'w'), 'w'), true)
  assert.equal(isAdminOf(actor('workspace', 'x'), 'w'), false)
  assert.equal(isAdminOf(actor('solution', 'w'), 'w'), false)
})
