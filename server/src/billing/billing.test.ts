import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceType, UsageGroup } from '@flow/contract/billing'
import { newId } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import { assertBudget, debit, type Usage } from './billing.ts'
import { services, toNanocredits } from './rules.ts'

/** Random, and the same on every day: xorshift with a seed that a failure prints. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

class RolledBack extends Error {}

/** Writes one use as an execution would: in a transaction with others, which may fail after it. */
async function use(made: TestOrganization, usages: Usage[], fails = false): Promise<void> {
  const { platform } = await testFlow()
  const { organization_id, workspace_id } = made
  const now = platform.clock.now().toISOString()
  const work = platform.database.of(organization_id).tx(async (db) => {
    for (const usage of usages) await debit({ db, organization_id, workspace_id, now }, usage)
    if (fails) throw new RolledBack()
  })
  await work.catch((error: unknown) => {
    if (!(error instanceof RolledBack)) throw error
  })
}

const aRun: Usage = {
  service_type: 'workflow_run',
  resource_type: 'workflow',
  resource_id: newId(),
  user_id: null,
  usage_quantity: 1,
}

test('the sum of the ledger, the usage report in every grouping and the summary are the same number', async () => {
  for (const seed of [1, 20_261, 777_777]) {
    const random = randomFrom(seed)
    const made = await newOrganization()
    const { platform } = await testFlow()
    const [users, agents, workflows] = [3, 2, 4].map((count) => Array.from({ length: count }, newId))
    const models = ['openai/gpt', 'anthropic/claude', null]
    const pick = <Item>(from: Item[] | undefined) => (from ?? [])[random(from?.length ?? 1)] ?? null

    let expected = 0n
    const transactions: Promise<void>[] = []
    let written = 0
    for (let n = 0; n < 120; n += 1) {
      const usages = Array.from({ length: 1 + random(3) }, (): Usage => {
        const service_type = ServiceType.options[random(ServiceType.options.length)] ?? 'llm_call'
        const usage_quantity = random(2) === 0 ? random(1_000_000) : random(10_000) / 1000
        return {
          service_type,
          resource_type: 'workflow',
          resource_id: newId(),
          user_id: pick(users),
          model: pick(models),
          agent_id: pick([...(agents ?? []), null]),
          workflow_id: pick(workflows),
          usage_quantity,
        }
      })
      const fails = random(4) === 0
      if (!fails) {
        written += usages.length
        for (const { service_type, usage_quantity } of usages) {
          // In whole thousandths, so that the expectation is exact, too; PostgreSQL rounds a half away from zero.
          const thousandths = BigInt(Math.round(usage_quantity * 1000))
          const price = BigInt(toNanocredits(services[service_type].credits_per_unit))
          expected += (thousandths * price + 500n) / 1000n
        }
      }
      transactions.push(use(made, usages, fails))
    }
    await Promise.all(transactions)

    const { sum } = await platform.database
      .of(made.organization_id)
      .one<{ sum: string }>(sql`select sum(nanocredits)::text as sum from ledger`)
    assert.equal(BigInt(sum), expected, `seed ${seed}`)
    const credits = Number(expected) / 1e9

    const summary = await made.alice.organizations.getBilling()
    assert.equal(summary.credits_consumed, credits, `seed ${seed}`)
    assert.equal(summary.credits_remaining, Number(10_000n * 1_000_000_000n - expected) / 1e9)
    assert.equal(summary.budget_consumed_credits, credits)
    for (const group_by of UsageGroup.options) {
      const report = await made.alice.organizations.getUsage({ group_by, limit: 100 })
      assert.equal(report.credits_debited, credits, `seed ${seed}, by ${group_by}`)
      assert.equal(report.transactions, written)
      const groups = report.items.map((group) => BigInt(Math.round(group.credits_debited * 1e9)))
      assert.equal(
        groups.reduce((sum, nanocredits) => sum + nanocredits, 0n),
        expected,
        `seed ${seed}, by ${group_by}`,
      )
    }
    let listed = 0n
    for await (const each of made.alice.billing.listTransactions({ limit: 50 })) {
      listed += BigInt(Math.round(each.credits_debited * 1e9))
    }
    assert.equal(listed, expected, `seed ${seed}`)
  }
})

