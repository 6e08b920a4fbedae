import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contract } from '@flow/contract'
import { FlowError } from '@flow/sdk'
import { contextOf } from '../context.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { examine, publish } from './components.ts'

const config = (code: string, more = {}) => ({ language: 'javascript' as const, code, ...more })
const one = config('export const main = () => 1')
const two = config('export const main = () => 2', { timeout_seconds: 5, memory_mb: 64 })
const block = (slug: string, of = one) => ({ name: slug, slug, config: of })
const using = (slug: string, component_ref: string) => ({
  name: slug,
  slug,
  nodes: [{ id: 'only', type: 'code_block' as const, component_ref }],
})

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof FlowError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match([error.message, ...error.details.map((detail) => detail.message)].join(' '), message)
  return true
}

test('two versions, or one and the draft, are compared field by field', async () => {
  const { alice } = await newOrganization()
  const { id: component_id } = await alice.codeBlocks.create(block('compared'))
  const first = await alice.components.publish({ component_id, version: '1.0.0' })
  await alice.components.update({ component_id, config: two })
  await alice.components.createVersion({ component_id, version: '1.1.0' })

  const diff = await alice.components.diff({ component_id, a: '1.0.0', b: '1.1.0' })

  assert.deepEqual(diff.changes, [
    { path: 'code', kind: 'changed', before: one.code, after: two.code },
    { path: 'timeout_seconds', kind: 'changed', before: 30, after: 5 },
    { path: 'memory_mb', kind: 'changed', before: 128, after: 64 },
  ])
  assert.deepEqual(diff.from, { version: '1.0.0', digest: first.digest, status: 'published' })
  assert.equal(diff.to.status, 'draft')
  assert.deepEqual((await alice.components.diff({ component_id, a: '1.1.0', b: 'draft' })).changes, [])
  await assert.rejects(alice.components.diff({ component_id, a: '1.0.0', b: '9.0.0' }), { code: 'NOT_FOUND' })
})

test('an old version becomes the draft again, and stays what it was', async () => {
  const { alice } = await newOrganization()
  const { id: component_id } = await alice.codeBlocks.create(block('restored'))
  const first = await alice.components.publish({ component_id })
  await alice.components.update({ component_id, config: two })
  await alice.components.publish({ component_id })

  const draft = await alice.components.restore({ component_id, version: first.version })

  assert.equal(draft.version, '0.1.2')
  assert.equal(draft.published_version, '0.1.1')
  const again = await alice.components.publish({ component_id })
  assert.equal(again.digest, first.digest)
  assert.equal(again.version, '0.1.2')
  await assert.rejects(alice.components.restore({ component_id, version: '7.0.0' }), { code: 'NOT_FOUND' })
})

test('a version that refers to what is gone is not restored', async () => {
  const { alice } = await newOrganization()
  const used = await alice.codeBlocks.create(block('passing'))
  const stays = await alice.codeBlocks.create(block('staying'))
  const made = await alice.transforms.create({ name: 'Via', slug: 'via', config: { codeblock_ref: 'passing' } })
  await alice.components.createVersion({ component_id: made.id, version: '1.0.0' })
  await alice.components.update({ component_id: made.id, config: { codeblock_ref: 'staying' } })
  await assert.rejects(alice.components.remove({ component_id: used.id }), { code: 'CONFLICT' })
  await alice.components.update({ component_id: used.id, slug: 'renamed' })

  const restoring = alice.components.restore({ component_id: made.id, version: '1.0.0' })

  await assert.rejects(restoring, refused('VALIDATION_ERROR', /no code_block "passing"/))
  assert.equal(stays.status, 'draft')
})

test('what is deprecated goes on working, and whatever uses it is warned', async () => {
  const { alice } = await newOrganization()
  const { id: component_id } = await alice.codeBlocks.create(block('old-one'))
  await assert.rejects(alice.components.deprecate({ component_id, reason: 'Old.' }), refused('CONFLICT', /a draft/))
  await alice.components.publish({ component_id })
  const workflow = await alice.workflows.create(using('user', 'old-one'))
  assert.deepEqual(workflow.warnings, [])

  const deprecated = await alice.components.deprecate({ component_id, reason: 'Use new-one.' })

  assert.equal(deprecated.status, 'deprecated')
  assert.equal(deprecated.status_reason, 'Use new-one.')
  const warning = { field: 'config', message: 'It uses the code block "old-one", which is deprecated: Use new-one.' }
  assert.deepEqual((await alice.workflows.get({ workflow_id: workflow.id })).warnings, [warning])
  assert.deepEqual((await alice.workflows.create(using('another', 'old-one'))).warnings, [warning])
  const ran = await alice.workflows.execute({ workflow_id: workflow.id, input: {} }, { wait: 30 })
  assert.equal(ran.output, 1)
  assert.equal((await alice.components.publish({ component_id: workflow.id })).status, 'published')
  await alice.components.publish({ component_id, version: '2.0.0' })
  assert.equal((await alice.components.get({ component_id })).status, 'deprecated')

  const back = await alice.components.undeprecate({ component_id })

  assert.equal(back.status, 'published')
  assert.equal(back.status_reason, null)
  assert.deepEqual((await alice.workflows.get({ workflow_id: workflow.id })).warnings, [])
  await assert.rejects(alice.components.undeprecate({ component_id }), refused('CONFLICT', /not deprecated/))
})

