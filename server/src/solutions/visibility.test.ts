/** Who sees which solution, walked: every level of visibility against everybody who could ask, through every operation
 *  that reads, and what each of them may change. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contract } from '@flow/contract'
import { permissionsOf, Role } from '@flow/contract/access'
import type { VisibilityLevel } from '@flow/contract/solutions'
import type { PlatformClient } from '@flow/sdk'
import { newId } from '../context.ts'
import { newOrganization, testFlow } from '../testing.ts'

const levels: VisibilityLevel[] = ['private', 'workspace', 'organization', 'marketplace']

const codeOf = (work: PromiseLike<unknown> | (() => PromiseLike<unknown>)): Promise<string> =>
  Promise.resolve(typeof work === 'function' ? work() : work).then(
    () => 'ok',
    (error: { code?: string }) => error.code ?? String(error),
  )

const block = (slug: string) => ({
  type: 'code_block' as const,
  name: slug,
  slug,
  config: { language: 'javascript' as const, code: 'export const main = () => 1' },
})

type World = Awaited<ReturnType<typeof newWorld>>

/** Two organizations. In the first a builder makes a solution of each level; everybody else asks. */
async function newWorld() {
  const { client } = await testFlow()
  const ours = await newOrganization()
  const theirs = await newOrganization()
  const { alice, member, workspace_id, organization_id } = ours
  const second = await alice.organizations.createWorkspace({ name: 'Second', slug: 'second', org_id: organization_id })
  const at = (api_key: string, workspace_id: string) => client(api_key, { workspace_id })

  const maker = await member({ role: 'solution_builder', scope: 'workspace', scope_id: workspace_id })
  const made = {} as Record<VisibilityLevel, { id: string; component_id: string }>
  for (const visibility_level of levels) {
    const { id } = await maker.client.solutions.create({
      name: 'Made',
      slug: `made-${visibility_level}`,
      visibility_level,
    })
    const component = await maker.client.solutions.addComponent({
      solution_id: id,
      component: block(`part-${visibility_level}`),
    })
    made[visibility_level] = { id, component_id: component.id }
  }
  const elsewhere = await member({ role: 'solution_builder', scope: 'workspace', scope_id: second.id })
  const adminElsewhere = await member({ role: 'admin', scope: 'workspace', scope_id: second.id })
  const adminHere = await member({ role: 'admin', scope: 'workspace', scope_id: workspace_id })
  const other = await alice.solutions.create({ name: 'Other', slug: 'other' })
  const stranger = await member({ role: 'solution_builder', scope: 'solution', scope_id: other.id })
  const theirViewer = await theirs.member('viewer')

  const people: Record<string, { client: PlatformClient; reads: readonly VisibilityLevel[]; writes: boolean }> = {
    maker: { client: maker.client, reads: levels, writes: true },
    admin: { client: alice, reads: levels, writes: true },
    'an admin of the workspace': { client: adminHere.client, reads: levels, writes: true },
    'another builder': { client: (await member('solution_builder')).client, reads: levels.slice(1), writes: true },
    viewer: { client: (await member('viewer')).client, reads: levels.slice(1), writes: false },
    auditor: { client: (await member('security_auditor')).client, reads: levels.slice(1), writes: false },
    'a builder of another workspace': {
      client: at(elsewhere.api_key, second.id),
      reads: ['organization', 'marketplace'],
      writes: false,
    },
    'an admin of another workspace': {
      client: at(adminElsewhere.api_key, second.id),
      reads: ['organization', 'marketplace'],
      writes: false,
    },
    'whoever has a role in another solution': { client: stranger.client, reads: [], writes: false },
    'an admin of another organization': { client: theirs.alice, reads: ['marketplace'], writes: false },
    'a viewer of another organization': { client: theirViewer.client, reads: ['marketplace'], writes: false },
  }
  return { ours, theirs, made, people, maker, second, other }
}

let world: Promise<World> | undefined
const shared = () => {
  world ??= newWorld()
  return world
}

