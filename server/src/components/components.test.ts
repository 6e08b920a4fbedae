import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowError } from '@flow/sdk'
import { newOrganization } from '../testing.ts'

const block = (slug: string, code = 'export function main({ a, b }) { return a + b }') => ({
  name: slug,
  slug,
  config: { language: 'javascript', code },
})

const workflowOf = (slug: string, component_ref: string) => ({
  name: slug,
  slug,
  nodes: [{ id: 'only', type: 'code_block' as const, component_ref }],
})

const refused = (code: string, field?: string) => (error: unknown) => {
  assert.ok(error instanceof FlowError, String(error))
  assert.equal(error.code, code)
  if (field)
    assert.ok(
      error.details.some((detail) => detail.field === field),
      JSON.stringify(error.details),
    )
  return true
}

test('a component is created as a draft, with the defaults of its type', async () => {
  const { alice, admin } = await newOrganization()

  const made = await alice.codeBlocks.create({ ...block('add-up'), tags: ['math'] })

  assert.equal(made.status, 'draft')
  assert.equal(made.version, '0.1.0')
  assert.equal(made.published_version, null)
  assert.equal(made.created_by, admin.user_id)
  assert.equal(made.config.timeout_seconds, 30)
  assert.equal(made.config.memory_mb, 128)
  assert.deepEqual(await alice.components.get({ component_id: made.id }), made)
})

test('a configuration that does not fit its type is refused with every field named', async () => {
  const { alice } = await newOrganization()

  const creating = alice.codeBlocks.create({
    ...block('bad'),
    config: { language: 'cobol', timeout_seconds: 301, colour: 'red' },
  })

  await assert.rejects(creating, (error) => {
    assert.ok(error instanceof FlowError)
    const fields = error.details.map(({ field }) => field).sort()
    assert.deepEqual(fields, ['config.code', 'config.colour', 'config.language', 'config.timeout_seconds'])
    return refused('VALIDATION_ERROR')(error)
  })
})

test('faults in and beside the configuration are refused together, whatever else is wrong', async () => {
  const { alice } = await newOrganization()

  const creating = alice.components.create({
    type: 'code_block',
    slug: 'A',
    descripton: 'x',
    config: { language: 'javascript', timeout_seconds: 301, dependancies: [] },
  } as never)

  await assert.rejects(creating, {
    code: 'VALIDATION_ERROR',
    message: '6 fields are not valid.',
    details: [
      { field: 'name', message: 'It is missing.' },
      { field: 'slug', message: 'It must have at least 3 characters; it has 1.' },
      { field: 'descripton', message: 'There is no such field; did you mean "description"?' },
      { field: 'config.code', message: 'It is missing.' },
      { field: 'config.timeout_seconds', message: 'It must be at most 300; it is 301.' },
      { field: 'config.dependancies', message: 'There is no such field; did you mean "dependencies"?' },
    ],
  })
})

test('a slug is free again when its component is gone', async () => {
  const { alice } = await newOrganization()
  const made = await alice.codeBlocks.create(block('clean'))
  await assert.rejects(alice.codeBlocks.create(block('clean')), refused('CONFLICT', 'slug'))
  await alice.components.remove({ component_id: made.id })

  await alice.codeBlocks.create(block('clean'))
})

test('of many who create the same slug at once, one succeeds', async () => {
  const { alice } = await newOrganization()

  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => alice.codeBlocks.create(block('wanted'))))

  assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const each of tries) if (each.status === 'rejected') refused('CONFLICT')(each.reason)
})

test('an update keeps what is not sent', async () => {
  const { alice } = await newOrganization()
  const made = await alice.codeBlocks.create({ ...block('keep'), description: 'adds', tags: ['math'] })

  const updated = await alice.components.update({ component_id: made.id, name: 'Add' })

  assert.deepEqual(updated, { ...made, name: 'Add', updated_at: updated.updated_at })
  assert.ok(updated.updated_at >= made.updated_at)
})

test('an update of what has changed since it was read is refused', async () => {
  const { alice, admin } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('contested'))
  const { fetch } = await (await import('../testing.ts')).testFlow()
  const read = await fetch(`/api/v1/components/${id}`, { headers: { 'x-api-key': admin.api_key } })
  const if_match = read.headers.get('etag') ?? ''

  const writers = await Promise.allSettled([
    alice.components.update({ component_id: id, name: 'First' }, { if_match }),
    alice.components.update({ component_id: id, name: 'Second' }, { if_match }),
    alice.components.update({ component_id: id, name: 'Third' }, { if_match }),
  ])

  assert.equal(writers.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const each of writers) if (each.status === 'rejected') refused('PRECONDITION_FAILED')(each.reason)
  await assert.rejects(alice.components.remove({ component_id: id }, { if_match }), refused('PRECONDITION_FAILED'))
})

