import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../context.ts'
import { newOrganization, type TestOrganization } from '../testing.ts'

type Refusal = { code: string; message: string; details: { field: string; message: string }[] }
const refused = (code: string, message?: RegExp) => (error: Refusal) => {
  assert.equal(error.code, code, error.message)
  if (message) assert.match(error.message, message)
  return true
}

const block = (slug: string) => ({
  type: 'code_block' as const,
  name: slug,
  slug,
  config: { language: 'javascript' as const, code: 'export const main = () => 1' },
})

async function claimsOf({ alice }: TestOrganization) {
  const solution = await alice.solutions.create({ name: 'Claims', slug: 'claims' })
  const component = await alice.components.create(block('parse'))
  await alice.solutions.addComponent({ solution_id: solution.id, component_id: component.id })
  return { solution_id: solution.id, component_id: component.id }
}

test('a solution begins as an empty draft of version 0.1.0, seen in its workspace', async () => {
  const { alice, admin, workspace_id } = await newOrganization()

  const made = await alice.solutions.create({ name: 'Claims', slug: 'claims', description: 'Pays claims.' })

  const { id, created_at, updated_at, ...rest } = made
  assert.deepEqual(rest, {
    workspace_id,
    slug: 'claims',
    version: '0.1.0',
    name: 'Claims',
    description: 'Pays claims.',
    mermaid_source: null,
    skeleton: null,
    status: 'draft',
    status_reason: null,
    visibility_level: 'workspace',
    component_count: 0,
    completed_count: 0,
    versions: [{ id, version: '0.1.0', status: 'draft' }],
    created_by: admin.user_id,
  })
  assert.equal(created_at, updated_at)
  assert.deepEqual(await alice.solutions.get({ solution_id: id }), made)
})

test('the counts follow what is added, published and taken out', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  const counts = async () => {
    const { component_count, completed_count } = await alice.solutions.get({ solution_id })
    return [component_count, completed_count]
  }
  assert.deepEqual(await counts(), [1, 0])

  const added = await alice.solutions.addComponent({ solution_id, component: block('check') })
  assert.equal(added.slug, 'check')
  assert.equal((await alice.components.get({ component_id: added.id })).slug, 'check')
  assert.deepEqual(await counts(), [2, 0])

  await alice.components.publish({ component_id })
  assert.deepEqual(await counts(), [2, 1])
  await alice.solutions.addComponent({ solution_id, component_id })
  assert.deepEqual(await counts(), [2, 1], 'what is in already is not counted twice')

  await alice.solutions.removeComponent({ solution_id, component_id })
  assert.deepEqual(await counts(), [1, 0])
  assert.equal((await alice.components.get({ component_id })).status, 'published', 'the component itself stays')
  await assert.rejects(alice.solutions.removeComponent({ solution_id, component_id }), refused('NOT_FOUND'))
})

test('components are listed, sorted, searched and told by type', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id } = await claimsOf(organization)
  const fields = [{ name: 'id', type: 'string' as const }]
  await alice.solutions.addComponent({
    solution_id,
    component: { type: 'schema', name: 'A claim', slug: 'claim', config: { fields } },
  })
  const slugs = async (input: object) =>
    (await alice.solutions.listComponents({ solution_id, ...input })).items.map(({ slug }) => slug)

  assert.deepEqual(await slugs({ sort: 'slug', order: 'asc' }), ['claim', 'parse'])
  assert.deepEqual(await slugs({ type: 'schema' }), ['claim'])
  assert.deepEqual(await slugs({ search: 'pars' }), ['parse'])
  assert.deepEqual(await slugs({ limit: 1, offset: 1, order: 'asc' }), ['claim'])
})

test('a slug has each version once, and its versions are one solution', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  await assert.rejects(
    alice.solutions.create({ name: 'Claims', slug: 'claims' }),
    refused('CONFLICT', /a version 0.1.0 of "claims"/),
  )
  for (const version of ['1.0.0-rc.1', '1.0.0', '0.10.0', '0.9.0']) {
    await alice.solutions.create({ name: `Claims ${version}`, slug: 'claims', version, based_on: solution_id })
  }
  await alice.solutions.create({ name: 'Other', slug: 'other' })

  const { items, total } = await alice.solutions.list({ sort: 'slug', order: 'asc' })
  assert.equal(total, 2)
  assert.deepEqual(
    items.map(({ slug, version }) => [slug, version]),
    [
      ['claims', '1.0.0'],
      ['other', '0.1.0'],
    ],
  )
  const versions = ['1.0.0', '1.0.0-rc.1', '0.10.0', '0.9.0', '0.1.0']
  assert.deepEqual(
    items[0]?.versions.map(({ version }) => version),
    versions,
  )
  const listed = await alice.solutions.listVersions({ solution_id })
  assert.deepEqual(
    listed.items.map(({ version }) => version),
    versions,
  )
  assert.ok(listed.items.every(({ component_count }) => component_count === 1))
  const taken = await alice.solutions.listComponents({ solution_id: listed.items[0]?.id ?? '' })
  assert.equal(taken.items[0]?.id, component_id)
})