test('every reading of a solution shows it to whom its visibility allows, and is not found by all others', async () => {
  const { people, made } = await shared()
  for (const [who, { client, reads }] of Object.entries(people)) {
    for (const level of levels) {
      const solution_id = made[level].id
      const expected = reads.includes(level) ? 'ok' : 'NOT_FOUND'
      const asked = {
        get: () => client.solutions.get({ solution_id }),
        listVersions: () => client.solutions.listVersions({ solution_id }),
        export: async () => {
          for await (const _ of client.solutions.export({ solution_id }));
        },
        listComponents: () => client.solutions.listComponents({ solution_id }),
      }
      for (const [operation, answer] of Object.entries(asked)) {
        assert.equal(await codeOf(answer), expected, `${who}: ${operation} of what is ${level}`)
      }
    }
  }
})

test('every list has what its reader may see, and nothing else', async () => {
  const { people, made } = await shared()
  const levelOf = new Map(levels.map((level) => [made[level].id, level]))
  for (const [who, { client, reads }] of Object.entries(people)) {
    const found = new Set<string>()
    for (const from of ['workspace', 'organization', 'marketplace'] as const) {
      for await (const { id } of client.solutions.list({ from, limit: 100 })) {
        const level = levelOf.get(id)
        if (level) found.add(level)
      }
    }
    assert.deepEqual([...found].sort(), [...reads].sort(), who)
  }
})

test('a solution is changed only in its workspace, by whoever may write there and can see it', async () => {
  const { people, made } = await shared()
  for (const [who, { client, reads, writes }] of Object.entries(people)) {
    for (const level of levels) {
      const solution_id = made[level].id
      const code = await codeOf(client.solutions.update({ solution_id, description: `Changed by ${who}.` }))
      if (writes && reads.includes(level)) assert.equal(code, 'ok', `${who}: ${level}`)
      else assert.ok(['NOT_FOUND', 'FORBIDDEN'].includes(code), `${who}: ${level} gives ${code}`)
      for (const work of [
        () => client.solutions.removeComponent({ solution_id, component_id: newId() }),
        () => client.solutions.deploy({ solution_id }),
      ]) {
        assert.ok(['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'].includes(await codeOf(work)), `${who}: ${level}`)
      }
    }
  }
})

test('whoever may not read solutions at all is refused, whatever the level', async () => {
  const { ours, made } = await shared()
  const { client } = await ours.member('billing_manager')
  for (const level of levels) {
    assert.equal(await codeOf(client.solutions.get({ solution_id: made[level].id })), 'FORBIDDEN')
  }
})

test('another organization is shown what is in the marketplace without who made it, and nothing else of it', async () => {
  const { theirs, made, maker } = await shared()
  const solution_id = made.marketplace.id
  const shown = await theirs.alice.solutions.get({ solution_id })
  const components = await theirs.alice.solutions.listComponents({ solution_id })
  const versions = await theirs.alice.solutions.listVersions({ solution_id })
  const listed = await theirs.alice.solutions.list({ from: 'marketplace', slug: 'made-marketplace', limit: 100 })

  assert.equal(shown.created_by, null)
  assert.equal(shown.workspace_id, null)
  assert.equal(shown.component_count, 1, 'what is counted is not hidden')
  assert.equal(components.items[0]?.slug, 'part-marketplace')
  const all = JSON.stringify([shown, components, versions, listed])
  assert.ok(all.includes(solution_id))
  assert.ok(!all.includes(maker.user_id), 'who made it is told')
  assert.equal(await codeOf(theirs.alice.components.get({ component_id: made.marketplace.component_id })), 'NOT_FOUND')
})

test('a version that is private is not counted among those that are shown', async () => {
  const { ours, theirs, made, people } = await shared()
  const { alice } = ours
  const next = { name: 'Made', slug: 'made-marketplace', visibility_level: 'private' as const }
  await people.maker?.client.solutions.create({ ...next, version: '2.0.0' })
  const solution_id = made.marketplace.id
  const versionsFor = async (client: PlatformClient) => {
    const { versions } = await client.solutions.get({ solution_id })
    const { items } = await client.solutions.listVersions({ solution_id })
    assert.deepEqual(
      versions.map(({ version }) => version),
      items.map(({ version }) => version),
    )
    return items.map(({ version }) => version)
  }

  assert.deepEqual(await versionsFor(alice), ['2.0.0', '0.1.0'])
  for (const who of ['viewer', 'a builder of another workspace'] as const) {
    const { client } = people[who] ?? assert.fail()
    assert.deepEqual(await versionsFor(client), ['0.1.0'], who)
  }
  assert.deepEqual(await versionsFor(theirs.alice), ['0.1.0'])
  const { items } = await (people.viewer ?? assert.fail()).client.solutions.list({ slug: 'made-marketplace' })
  assert.equal(items[0]?.version, '0.1.0', 'the newest that is visible stands for the solution')
})

