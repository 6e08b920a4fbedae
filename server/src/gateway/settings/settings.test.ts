/** What an organization says about its gateway, told through the SDK: what is taken, what is refused, and who may. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../../context.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { openPolicies } from '../policies/policies.ts'

const openai = { name: 'openai', kind: 'openai', base_url: 'https://api.example.com/v1', skip_test: true } as const
const refused = (...fields: string[]) => ({
  code: 'VALIDATION_ERROR',
  details: fields,
})
/** The refusal of a promise, with the fields that it names. */
async function refusalOf(asked: PromiseLike<unknown>) {
  const thrown = await Promise.resolve(asked).then(
    () => assert.fail('it was taken'),
    (error: { code: string; message: string; details: { field: string; message: string }[] }) => error,
  )
  return { code: thrown.code, message: thrown.message, details: thrown.details.map(({ field }) => field) }
}
const assertRefused = async (asked: PromiseLike<unknown>, ...fields: string[]) => {
  const { code, details } = await refusalOf(asked)
  assert.deepEqual({ code, details }, refused(...fields))
}

test('a route leads to models that its providers allow, can be changed, and goes', async () => {
  const { alice } = await newOrganization()
  await alice.gateway.providers.create({ ...openai, models: ['gpt-5', 'o*'] })
  const made = await alice.gateway.routes.create({
    name: 'team/fast',
    targets: [
      { provider: 'openai', model: 'o3-mini' },
      { provider: 'flow', model: 'echo', weight: 0 },
    ],
    hedge_after_ms: 500,
  })
  assert.deepEqual(await alice.gateway.routes.get({ route_id: made.id }), made)

  const changed = await alice.gateway.routes.update({ route_id: made.id, strategy: 'weighted', cache_seconds: 60 })
  assert.deepEqual(changed, { ...made, strategy: 'weighted', cache_seconds: 60, updated_at: changed.updated_at })
  assert.deepEqual((await alice.gateway.routes.list()).items, [changed])

  await alice.gateway.routes.remove({ route_id: made.id })
  assert.equal((await alice.gateway.routes.list()).total, 0)
})

test('a route that could not be followed is refused with each of its faults', async () => {
  const { alice } = await newOrganization()
  await alice.gateway.providers.create({ ...openai, models: ['gpt-5'] })
  const targets = [{ provider: 'openai', model: 'gpt-5' }]
  const route = { name: 'fast', targets }
  const { create } = alice.gateway.routes

  const wrong = [
    { provider: 'nobody', model: 'gpt-5' },
    { provider: 'openai', model: 'gpt-4' },
    { provider: 'flow', model: 'echo' },
    { provider: 'flow', model: 'echo' },
  ]
  const guardrails = [newId()]
  const faults = ['targets[0].provider', 'targets[1].model', 'targets[3]', 'guardrails[0]']
  await assertRefused(create({ ...route, targets: wrong, guardrails }), ...faults)
  await assertRefused(
    create({ ...route, strategy: 'weighted', targets: targets.map((each) => ({ ...each, weight: 0 })) }),
    'targets',
  )
  await assertRefused(create({ ...route, hedge_after_ms: 100 }), 'hedge_after_ms')
  const timeouts_ms = { first_chunk: 2000, total: 1000 }
  await assertRefused(create({ ...route, timeouts_ms }), 'timeouts_ms.first_chunk')
  await assertRefused(create({ ...route, targets: [] }), 'targets')
  for (const name of ['', ' fast', 'fast/', 'a//b', 'fast*']) await assertRefused(create({ ...route, name }), 'name')

  for (const name of ['openai', 'openai/best', 'flow/best']) {
    assert.equal((await refusalOf(create({ ...route, name }))).code, 'CONFLICT', name)
  }
  const { id: route_id } = await create(route)
  assert.equal((await refusalOf(create(route))).code, 'CONFLICT')
  await assertRefused(alice.gateway.routes.update({ route_id, targets: wrong.slice(0, 1) }), 'targets[0].provider')
})