test('what a new version is based on is a solution of the workspace', async () => {
  const { alice } = await newOrganization()
  const other = await newOrganization()
  const foreign = await other.alice.solutions.create({
    name: 'Theirs',
    slug: 'theirs',
    visibility_level: 'marketplace',
  })
  for (const based_on of [newId(), foreign.id]) {
    await assert.rejects(
      alice.solutions.create({ name: 'Claims', slug: 'claims', based_on }),
      refused('VALIDATION_ERROR', /no solution/),
    )
  }
})

test('the status goes its way and back, each with the reason that was given', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  await alice.components.publish({ component_id })
  const become = async (status: 'draft' | 'in_progress' | 'completed' | 'archived', status_reason?: string) => {
    const { status: now, status_reason: why } = await alice.solutions.update({ solution_id, status, status_reason })
    return [now, why]
  }

  assert.deepEqual(await become('in_progress', 'We begin.'), ['in_progress', 'We begin.'])
  assert.deepEqual(await become('in_progress', 'We begin again.'), ['in_progress', 'We begin.'], 'nothing has changed')
  assert.deepEqual(await become('draft'), ['draft', null])
  assert.deepEqual(await become('in_progress'), ['in_progress', null])
  assert.deepEqual(await become('completed', 'Shipped.'), ['completed', 'Shipped.'])
  assert.deepEqual(await become('in_progress', 'A bug.'), ['in_progress', 'A bug.'])
  assert.deepEqual(await become('completed'), ['completed', null])
  assert.deepEqual(await become('archived', 'Replaced.'), ['archived', 'Replaced.'])
  assert.deepEqual(await become('draft'), ['draft', null])
  await assert.rejects(
    alice.solutions.update({ solution_id, status_reason: 'Why?' }),
    refused('VALIDATION_ERROR', /beside "status"/),
  )
})

test('a status that cannot be reached is refused with those that can', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id } = await claimsOf(organization)
  const set = (status: 'draft' | 'completed' | 'archived') => alice.solutions.update({ solution_id, status })

  await assert.rejects(set('completed'), refused('CONFLICT', /is draft: it can become "in_progress" or "archived"/))
  await set('archived')
  await assert.rejects(set('completed'), refused('CONFLICT', /"draft" or "in_progress", not "completed"/))
})

test('a solution is completed when each of its components is published, and has one', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  const empty = await alice.solutions.create({ name: 'Empty', slug: 'empty' })
  await alice.solutions.update({ solution_id, status: 'in_progress' })
  await alice.solutions.update({ solution_id: empty.id, status: 'in_progress' })

  await assert.rejects(
    alice.solutions.update({ solution_id: empty.id, status: 'completed' }),
    refused('CONFLICT', /no components/),
  )
  await assert.rejects(alice.solutions.update({ solution_id, status: 'completed' }), (error: Refusal) => {
    assert.match(error.message, /1 of its components has no published version/)
    assert.match(error.details[0]?.message ?? '', /Publish "parse"/)
    return refused('CONFLICT')(error)
  })
  await alice.components.publish({ component_id })
  assert.equal((await alice.solutions.update({ solution_id, status: 'completed' })).status, 'completed')
})

test('nothing comes or goes while a solution is completed or archived', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  await alice.components.publish({ component_id })
  await alice.solutions.update({ solution_id, status: 'in_progress' })
  for (const status of ['completed', 'archived'] as const) {
    await alice.solutions.update({ solution_id, status })
    const closed = refused('CONFLICT', new RegExp(`is ${status}`))
    await assert.rejects(alice.solutions.addComponent({ solution_id, component: block('late') }), closed)
    await assert.rejects(alice.solutions.removeComponent({ solution_id, component_id }), closed)
  }
  await assert.rejects(alice.solutions.update({ solution_id, name: 'New' }), refused('CONFLICT', /is archived/))
  const back = await alice.solutions.update({ solution_id, name: 'New', status: 'in_progress' })
  assert.equal(back.name, 'New')
})

