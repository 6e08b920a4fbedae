import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowError, type PlatformClient } from '@flow/sdk'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'

const VALUE = 'sk-0123456789-secret'

const refused = (code: string, field?: string) => (error: unknown) => {
  assert.ok(error instanceof FlowError, String(error))
  assert.equal(error.code, code, error.message)
  if (field) assert.deepEqual([...new Set(error.details.map((detail) => detail.field))], [field])
  return true
}

/** Runs code that is given `input`, in a workflow of one node. */
async function run(client: PlatformClient, code: string, language: 'javascript' | 'python', input = {}) {
  const slug = `block-${crypto.randomUUID()}`
  await client.codeBlocks.create({ name: slug, slug, config: { language, code } })
  const { id: workflow_id } = await client.workflows.create({
    name: slug,
    slug: `flow-${slug}`,
    nodes: [{ id: 'call', type: 'code_block', component_ref: slug }],
  })
  const { id } = await client.workflows.execute({ workflow_id, input }, { wait: 60 })
  return client.workflows.getExecution({ workflow_id, execution_id: id })
}

test('a secret is written and replaced, and no operation answers its value', async () => {
  const { alice, admin, organization_id, workspace_id } = await newOrganization()
  const { platform } = await testFlow()

  const made = await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE, description: 'Of the shop' })
  const changed = await alice.secrets.update({ secret_id: made.id, value: `${VALUE}-2` })
  const described = await alice.secrets.update({ secret_id: made.id, description: 'Of the old shop' })

  assert.deepEqual(
    [made.version, changed.version, described.version, made.created_by, made.workspace_id],
    [1, 2, 2, admin.user_id, workspace_id],
  )
  const read = await alice.secrets.get({ secret_id: made.id })
  const listed = await alice.secrets.list({ search: 'old shop' })
  assert.deepEqual(read, described)
  assert.deepEqual(listed.items, [read])
  const rows = await platform.database.of(organization_id).many(sql`select * from secrets`)
  const events = await alice.audit.list({ limit: 100 })
  for (const told of [made, changed, read, listed.items, rows, events.items]) {
    assert.doesNotMatch(JSON.stringify(told), new RegExp(VALUE))
  }
  await alice.secrets.remove({ secret_id: made.id })
  await assert.rejects(alice.secrets.get({ secret_id: made.id }), refused('NOT_FOUND'))
  await assert.rejects(alice.secrets.update({ secret_id: made.id, value: 'x' }), refused('NOT_FOUND'))
  await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE })
})

test('code is given the value of now, in every language, and each reading is in the audit log', async () => {
  const { alice } = await newOrganization()
  const secret = await alice.secrets.create({ name: 'SHOP_KEY', value: 'before' })
  await alice.secrets.update({ secret_id: secret.id, value: VALUE })

  const js = await run(
    alice,
    'export const main = async () => (await flow.secrets.get({ name: "SHOP_KEY" })).value.length',
    'javascript',
  )
  const python = await run(alice, 'def main():\n    return len(flow.secrets.get(name="SHOP_KEY")["value"])', 'python')

  assert.deepEqual([js.output, python.output], [VALUE.length, VALUE.length], JSON.stringify([js.error, python.error]))
  const { items } = await alice.audit.list({ limit: 100 })
  const readings = items.filter(({ event_type }) => event_type === 'secrets.read')
  assert.equal(readings.length, 2)
  for (const { actor, resource_id, metadata } of readings) {
    assert.deepEqual([resource_id, metadata?.by_code], [secret.id, true])
    assert.ok(actor)
  }
})

