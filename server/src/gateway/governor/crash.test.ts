/** Random traffic over processes that are killed in the middle: what was spent is one number everywhere, no budget is
 *  passed, and each call that was admitted is one line, or is paid for by the line of what its process had leased.
 *  FLOW_GOVERNOR_SEED makes it the same traffic again. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlatformClient } from '@flow/sdk'
import { contextOf } from '../../context.ts'
import type { ConnectOptions } from '../../db/connect.ts'
import { type Database, sql } from '../../db/db.ts'
import { copyOfServerTemplate, copyOfTemplate, dropOnServer, testModes } from '../../db/testing.ts'
import { mintKey } from '../../keys/keys.ts'
import { found } from '../../organizations/founding.ts'
import { accountOf, join as joinIn } from '../../users/users.ts'
import { chance } from '../mouths/mouths-testing.ts'
import { LEASE } from './holder.ts'
import { type Answered, anyCall, type Orders, openProcess } from './traffic-testing.ts'

const seed = Number(process.env.FLOW_GOVERNOR_SEED ?? Math.floor(Math.random() * 2 ** 31))
const TOKEN = 1_000
/** Tokens; used up by the end, or nearly. */
const MONTH = 120_000
const OF_A_USER = 70_000
const OF_A_KEY = 60_000

type Place = { options: ConnectOptions; data_directory: string; master_key: string }

async function newPlace(mode: Database['mode']): Promise<Place> {
  const data_directory = await mkdtemp(join(tmpdir(), 'flow-governor-'))
  const where = mode === 'embedded' ? await copyOfTemplate() : await copyOfServerTemplate()
  after(async () => {
    await rm(data_directory, { recursive: true, force: true })
    if (mode === 'embedded') await rm(where, { recursive: true, force: true })
    else await dropOnServer(where)
  })
  const options: ConnectOptions =
    mode === 'embedded' ? { directory: where, durability: 'process' } : { database_url: where }
  return { options, data_directory, master_key: randomBytes(32).toString('base64') }
}

/** An organization with two people, a price for every token, and three kinds of hard budgets. */
async function newSpenders(place: Place) {
  const { platform, app, close } = await openProcess(place)
  const now = platform.clock.now().toISOString()
  const made = await platform.database.platform.tx(async (db) => {
    const { id: admin_id } = await accountOf(db, 'alice@example.com', 'Alice', now)
    const { id: bob_id } = await accountOf(db, 'bob@example.com', 'Bob', now)
    const it = await found(db, { name: 'Spenders', admin_id, now, slug: 'spenders' })
    if (!it) throw new Error('the slug is taken')
    const organization_id = it.organization.id
    const grants = [{ role: 'admin' as const, scope: 'organization' as const }]
    await joinIn({ db, organization_id }, { user_id: bob_id, grants, now })
    return { organization_id, workspace_id: it.workspace.id, users: [admin_id, bob_id] }
  })
  const { organization_id, workspace_id } = made
  const keys = []
  for (const user_id of made.users) {
    const actor = { kind: 'user' as const, id: user_id, user_id, name: 'spender', organization_id, grants: [] }
    const ctx = contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
    keys.push((await mintKey(ctx, { name: 'key' })).key)
  }
  const client = clientOf(app, keys[0] ?? '', organization_id)
  await client.gateway.prices.create({ model: 'flow/*', input: TOKEN / 1_000, output: TOKEN / 1_000 })
  const credits = (tokens: number) => (tokens * TOKEN) / 1e9
  await client.billing.update({ org_id: organization_id, budget_credits: credits(MONTH) })
  await client.gateway.budgets.create({ subject: { kind: 'user' }, credits: credits(OF_A_USER), period: 'week' })
  await client.gateway.budgets.create({ subject: { kind: 'key' }, credits: credits(OF_A_KEY), period: 'day' })
  await close()
  return { organization_id, keys }
}

const clientOf = (app: Awaited<ReturnType<typeof openProcess>>['app'], auth_token: string, org_id: string) =>
  new PlatformClient({
    base_url: 'http://flow.test',
    auth_token,
    org_id,
    max_retries: 0,
    fetch: async (request) => app.fetch(request),
  })

