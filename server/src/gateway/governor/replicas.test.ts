/** Several processes on one database, as two governors in this one: limits and budgets are kept by them together; one
 *  that was taken for dead; and what goes on without the database. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Platform } from '../../context.ts'
import { type Db, sql } from '../../db/db.ts'
import { DatabaseUnavailable } from '../../db/faults.ts'
import { newOrganization, type TestOrganization, testFlow } from '../../testing.ts'
import { openPlane } from '../open.ts'
import { openGovernor } from './governor.ts'
import { assertOneNumber, call, linesOf, newPriced, sumOf, TOKEN } from './governor-testing.ts'
import { bury } from './holder.ts'

const { platform, clock } = await testFlow()
const credits = (tokens: number) => (tokens * TOKEN) / 1e9

/** One more process, as far as calls are concerned. */
function newReplica(of: Platform = platform) {
  const governor = openGovernor(of)
  const plane = openPlane(of, { governor, journal: { note: () => {} }, noted: () => {}, spend: async () => ({}) })
  let isClosed = false
  const close = async () => {
    if (isClosed) return
    isClosed = true
    await plane.close()
    await governor.close()
  }
  after(close)
  const { respond } = plane
  return { ask: (key: string, content: object, more: object = {}) => call(key, content, more, respond), respond, close }
}

const statusesOf = (told: { status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of told) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

const leasedTo = async ({ organization_id }: TestOrganization): Promise<number> => {
  const db = platform.database.of(organization_id)
  return (await db.one<{ sum: number }>(sql`select coalesce(sum(nanocredits), 0) as sum from gateway_leases`)).sum
}

test('a hard budget is passed by no two processes, however they race', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: credits(5_000), period: 'day' })
  await alice.gateway.budgets.create({ subject: { kind: 'key' }, credits: credits(4_000), period: 'month' })
  const replicas = [newReplica(), newReplica(), newReplica()]
  const told = []
  for (let round = 0; round < 12; round += 1) {
    const calls = replicas.flatMap(({ ask }) =>
      [1, 2, 3].map(() => ask(admin.api_key, { say: 'x', usage: { input: 40, output: 60 } }, { max_tokens: 60 })),
    )
    told.push(...(await Promise.all(calls)))
  }
  const answered = told.filter(({ status }) => status === 200).length
  assert.deepEqual(statusesOf(told), { 200: answered, 402: told.length - answered })
  const sum = sumOf(await linesOf(made, answered))
  assert.equal(sum, answered * 100 * TOKEN)
  assert.ok(sum <= 4_000 * TOKEN && sum > 3_000 * TOKEN, String(sum))

  for (const { close } of replicas) await close()
  assert.equal(await leasedTo(made), 0)
  await assertOneNumber(made)
})

test('what is left of a budget is there for whoever asks, though two processes had a part of it each', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: credits(300) })
  const replicas = [newReplica(), newReplica()]
  const askBoth = async () => {
    const told = []
    for (const { ask } of replicas)
      told.push(await ask(admin.api_key, { say: 'x', usage: { input: 5, output: 5 } }, { max_tokens: 5 }))
    return told
  }

  let told = await askBoth()
  let answered = 0
  while (told.some(({ status }) => status === 200)) {
    answered += told.filter(({ status }) => status === 200).length
    told = await askBoth()
  }
  const left = 300 * TOKEN - sumOf(await linesOf(made, answered))
  const [, cost] = /may cost ([\d.e-]+)/.exec(told[0]?.message ?? '') ?? []
  assert.ok(left > Number(cost) * 1e9, `${left} are left, and a call may cost ${cost} credits`)
  await sleep(3_000)
  assert.ok((await askBoth()).some(({ status }) => status === 200))
})

test('processes share the requests and the places of a limit', async () => {
  const { admin, alice } = await newOrganization()
  await alice.gateway.limits.create({ subject: { kind: 'organization' }, requests_per_minute: 40, concurrent: 4 })
  clock.advance(60 - (clock.now().getTime() % 60_000) / 1_000)
  const replicas = [newReplica(), newReplica()]
  const slow = (say: object) =>
    Promise.all(replicas.flatMap(({ ask }) => [1, 2, 3, 4].map(() => ask(admin.api_key, say))))
  const first = statusesOf(await slow({ say: 'x', delay_ms: 400 }))
  assert.deepEqual(first, { 200: 4, 429: 4 })
  let answered = 4
  for (let i = 0; i < 80; i += 1) {
    const told = await replicas[i % 2]?.ask(admin.api_key, { say: 'x' })
    if (told?.status === 200) answered += 1
  }
  // A request that finds no place is none.
  assert.ok(answered <= 40 && answered > 30, String(answered))
})

