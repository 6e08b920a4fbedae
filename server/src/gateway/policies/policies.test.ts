/** The policy in memory follows what is set, in every process, and holds while the database is away. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../db/db.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { openPolicies } from './policies.ts'

const { platform } = await testFlow()
/** Another process's view: a database handle of its own has policies of its own. */
const anotherProcess = (more: Partial<Database> = {}) => {
  const database = { ...platform.database, ...more }
  return openPolicies({ ...platform, database })
}
const upstream = { kind: 'openai', base_url: 'https://api.example.com/v1', skip_test: true } as const

async function until<Value>(ask: () => Value | Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
  for (;;) {
    const value = await ask()
    if (holds(value)) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('an organization that has set nothing has the built-in provider and the defaults', async () => {
  const { organization_id } = await newOrganization()
  const policy = await openPolicies(platform).policyOf(organization_id)

  assert.deepEqual([...policy.providers.keys()], ['flow'])
  assert.deepEqual(policy.traces, { keep_content: true, retention_days: 30 })
  assert.equal(policy.version, 0)
  assert.equal(policy.priceOf('openai', 'gpt-5').output, 100_000)
})

test('a policy that is known is given without a promise', async () => {
  const { organization_id } = await newOrganization()
  const { policyOf } = openPolicies(platform)
  const first = await policyOf(organization_id)

  assert.equal(policyOf(organization_id), first)
})

test('what was answered to whoever changed it holds for their next call, and the key is open', async () => {
  const { alice, organization_id } = await newOrganization()
  const { policyOf } = openPolicies(platform)
  await policyOf(organization_id)
  await alice.gateway.providers.create({ ...upstream, name: 'openai', key: 'sk-0123456789abcdef', models: ['gpt-*'] })

  const policy = await policyOf(organization_id)

  const { id: _, ...provider } = policy.providers.get('openai') ?? { id: '' }
  assert.deepEqual(provider, {
    name: 'openai',
    kind: 'openai',
    base_url: 'https://api.example.com/v1',
    key: 'sk-0123456789abcdef',
    headers: {},
    options: {},
    models: ['gpt-*'],
  })
})

test('a provider is another object only when something of it has changed', async () => {
  const { alice, organization_id } = await newOrganization()
  const { policyOf } = openPolicies(platform)
  const provider = await alice.gateway.providers.create({ ...upstream, name: 'openai', key: 'sk-0123456789abcdef' })
  const providerNow = async () => (await policyOf(organization_id)).providers.get('openai')
  const first = await providerNow()
  await alice.gateway.limits.create({ subject: { kind: 'user' }, concurrent: 3 })
  assert.equal(await providerNow(), first)

  await alice.gateway.providers.rotateKey({ provider_id: provider.id, key: 'sk-fedcba9876543210', skip_test: true })

  assert.notEqual(await providerNow(), first)
  assert.equal((await providerNow())?.key, 'sk-fedcba9876543210')
})

test('another process hears of a change, and everything that was set is in its policy', async (t) => {
  const { alice, organization_id } = await newOrganization()
  const other = anotherProcess()
  t.after(() => other.close())
  await other.policyOf(organization_id)
  await alice.gateway.providers.create({ ...upstream, name: 'openai' })
  const guardrail = await alice.gateway.guardrails.create({
    name: 'No keys',
    action: 'redact',
    rule: { type: 'pii', kinds: ['api_key'] },
  })
  await alice.gateway.routes.create({
    name: 'fast',
    targets: [{ provider: 'openai', model: 'gpt-5' }],
    guardrails: [guardrail.id],
  })
  const limit = await alice.gateway.limits.create({ subject: { kind: 'user' }, concurrent: 3 })
  await alice.gateway.prices.create({ model: 'openai/gpt-5', input: 125, cached: 12.5, output: 1000 })
  await alice.gateway.prices.create({ model: 'openai/*', input: 1, output: 2, call: 0.001 })
  await alice.gateway.settings.update({ keep_content: false, retention_days: 7 })
  await alice.gateway.settings.clearCache()

  const policy = await until(
    () => other.policyOf(organization_id),
    ({ cache_epoch }) => cache_epoch === 1,
  )

  assert.deepEqual(policy.routes.get('fast'), {
    name: 'fast',
    strategy: 'ordered',
    targets: [{ provider: 'openai', model: 'gpt-5', weight: 1 }],
    attempts_max: 2,
    timeouts: { connect: 10_000, first_chunk: 120_000, between_chunks: 60_000, total: 600_000 },
    hedge_after_ms: null,
    cache_seconds: null,
    guardrails: [guardrail.id],
  })
  assert.deepEqual(policy.limits, [
    {
      id: limit.id,
      subject: { kind: 'user', id: null },
      requests_per_minute: null,
      tokens_per_minute: null,
      concurrent: 3,
    },
  ])
  assert.deepEqual(policy.priceOf('openai', 'gpt-5'), {
    input: 125_000,
    cached: 12_500,
    cache_written: 125_000,
    output: 1_000_000,
    call: 0,
  })
  assert.equal(policy.priceOf('openai', 'gpt-4').call, 1_000_000)
  assert.equal(policy.priceOf('mistral', 'small').input, 100_000)
  assert.equal(policy.guardrails.get(guardrail.id)?.action, 'redact')
  assert.deepEqual(policy.traces, { keep_content: false, retention_days: 7 })
  assert.equal(policy.version, 8)
})

test("the rate card's rate of a model goes before every other price, as soon as the card is in place", async (t) => {
  const { alice, organization_id } = await newOrganization()
  const other = anotherProcess()
  t.after(() => other.close())
  await alice.gateway.prices.create({ model: 'openai/gpt-5', input: 1, output: 1 })
  const before = await other.policyOf(organization_id)
  assert.equal(before.priceOf('openai', 'gpt-5').output, 1000)
  await alice.billing.replaceRateCard({
    name: 'Ours',
    rates: [
      { service_type: 'llm_call', model: 'openai/gpt-5', credits_per_unit: 0.5 },
      { service_type: 'llm_call', credits_per_unit: 0.25 },
    ],
  })

  // It may be read anew for the price of before, too.
  const policy = await until(
    () => other.policyOf(organization_id),
    (each) => each.priceOf('openai', 'gpt-5').output !== 1000,
  )

  assert.equal(policy.priceOf('openai', 'gpt-5').output, 500_000_000)
  assert.equal(policy.priceOf('openai', 'gpt-4').input, 250_000_000)
})

test('a process that missed being told finds it when it looks', async (t) => {
  const { alice, organization_id } = await newOrganization()
  let gap = () => {}
  const deaf = anotherProcess({
    listen: async (_, __, missed = () => {}) => {
      gap = missed
      return async () => {}
    },
  })
  t.after(() => deaf.close())
  const before = await deaf.policyOf(organization_id)
  await alice.gateway.settings.update({ keep_content: false })
  assert.equal(deaf.policyOf(organization_id), before)

  gap()

  await until(
    () => deaf.policyOf(organization_id),
    (policy) => !policy.traces.keep_content,
  )
})

test('without the database a policy that is known goes on to hold, and one that is not is refused', async (t) => {
  const { organization_id } = await newOrganization()
  const stranger = await newOrganization()
  let isAway = false
  const away = new Error('away')
  const cut = anotherProcess({
    of: (id) => (isAway ? { ...platform.database.of(id), one: () => Promise.reject(away) } : platform.database.of(id)),
  })
  t.after(() => cut.close())
  const before = await cut.policyOf(organization_id)
  isAway = true
  cut.changed(organization_id)

  assert.equal(await cut.policyOf(organization_id), before)
  await assert.rejects(async () => cut.policyOf(stranger.organization_id), away)
  isAway = false
  assert.equal((await cut.policyOf(stranger.organization_id)).version, 0)
})

test('calls do not wait for a database that hangs longer than a second', async (t) => {
  const { organization_id } = await newOrganization()
  let hangs = false
  const cut = anotherProcess({
    of: (id) => (hangs ? { ...platform.database.of(id), one: () => new Promise(() => {}) } : platform.database.of(id)),
  })
  t.after(() => cut.close())
  const before = await cut.policyOf(organization_id)
  hangs = true
  cut.changed(organization_id)

  assert.equal(await cut.policyOf(organization_id), before)
  assert.equal(cut.policyOf(organization_id), before)
})

test('one key that does not open takes no other provider away', async (t) => {
  const { alice, organization_id } = await newOrganization()
  await alice.gateway.providers.create({ ...upstream, name: 'one', key: 'sk-one' })
  await alice.gateway.providers.create({ ...upstream, name: 'two', key: 'sk-two' })
  const other = openPolicies({
    ...platform,
    database: { ...platform.database },
    seal: {
      ...platform.seal,
      open: (sealed, bound_to) => {
        const opened = platform.seal.open(sealed, bound_to)
        if (opened === 'sk-one') throw new Error('changed')
        return opened
      },
    },
  })
  t.after(() => other.close())

  const { providers } = await other.policyOf(organization_id)

  assert.deepEqual([...providers.keys()].sort(), ['flow', 'two'])
})