test('a use costs what the card says for its model, else for its service, else what is usual', async () => {
  const made = await newOrganization()
  const ask = { ...aRun, service_type: 'llm_call' as const, usage_quantity: 10 }
  await use(made, [{ ...ask, model: 'openai/gpt' }])
  const card = await made.alice.billing.replaceRateCard({
    name: 'Ours',
    rates: [
      { service_type: 'llm_call', credits_per_unit: 2 },
      { service_type: 'llm_call', model: 'openai/gpt', credits_per_unit: 0.000_000_001 },
    ],
  })
  await use(made, [{ ...ask, model: 'openai/gpt' }, { ...ask, model: 'mistral/small' }, ask, aRun])

  const { items } = await made.alice.billing.listTransactions({ order: 'asc', sort: 'credits_debited' })
  assert.deepEqual(
    items.map((each) => each.credits_debited),
    [0.000_000_01, 0.001, 0.01, 20, 20],
  )
  assert.deepEqual(new Set(items.slice(3).map((each) => each.rate_card_id)), new Set([card.id]))
  assert.notEqual(items[1]?.rate_card_id, card.id)
  assert.equal(card.rates.find((rate) => rate.service_type === 'workflow_run')?.credits_per_unit, 0.01)
})

test('two rates for the same service and model are refused with their places', async () => {
  const { alice } = await newOrganization()
  const rate = { service_type: 'llm_call' as const, model: 'openai/gpt', credits_per_unit: 1 }
  const before = await alice.billing.getRateCard()
  const asked = alice.billing.replaceRateCard({ name: 'Ours', rates: [rate, { ...rate, credits_per_unit: 2 }] })
  await assert.rejects(asked, {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'rates[1]', message: 'rates[0] is for the same service type and model.' }],
  })
  assert.equal((await alice.billing.getRateCard()).id, before.id)
})

test('cards that replace each other at the same time leave one active', async () => {
  const { alice, organization_id } = await newOrganization()
  const { platform } = await testFlow()
  const asked = Array.from({ length: 6 }, (_, i) => alice.billing.replaceRateCard({ name: `Card ${i}`, rates: [] }))
  const answers = await Promise.allSettled(asked)

  assert.ok(answers.some((answer) => answer.status === 'fulfilled'))
  const active = await platform.database.of(organization_id).many(sql`select from rate_cards where is_active`)
  assert.equal(active.length, 1)
})

test('the badge follows the balance, and adding credits mends it', async () => {
  const made = await newOrganization()
  await made.alice.billing.replaceRateCard({
    name: 'Dear',
    rates: [{ service_type: 'workflow_run', credits_per_unit: 1000 }],
  })
  const badges = [(await made.alice.organizations.getBilling()).badge]
  for (const runs of [8, 2, 1]) {
    await use(
      made,
      Array.from({ length: runs }, () => aRun),
    )
    badges.push((await made.alice.organizations.getBilling()).badge)
  }
  assert.deepEqual(badges, ['healthy', 'low_balance', 'critical', 'overdrawn'])

  const bought = await made.alice.billing.addCredits({ credits: 90_000.5, note: 'Invoice 7' })
  const summary = await made.alice.organizations.getBilling()
  assert.equal(summary.badge, 'healthy')
  assert.equal(summary.total_credits_purchased, 100_000.5)
  assert.equal(summary.credits_remaining, 89_000.5)
  const { items } = await made.alice.billing.listPurchases()
  assert.deepEqual(items[0], bought)
  // More than a double holds in nanocredits.
  await made.alice.billing.addCredits({ credits: 1e9 })
  const rich = await made.alice.organizations.getBilling()
  assert.deepEqual([rich.badge, rich.total_credits_purchased], ['healthy', 1_000_100_000.5])
})

test('a summary is answered however many credits were bought and used', async () => {
  const made = await newOrganization()
  const { alice } = made
  await alice.billing.addCredits({ credits: 1_000_000_000 })
  await alice.billing.replaceRateCard({
    name: 'Dear',
    rates: [{ service_type: 'workflow_run', credits_per_unit: 1_000_000 }],
  })
  await use(made, [{ ...aRun, usage_quantity: 100 }])
  await alice.billing.update({ budget_credits: 1_000_000 })

  const { total_credits_purchased, credits_remaining, badge, budget_consumed_credits } =
    await alice.organizations.getBilling()
  assert.deepEqual(
    [total_credits_purchased, credits_remaining, badge, budget_consumed_credits],
    [1_000_010_000, 900_010_000, 'healthy', 100_000_000],
  )
  const usage = await alice.organizations.getUsage({ group_by: 'day' })
  assert.equal(usage.items[0]?.credits_debited, 100_000_000)
})