test('a published version never changes, and the draft moves on', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('stable'))

  const first = await alice.components.publish({ component_id: id, changelog: 'The first.' })

  assert.equal(first.version, '0.1.0')
  assert.equal(first.status, 'published')
  assert.match(first.digest, /^sha256:[0-9a-f]{64}$/)
  const after = await alice.components.get({ component_id: id })
  assert.equal(after.published_version, '0.1.0')
  assert.equal(after.version, '0.1.1')
  await alice.components.update({ component_id: id, config: block('stable', 'export const main = () => 2').config })
  const second = await alice.components.publish({ component_id: id })
  assert.equal(second.version, '0.1.1')
  assert.notEqual(second.digest, first.digest)
  const { items } = await alice.components.listVersions({ component_id: id, sort: 'version', order: 'asc' })
  assert.deepEqual(
    items.map(({ version, digest }) => [version, digest]),
    [
      ['0.1.0', first.digest],
      ['0.1.1', second.digest],
    ],
  )
})

test('publishing the same version twice is the same as publishing it once', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('twice'))
  const first = await alice.components.publish({ component_id: id, version: '1.0.0' })

  const again = await alice.components.publish({ component_id: id, version: '1.0.0' })

  assert.deepEqual(again, first)
})

test('a version can be kept now and published later, while the draft goes on', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('later'))
  const kept = await alice.components.createVersion({ component_id: id, changelog: 'Kept.' })
  assert.equal(kept.status, 'draft')
  await alice.components.update({ component_id: id, config: block('later', 'export const main = () => 2').config })

  const published = await alice.components.publish({ component_id: id, version: kept.version })

  assert.equal(published.digest, kept.digest)
  assert.equal(published.changelog, 'Kept.')
  await assert.rejects(alice.components.createVersion({ component_id: id, version: kept.version }), refused('CONFLICT'))
})

test('a version after which there is none is refused, and so is what is no version', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.codeBlocks.create(block('the-last'))

  const last = alice.components.createVersion({ component_id: id, version: '1.0.999999999999999' })

  await assert.rejects(last, refused('CONFLICT'))
  for (const version of ['1', '1.2', '01.2.3', '1.2.3-', '1.2.3-01', '9'.repeat(20), '1.2.3+build']) {
    await assert.rejects(
      alice.components.createVersion({ component_id: id, version }),
      refused('VALIDATION_ERROR', 'version'),
    )
  }
  assert.equal((await alice.components.listVersions({ component_id: id })).total, 0)
})

test('the same configuration in another order has the same digest', async () => {
  const { alice } = await newOrganization()
  const { config } = block('order')
  const a = await alice.codeBlocks.create({
    ...block('order'),
    config: { ...config, timeout_seconds: 5, memory_mb: 64 },
  })
  const b = await alice.codeBlocks.create({
    name: 'b',
    slug: 'other',
    config: { memory_mb: 64, timeout_seconds: 5, ...config },
  })

  const digests = await Promise.all(
    [a, b].map(async ({ id }) => (await alice.components.publish({ component_id: id })).digest),
  )

  assert.equal(digests[0], digests[1])
})

test('code that does not parse, or lacks its entry point, can be kept but not published', async () => {
  const { alice } = await newOrganization()
  const broken = await alice.codeBlocks.create(block('broken', 'export function main( {'))
  const lost = await alice.codeBlocks.create(block('lost', 'export function start() {}'))

  await assert.rejects(alice.components.publish({ component_id: broken.id }), refused('CONFLICT', 'config.code'))
  await assert.rejects(alice.components.publish({ component_id: lost.id }), refused('CONFLICT', 'config.code'))
})

test('Python that does not parse, lacks its entry point or imports what is not there is kept, but not published', async () => {
  const { alice } = await newOrganization()
  const python = (slug: string, code: string) =>
    alice.codeBlocks.create({ name: slug, slug, config: { language: 'python', code } })
  const wrong = {
    broken: ['def main(:', /^SyntaxError/],
    lost: ['def start(): pass', /no function "main"/],
    rich: ['import numpy\ndef main(): pass', /numpy/],
  } as const
  for (const [slug, [code, reason]] of Object.entries(wrong)) {
    const { id } = await python(slug, code)
    await assert.rejects(alice.components.publish({ component_id: id }), (error) => {
      assert.ok(error instanceof FlowError)
      assert.match(error.details[0]?.message ?? '', reason)
      return refused('CONFLICT', 'config.code')(error)
    })
  }

  const { id } = await python('good', 'def main(a, b):\n    return a + b\n')
  assert.equal((await alice.components.publish({ component_id: id })).status, 'published')
})