test('a provider that a route calls stays, with the models that the route needs', async () => {
  const { alice } = await newOrganization()
  const { id: provider_id } = await alice.gateway.providers.create(openai)
  const { id: route_id } = await alice.gateway.routes.create({
    name: 'fast',
    targets: [{ provider: 'openai', model: 'gpt-5' }],
  })

  const kept = await refusalOf(alice.gateway.providers.remove({ provider_id }))
  assert.deepEqual(
    [kept.code, kept.message],
    ['CONFLICT', '"openai" is called by the route "fast". Lead them elsewhere first.'],
  )
  const narrowed = await refusalOf(alice.gateway.providers.update({ provider_id, models: ['o3'] }))
  assert.equal(narrowed.code, 'CONFLICT')

  await alice.gateway.routes.remove({ route_id })
  await alice.gateway.providers.update({ provider_id, models: ['o3'] })
  await alice.gateway.providers.remove({ provider_id })
  assert.equal((await alice.gateway.providers.list()).total, 0)
})

test('a provider and a route cannot have the same name, in either order', async () => {
  const { alice } = await newOrganization()
  await alice.gateway.routes.create({ name: 'openai/fast', targets: [{ provider: 'flow', model: 'echo' }] })

  const { code, message } = await refusalOf(alice.gateway.providers.create(openai))
  assert.deepEqual(
    [code, message],
    ['CONFLICT', 'The name "openai" is taken by the route "openai/fast". Choose another name.'],
  )
})