test('an organization that is suspended shows nothing any more', async () => {
  const { platform } = await testFlow()
  const [shop, customer] = [await newOrganization(), await newOrganization()]
  const { id } = await shop.alice.solutions.create({ name: 'Shown', slug: 'shown', visibility_level: 'marketplace' })
  assert.equal(await codeOf(customer.alice.solutions.get({ solution_id: id })), 'ok')

  await platform.database.platform.run({
    text: `update organizations set status = 'suspended' where id = $1`,
    values: [shop.organization_id],
  })

  assert.equal(await codeOf(customer.alice.solutions.get({ solution_id: id })), 'NOT_FOUND')
})

// ---- roles in one solution

/** Alice's solution with a workflow and the code block it uses, which is not in the solution, and a block beside. */
async function newGuests() {
  const organization = await newOrganization()
  const { alice, member } = organization
  const used = await alice.components.create(block('used'))
  const outside = await alice.components.create(block('outside'))
  const { id: solution_id } = await alice.solutions.create({ name: 'Ours', slug: 'ours', visibility_level: 'private' })
  const other = await alice.solutions.create({ name: 'Other', slug: 'other' })
  const config = { nodes: [{ id: 'one', type: 'code_block' as const, component_ref: 'used' }] }
  const inside = await alice.solutions.addComponent({
    solution_id,
    component: { type: 'workflow', name: 'Inside', slug: 'inside', config },
  })
  const guest = async (role: Role) => (await member({ role, scope: 'solution', scope_id: solution_id })).client
  return { organization, alice, guest, member, solution_id, other, inside, used, outside }
}

test('a role in one solution gives what the matrix says there, in that solution and its components alone', async () => {
  const { guest, solution_id, other, inside, outside } = await newGuests()
  for (const role of Role.options) {
    const client = await guest(role)
    const reads = permissionsOf[role].includes('solutions.read')
    const writes = permissionsOf[role].includes('solutions.write')
    const may = (is: boolean, found = 'ok') => (is ? found : 'FORBIDDEN')
    const { components, solutions, workflows } = client
    const rename = { description: `By a ${role}.` }
    const asked: [string, () => PromiseLike<unknown>][] = [
      [may(reads), () => solutions.get({ solution_id })],
      [may(reads), () => solutions.listComponents({ solution_id })],
      [may(reads), () => components.get({ component_id: inside.id })],
      [may(reads), () => components.listVersions({ component_id: inside.id })],
      [may(reads), () => workflows.get({ workflow_id: inside.id })],
      [may(reads), () => workflows.listExecutions({ workflow_id: inside.id })],
      [may(writes), () => solutions.update({ solution_id, ...rename })],
      [may(writes), () => components.update({ component_id: inside.id, ...rename })],
      [may(writes), () => workflows.execute({ workflow_id: inside.id })],
      [may(reads, 'NOT_FOUND'), () => solutions.get({ solution_id: other.id })],
      [may(reads, 'NOT_FOUND'), () => components.get({ component_id: outside.id })],
      [may(reads, 'NOT_FOUND'), () => components.listVersions({ component_id: outside.id })],
      [may(writes, 'NOT_FOUND'), () => components.update({ component_id: outside.id, ...rename })],
      [may(writes, 'NOT_FOUND'), () => components.publish({ component_id: outside.id })],
      [may(writes, 'NOT_FOUND'), () => components.remove({ component_id: outside.id })],
      [may(writes, 'NOT_FOUND'), () => solutions.update({ solution_id: other.id, ...rename })],
      [may(writes, 'NOT_FOUND'), () => solutions.addComponent({ solution_id, component_id: outside.id })],
      ['FORBIDDEN', () => solutions.create({ name: 'Mine', slug: `mine-${role}` })],
      ['FORBIDDEN', () => components.create(block('mine'))],
    ]
    for (const [i, [expected, answer]] of asked.entries()) {
      assert.equal(await codeOf(answer), expected, `${role}: ${i}`)
    }
    if (!reads) continue
    assert.deepEqual(
      (await components.list()).items.map(({ slug }) => slug),
      ['inside'],
    )
    assert.deepEqual(
      (await solutions.list()).items.map(({ slug }) => slug),
      ['ours'],
    )
    for (const from of ['organization', 'marketplace'] as const) {
      assert.equal((await solutions.list({ from })).total, 0)
    }
  }
})

