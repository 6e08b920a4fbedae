import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InvitedUser } from '@flow/contract/users'
import { newId } from '../context.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'

const anAddress = () => `guest-${newId()}@example.com`
const asViewer = [{ role: 'viewer' as const }]
const tokenOf = (invited: InvitedUser) => new URL(invited.accept_url).searchParams.get('token') ?? ''

async function accept(invited: InvitedUser, password = 'correct horse battery') {
  const { client } = await testFlow()
  const tokens = await client().auth.acceptInvitation({ token: tokenOf(invited), name: 'Guest', password })
  return client(tokens.access_token, { org_id: tokens.organization_id })
}

test('an invited user accepts, and is active with the roles of the invitation', async () => {
  const { alice, admin, workspace_id } = await newOrganization()
  const email = anAddress()
  const grants = [
    { role: 'solution_builder' as const, scope: 'workspace' as const, scope_id: workspace_id },
    ...asViewer,
  ]
  const invited = await alice.users.invite({ email: email.toUpperCase(), grants, message: 'Join us.' })
  assert.equal(invited.email, email)
  assert.equal(invited.status, 'invited')
  assert.equal(invited.invited_by, admin.user_id)
  assert.equal(invited.mail, 'not_configured')
  assert.equal((await alice.users.list({ status: 'invited' })).items[0]?.id, invited.id)
  assert.equal(JSON.stringify(await alice.users.get({ user_id: invited.id })).includes(tokenOf(invited)), false)

  const guest = await accept(invited)
  const me = await guest.users.me()
  assert.equal(me.status, 'active')
  assert.equal(me.name, 'Guest')
  assert.equal(me.invitation_expires_at, null)
  assert.deepEqual(me.grants, [
    { role: 'solution_builder', scope: 'workspace', scope_id: workspace_id },
    { role: 'viewer', scope: 'organization' },
  ])
  await assert.rejects(accept(invited), { code: 'UNAUTHENTICATED' })
})

test('somebody is invited once, however the address is written', async () => {
  const { alice, admin } = await newOrganization()
  const email = anAddress()
  await alice.users.invite({ email, grants: asViewer })
  await assert.rejects(alice.users.invite({ email: email.toUpperCase(), grants: asViewer }), { code: 'CONFLICT' })
  await assert.rejects(alice.users.invite({ email: admin.email, grants: asViewer }), { code: 'CONFLICT' })

  const both = await Promise.allSettled(
    [anAddress()].flatMap((same) => [alice, alice].map((who) => who.users.invite({ email: same, grants: asViewer }))),
  )
  assert.deepEqual(both.map((each) => each.status).toSorted(), ['fulfilled', 'rejected'])
})

test('an invitation that is sent again has a new link, and the old one ends', async () => {
  const { alice } = await newOrganization()
  const first = await alice.users.invite({ email: anAddress(), grants: asViewer })
  const second = await alice.users.resendInvitation({ user_id: first.id })
  assert.notEqual(tokenOf(second), tokenOf(first))
  await assert.rejects(accept(first), { code: 'UNAUTHENTICATED' })
  await accept(second)
  await assert.rejects(alice.users.resendInvitation({ user_id: first.id }), { code: 'CONFLICT' })
})

test('an invitation expires after seven days and can be sent again', async () => {
  const { alice } = await newOrganization()
  const { clock } = await testFlow()
  const invited = await alice.users.invite({ email: anAddress(), grants: asViewer })
  clock.advance(7 * 24 * 3600 + 1)
  assert.equal((await alice.users.get({ user_id: invited.id })).status, 'expired')
  assert.equal((await alice.users.list({ status: 'expired' })).total, 1)
  assert.equal((await alice.users.list({ status: 'invited' })).total, 0)
  await assert.rejects(accept(invited), { code: 'UNAUTHENTICATED' })

  await alice.users.update({ user_id: invited.id, title: 'Late' })
  const again = await alice.users.resendInvitation({ user_id: invited.id })
  assert.equal(again.status, 'invited')
  assert.equal((await (await accept(again)).users.me()).title, 'Late')
})

