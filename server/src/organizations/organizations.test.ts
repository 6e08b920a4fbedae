import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashPassword } from '../auth/auth.ts'
import { newId } from '../context.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import { givePassword } from '../users/users.ts'
import { slugOf } from './founding.ts'

/** The admin, signed in as a person and not with a key. */
async function signedIn(made: TestOrganization) {
  const { platform, client } = await testFlow()
  const password = 'correct horse battery'
  const now = platform.clock.now().toISOString()
  await givePassword(platform.database.platform, made.admin.user_id, await hashPassword(password), now)
  const { access_token } = await client().auth.login({ email: made.admin.email, password })
  return client(access_token, { org_id: made.organization_id })
}

test('settings that are sent replace, those that are not stay', async () => {
  const { alice } = await newOrganization('Acme')
  const address = { line1: 'Main Street 1', city: 'Berlin', postal_code: '10115', country: 'DE' }
  await alice.organizations.update({ industry: 'Insurance', timezone: 'Europe/Berlin', billing_address: address })
  const slug = `acme-${newId()}`
  const updated = await alice.organizations.update({
    slug,
    contact_email: 'Hello@Acme.example',
    support_tier: 'premium',
  })

  assert.equal(updated.name, 'Acme')
  assert.equal(updated.slug, slug)
  assert.equal(updated.industry, 'Insurance')
  assert.equal(updated.timezone, 'Europe/Berlin')
  assert.equal(updated.contact_email, 'hello@acme.example')
  assert.deepEqual(updated.billing_address, { ...address, line2: '', state: '' })
  assert.deepEqual(await alice.organizations.get(), updated)
  assert.equal((await alice.organizations.update({ industry: null })).industry, null)
})

test('a slug belongs to one organization of the platform', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const { slug } = await one.alice.organizations.get()
  await assert.rejects(two.alice.organizations.update({ slug }), {
    code: 'CONFLICT',
    details: [{ field: 'slug', message: 'It is taken. Choose another.' }],
  })
  assert.notEqual((await two.alice.organizations.get()).slug, slug)
})

test('settings that cannot be are refused, every bad field at once', async () => {
  const { alice } = await newOrganization()
  const other = await newOrganization()
  const bad = alice.organizations.update({
    timezone: 'Mars/Base',
    primary_domain: 'no domain',
    slug: 'No Slug',
    name: 'x',
  })
  await assert.rejects(bad, (error: { code: string; details: { field: string }[] }) => {
    assert.equal(error.code, 'VALIDATION_ERROR')
    assert.deepEqual(error.details.map((detail) => detail.field).toSorted(), [
      'name',
      'primary_domain',
      'slug',
      'timezone',
    ])
    return true
  })
  await assert.rejects(alice.organizations.update({ default_workspace_id: other.workspace_id }), {
    code: 'VALIDATION_ERROR',
  })
  await assert.rejects(alice.organizations.update({ restrict_invitations: true }), { code: 'VALIDATION_ERROR' })
  await assert.rejects(
    alice.request('PUT', `/organizations/${(await alice.organizations.get()).id}`, { body: { status: 'archived' } }),
    {
      code: 'VALIDATION_ERROR',
    },
  )
})

test('another organization is not there', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const org_id = one.organization_id
  const asked = [
    () => two.alice.organizations.get({ org_id }),
    () => two.alice.organizations.update({ org_id, name: 'Mine now' }),
    () => two.alice.organizations.listWorkspaces({ org_id }),
    () => two.alice.organizations.listApiKeys({ org_id }),
    () => two.alice.organizations.getWorkspace({ org_id, workspace_id: one.workspace_id }),
    () => two.alice.organizations.getWorkspace({ workspace_id: one.workspace_id }),
    () => two.alice.organizations.removeWorkspace({ workspace_id: one.workspace_id }),
  ]
  for (const each of asked) await assert.rejects(each(), { code: 'NOT_FOUND' })
})