test('a used-up budget refuses what would begin, until it is raised or the next month begins', async () => {
  const made = await newOrganization()
  const { platform, clock } = await testFlow()
  const { organization_id, workspace_id } = made
  const begin = () =>
    assertBudget({
      db: platform.database.of(organization_id),
      organization_id,
      workspace_id,
      now: clock.now().toISOString(),
    })
  await begin()
  await made.alice.billing.update({ budget_credits: 0.02 })
  await use(made, [aRun])
  await begin()
  await use(made, [aRun])
  await assert.rejects(begin(), { code: 'BUDGET_EXCEEDED' })

  await made.alice.billing.update({ budget_credits: 0.03 })
  await begin()
  await use(made, [aRun])
  await assert.rejects(begin(), { code: 'BUDGET_EXCEEDED' })
  clock.advance(31 * 24 * 3600)
  await begin()
  const summary = await made.alice.organizations.getBilling()
  assert.equal(summary.budget_consumed_credits, 0)
  assert.equal(summary.credits_consumed, 0.03)

  assert.equal((await made.alice.billing.update({ budget_credits: null })).budget_credits, null)
})

test('a budget of nothing refuses from the first moment', async () => {
  const { alice, organization_id, workspace_id } = await newOrganization()
  const { platform, clock } = await testFlow()
  await alice.billing.update({ budget_credits: 0 })
  const at = {
    db: platform.database.of(organization_id),
    organization_id,
    workspace_id,
    now: clock.now().toISOString(),
  }
  await assert.rejects(assertBudget(at), { code: 'BUDGET_EXCEEDED' })
})

test('amounts have nine decimal places and no more', async () => {
  const { alice } = await newOrganization()
  assert.equal((await alice.billing.addCredits({ credits: 0.000_000_001 })).credits, 0.000_000_001)
  for (const credits of [0, -1, 0.000_000_000_1, 1.000_000_000_5, 2_000_000_000]) {
    await assert.rejects(alice.billing.addCredits({ credits }), { code: 'VALIDATION_ERROR' }, String(credits))
  }
})

test('a quantity that is no number is a fault and leaves no line', async () => {
  const made = await newOrganization()
  for (const usage_quantity of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    await assert.rejects(use(made, [{ ...aRun, usage_quantity }]), /can't be billed/)
  }
  assert.equal((await made.alice.billing.listTransactions()).total, 0)
})

test('transactions and usage can be narrowed to a time and to what was used', async () => {
  const made = await newOrganization()
  const { clock } = await testFlow()
  await use(made, [aRun, { ...aRun, service_type: 'data_transfer', usage_quantity: 5 }])
  clock.advance(3600)
  const from = clock.now().toISOString()
  await use(made, [aRun, { ...aRun, user_id: made.admin.user_id }])

  assert.equal((await made.alice.billing.listTransactions({ from })).total, 2)
  assert.equal((await made.alice.billing.listTransactions({ to: from })).total, 2)
  assert.equal((await made.alice.billing.listTransactions({ service_type: 'data_transfer' })).total, 1)
  assert.equal((await made.alice.billing.listTransactions({ user_id: made.admin.user_id })).total, 1)
  assert.equal((await made.alice.billing.listTransactions({ resource_id: aRun.resource_id })).total, 4)
  const report = await made.alice.organizations.getUsage({ group_by: 'user', from })
  assert.equal(report.from, from)
  assert.deepEqual(
    report.items
      .map(({ key, name, transactions }) => ({ key, name, transactions }))
      .toSorted((a, b) => (a.key ? -1 : b.key ? 1 : 0)),
    [
      { key: made.admin.user_id, name: made.admin.email, transactions: 1 },
      { key: null, name: null, transactions: 1 },
    ],
  )
})

test('the credits of an organization are nobody else’s business', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  await use(one, [aRun])
  assert.equal((await two.alice.organizations.getBilling()).credits_consumed, 0)
  await assert.rejects(two.alice.organizations.getBilling({ org_id: one.organization_id }), { code: 'NOT_FOUND' })
  const builder = await one.member('solution_builder')
  await assert.rejects(builder.client.organizations.getBilling(), { code: 'FORBIDDEN' })
  const manager = await one.member('billing_manager')
  assert.equal((await manager.client.organizations.getBilling()).credits_consumed, 0.01)
})