/** A process that calls, until so many calls were answered, and what was told of them. */
async function callUntil(orders: Orders, count: number, end: 'kill' | 'stop'): Promise<Answered[]> {
  const program = join(import.meta.dirname, 'traffic-testing.ts')
  const child = spawn(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const answered: Answered[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    answered.push(JSON.parse(line) as Answered)
    if (answered.length < count) continue
    if (end === 'kill') child.kill('SIGKILL')
    else if (answered.length === count) child.stdin.end()
  }
  await ended
  return answered
}

type Line = { request_id: string | null; nanocredits: number; resource_type: string }

for (const mode of testModes) {
  test(`what random calls cost is one number, and no budget is passed, whoever is killed (${mode})`, async () => {
    const place = await newPlace(mode)
    const { organization_id, keys } = await newSpenders(place)
    const draw = chance(seed)
    const told: Answered[] = []
    for (const end of ['kill', 'stop', 'kill'] as const) {
      const count = 40 + Math.floor(draw() * 80)
      const orders = { ...place, keys, seed: Math.floor(draw() * 2 ** 31) }
      const others = mode === 'embedded' ? [] : [callUntil({ ...orders, seed: orders.seed + 1 }, count, 'stop')]
      told.push(...(await Promise.all([callUntil(orders, count, end), ...others])).flat())
    }

    const { platform, app, close } = await openProcess(place)
    const { platform: all } = platform.database
    const count = async (table: 'gateway_leases' | 'gateway_holders') =>
      (await all.one<{ count: number }>({ text: `select count(*)::int as count from ${table}`, values: [] })).count
    // A process that is gone is noticed, and what it had leased is settled.
    for (let tries = 0; (await count('gateway_leases')) > 0; tries += 1) {
      assert.ok(tries < 1_200, 'what a killed process had leased is not settled')
      await sleep(50)
    }
    const two = Array.from({ length: 150 }, () => anyCall(app.direct.respond, keys[0] ?? '', draw))
    for (const one of await Promise.all(two)) if (one) told.push(one)
    const client = clientOf(app, keys[0] ?? '', organization_id)

    await app.close()
    assert.deepEqual([await count('gateway_leases'), await count('gateway_holders')], [0, 0])
    const lines = await platform.database.of(organization_id).many<Line>(sql`
      select request_id, nanocredits, resource_type from ledger`)
    const sum = lines.reduce((all, { nanocredits }) => all + nanocredits, 0)
    const summary = await client.organizations.getBilling()
    assert.equal(Math.round(summary.credits_consumed * 1e9), sum, `seed ${seed}`)
    for (const group_by of ['day', 'model', 'user', 'workspace', 'service_type'] as const) {
      const report = await client.organizations.getUsage({ group_by, limit: 100 })
      assert.equal(Math.round(report.credits_debited * 1e9), sum, `seed ${seed}, by ${group_by}`)
    }
    assert.ok(sum > 0 && sum <= MONTH * TOKEN, `${sum}, seed ${seed}`)
    for (const budget of (await client.gateway.budgets.list()).items) {
      const most = Math.round(budget.credits * 1e9)
      const used = budget.used.map(({ credits }) => Math.round(credits * 1e9))
      assert.equal(
        used.reduce((all, each) => all + each, 0),
        sum,
        `seed ${seed}`,
      )
      for (const each of used) assert.ok(each <= most, `${each} of ${most}, seed ${seed}`)
    }

    const byRequest = Map.groupBy(
      lines.filter(({ resource_type }) => resource_type !== LEASE),
      (line) => line.request_id,
    )
    let missing = 0
    for (const { request_id, status, nanocredits } of told) {
      const [line, ...more] = byRequest.get(request_id) ?? []
      assert.equal(more.length, 0, `seed ${seed}`)
      if (line && nanocredits !== null) assert.equal(line.nanocredits, nanocredits, `seed ${seed}`)
      if (!line && status < 300) missing += nanocredits ?? 0
    }
    const leased = lines.filter(({ resource_type }) => resource_type === LEASE)
    const lost = leased.reduce((all, { nanocredits }) => all + nanocredits, 0)
    assert.ok(missing <= lost, `${missing} of ${lost}, seed ${seed}`)
    // Of those that were answered and nobody killed, none is missing.
    const calls = await all.one<{ count: number; sum: number }>(sql`
      select count(*)::int as count, coalesce(sum(c.nanocredits), 0) as sum
      from gateway_calls c join ledger l on l.id = c.id and l.nanocredits = c.nanocredits`)
    assert.equal(calls.count, lines.length - leased.length, `seed ${seed}`)
    assert.equal(calls.sum + lost, sum, `seed ${seed}`)
    await close()
  })
}
