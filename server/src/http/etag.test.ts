import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'

const config = { language: 'javascript', code: 'export const main = () => 1', timeout_seconds: 7 }
const block = { type: 'code_block', name: 'Tagged', slug: 'tagged', config }
const rests = { name: 'Rests', slug: 'rests', nodes: [{ type: 'wait', seconds: 1, id: 'pause' }] }

async function asking() {
  const { fetch } = await testFlow()
  const { admin, organization_id } = await newOrganization()
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const ask = (method: string, path: string, body?: object, more: Record<string, string> = {}) =>
    fetch(`/api/v1${path}`, { method, headers: { ...headers, ...more }, body: body && JSON.stringify(body) })
  const tagOf = async (path: string) => (await ask('GET', path)).headers.get('etag') ?? 'none'
  return { ask, tagOf, admin, organization_id }
}

const placeOf = (response: Response) => (response.headers.get('location') ?? '').replace('/api/v1', '')

test('what is made and what is changed carries the tag that its reading would', async () => {
  const { ask, tagOf, admin, organization_id } = await asking()
  const org = `/organizations/${organization_id}`

  const places: string[] = []
  for (const [path, body] of [
    ['/components', block],
    ['/workflows', rests],
    [`${org}/workspaces`, { name: 'Second', slug: 'second' }],
  ] as const) {
    const made = await ask('POST', path, body)
    assert.equal(made.status, 201, await made.clone().text())
    assert.equal(made.headers.get('etag'), await tagOf(placeOf(made)), path)
    places.push(placeOf(made))
  }

  const named = { name: 'Another name' }
  const changes: [string, object][] = [...places, org, `/users/${admin.user_id}`].map((path) => [path, named])
  changes.push([`${org}/billing`, { budget_credits: 12.5 }])
  changes.push([`${org}/billing/rate-card`, { name: 'Ours', rates: [] }])
  for (const [path, body] of changes) {
    const changed = await ask('PUT', path, body)
    assert.equal(changed.status, 200, await changed.clone().text())
    assert.equal(changed.headers.get('etag'), await tagOf(path), path)
  }
})

test('with the tag of its making a thing can be changed, once', async () => {
  const { ask } = await asking()
  const made = await ask('POST', '/components', block, { 'idempotency-key': 'made-once' })
  const replayed = await ask('POST', '/components', block, { 'idempotency-key': 'made-once' })
  const tag = made.headers.get('etag') ?? ''

  const changed = await ask('PUT', placeOf(made), { name: 'Second' }, { 'if-match': tag })
  const late = await ask('PUT', placeOf(made), { name: 'Third' }, { 'if-match': tag })
  const next = await ask('PUT', placeOf(made), { name: 'Third' }, { 'if-match': changed.headers.get('etag') ?? '' })

  assert.equal(replayed.headers.get('etag'), tag)
  assert.deepEqual([changed.status, late.status, next.status], [200, 412, 200])
})

test('an answer that no reading gives again carries no tag', async () => {
  const { ask, organization_id } = await asking()
  const made = await ask('POST', '/components', block)

  const key = await ask('POST', `/organizations/${organization_id}/api-keys`, { name: 'Ours' })
  const version = await ask('POST', `${placeOf(made)}/publish`, {})

  assert.deepEqual([key.status, version.status], [201, 200])
  assert.deepEqual([key.headers.get('etag'), version.headers.get('etag')], [null, null])
})