test('languages without a runtime here are refused at publish, with the reason', async () => {
  const { alice } = await newOrganization()
  for (const language of ['sql', 'bash']) {
    const made = await alice.codeBlocks.create({ name: language, slug: language, config: { language, code: 'x' } })

    await assert.rejects(alice.components.publish({ component_id: made.id }), refused('CONFLICT', 'config.language'))
  }
})

test('a code block whose schemas are none is refused when it is made and when it is changed', async () => {
  const { alice } = await newOrganization()
  const config = {
    ...block('any').config,
    input_schema: { type: 'objekt' },
    output_schema: { properties: { id: { pattern: '(' } } },
  }
  const isRefused = (error: unknown) => {
    assert.ok(error instanceof FlowError)
    assert.deepEqual(
      error.details.map(({ field }) => field),
      ['config.input_schema', 'config.output_schema'],
    )
    for (const { message } of error.details) assert.match(message, /^This is not a JSON Schema: .+\.$/)
    return refused('VALIDATION_ERROR')(error)
  }

  await assert.rejects(alice.codeBlocks.create({ ...block('unchecked'), config }), isRefused)
  const made = await alice.codeBlocks.create({
    ...block('checked'),
    config: { ...config, input_schema: { type: 'object' }, output_schema: {} },
  })
  await assert.rejects(alice.codeBlocks.update({ component_id: made.id, config }), isRefused)
})

test('a code block that wants packages, or a network of what are no hosts, is kept, but not published', async () => {
  const { alice } = await newOrganization()
  const config = {
    ...block('any').config,
    dependencies: ['lodash'],
    network: ['api.example.com', 'https://example.com', '*'],
  }
  const made = await alice.codeBlocks.create({ ...block('wants'), config })

  await assert.rejects(alice.components.publish({ component_id: made.id }), (error) => {
    assert.ok(error instanceof FlowError)
    assert.deepEqual(
      error.details.map(({ field }) => field),
      ['config.dependencies.0', 'config.network.1', 'config.network.2'],
    )
    return refused('CONFLICT')(error)
  })
  await alice.codeBlocks.update({ component_id: made.id, config: { ...config, dependencies: [], network: [] } })
  assert.equal((await alice.components.publish({ component_id: made.id })).status, 'published')
})

test('a workflow is published only when all it uses is', async () => {
  const { alice } = await newOrganization()
  const made = await alice.codeBlocks.create(block('used-one'))
  const workflow = await alice.workflows.create(workflowOf('user', 'used-one'))
  await assert.rejects(
    alice.components.publish({ component_id: workflow.id }),
    refused('CONFLICT', 'config.nodes[0].component_ref'),
  )

  await alice.components.publish({ component_id: made.id })
  const published = await alice.components.publish({ component_id: workflow.id })

  assert.equal(published.status, 'published')
})

test('what others use cannot be deleted; the users are named', async () => {
  const { alice } = await newOrganization()
  const used = await alice.codeBlocks.create(block('used-by'))
  const user = await alice.workflows.create(workflowOf('the-user', 'used-by'))

  await assert.rejects(alice.components.remove({ component_id: used.id }), (error) => {
    assert.ok(error instanceof FlowError)
    assert.match(error.details[0]?.message ?? '', /the-user/)
    return refused('CONFLICT')(error)
  })

  await alice.workflows.remove({ workflow_id: user.id })
  await alice.components.remove({ component_id: used.id })
})

test('lists filter, search by prefix, and give every item once', async () => {
  const { alice } = await newOrganization()
  for (let i = 0; i < 7; i += 1)
    await alice.codeBlocks.create({ ...block(`item-${i}`), tags: [i % 2 ? 'odd' : 'even'] })
  await alice.schemas.create({
    name: 'Customer record',
    slug: 'customer',
    config: { fields: [{ name: 'id', type: 'string' }] },
  })

  const odd = await alice.components.list({ tag: 'odd' })
  const found = await alice.components.list({ search: 'customer rec' })
  const all: string[] = []
  for await (const { slug } of alice.components.list({ limit: 3, sort: 'slug', order: 'asc' })) all.push(slug)

  assert.equal(odd.total, 3)
  assert.deepEqual(
    found.items.map(({ slug }) => slug),
    ['customer'],
  )
  assert.deepEqual(all, ['customer', ...Array.from({ length: 7 }, (_, i) => `item-${i}`)])
  const blocks = await alice.codeBlocks.list()
  assert.ok(blocks.items.every(({ type }) => type === 'code_block'))
})

test('a component is seen in its own workspace only', async () => {
  const { alice } = await newOrganization()
  const other = await alice.organizations.createWorkspace({ name: 'Other', slug: 'other' })
  const made = await alice.codeBlocks.create(block('here'))

  const there = alice.components.get({ component_id: made.id }, { workspace_id: other.id })

  await assert.rejects(there, refused('NOT_FOUND'))
  assert.equal((await alice.components.list({}, { workspace_id: other.id })).total, 0)
})
