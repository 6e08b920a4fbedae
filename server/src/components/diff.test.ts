import assert from 'node:assert/strict'
import { test } from 'node:test'
import canonicalize from 'canonicalize'
import { CHANGES_MAX, differences } from './diff.ts'
import { jsonOf, seeded } from './testing.ts'

test('equal values have no differences, and others have some', () => {
  const random = seeded(1)
  for (let i = 0; i < 5_000; i += 1) {
    const [a, b] = [jsonOf(random), jsonOf(random)]

    assert.deepEqual(differences(a, structuredClone(a)), [])
    const isSame = canonicalize(a) === canonicalize(b)
    assert.equal(differences(a, b).length === 0, isSame, `${JSON.stringify(a)} and ${JSON.stringify(b)}`)
  }
})

test('what is added one way is removed the other', () => {
  const random = seeded(2)
  const back = { added: 'removed', removed: 'added', changed: 'changed', moved: 'moved' } as const
  const sorted = (changes: { path: string; kind: string }[]) =>
    changes.map(({ path, kind }) => `${path} ${kind}`).sort()
  for (let i = 0; i < 5_000; i += 1) {
    const [a, b] = [jsonOf(random), jsonOf(random)]

    const forth = differences(a, b).map(({ path, kind, before, after }) => ({
      path,
      kind: back[kind],
      before: after,
      after: before,
    }))

    assert.deepEqual(sorted(differences(b, a)), sorted(forth))
  }
})

test('items go by their names, whatever is put in before them', () => {
  const node = (id: string, more = {}) => ({ id, type: 'condition', ...more })
  const edge = (source: string, target: string, more = {}) => ({ source, target, on: 'success', ...more })
  const before = { nodes: [node('a'), node('b', { retry: { max_attempts: 1 } })], edges: [edge('a', 'b')] }
  const after = {
    nodes: [node('new'), node('a'), node('b', { retry: { max_attempts: 3 } })],
    edges: [edge('new', 'a'), edge('a', 'b', { condition: 'true' })],
  }

  assert.deepEqual(differences(before, after), [
    { path: 'nodes[b].retry.max_attempts', kind: 'changed', before: 1, after: 3 },
    { path: 'nodes[new]', kind: 'added', after: node('new') },
    { path: 'edges[a → b].condition', kind: 'added', after: 'true' },
    { path: 'edges[new → a]', kind: 'added', after: edge('new', 'a') },
  ])
  assert.deepEqual(differences([node('a'), node('b')], [node('b'), node('a')], 'nodes'), [
    { path: 'nodes', kind: 'moved', before: ['a', 'b'], after: ['b', 'a'] },
  ])
  assert.deepEqual(differences({ 'a b': [1, 2] }, { 'a b': [1] }), [{ path: '["a b"][1]', kind: 'removed', before: 2 }])
})

test('long lists with nothing in common have a thousand changes told, and no more are looked for', () => {
  const long = (value: number) => Array.from({ length: 500_000 }, () => value)

  assert.equal(differences(long(0), long(1)).length, CHANGES_MAX)
  assert.equal(differences([], { a: [] }).length, 1)
})