test('a person sees every organization they belong to, a key its own', async () => {
  const made = await newOrganization('First of two')
  const alice = await signedIn(made)
  const second = await alice.organizations.create({ name: 'Second of two' })
  await newOrganization('Not hers')

  const { items, total } = await alice.organizations.list({ sort: 'name', order: 'asc' })
  assert.deepEqual(
    items.map((each) => each.name),
    ['First of two', 'Second of two'],
  )
  assert.equal(total, 2)
  assert.equal((await alice.organizations.list({ search: 'seco' })).items[0]?.id, second.id)
  assert.deepEqual(
    (await made.alice.organizations.list()).items.map((each) => each.id),
    [made.organization_id],
  )
})

test('a new organization has a workspace, an account for its credits and its maker as admin', async () => {
  const made = await newOrganization()
  const { client } = await testFlow()
  const alice = await signedIn(made)
  const second = await alice.organizations.create({ name: 'Zweite Öl-Firma' })
  assert.match(second.slug, /^zweite-ol-firma/)

  const password = 'correct horse battery'
  const tokens = await client().auth.login({ email: made.admin.email, password, organization_id: second.id })
  const there = client(tokens.access_token, { org_id: second.id })
  const { items } = await there.organizations.listWorkspaces()
  assert.deepEqual(
    items.map(({ id, is_default }) => ({ id, is_default })),
    [{ id: second.default_workspace_id, is_default: true }],
  )
  assert.deepEqual((await there.users.me()).grants, [{ role: 'admin', scope: 'organization' }])
  assert.equal((await there.organizations.getBilling()).badge, 'healthy')
  assert.equal((await there.users.list()).total, 1)
  assert.equal((await alice.users.list()).total, 1, 'the request went on in its own organization')
})

test('a wished slug that is taken leaves nothing of the new organization', async () => {
  const made = await newOrganization()
  const { slug } = await made.alice.organizations.get()
  await assert.rejects(made.alice.organizations.create({ name: 'Another', slug }), { code: 'CONFLICT' })
  const alice = await signedIn(made)
  assert.equal((await alice.organizations.list()).total, 1)
})

test('a slug is made of what is left of a name', () => {
  const cases = [
    ['Acme', 'acme'],
    ['  Ärzte & Co. ', 'arzte-co'],
    ['株式会社', 'organization'],
    ['A1', 'organization-a1'],
    ['---', 'organization'],
    ['x'.repeat(200), 'x'.repeat(60)],
  ]
  for (const [name = '', slug] of cases) assert.equal(slugOf(name), slug)
})

test('workspaces are made, found, changed and deleted', async () => {
  const { alice } = await newOrganization()
  const made = await alice.organizations.createWorkspace({ name: 'Claims', slug: 'claims', environment_tier: 'stage' })
  assert.equal(made.is_default, false)
  await alice.organizations.createWorkspace({ name: 'Fraud', slug: 'fraud', description: 'Suspicious claims' })

  assert.equal((await alice.organizations.listWorkspaces()).total, 3)
  assert.equal((await alice.organizations.listWorkspaces({ search: 'susp' })).total, 1)
  assert.equal((await alice.organizations.listWorkspaces({ environment_tier: 'stage' })).items[0]?.id, made.id)
  const changed = await alice.organizations.updateWorkspace({ workspace_id: made.id, name: 'All claims' })
  assert.equal(changed.slug, 'claims')
  assert.deepEqual(await alice.organizations.getWorkspace({ workspace_id: made.id }), changed)
  await assert.rejects(alice.organizations.updateWorkspace({ workspace_id: made.id, slug: 'fraud' }), {
    code: 'CONFLICT',
  })
  await assert.rejects(alice.organizations.createWorkspace({ name: 'Again', slug: 'claims' }), { code: 'CONFLICT' })

  await alice.organizations.removeWorkspace({ workspace_id: made.id })
  await assert.rejects(alice.organizations.getWorkspace({ workspace_id: made.id }), { code: 'NOT_FOUND' })
  await alice.organizations.createWorkspace({ name: 'Claims', slug: 'claims' })
})