test('what is archived stays where it is used, and nothing new may use or change it', async () => {
  const { alice } = await newOrganization()
  const { id: component_id } = await alice.codeBlocks.create(block('put-away'))
  await alice.components.publish({ component_id })
  const workflow = await alice.workflows.create(using('before', 'put-away'))

  await alice.components.archive({ component_id, reason: 'Nobody wants it.' })

  const ran = await alice.workflows.execute({ workflow_id: workflow.id, input: {} }, { wait: 30 })
  assert.equal(ran.status, 'completed')
  const edited = await alice.workflows.update({ workflow_id: workflow.id, ...using('before', 'put-away') })
  assert.match(edited.warnings[0]?.message ?? '', /archived: Nobody wants it\./)
  await assert.rejects(alice.workflows.create(using('after', 'put-away')), refused('VALIDATION_ERROR', /is archived/))
  for (const doing of [
    () => alice.components.update({ component_id, name: 'Another' }),
    () => alice.components.publish({ component_id, version: '3.0.0' }),
    () => alice.components.createVersion({ component_id }),
    () => alice.components.restore({ component_id, version: '0.1.0' }),
    () => alice.components.deprecate({ component_id, reason: 'Old.' }),
  ]) {
    await assert.rejects(doing, refused('CONFLICT', /archived/))
  }

  const back = await alice.components.unarchive({ component_id })

  assert.equal(back.status, 'published')
  await alice.workflows.create(using('after', 'put-away'))
  await assert.rejects(alice.components.unarchive({ component_id }), refused('CONFLICT', /not archived/))
})

test('an archived workflow is set off by nothing, until it is taken out again', async () => {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await alice.workflows.create({
    name: 'Nightly',
    slug: 'nightly',
    nodes: [{ id: 'one', type: 'condition', condition: 'true' }],
    trigger_type: 'schedule',
    trigger_config: { cron: '0 3 * * *' },
  })
  const next = async () => (await alice.triggers.get({ workflow_id })).next_at
  const due = await next()
  assert.ok(due)

  await alice.components.archive({ component_id: workflow_id, reason: 'Done.' })

  assert.equal(await next(), null)
  await assert.rejects(alice.workflows.execute({ workflow_id }), refused('CONFLICT', /is archived/))
  await alice.components.unarchive({ component_id: workflow_id })
  assert.equal(await next(), due)
})

test('a version that is named has to be published before its user can be', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('pinned'))
  await alice.components.publish({ component_id: id, version: '1.0.0' })
  await alice.components.createVersion({ component_id: id, version: '2.0.0' })
  const user = await alice.transforms.create({ name: 'Via', slug: 'via', config: { codeblock_ref: 'pinned@2.0.0' } })

  const publishing = alice.components.publish({ component_id: user.id })

  await assert.rejects(publishing, refused('CONFLICT', /"pinned@2\.0\.0" is not published/))
  await alice.components.publish({ component_id: id, version: '2.0.0' })
  await alice.components.publish({ component_id: user.id })
})

test('examples that fail keep a version from being published, each with what is wrong', async () => {
  const { alice } = await newOrganization()
  const examples = [
    { input: {}, output: 1 },
    { input: {}, output: 2 },
  ]
  const { id: component_id } = await alice.codeBlocks.create(block('exemplary', config(one.code, { examples })))

  await assert.rejects(alice.components.publish({ component_id }), (error) => {
    assert.deepEqual((error as FlowError).details, [
      { field: 'config.examples[1]', message: 'It gives something else at "output".' },
    ])
    return refused('CONFLICT', /1 of its parts/)(error)
  })

  const spent = (await alice.billing.listTransactions({})).items.filter((entry) => entry.service_type === 'code_run')
  assert.equal(spent.length, 1)
})

test('a draft that is changed while its examples run is not published unseen', async () => {
  const { alice, admin, organization_id, workspace_id } = await newOrganization()
  const { platform } = await testFlow()
  const { id: component_id } = await alice.codeBlocks.create(block('moving'))
  const { user_id } = admin
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'Alice', organization_id, grants: [] }
  const at = { actor, organization_id, workspace_id }
  const ctx = contextOf(platform, platform.database.of(organization_id), at)
  const input = contract.components.publish.input.parse({ component_id })

  const examined = await examine(ctx, input)
  await alice.components.update({ component_id, config: two })

  await assert.rejects(publish(ctx, input, examined), /changed while it was examined/)
  assert.equal((await alice.components.get({ component_id })).published_version, null)
})