test('only an invitation makes an invited user active', async () => {
  const { alice } = await newOrganization()
  const { id: user_id } = await alice.users.invite({ email: anAddress(), grants: asViewer })
  for (const status of ['active', 'suspended'] as const) {
    await assert.rejects(alice.users.update({ user_id, status }), { code: 'CONFLICT' })
  }
  await alice.users.remove({ user_id })
  await assert.rejects(alice.users.get({ user_id }), { code: 'NOT_FOUND' })
})

test('an invitation that was withdrawn lets nobody in', async () => {
  const { alice } = await newOrganization()
  const invited = await alice.users.invite({ email: anAddress(), grants: asViewer })
  await alice.users.remove({ user_id: invited.id })
  await assert.rejects(accept(invited), { code: 'UNAUTHENTICATED' })
})

test('users are found by status, role and words', async () => {
  const { alice, member } = await newOrganization()
  const auditor = await member('security_auditor', 'viewer')
  const viewer = await member('viewer')
  await alice.users.update({ user_id: viewer.user_id, name: 'Vera Viewer', status: 'suspended' })

  assert.equal((await alice.users.list()).total, 3)
  assert.deepEqual(
    (await alice.users.list({ role: 'security_auditor' })).items.map((user) => user.id),
    [auditor.user_id],
  )
  assert.deepEqual(
    (await alice.users.list({ status: 'suspended' })).items.map((user) => user.id),
    [viewer.user_id],
  )
  assert.deepEqual(
    (await alice.users.list({ search: 'vera vie' })).items.map((user) => user.id),
    [viewer.user_id],
  )
  assert.deepEqual(
    (await alice.users.list({ search: auditor.email.slice(0, 30) })).items.map((user) => user.id),
    [auditor.user_id],
  )
  const ids: string[] = []
  for await (const user of alice.users.list({ limit: 1, sort: 'email', order: 'asc' })) ids.push(user.id)
  assert.equal(new Set(ids).size, 3)
})

test('scopes that do not exist are refused with their places', async () => {
  const { alice, admin } = await newOrganization()
  const other = await newOrganization()
  const grants = [
    { role: 'viewer' as const },
    { role: 'viewer' as const, scope: 'workspace' as const, scope_id: other.workspace_id },
    { role: 'viewer' as const, scope: 'solution' as const, scope_id: newId() },
  ]
  const refused = (error: { code: string; details: { field: string; message: string }[] }) => {
    assert.equal(error.code, 'VALIDATION_ERROR')
    assert.deepEqual(
      error.details.map((detail) => detail.field),
      ['grants[1].scope_id', 'grants[2].scope_id'],
    )
    assert.match(error.details[1]?.message ?? '', /^There is no solution /)
    return true
  }
  await assert.rejects(alice.users.invite({ email: anAddress(), grants }), refused)
  await assert.rejects(alice.users.update({ user_id: admin.user_id, grants }), refused)
  await assert.rejects(alice.users.invite({ email: anAddress(), grants: [] }), { code: 'VALIDATION_ERROR' })
  assert.equal((await alice.users.list()).total, 1)
})

test('an organization that restricts invitations to its domain refuses other addresses', async () => {
  const { alice } = await newOrganization()
  await alice.organizations.update({ primary_domain: 'Acme.example', restrict_invitations: true })
  await assert.rejects(alice.users.invite({ email: 'eve@evil-acme.example', grants: asViewer }), {
    code: 'VALIDATION_ERROR',
  })
  await alice.users.invite({ email: `bob-${newId()}@acme.example`, grants: asViewer })
})

test('roles are replaced at once, and count with the next request', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('viewer')
  await assert.rejects(bob.client.organizations.getBilling(), { code: 'FORBIDDEN' })
  const updated = await alice.users.update({
    user_id: bob.user_id,
    grants: [{ role: 'billing_manager' }, { role: 'billing_manager' }],
  })
  assert.deepEqual(updated.grants, [{ role: 'billing_manager', scope: 'organization' }])
  await bob.client.organizations.getBilling()
})

test('a suspended user is locked out until they are let back in', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('viewer')
  await alice.users.update({ user_id: bob.user_id, status: 'suspended' })
  await assert.rejects(bob.client.users.me(), { code: 'UNAUTHENTICATED' })
  await alice.users.update({ user_id: bob.user_id, status: 'active' })
  assert.equal((await bob.client.users.me()).id, bob.user_id)
})