test('what code prints and how it fails is told without the secrets that it was given', async () => {
  const { alice } = await newOrganization()
  await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE })
  const code = `export async function main({ fails }) {
    const { value } = await flow.secrets.get({ name: 'SHOP_KEY' })
    console.log('the key is', value)
    if (fails) throw new Error('not with ' + value)
    return value.slice(0, 2)
  }`

  const good = await run(alice, code, 'javascript')
  const bad = await run(alice, code, 'javascript', { fails: true })

  assert.equal(good.output, 'sk')
  assert.match(bad.error?.message ?? '', /not with \[secret\]/)
  for (const execution of [good, bad]) assert.doesNotMatch(JSON.stringify(execution), new RegExp(VALUE))
})

test('whoever may not run things reads no secret by code, and viewers change none', async () => {
  const organization = await newOrganization()
  const { alice } = organization
  const secret = await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE })
  const viewer = await organization.member('viewer')

  assert.equal((await viewer.client.secrets.list()).total, 1)
  await assert.rejects(viewer.client.secrets.create({ name: 'OTHER', value: 'x' }), refused('FORBIDDEN'))
  await assert.rejects(viewer.client.secrets.update({ secret_id: secret.id, value: 'x' }), refused('FORBIDDEN'))
  await assert.rejects(viewer.client.secrets.remove({ secret_id: secret.id }), refused('FORBIDDEN'))
})

test("a secret is found by nobody else's organization or workspace", async () => {
  const { alice } = await newOrganization()
  const { alice: stranger } = await newOrganization()
  const other = await alice.organizations.createWorkspace({ name: 'Other', slug: 'other' })
  const { id: secret_id } = await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE })
  const code =
    'export const main = () => flow.secrets.get({ name: "SHOP_KEY" }).then((it) => it.value, (error) => error.code)'

  for (const call of [
    () => stranger.secrets.get({ secret_id }),
    () => stranger.secrets.update({ secret_id, value: 'theirs' }),
    () => stranger.secrets.remove({ secret_id }),
    () => alice.secrets.get({ secret_id }, { workspace_id: other.id }),
  ]) {
    await assert.rejects(call(), refused('NOT_FOUND'))
  }

  assert.equal((await stranger.secrets.list()).total, 0)
  assert.equal((await run(stranger, code, 'javascript')).output, 'NOT_FOUND')
  await alice.secrets.create({ name: 'SHOP_KEY', value: 'another' }, { workspace_id: other.id })
})

test('a sealed value that was moved to another row does not open', async () => {
  const { alice, organization_id } = await newOrganization()
  const { platform } = await testFlow()
  const one = await alice.secrets.create({ name: 'ONE', value: VALUE })
  const two = await alice.secrets.create({ name: 'TWO', value: 'other' })
  await platform.database
    .of(organization_id)
    .run(sql`update secrets set value = (select value from secrets where id = ${one.id}) where id = ${two.id}`)

  const execution = await run(alice, 'export const main = () => flow.secrets.get({ name: "TWO" })', 'javascript')

  assert.equal(execution.status, 'failed')
  assert.doesNotMatch(JSON.stringify(execution), new RegExp(VALUE))
})

test('names that code could not write, names that are taken and values that are too long are refused', async () => {
  const { alice } = await newOrganization()
  await alice.secrets.create({ name: 'SHOP_KEY', value: VALUE })

  for (const name of ['', '1KEY', 'a b', 'ä', 'x'.repeat(101)]) {
    await assert.rejects(alice.secrets.create({ name, value: VALUE }), refused('VALIDATION_ERROR', 'name'))
  }
  for (const value of ['', 'x'.repeat(32_769)]) {
    await assert.rejects(alice.secrets.create({ name: 'OTHER', value }), refused('VALIDATION_ERROR', 'value'))
  }
  const tries = await Promise.allSettled(
    Array.from({ length: 5 }, () => alice.secrets.create({ name: 'TWICE', value: VALUE })),
  )
  assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const one of tries) if (one.status === 'rejected') refused('CONFLICT')(one.reason)
  await assert.rejects(alice.secrets.create({ name: 'SHOP_KEY', value: VALUE }), refused('CONFLICT'))
})