test('the default workspace stays until another one is the default', async () => {
  const { admin, organization_id, workspace_id } = await newOrganization()
  const { client } = await testFlow()
  const alice = client(admin.api_key, { org_id: organization_id })
  await assert.rejects(alice.organizations.removeWorkspace({ workspace_id }), { code: 'CONFLICT' })
  const other = await alice.organizations.createWorkspace({ name: 'Other', slug: 'other' })
  await alice.organizations.update({ default_workspace_id: other.id })
  assert.equal((await alice.organizations.getWorkspace({ workspace_id: other.id })).is_default, true)

  await alice.organizations.removeWorkspace({ workspace_id })
  assert.equal((await alice.organizations.listWorkspaces()).total, 1)
})

test('a workspace with something in it stays, and what is in it is named', async () => {
  const { alice } = await newOrganization()
  const { id: workspace_id } = await alice.organizations.createWorkspace({ name: 'Full', slug: 'full' })
  const config = { language: 'javascript' as const, code: 'export const main = () => 1', entry_point: 'main' }
  const block = await alice.components.create(
    { type: 'code_block', name: 'One', slug: 'one', config },
    { workspace_id },
  )
  await assert.rejects(alice.organizations.removeWorkspace({ workspace_id }), {
    code: 'CONFLICT',
    message: '"full" is not empty: it has components. Delete these first.',
  })
  await alice.components.remove({ component_id: block.id }, { workspace_id })
  await alice.organizations.removeWorkspace({ workspace_id })
})

test('roles and keys of a workspace end with it', async () => {
  const { alice, member } = await newOrganization()
  const { client } = await testFlow()
  const { id } = await alice.organizations.createWorkspace({ name: 'Short', slug: 'short' })
  const bob = await member('viewer', { role: 'admin', scope: 'workspace', scope_id: id })
  const { key } = await alice.organizations.createApiKey({ name: 'Bound', workspace_id: id })
  await client(key).users.me()
  await alice.organizations.removeWorkspace({ workspace_id: id })
  await assert.rejects(client(key).users.me(), { code: 'UNAUTHENTICATED' })
  assert.deepEqual((await alice.users.get({ user_id: bob.user_id })).grants, [
    { role: 'viewer', scope: 'organization' },
  ])
})

test('a key is shown once, works, and is refused from the moment it is revoked', async () => {
  const { alice, admin, workspace_id } = await newOrganization()
  const { client } = await testFlow()
  const made = await alice.organizations.createApiKey({ name: 'CI', kind: 'deployment', workspace_id })
  assert.match(made.key, /^fl_deploy_/)
  assert.equal(made.last_four, made.key.slice(-4))
  const program = client(made.key)
  assert.equal((await program.users.me()).id, admin.user_id)

  const { items } = await alice.organizations.listApiKeys({ search: 'ci' })
  assert.equal(items.length, 1)
  assert.equal(JSON.stringify(items).includes(made.key), false)
  assert.equal(items[0]?.workspace_id, workspace_id)
  await alice.organizations.revokeApiKey({ key_id: made.id })
  await assert.rejects(program.users.me(), { code: 'UNAUTHENTICATED' })
  await assert.rejects(alice.organizations.revokeApiKey({ key_id: made.id }), { code: 'NOT_FOUND' })
  assert.equal((await alice.organizations.listApiKeys({ search: 'ci' })).total, 0)
})

test("a key for the past or for another organization's workspace is refused, and another's key is not there", async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  await assert.rejects(one.alice.organizations.createApiKey({ name: 'Old', expires_at: '2020-01-01T00:00:00Z' }), {
    code: 'VALIDATION_ERROR',
  })
  await assert.rejects(one.alice.organizations.createApiKey({ name: 'Far', workspace_id: two.workspace_id }), {
    code: 'VALIDATION_ERROR',
  })
  const { id: key_id } = await two.alice.organizations.createApiKey({ name: 'Theirs' })
  await assert.rejects(one.alice.organizations.revokeApiKey({ key_id }), { code: 'NOT_FOUND' })
})