test('state and executions are those of the solution that a role is for', async () => {
  const { alice, guest, solution_id, inside, outside } = await newGuests()
  const stateOf = (slug: string) => alice.states.create({ name: slug, slug, config: {} })
  const ours = await stateOf('ours-state')
  const theirs = await stateOf('theirs-state')
  await alice.solutions.addComponent({ solution_id, component_id: ours.id })
  const hidden = await alice.workflows.create({
    name: 'Hidden',
    slug: 'hidden',
    nodes: [{ id: 'one', type: 'transform', output: 1 }],
  })
  const seen = await alice.workflows.execute({ workflow_id: inside.id }, { wait: 10 })
  await alice.workflows.execute({ workflow_id: hidden.id }, { wait: 10 })
  const at = { scope: 's', key: 'k' }
  await alice.state.put({ component_id: theirs.id, ...at, value: 1 })

  for (const role of ['solution_builder', 'viewer'] as const) {
    const { state, workflows } = await guest(role)
    const writes = role === 'viewer' ? 'FORBIDDEN' : 'ok'
    assert.equal(await codeOf(() => state.put({ component_id: ours.id, ...at, value: role })), writes)
    assert.equal(await codeOf(() => state.get({ component_id: ours.id, ...at })), 'ok')
    assert.equal(await codeOf(() => state.listScopes({ component_id: ours.id })), 'ok')
    assert.equal(
      await codeOf(() => state.clear({ component_id: ours.id, scope: 'none' })),
      role === 'viewer' ? 'FORBIDDEN' : 'NOT_FOUND',
    )
    for (const elsewhere of [theirs.id, outside.id]) {
      const of = { component_id: elsewhere, ...at }
      assert.equal(await codeOf(() => state.get(of)), 'NOT_FOUND')
      assert.equal(await codeOf(() => state.getScope({ component_id: elsewhere, scope: 's' })), 'NOT_FOUND')
      const refusal = role === 'viewer' ? 'FORBIDDEN' : 'NOT_FOUND'
      assert.equal(await codeOf(() => state.put({ ...of, value: 2 })), refusal)
      assert.equal(await codeOf(() => state.remove(of)), refusal)
    }
    const { items, total } = await workflows.listAllExecutions()
    assert.deepEqual([items.map(({ id }) => id), total], [[seen.id], 1])
    assert.equal((await workflows.listAllExecutions({ workflow_id: hidden.id })).total, 0)
  }
  assert.equal((await alice.workflows.listAllExecutions()).total, 2)
})

test('an operation that does not say that it narrows is refused to whoever has a role in one solution alone', async () => {
  const { guest } = await newGuests()
  const client = await guest('admin')
  const ways = Object.values(contract).flatMap((domain) => Object.values(domain)) as {
    method: string
    path: string
    permission: string
    narrows?: true
  }[]
  for (const { method, path, permission, narrows } of ways) {
    if (!/^(solutions|deployments|connectors|users|billing|audit)\./.test(permission) || narrows) continue
    const address = path.replace(/\{\w+\}/g, newId())
    if (path.includes('{org_id}') || path.includes('{workspace_id}')) continue
    const body = method === 'GET' || method === 'DELETE' ? undefined : {}
    assert.equal(await codeOf(client.request(method, address, { body })), 'FORBIDDEN', `${method} ${path}`)
  }
})

test('a builder in a solution refers to what it uses already, and to nothing else of the workspace', async () => {
  const { guest, solution_id, inside, outside } = await newGuests()
  const client = await guest('solution_builder')
  const nodes = (component_ref: string) => [{ id: 'one', type: 'code_block' as const, component_ref }]

  await client.workflows.update({ workflow_id: inside.id, nodes: nodes('used') })
  for (const ref of ['outside', outside.id]) {
    assert.equal(
      await codeOf(client.workflows.update({ workflow_id: inside.id, nodes: nodes(ref) })),
      'VALIDATION_ERROR',
    )
  }
  const made = await client.solutions.addComponent({ solution_id, component: block('made-here') })
  await client.workflows.update({ workflow_id: inside.id, nodes: nodes('made-here') })
  assert.equal(await codeOf(client.components.publish({ component_id: made.id })), 'ok')
})