test('what is sent to be added is one component, and a sound one', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const other = await newOrganization()
  const { solution_id, component_id } = await claimsOf(organization)
  const foreign = await other.alice.components.create(block('theirs'))
  const add = (input: object) => alice.solutions.addComponent({ solution_id, ...input })

  await assert.rejects(add({}), refused('VALIDATION_ERROR', /either "component_id" or "component"/))
  await assert.rejects(add({ component_id, component: block('two') }), refused('VALIDATION_ERROR', /either/))
  await assert.rejects(add({ component_id: foreign.id }), refused('NOT_FOUND'))
  await assert.rejects(add({ component: block('parse') }), refused('CONFLICT', /exists already/))
  await assert.rejects(add({ component: { ...block('bad'), config: { language: 'x' } } }), (error: Refusal) => {
    assert.deepEqual(
      error.details.map(({ field }) => field),
      ['component.config.language', 'component.config.code'],
    )
    return true
  })
  const config = { nodes: [{ id: 'one', type: 'code_block', component_ref: 'nowhere' }] }
  const workflow = { type: 'workflow' as const, name: 'Flow', slug: 'flow', config }
  await assert.rejects(add({ component: workflow }), (error: Refusal) => {
    assert.equal(error.details[0]?.field, 'component.config.nodes[0].component_ref')
    return true
  })
  assert.equal((await alice.solutions.get({ solution_id })).component_count, 1)
})

test('a component that is in a solution is not deleted; a private solution is not named to others', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  const named = (pattern: RegExp) => (error: Refusal) => {
    assert.match(error.details[0]?.message ?? '', pattern)
    return refused('CONFLICT', /is in 1 solution/)(error)
  }
  await assert.rejects(alice.components.remove({ component_id }), named(/"claims" 0.1.0/))
  await alice.solutions.update({ solution_id, visibility_level: 'private' })
  await assert.rejects(alice.components.remove({ component_id }), named(/^A private solution has it/))

  await alice.solutions.remove({ solution_id })
  await alice.components.remove({ component_id })
  await assert.rejects(alice.solutions.get({ solution_id }), refused('NOT_FOUND'))
})

test('of an addition and a deletion at the same moment one finds the other', async () => {
  const { alice } = await newOrganization()
  const { id: solution_id } = await alice.solutions.create({ name: 'Claims', slug: 'claims' })
  for (let round = 0; round < 8; round += 1) {
    const { id: component_id } = await alice.components.create(block(`block-${round}`))

    const [added, removed] = await Promise.allSettled([
      alice.solutions.addComponent({ solution_id, component_id }),
      alice.components.remove({ component_id }),
    ])

    assert.notEqual(added.status, removed.status, `round ${round}`)
    const { items } = await alice.solutions.listComponents({ solution_id, limit: 100 })
    assert.equal(
      items.some(({ id }) => id === component_id),
      added.status === 'fulfilled',
    )
  }
})

test('of two who make the same version one is refused', async () => {
  const { alice } = await newOrganization()
  const make = () => alice.solutions.create({ name: 'Claims', slug: 'claims' })

  const made = await Promise.allSettled([make(), make(), make()])

  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('a solution is never completed and given an unpublished component at the same moment', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const { solution_id, component_id } = await claimsOf(organization)
  await alice.components.publish({ component_id })
  await alice.solutions.update({ solution_id, status: 'in_progress' })

  const [completed, added] = await Promise.allSettled([
    alice.solutions.update({ solution_id, status: 'completed' }),
    alice.solutions.addComponent({ solution_id, component: block('late') }),
  ])

  assert.notEqual(completed.status, added.status)
})

test('a change of what has changed since is refused', async () => {
  const { alice } = await newOrganization()
  const made = await alice.solutions.create({ name: 'Claims', slug: 'claims' })
  const stale = '"0000000000000000"'
  await assert.rejects(
    alice.solutions.update({ solution_id: made.id, name: 'New' }, { if_match: stale }),
    refused('PRECONDITION_FAILED'),
  )
  assert.equal((await alice.solutions.get({ solution_id: made.id })).name, 'Claims')
})

test('deploying is refused: there are no deployments', async () => {
  const { alice } = await newOrganization()
  const { id: solution_id } = await alice.solutions.create({ name: 'Claims', slug: 'claims' })
  await assert.rejects(alice.solutions.deploy({ solution_id }), refused('CONFLICT', /no deployments/))
})
