/** What was settled is written once, whatever the database says to it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseUnavailable, type Db, sql } from '../../db/db.ts'
import { testFlow } from '../../testing.ts'
import { callAs } from '../traces/calls-testing.ts'
import { linesOf, newPriced, sumOf } from './governor-testing.ts'
import { openHolder } from './holder.ts'
import { openTill } from './till.ts'

const { platform } = await testFlow()
const { database } = platform

/** The database, where the answer to the next commit gets lost. */
function forgetful(): { database: typeof database; loseNext(): void } {
  let isLosing = false
  const tx: Db['tx'] = async (work, options) => {
    const value = await database.platform.tx(work, options)
    if (!isLosing) return value
    isLosing = false
    throw new DatabaseUnavailable('the connection broke at the end of the commit')
  }
  const own = Object.create(database, {
    platform: { value: Object.create(database.platform, { tx: { value: tx } }) },
  }) as typeof database
  return { database: own, loseNext: () => (isLosing = true) }
}

const spentBy = async (organization_id: string): Promise<number> => {
  const rows = await database.platform.many<{ nanocredits: number }>(sql`
    select nanocredits from gateway_spend where organization_id = ${organization_id} and kind = 'organization'`)
  return rows.reduce((sum, { nanocredits }) => sum + nanocredits, 0)
}

test('a batch whose end nobody learned is written once, also when others have come after it', async () => {
  const made = await newPriced()
  const { organization_id, workspace_id, admin } = made
  const caller = { organization_id, workspace_id, user_id: admin.user_id, key_id: null }
  const { database: own, loseNext } = forgetful()
  const holder = openHolder({ ...platform, database: own }, { lost: () => {} })
  await holder.here()
  const till = openTill({ ...platform, database: own }, holder)
  const put = () =>
    till.put({
      record: callAs(caller, {}),
      model: 'flow/echo',
      nanocredits: 7,
      accounts: [],
      settled_at: platform.clock.now().toISOString(),
      era: { isLost: false },
    })

  loseNext()
  put()
  await linesOf(made, 1)
  put()
  put()
  assert.ok(await till.close(30_000))

  assert.equal(sumOf(await linesOf(made, 3)), 21)
  assert.equal(await spentBy(organization_id), 21)
  await holder.leave()
})

test('what has piled up is written in few transactions', async () => {
  const made = await newPriced()
  const { organization_id, workspace_id, admin } = made
  const caller = { organization_id, workspace_id, user_id: admin.user_id, key_id: null }
  let transactions = 0
  const tx: Db['tx'] = (work, options) => {
    transactions += 1
    return database.platform.tx(work, options)
  }
  const own = Object.create(database, { platform: { value: Object.create(database.platform, { tx: { value: tx } }) } })
  const holder = openHolder(platform, { lost: () => {} })
  await holder.here()
  const till = openTill({ ...platform, database: own }, holder)
  const settled_at = platform.clock.now().toISOString()
  const era = { isLost: false }
  for (let i = 0; i < 1_500; i += 1) {
    till.put({ record: callAs(caller, {}), model: 'flow/echo', nanocredits: 7, accounts: [], settled_at, era })
  }
  assert.ok(await till.close(30_000))

  assert.equal(sumOf(await linesOf(made, 1_500)), 10_500)
  assert.ok(transactions <= 2, `${transactions}`)
  await holder.leave()
})

test('a line that the database refuses holds up nobody else’s', async () => {
  const [made, other] = [await newPriced(), await newPriced()]
  const holder = openHolder(platform, { lost: () => {} })
  await holder.here()
  const till = openTill(platform, holder)
  const put = ({ organization_id, workspace_id, admin }: typeof made, nanocredits: number) =>
    till.put({
      record: callAs({ organization_id, workspace_id, user_id: admin.user_id, key_id: null }, {}),
      model: 'flow/echo',
      nanocredits,
      accounts: [],
      settled_at: platform.clock.now().toISOString(),
      era: { isLost: false },
    })

  put(made, 1e20)
  put(other, 7)
  assert.ok(await till.close(30_000))

  assert.equal(sumOf(await linesOf(other, 1)), 7)
  assert.deepEqual(await linesOf(made, 0), [])
  await holder.leave()
})