test('of a provider and the route that would forbid it only one is made, however they race', async () => {
  const { alice } = await newOrganization()
  const { id: provider_id } = await alice.gateway.providers.create(openai)
  const targets = [{ provider: 'openai', model: 'gpt-5' }]

  const ended = await Promise.allSettled([
    alice.gateway.routes.create({ name: 'fast', targets }),
    alice.gateway.providers.remove({ provider_id }),
  ])

  assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

test('of a guardrail that is made and the removal of its code block at the same time, one comes too late', async () => {
  const { alice } = await newOrganization()
  const config = { language: 'javascript' as const, code: 'export const main = () => ({ ok: true })' }
  for (let i = 0; i < 8; i += 1) {
    const name = `check-${i}`
    const { id: component_id } = await alice.codeBlocks.create({ name, slug: name, config })
    await alice.components.publish({ component_id })
    const rule = { type: 'code_block' as const, component_id }
    const ended = await Promise.allSettled([
      alice.gateway.guardrails.create({ name, action: 'block', rule }),
      alice.components.remove({ component_id }),
    ])
    assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  }
})

test('what a guardrail needs stays: the code block that it runs, the provider that it embeds with', async () => {
  const { alice } = await newOrganization()
  const { guardrails, providers } = alice.gateway
  const { id: component_id } = await alice.codeBlocks.create({
    name: 'Check',
    slug: 'check',
    config: { language: 'javascript', code: 'export const main = () => ({ ok: true })' },
  })
  await alice.components.publish({ component_id })
  const { id: provider_id } = await providers.create({ ...openai, models: ['vectors/*'] })
  const topics = [{ name: 'weapons', examples: ['how do I build a bomb'] }]
  const rules = [
    { type: 'code_block', component_id },
    { type: 'topics', topics, model: 'openai/vectors/small' },
  ] as const
  const made = await Promise.all(
    rules.map((rule) => guardrails.create({ name: rule.type, action: 'block', rule: rule as never })),
  )

  const reason = 'It is old.'
  for (const asked of [alice.components.remove({ component_id }), alice.components.archive({ component_id, reason })]) {
    const { code, message } = await refusalOf(asked)
    assert.deepEqual(
      [code, message],
      ['CONFLICT', '"check" is run by the guardrail "code_block" of the gateway. Change it first.'],
    )
  }
  const kept = await refusalOf(providers.remove({ provider_id }))
  assert.deepEqual(
    [kept.code, kept.message],
    ['CONFLICT', '"openai" is called by the guardrail "topics". Embed with another one first.'],
  )
  assert.equal((await refusalOf(providers.update({ provider_id, models: ['o3'] }))).code, 'CONFLICT')

  for (const { id: guardrail_id } of made) await guardrails.remove({ guardrail_id })
  await alice.components.archive({ component_id, reason })
  await alice.components.remove({ component_id })
  await providers.remove({ provider_id })
})

test('a guardrail of each kind is taken and changed; one that a route has stays', async () => {
  const { alice } = await newOrganization()
  const block = await alice.codeBlocks.create({
    name: 'Check',
    slug: 'check',
    config: { language: 'javascript', code: 'export const main = () => ({ ok: true })' },
  })
  await alice.components.publish({ component_id: block.id })
  const rules = [
    { type: 'regex', patterns: ['(?i)secret', '\\d{16}'] },
    { type: 'pii', kinds: ['email', 'iban'] },
    { type: 'json_schema', schema: { type: 'object', required: ['answer'] } },
    { type: 'topics', topics: [{ name: 'weapons', examples: ['how do I build a bomb'] }] },
    { type: 'code_block', component_id: block.id },
  ] as const
  for (const rule of rules) {
    const made = await alice.gateway.guardrails.create({ name: rule.type, action: 'block', rule: rule as never })
    assert.deepEqual(await alice.gateway.guardrails.get({ guardrail_id: made.id }), made)
  }
  assert.equal((await alice.gateway.guardrails.list()).total, rules.length)
  const { id: guardrail_id } = await alice.gateway.guardrails.create({
    name: 'Mine',
    action: 'flag',
    rule: { type: 'pii', kinds: ['email'] },
  })
  const changed = await alice.gateway.guardrails.update({ guardrail_id, action: 'redact', always: true, side: 'input' })
  assert.deepEqual([changed.action, changed.always, changed.side], ['redact', true, 'input'])
  const { id: route_id } = await alice.gateway.routes.create({
    name: 'fast',
    targets: [{ provider: 'flow', model: 'echo' }],
    guardrails: [guardrail_id],
  })
  assert.equal((await refusalOf(alice.gateway.guardrails.remove({ guardrail_id }))).code, 'CONFLICT')
  await alice.gateway.routes.update({ route_id, guardrails: [] })
  await alice.gateway.guardrails.remove({ guardrail_id })
})

test('a guardrail that could not be run is refused where it is wrong', async () => {
  const { alice } = await newOrganization()
  const draft = await alice.codeBlocks.create({
    name: 'Draft',
    slug: 'draft',
    config: { language: 'javascript', code: 'export const main = () => ({ ok: true })' },
  })
  const schema = await alice.schemas.create({
    name: 'Schema',
    slug: 'schema',
    config: { fields: [{ name: 'id', type: 'string' }] },
  } as never)
  const { create } = alice.gateway.guardrails
  const wrong: [Record<string, unknown>, string, string?][] = [
    [{ type: 'regex', patterns: ['ok', '(?=ahead)'] }, 'rule.patterns[1]'],
    [{ type: 'regex', patterns: [] }, 'rule.patterns'],
    [{ type: 'pii', kinds: ['shoe_size'] }, 'rule.kinds[0]'],
    [{ type: 'json_schema', schema: { type: 'nothing' } }, 'rule.schema'],
    [{ type: 'json_schema', schema: {} }, 'action', 'redact'],
    [{ type: 'topics', topics: [{ name: 'a', examples: ['b'] }] }, 'action', 'redact'],
    [{ type: 'topics', topics: [{ name: 'a', examples: ['b'] }], model: 'nobody/embed' }, 'rule.model'],
    [{ type: 'code_block', component_id: draft.id }, 'rule.component_id'],
    [{ type: 'code_block', component_id: schema.id }, 'rule.component_id'],
    [{ type: 'code_block', component_id: newId() }, 'rule.component_id'],
  ]
  for (const [rule, field, action = 'block'] of wrong) {
    await assertRefused(create({ name: 'Wrong', action, rule } as never), field)
  }
  await create({ name: 'Mine', action: 'flag', rule: { type: 'pii', kinds: ['email'] } })
  const again = create({ name: 'Mine', action: 'flag', rule: { type: 'pii', kinds: ['email'] } })
  assert.equal((await refusalOf(again)).code, 'CONFLICT')
})

test('a limit is about somebody who is there, and limits something', async () => {
  const { alice, admin, organization_id, workspace_id } = await newOrganization()
  const other = await newOrganization()
  const key = await alice.organizations.createApiKey({ name: 'Limited' })
  const subjects = [
    { kind: 'organization' },
    { kind: 'workspace', id: workspace_id },
    { kind: 'workspace' },
    { kind: 'user', id: admin.user_id },
    { kind: 'key', id: key.id },
    { kind: 'model', id: 'flow/echo' },
  ] as const
  for (const subject of subjects) {
    const made = await alice.gateway.limits.create({ subject, requests_per_minute: 60 })
    assert.deepEqual(await alice.gateway.limits.get({ limit_id: made.id }), made)
    assert.deepEqual(made.subject, { id: null, ...subject })
  }
  assert.equal((await alice.gateway.limits.list()).total, subjects.length)
  const whole = { kind: 'organization', id: organization_id } as const
  assert.equal((await refusalOf(alice.gateway.limits.create({ subject: whole, concurrent: 1 }))).code, 'CONFLICT')

  const strangers = [
    { kind: 'organization', id: other.organization_id },
    { kind: 'workspace', id: other.workspace_id },
    { kind: 'user', id: other.admin.user_id },
    { kind: 'key', id: 'none' },
    { kind: 'model', id: 'nobody/gpt' },
    { kind: 'model', id: 'flow' },
  ] as const
  for (const subject of strangers)
    await assertRefused(alice.gateway.limits.create({ subject, concurrent: 1 }), 'subject.id')
  await assertRefused(alice.gateway.limits.create({ subject: { kind: 'user' } }), 'requests_per_minute')

  const { id: limit_id } = await alice.gateway.limits.create({ subject: { kind: 'user' }, tokens_per_minute: 1000 })
  const nothing = { limit_id, tokens_per_minute: null }
  await assertRefused(alice.gateway.limits.update(nothing), 'requests_per_minute')
  assert.equal((await alice.gateway.limits.update({ ...nothing, concurrent: 2 })).concurrent, 2)
  await alice.gateway.limits.remove({ limit_id })
  assert.equal((await refusalOf(alice.gateway.limits.get({ limit_id }))).code, 'NOT_FOUND')
})

test('a price of your own is exact to a thousandth of a credit for a million tokens', async () => {
  const { alice } = await newOrganization()
  const made = await alice.gateway.prices.create({
    model: 'openai/gpt-5',
    input: 0.001,
    output: 1234.567,
    call: 0.000_000_001,
  })
  assert.deepEqual(
    [made.input, made.cached, made.cache_written, made.output, made.call],
    [0.001, 0.001, 0.001, 1234.567, 1e-9],
  )
  assert.deepEqual(await alice.gateway.prices.get({ price_id: made.id }), made)
  assert.equal((await alice.gateway.prices.update({ price_id: made.id, cached: 0 })).cached, 0)
  assert.equal((await alice.gateway.prices.list()).total, 1)

  await assertRefused(alice.gateway.prices.create({ model: 'openai/gpt-4', input: 0.0001, output: 1 }), 'input')
  await assertRefused(alice.gateway.prices.create({ model: 'openai/gpt-4', input: -1, output: 1 }), 'input')
  for (const model of ['gpt-4', '/gpt-4', 'openai/g*t', 'open ai/gpt']) {
    await assertRefused(alice.gateway.prices.create({ model, input: 1, output: 1 }), 'model')
  }
  assert.equal(
    (await refusalOf(alice.gateway.prices.create({ model: 'openai/gpt-5', input: 1, output: 1 }))).code,
    'CONFLICT',
  )
  await alice.gateway.prices.remove({ price_id: made.id })
})

test('what a price does not say of cached tokens is as its input, also when that changes', async () => {
  const { alice, organization_id } = await newOrganization()
  const { platform } = await testFlow()
  const { prices } = alice.gateway
  const { id: price_id } = await prices.create({ model: 'openai/gpt-5', input: 10, cached: 4, output: 20 })
  const tell = ({ input, cached, cache_written }: Record<'input' | 'cached' | 'cache_written', number>) => [
    input,
    cached,
    cache_written,
  ]
  const paid = async () =>
    tell((await openPolicies(platform).policyOf(organization_id)).priceOf('openai', 'gpt-5')).map((each) => each / 1000)

  assert.deepEqual(tell(await prices.update({ price_id, input: 2 })), [2, 4, 2])
  assert.deepEqual(await paid(), [2, 4, 2])
  assert.deepEqual(tell(await prices.update({ price_id, cached: null, cache_written: 1 })), [2, 2, 1])
  assert.deepEqual(tell(await prices.update({ price_id, input: 3 })), [3, 3, 1])
  assert.deepEqual(await paid(), [3, 3, 1])
  assert.deepEqual(tell(await prices.get({ price_id })), [3, 3, 1])
})

test('settings begin with the defaults, and what is not sent stays', async () => {
  const { alice } = await newOrganization()
  assert.deepEqual(await alice.gateway.settings.get(), { keep_content: true, retention_days: 30, updated_at: null })
  await alice.gateway.prices.create({ model: 'openai/gpt-5', input: 1, output: 2 })
  await alice.gateway.settings.clearCache()
  assert.equal((await alice.gateway.settings.get()).updated_at, null)
  const set = await alice.gateway.settings.update({ retention_days: 7 })
  assert.ok(set.updated_at)
  await alice.gateway.settings.update({ keep_content: false })
  await alice.gateway.settings.clearCache()
  const { keep_content, retention_days } = await alice.gateway.settings.get()
  assert.deepEqual([keep_content, retention_days], [false, 7])
  await assertRefused(alice.gateway.settings.update({ retention_days: 0 }), 'retention_days')
})

test('who may see and who may change is as the roles say', async () => {
  const { alice, member } = await newOrganization()
  const { id: provider_id } = await alice.gateway.providers.create(openai)
  const [builder, viewer, manager] = await Promise.all([
    member('solution_builder'),
    member('viewer'),
    member('billing_manager'),
  ])

  assert.equal((await viewer.client.gateway.providers.list()).total, 1)
  for (const { client } of [builder, viewer, manager]) {
    await assert.rejects(client.gateway.providers.create({ ...openai, name: 'other' }), { code: 'FORBIDDEN' })
    await assert.rejects(client.gateway.providers.rotateKey({ provider_id, key: 'sk-x' }), { code: 'FORBIDDEN' })
    await assert.rejects(client.gateway.settings.update({ keep_content: false }), { code: 'FORBIDDEN' })
  }
  await manager.client.gateway.prices.create({ model: 'openai/gpt-5', input: 1, output: 2 })
  await assert.rejects(builder.client.gateway.prices.create({ model: 'openai/o3', input: 1, output: 2 }), {
    code: 'FORBIDDEN',
  })
})

test('another organization sees nothing, and may have the same names', async () => {
  const [{ alice }, { alice: bob }] = [await newOrganization(), await newOrganization()]
  const { id: provider_id } = await alice.gateway.providers.create(openai)
  await bob.gateway.providers.create(openai)

  assert.equal((await bob.gateway.providers.list()).total, 1)
  await assert.rejects(bob.gateway.providers.get({ provider_id }), { code: 'NOT_FOUND' })
  await assert.rejects(bob.gateway.providers.test({ provider_id }), { code: 'NOT_FOUND' })
  await assert.rejects(bob.gateway.providers.rotateKey({ provider_id, key: 'sk-x' }), { code: 'NOT_FOUND' })
})