test('a removed user loses roles and keys for good, and keeps the account', async () => {
  const { alice, member } = await newOrganization()
  const { client } = await testFlow()
  const bob = await member('solution_builder')
  await alice.users.remove({ user_id: bob.user_id })
  await assert.rejects(bob.client.users.me(), { code: 'UNAUTHENTICATED' })
  await assert.rejects(alice.users.remove({ user_id: bob.user_id }), { code: 'NOT_FOUND' })

  const back = await alice.users.invite({ email: bob.email, grants: asViewer })
  assert.equal(back.id, bob.user_id)
  assert.deepEqual(back.grants, [{ role: 'viewer', scope: 'organization' }])
  await accept(back)
  await assert.rejects(client(bob.api_key).users.me(), { code: 'UNAUTHENTICATED' })
})

test('the last active admin can be neither removed, suspended nor demoted', async () => {
  const { alice, admin, member, workspace_id } = await newOrganization()
  const user_id = admin.user_id
  await member('viewer')
  await member({ role: 'admin', scope: 'workspace', scope_id: workspace_id })
  const second = await member('admin')
  await alice.users.update({ user_id: second.user_id, status: 'suspended' })
  await alice.users.invite({ email: anAddress(), grants: [{ role: 'admin' }] })

  await assert.rejects(alice.users.remove({ user_id }), { code: 'CONFLICT' })
  await assert.rejects(alice.users.update({ user_id, status: 'suspended' }), { code: 'CONFLICT' })
  await assert.rejects(alice.users.update({ user_id, grants: asViewer }), { code: 'CONFLICT' })
  await alice.users.update({ user_id, name: 'Alice the admin', grants: [{ role: 'admin' }, { role: 'viewer' }] })
  await alice.users.update({ user_id: second.user_id, status: 'active' })
  await alice.users.remove({ user_id })
  assert.equal((await second.client.users.me()).status, 'active')
})

type Attack = (who: TestOrganization['alice'], user_id: string) => Promise<unknown>
const demote: Attack = (who, user_id) => who.users.update({ user_id, grants: asViewer })
const suspend: Attack = (who, user_id) => who.users.update({ user_id, status: 'suspended' })
const remove: Attack = (who, user_id) => who.users.remove({ user_id })
/** With a precondition the transaction reads from one moment, and what happens beside it stays unseen. */
const demoteIfUnchanged: Attack = async (who, user_id) =>
  who.request('PUT', `/users/${user_id}`, { body: { grants: asViewer }, headers: { 'if-match': '*' } })

test('of two admins who take each other’s place at the same time exactly one succeeds', async () => {
  const attacks = [demote, suspend, remove, demoteIfUnchanged]
  for (const one of attacks) {
    for (const other of attacks) {
      const { alice, admin, member } = await newOrganization()
      const bob = await member('admin')
      const answers = await Promise.allSettled([one(alice, bob.user_id), other(bob.client, admin.user_id)])

      assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 1, `${one.name} and ${other.name}`)
      const left = [alice, bob.client].map((who) =>
        who.users.list({ role: 'admin', status: 'active' }).catch(() => undefined),
      )
      const lists = (await Promise.all(left)).filter((page) => page !== undefined)
      assert.ok(lists.length > 0)
      for (const page of lists) assert.equal(page.total, 1)
    }
  }
})

test('users of another organization are not there', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const { user_id } = one.admin
  const asked = [
    () => two.alice.users.get({ user_id }),
    () => two.alice.users.update({ user_id, name: 'Mine' }),
    () => two.alice.users.remove({ user_id }),
    () => two.alice.users.resendInvitation({ user_id }),
  ]
  for (const each of asked) await assert.rejects(each(), { code: 'NOT_FOUND' })
  assert.equal((await two.alice.users.list()).total, 1)
})

test('what an organization calls somebody is not seen by another', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const email = anAddress()
  const guest = await accept(await one.alice.users.invite({ email, grants: asViewer }))
  const { id: user_id } = await guest.users.me()
  const invited = await two.alice.users.invite({ email, grants: asViewer })
  assert.equal(invited.id, user_id)
  assert.equal(invited.name, '')
  await two.alice.users.update({ user_id, name: 'Somebody' })
  assert.equal((await guest.users.me()).name, 'Guest')
})
