import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testFlow } from '../testing.ts'
import { createFirstOrganization } from './first.ts'

test('of two starts on an empty database one makes the first organization, and no later one does', async () => {
  const { platform, client } = await testFlow({
    FLOW_ADMIN_EMAIL: 'Root@Example.com',
    FLOW_ORGANIZATION: 'Acme & Sons',
  })
  const both = await Promise.all([createFirstOrganization(platform), createFirstOrganization(platform)])
  const [first, ...others] = both.filter((each) => each !== undefined)
  assert.ok(first)
  assert.equal(others.length, 0)
  assert.equal(await createFirstOrganization(platform), undefined)

  const program = client(first.api_key, { org_id: first.organization_id })
  const organization = await program.organizations.get()
  assert.equal(organization.slug, 'acme-sons')
  assert.equal(organization.default_workspace_id, first.workspace_id)
  assert.ok(first.password)
  const { access_token } = await client().auth.login({ email: 'root@example.com', password: first.password })
  const me = await client(access_token).users.me()
  assert.equal(me.id, first.user_id)
  assert.deepEqual(me.grants, [{ role: 'admin', scope: 'organization' }])
})