test('a builder in a solution does not set a workflow off by the events of the whole workspace', async () => {
  const { alice, guest, inside } = await newGuests()
  const client = await guest('solution_builder')
  const trigger = (events: ('workflow.completed' | 'workflow.failed')[]) => ({
    workflow_id: inside.id,
    trigger_type: 'event' as const,
    trigger_config: { events },
  })

  assert.equal(await codeOf(client.workflows.update(trigger(['workflow.completed']))), 'FORBIDDEN')
  await alice.workflows.update(trigger(['workflow.completed']))
  assert.equal(await codeOf(client.workflows.update({ workflow_id: inside.id, description: 'Mine' })), 'ok')
  assert.equal(await codeOf(client.workflows.update(trigger(['workflow.failed']))), 'FORBIDDEN')
})

test('a role in a solution is for each of its versions but those that others keep private', async () => {
  const { alice, guest, solution_id } = await newGuests()
  const client = await guest('viewer')
  const next = { name: 'Ours', slug: 'ours', based_on: solution_id }
  const second = await alice.solutions.create({ ...next, version: '0.2.0' })
  const third = await alice.solutions.create({ ...next, version: '0.3.0', visibility_level: 'private' })

  assert.equal(await codeOf(client.solutions.get({ solution_id: second.id })), 'ok')
  assert.equal(await codeOf(client.solutions.get({ solution_id: third.id })), 'NOT_FOUND')

  await alice.solutions.remove({ solution_id })
  assert.equal(await codeOf(client.solutions.get({ solution_id: second.id })), 'ok', 'the role outlives the version')
  await alice.solutions.remove({ solution_id: second.id })
  assert.equal(await codeOf(client.solutions.get({ solution_id: second.id })), 'FORBIDDEN', 'and goes with the last')
})

test('a role in a solution adds to a role in the workspace', async () => {
  const { member, solution_id, outside } = await newGuests()
  const { client } = await member('viewer', { role: 'solution_builder', scope: 'solution', scope_id: solution_id })

  assert.equal(await codeOf(client.solutions.get({ solution_id })), 'ok', 'private, and given')
  assert.equal(await codeOf(client.components.get({ component_id: outside.id })), 'ok')
  assert.equal(await codeOf(client.solutions.update({ solution_id, description: 'Mine, too.' })), 'ok')
  assert.equal(await codeOf(client.components.update({ component_id: outside.id, description: 'x' })), 'NOT_FOUND')
})

test('a key never reaches farther than the role in the solution of whoever made it', async () => {
  const { client: clientOf } = await testFlow()
  const { organization, member, solution_id, inside } = await newGuests()
  const { api_key } = await member({ role: 'solution_builder', scope: 'solution', scope_id: solution_id })
  const elsewhere = await organization.alice.organizations.createWorkspace({
    name: 'Second',
    slug: 'second',
    org_id: organization.organization_id,
  })
  const away = clientOf(api_key, { workspace_id: elsewhere.id })

  assert.equal(await codeOf(away.solutions.get({ solution_id })), 'NOT_FOUND')
  assert.equal(await codeOf(away.components.get({ component_id: inside.id })), 'NOT_FOUND')
})

test('a role can be given for a solution that there is, in this organization', async () => {
  const { alice } = await newOrganization()
  const other = await newOrganization()
  const mine = await alice.solutions.create({ name: 'Mine', slug: 'mine' })
  const theirs = await other.alice.solutions.create({ name: 'Theirs', slug: 'theirs', visibility_level: 'marketplace' })
  const invite = (scope_id: string) =>
    alice.users.invite({
      email: `guest-${newId()}@example.com`,
      grants: [{ role: 'viewer', scope: 'solution', scope_id }],
    })

  assert.deepEqual((await invite(mine.id)).grants, [{ role: 'viewer', scope: 'solution', scope_id: mine.id }])
  assert.equal(await codeOf(invite(theirs.id)), 'VALIDATION_ERROR')
  assert.equal(await codeOf(invite(newId())), 'VALIDATION_ERROR')
})
