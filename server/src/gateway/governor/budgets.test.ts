/** Budgets of calls, as clients and the ledger meet them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../../context.ts'
import { testFlow } from '../../testing.ts'
import { delta, END, openUpstream, streams } from '../call/upstream-testing.ts'
import { Account } from './account.ts'
import { assertOneNumber, call, linesOf, newPriced, sumOf, TOKEN } from './governor-testing.ts'
import * as store from './store.ts'

const { clock, fetch, platform } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const credits = (tokens: number) => (tokens * TOKEN) / 1e9

test('each call is one line of the ledger, with its model, its tokens and its price, and the header tells the same', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  const told = await call(admin.api_key, { say: 'one two', usage: { input: 11, output: 4 } })
  assert.equal(told.headers.get('x-flow-cost'), String(credits(15)))
  await call(admin.api_key, { say: 'one two', usage: { input: 11, output: 4 } }, { stream: true })
  assert.equal((await call(admin.api_key, { status: 400 })).status, 400)

  const lines = await linesOf(made, 3)
  assert.deepEqual(
    lines.map(({ nanocredits, usage_quantity, model, resource_type }) => [
      nanocredits,
      usage_quantity,
      model,
      resource_type,
    ]),
    [
      [15 * TOKEN, 15, 'flow/scripted', 'model'],
      [15 * TOKEN, 15, 'flow/scripted', 'model'],
      [0, 0, 'flow/scripted', 'model'],
    ],
  )
  const { items } = await alice.billing.listTransactions({ service_type: 'llm_call' })
  assert.deepEqual(items.map(({ id }) => id).toSorted(), lines.map(({ id }) => id).toSorted())
  assert.equal(items[0]?.user_id, admin.user_id)
  assert.equal(await assertOneNumber(made), 30 * TOKEN)
})

for (const kind of ['organization', 'workspace', 'user', 'key', 'model'] as const) {
  test(`a hard budget of each ${kind} is passed by no call, and refuses when it is used up`, async () => {
    const made = await newPriced()
    const { admin, alice } = made
    const budget = await alice.gateway.budgets.create({ subject: { kind }, credits: credits(1_000), period: 'day' })
    const statuses = []
    for (let i = 0; i < 12; i += 1) {
      const { status } = await call(admin.api_key, { say: 'x', usage: { input: 100, output: 50 } }, { max_tokens: 50 })
      statuses.push(status)
    }
    assert.equal(statuses[0], 200)
    assert.equal(statuses.at(-1), 402)
    const sum = sumOf(await linesOf(made, statuses.filter((status) => status === 200).length))
    assert.ok(sum <= 1_000 * TOKEN && sum >= 600 * TOKEN, String(sum))
    const { used } = await alice.gateway.budgets.get({ budget_id: budget.id })
    assert.deepEqual(
      used.map((one) => Math.round(one.credits * 1e9)),
      [sum],
    )
    await assertOneNumber(made)

    const refused = await call(admin.api_key, { say: 'x' }, { max_tokens: 50 })
    assert.deepEqual(
      [refused.status, refused.code, refused.headers.get('x-should-retry')],
      [402, 'BUDGET_EXCEEDED', 'false'],
    )
    assert.match(refused.message, /The budget of 0\.001 credits a day/)
    await alice.gateway.budgets.update({ budget_id: budget.id, credits: 1 })
    assert.equal((await call(admin.api_key, { say: 'x' }, { max_tokens: 50 })).status, 200)
  })
}

test('with the tag that was read, a budget and the billing are changed whatever was used since, and no other change is lost', async () => {
  const made = await newPriced()
  const { admin, alice, organization_id } = made
  const { id } = await alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: 1, period: 'day' })
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const ask = (method: string, path: string, body?: object, more?: Record<string, string>) =>
    fetch(`/api/v1${path}`, { method, headers: { ...headers, ...more }, body: body && JSON.stringify(body) })

  for (const [method, path, [first, second]] of [
    ['PATCH', `/gateway/budgets/${id}`, [{ credits: 2 }, { credits: 3 }]],
    ['PUT', `/organizations/${organization_id}/billing`, [{ budget_credits: 20 }, { budget_credits: 30 }]],
  ] as const) {
    const before = (await ask('GET', path)).headers.get('etag') ?? ''
    const lines = await linesOf(made, 0)
    await call(admin.api_key, { say: 'x', usage: { input: 10, output: 5 } })
    await linesOf(made, lines.length + 1)

    const after = (await ask('GET', path, undefined, { 'if-none-match': before })).status
    const changed = await ask(method, path, first, { 'if-match': before })
    const late = await ask(method, path, second, { 'if-match': before })
    const next = await ask(method, path, second, { 'if-match': `"other", ${changed.headers.get('etag')}` })

    assert.deepEqual([after, changed.status, late.status, next.status], [200, 200, 412, 200], path)
  }
})

test('budgets are listed, changed and removed by those who may, and one that is there already is refused', async () => {
  const { alice, member } = await newPriced()
  const budget = await alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: 0.5, period: 'week' })
  const { used, mode, credits: most } = budget
  assert.deepEqual([used, mode, most], [[], 'hard', 0.5])
  assert.deepEqual((await alice.gateway.budgets.list()).items, [budget])
  const again = alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: 1, period: 'week' })
  await assert.rejects(again, { code: 'CONFLICT' })
  const nobody = alice.gateway.budgets.create({ subject: { kind: 'user', id: budget.id }, credits: 1 })
  await assert.rejects(nobody, { code: 'VALIDATION_ERROR' })
  await alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: 1, period: 'week', mode: 'warn' })
  const same = alice.gateway.budgets.update({ budget_id: budget.id, mode: 'warn' })
  await assert.rejects(same, { code: 'CONFLICT' })

  const [billing, builder] = [await member('billing_manager'), await member('solution_builder')]
  const raised = await billing.client.gateway.budgets.update({ budget_id: budget.id, credits: 2 })
  assert.deepEqual([raised.credits, raised.mode], [2, 'hard'])
  await assert.rejects(builder.client.gateway.budgets.remove({ budget_id: budget.id }), { code: 'FORBIDDEN' })
  await billing.client.gateway.budgets.remove({ budget_id: budget.id })
  await assert.rejects(alice.gateway.budgets.get({ budget_id: budget.id }), { code: 'NOT_FOUND' })
})

test('a budget of one user is not another’s, and a model without price is called when all is used up', async () => {
  const made = await newPriced()
  const { admin, alice, member } = made
  const bob = await member('solution_builder')
  await alice.gateway.budgets.create({ subject: { kind: 'user', id: bob.user_id }, credits: 0 })
  assert.equal((await call(bob.api_key, { say: 'x' })).status, 402)
  assert.equal((await call(admin.api_key, { say: 'x' })).status, 200)
  await alice.gateway.prices.create({ model: 'flow/echo', input: 0, output: 0 })
  assert.equal((await call(bob.api_key, 'x', { model: 'flow/echo' })).status, 200)
})

test('an answer that does not fit is bounded and not refused', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: credits(10_500) })
  const told = await call(admin.api_key, { say: 'word '.repeat(2_000) })
  assert.equal(told.status, 200)
  assert.match(told.text, /"finish_reason":"length"/)
  const sum = sumOf(await linesOf(made, 1))
  assert.ok(sum > 2_600 * TOKEN && sum < 3_200 * TOKEN, String(sum))
})

test('a provider that goes on writing is cut off, and more is never paid for than was set aside', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  const words = Array.from({ length: 2_000 }, (_, i) => delta(`word${i} `))
  const upstream = await openUpstream(streams(...words, END))
  await alice.gateway.providers.create({ name: 'wild', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  await alice.gateway.prices.create({ model: 'wild/*', input: TOKEN / 1_000, output: TOKEN / 1_000 })
  await alice.gateway.budgets.create({ subject: { kind: 'key' }, credits: credits(600) })
  const told = await call(admin.api_key, 'x', { model: 'wild/m', stream: true })
  assert.equal(told.status, 200)
  assert.match(told.message, /The budget is used up: the answer ends here/)
  assert.ok(!told.text.includes('[DONE]'))
  const { max_completion_tokens, max_tokens } = upstream.got[0]?.body ?? {}
  const bound = Number(max_completion_tokens ?? max_tokens)
  assert.ok(bound > 16 && bound < 600, String(bound))
  const sum = sumOf(await linesOf(made, 1))
  assert.ok(sum > bound * TOKEN && sum <= 600 * TOKEN, String(sum))
})

test('a budget begins anew with its day, its week and its month', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  let calls = 0
  const ask = async () =>
    (await call(admin.api_key, { say: 'x', usage: { input: 100, output: 100 } }, { max_tokens: 100 })).status
  for (const [period, days] of [
    ['day', 1],
    ['week', 7],
    ['month', 31],
  ] as const) {
    const budget = await alice.gateway.budgets.create({
      subject: { kind: 'organization' },
      credits: credits(350),
      period,
    })
    const { resets_at, period_started_at } = budget
    assert.ok(period_started_at <= clock.now().toISOString() && clock.now().toISOString() < resets_at)
    // What was used before in the period counts.
    const used = budget.used.reduce((sum, one) => sum + one.credits, 0)
    const first = await ask()
    assert.equal(first, used > credits(150) ? 402 : 200, `${period} ${used} first`)
    calls += first === 200 ? 1 : 0
    while ((await ask()) === 200) calls += 1
    await linesOf(made, calls)
    clock.advance((Date.parse(resets_at) - clock.now().getTime()) / 1000)
    assert.equal(await ask(), 200, `${period} ${used}`)
    calls += 1
    const after = await alice.gateway.budgets.get({ budget_id: budget.id })
    assert.equal(after.period_started_at, resets_at)
    assert.ok(Date.parse(after.resets_at) - Date.parse(resets_at) <= days * 86_400_000)
    await alice.gateway.budgets.remove({ budget_id: budget.id })
  }
})

test('the budget of the organization’s month holds for calls, too', async () => {
  const made = await newPriced()
  const { admin, alice, organization_id } = made
  await alice.billing.update({ org_id: organization_id, budget_credits: credits(500) })
  const statuses = []
  for (let i = 0; i < 8; i += 1) {
    const { status } = await call(admin.api_key, { say: 'x', usage: { input: 90, output: 30 } }, { max_tokens: 30 })
    statuses.push(status)
  }
  assert.deepEqual([statuses[0], statuses.at(-1)], [200, 402])
  assert.ok(sumOf(await linesOf(made, 1)) <= 500 * TOKEN)
  await alice.billing.update({ org_id: organization_id, budget_credits: null })
  assert.equal((await call(admin.api_key, { say: 'x' })).status, 200)
})

test('a budget that warns lets calls pass, and says so', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: credits(150), mode: 'warn' })
  const spend = () => call(admin.api_key, { say: 'x', usage: { input: 90, output: 30 } })
  assert.equal((await spend()).headers.get('x-flow-budget-warning'), null)
  await spend()
  const warned = await spend()
  assert.equal(warned.status, 200)
  assert.match(
    warned.headers.get('x-flow-budget-warning') ?? '',
    /^0\.00024 of the 0\.00015 credits a month for this user are used$/,
  )
})

test('a dearer target that a budget does not hold is passed over for a cheaper one', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.prices.create({ model: 'flow/scripted', input: 1_000, output: 1_000 })
  await alice.gateway.routes.create({
    name: 'thrifty',
    targets: [
      { provider: 'flow', model: 'scripted' },
      { provider: 'flow', model: 'echo' },
    ],
  })
  await alice.gateway.budgets.create({ subject: { kind: 'model', id: 'flow/scripted' }, credits: credits(100) })
  const told = await call(admin.api_key, 'hello', { model: 'thrifty' })
  assert.deepEqual([told.status, told.headers.get('x-flow-model')], [200, 'echo'])
  assert.equal((await call(admin.api_key, 'hello', { model: 'flow/scripted' })).status, 402)
})

test('answers that were kept cost nothing, and are lines all the same', async () => {
  const made = await newPriced()
  const { admin } = made
  const kept = { 'x-flow-cache-seconds': '60' }
  const ask = () => call(admin.api_key, 'hello', { model: 'flow/echo' }, undefined, kept)
  await ask()
  assert.deepEqual([(await ask()).headers.get('x-flow-cost')], ['0'])
  assert.deepEqual((await linesOf(made, 2)).map(({ nanocredits }) => nanocredits === 0).toSorted(), [false, true])
})

test('a budget that is asked for again and again, or spent as fast as prices let, is leased in numbers that are told exactly', async () => {
  const { organization_id, workspace_id, admin } = await newPriced()
  const { user_id } = admin
  const row = { organization_id, account: 'x', workspace_id, user_id, key_id: null, model: null }
  const account = new Account(clock, row)
  const subject = { kind: 'organization' as const, id: null }
  const purseOf = (nanocredits: number) => ({
    budget: { id: newId(), subject, nanocredits, period: 'day' as const, mode: 'hard' as const },
    kind: subject.kind,
    subject_id: organization_id,
    used: 0,
    since: '',
  })
  const holder_id = newId()
  const database = platform.database.platform
  await store.addHolder(database, holder_id)
  const ask = async (nanocredits: number) => {
    account.lack(nanocredits)
    const hear = await database.tx((db) => account.ask(db, holder_id))
    hear()
  }

  account.renew([purseOf(1_000)])
  for (let i = 0; i < 80; i += 1) await ask(5_000)
  account.renew([purseOf(1e12)])
  await ask(5_000)
  assert.ok(account.free >= 5_000)
  // What the dearest calls cost: a million credits each.
  account.renew([purseOf(8e15)])
  for (let i = 0; i < 5; i += 1) {
    account.settle(0, 1e15)
    account.written(1e15)
    account.look()
    await ask(1e15)
  }
  for (let i = 0; i < 20; i += 1) account.lack(1e15)
  await ask(1e15)

  // Far more was used than a budget holds that was set later.
  await platform.database.platform.tx((db) =>
    store.addSpend(
      db,
      [1, 2].map((day) => ({
        organization_id,
        kind: 'organization',
        subject_id: organization_id,
        day: `2999-01-0${day}`,
        nanocredits: 8e15,
      })),
    ),
  )
  account.renew([purseOf(1_000)])
  await ask(5_000)
  assert.ok(account.free < 5_000)
})