test('what is not needed goes back by itself, and all of it when a process ends', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'user' }, credits: credits(100_000) })
  const { ask, close } = newReplica()
  const many = Array.from({ length: 20 }, () => ask(admin.api_key, { say: 'x', usage: { input: 1, output: 1 } }))
  assert.deepEqual(statusesOf(await Promise.all(many)), { 200: 20 })
  const before = await leasedTo(made)
  while ((await leasedTo(made)) > before / 4) await sleep(50)
  await ask(admin.api_key, { say: 'x' })
  await close()
  assert.equal(await leasedTo(made), 0)
  assert.equal((await linesOf(made, 21)).length, 21)
  assert.equal((await ask(admin.api_key, { say: 'x' })).status, 503)
})

test('a process that was taken for dead goes on, and is not paid for twice', async () => {
  const made = await newPriced()
  const { admin, alice, organization_id } = made
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: credits(20_000) })
  const { ask, respond } = newReplica()
  const say = { say: 'x', usage: { input: 40, output: 60 } }
  await Promise.all(Array.from({ length: 30 }, () => ask(admin.api_key, say, { max_tokens: 60 })))
  await linesOf(made, 30)
  // As another process would do it, in the middle of a call: the process may hear of it before it has written the call.
  const { holder_id } = await platform.database
    .of(organization_id)
    .one<{ holder_id: string }>(sql`select holder_id from gateway_leases`)
  const slow = { ...say, say: 'one two three four', between_ms: 100 }
  const again = await call(admin.api_key, slow, { max_tokens: 60, stream: true }, async (request) => {
    const response = await respond(request)
    await platform.database.platform.tx((db) => bury(db, clock, [{ id: holder_id }]))
    return response
  })
  assert.match(again.text, /four/)
  const lines = (await linesOf(made, 32)).slice(30)
  const leased = sumOf(lines.filter(({ resource_type }) => resource_type === 'lease'))
  assert.ok(leased >= 100 * TOKEN, String(leased))
  assert.deepEqual(
    lines.map(({ resource_type, nanocredits }) => [resource_type, nanocredits]).toSorted(),
    [
      ['lease', leased],
      ['model', 0],
    ].toSorted(),
  )
  // From then on it pays again.
  await ask(admin.api_key, say, { max_tokens: 60 })
  assert.equal(sumOf(await linesOf(made, 33)), leased + 3_100 * TOKEN)
  await assertOneNumber(made)
})

test('without the database calls go on from what is leased, nothing goes unpaid, and then they are asked to wait', async () => {
  const made = await newPriced()
  const { admin, alice } = made
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: credits(1_000_000) })
  const line = { isUp: true }
  const { ask } = newReplica({ ...platform, database: breakable(line) })
  const say = () => ask(admin.api_key, { say: 'x', usage: { input: 40, output: 60 } }, { max_tokens: 60 })
  for (let i = 0; i < 40; i += 1) assert.equal((await say()).status, 200)
  await linesOf(made, 40)

  line.isUp = false
  let answered = 40
  let last = await say()
  for (; last.status === 200 && answered < 20_000; last = await say()) answered += 1
  assert.ok(answered > 45, String(answered))
  assert.deepEqual([last.status, last.code, last.headers.get('retry-after')], [503, 'UNAVAILABLE', '5'])
  assert.equal((await linesOf(made, 40)).length, 40)

  line.isUp = true
  assert.equal(sumOf(await linesOf(made, answered)), answered * 100 * TOKEN)
  let last_status = (await say()).status
  for (; last_status !== 200; last_status = (await say()).status) await sleep(20)
  await linesOf(made, answered + 1)
  await assertOneNumber(made)
})

/** The database behind a line that can be cut. */
function breakable(line: { isUp: boolean }): Platform['database'] {
  const { database } = platform
  const cut = <Result>(work: () => Promise<Result>): Promise<Result> =>
    line.isUp ? work() : Promise.reject(new DatabaseUnavailable('The line is cut.'))
  const through = (db: Db): Db => ({
    ...db,
    many: (statement) => cut(() => db.many(statement)),
    one: (statement) => cut(() => db.one(statement)),
    maybe: (statement) => cut(() => db.maybe(statement)),
    run: (statement) => cut(() => db.run(statement)),
    send: (statement) => cut(() => db.send(statement)),
    tx: (work, options) => cut(() => db.tx(work, options)),
  })
  return { ...database, platform: through(database.platform), of: (id) => through(database.of(id)) }
}

test('a key that is revoked in the middle of a stream pays for what was said', async () => {
  const made = await newPriced()
  const { alice } = made
  const key = await alice.organizations.createApiKey({ name: 'short' })
  const { ask } = newReplica()
  const said = ask(key.key, { say: 'word '.repeat(1_000), between_ms: 10 }, { stream: true })
  await sleep(300)
  await alice.organizations.revokeApiKey({ key_id: key.id })
  assert.match((await said).message, /not valid/)
  const sum = sumOf(await linesOf(made, 1))
  assert.ok(sum > 1_000 * TOKEN && sum < 3_000 * TOKEN, String(sum))
})
