/** What is asked in one turn is asked together, and what is written together is there or not as each would be alone. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { asOne, DatabaseFault, DatabaseUnavailable, type Db, type Gathered, sql } from './db.ts'
import { sharedTransactions } from './group-commit.ts'
import { openTestDatabases } from './testing.ts'

const tables = `create table notes (id int primary key, writer int not null)`
const databases = await openTestDatabases({ tables })
after(() => Promise.all(databases.map((database) => database.close())))
const organization_id = '00000000-0000-4000-8000-000000000001'

for (const database of databases) {
  const { mode } = database
  const db = database.platform
  let id = 0
  const counted = () => {
    const batches: number[][] = []
    const ask: Gathered<number, number> = async (at, items) => {
      batches.push(items)
      const rows = await at.many<{ twice: number }>(sql`select item * 2 as twice from unnest(${items}::int[]) as item`)
      return rows.map(({ twice }) => twice)
    }
    return { batches, ask }
  }
  const insert: Gathered<number, void> = async (at, ids) => {
    await at.send(sql`insert into notes (id, writer) select id, 1 from unnest(${ids}::int[]) as id`)
    return ids.map(() => undefined)
  }
  const there = async (ids: number[]) => {
    const rows = await db.many<{ id: number }>(sql`select id from notes where id = any(${ids}::int[]) order by id`)
    return rows.map((row) => row.id)
  }

  test(`${mode}: what is asked in one turn, or after answers that came together, is asked once`, async () => {
    const { batches, ask } = counted()
    const twice = async (at: Db, item: number) => at.gather(ask, await at.gather(ask, item))
    assert.deepEqual(await db.tx((tx) => Promise.all([twice(tx, 1), twice(tx, 2), twice(tx, 3)])), [4, 8, 12])
    assert.deepEqual(await Promise.all([db.gather(ask, 5), db.gather(ask, 6)]), [10, 12])
    assert.deepEqual(batches, [
      [1, 2, 3],
      [2, 4, 6],
      [5, 6],
    ])
  })

  test(`${mode}: what is gathered last is committed with the rest, in a savepoint as well`, async () => {
    const [a, b, c, d] = [++id, ++id, ++id, ++id] as const
    await db.tx(async (tx) => {
      void tx.gather(insert, a)
      await tx.tx(async (inner) => void inner.gather(insert, b))
      const undone = tx.tx(async (inner) => {
        // Nobody listens to what becomes of it.
        void inner.gather(insert, c)
        throw new Error('undone')
      })
      await assert.rejects(undone, /undone/)
      void tx.gather(insert, d)
    })
    assert.deepEqual(await there([a, b, c, d]), [a, b, d])
  })

  test(`${mode}: in a transaction what cannot be answered fails for all who asked`, async () => {
    const wrong: Gathered<number, number> = (at, items) => at.many(sql`select 1 / ${items[0]}::int`)
    let answers: PromiseSettledResult<number>[] = []
    const failing = db.tx(async (tx) => {
      answers = await Promise.allSettled([tx.gather(wrong, 0), tx.gather(wrong, 1)])
      throw new Error('enough')
    })
    await assert.rejects(failing, /enough/)
    assert.deepEqual(
      answers.map((one) => (one.status === 'rejected' ? one.reason.code : undefined)),
      ['22012', '22012'],
    )
  })

  test(`${mode}: outside of a transaction nobody fails for a neighbour`, async () => {
    const [a, b, taken] = [++id, ++id, ++id] as const
    await db.run(sql`insert into notes (id, writer) values (${taken}, 1)`)
    const ends = await Promise.allSettled([a, taken, b].map((row) => db.gather(insert, row)))
    assert.deepEqual(
      ends.map((end) => (end.status === 'rejected' ? end.reason.code : end.status)),
      ['fulfilled', '23505', 'fulfilled'],
    )
    assert.deepEqual(await there([a, b]), [a, b])
  })

  test(`${mode}: a question about the same has one answer`, async () => {
    let asked = 0
    const ask = asOne(async (at: Db, about: { n: number }) => {
      asked += 1
      return (await at.one<{ n: number }>(sql`select ${about.n}::int as n`)).n
    })
    assert.deepEqual(await Promise.all([1, 2, 1, 1].map((n) => db.gather(ask, { n }))), [1, 2, 1, 1])
    assert.equal(asked, 2)
    await db.gather(ask, { n: 1 })
    assert.equal(asked, 3, 'what is asked later is read anew')
  })

  const share = sharedTransactions(database)
  /** Writes its row, and says in which transaction. */
  const write = async (at: Db, row: number) => {
    await at.gather(insert, row)
    return (await at.one<{ xid: string }>(sql`select pg_current_xact_id()::text as xid`)).xid
  }

  test(`${mode}: works that come in one turn share a transaction, and one that fails leaves the others whole`, async () => {
    const rows = Array.from({ length: 9 }, () => ++id)
    const good = await Promise.all(rows.slice(0, 3).map((row) => share(organization_id, (at) => write(at, row), 0)))
    assert.equal(new Set(good).size, 1)

    const calls = new Map<number, number>()
    const works = rows.slice(3).map((row, i) =>
      share(
        organization_id,
        async (at) => {
          calls.set(i, (calls.get(i) ?? 0) + 1)
          const xid = await write(at, row)
          if (i === 1) throw new Error('a refusal')
          // A fault of a statement spoils the whole transaction.
          if (i === 4) await at.run(sql`insert into notes (id, writer) values (${row}, 2)`)
          return xid
        },
        0,
      ),
    )
    const ends = await Promise.allSettled(works)
    assert.deepEqual(
      ends.map((end) => (end.status === 'rejected' ? (end.reason.code ?? end.reason.message) : 'written')),
      ['written', 'a refusal', 'written', 'written', '23505', 'written'],
    )
    assert.deepEqual(
      await there(rows),
      rows.filter((_, i) => i !== 4 && i !== 7),
    )
    // All together; then those at fault by themselves, and the others together.
    assert.deepEqual([...calls.values()], [2, 2, 2, 2, 2, 2])
  })

  test(`${mode}: what was sent last and is refused at the end is written by the others`, async () => {
    const [a, b, taken] = [++id, ++id, ++id] as const
    await db.run(sql`insert into notes (id, writer) values (${taken}, 1)`)
    const ends = await Promise.allSettled(
      [a, taken, b].map((row) => share(organization_id, (at) => at.gather(insert, row), 0)),
    )
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.deepEqual(await there([a, b]), [a, b])
  })
}

for (const fault of [
  new DatabaseUnavailable('the answer was lost'),
  new DatabaseFault({ code: '57014', message: 'it took too long' }),
]) {
  test(`what ended so is not done again: ${fault.message}`, async () => {
    let done = 0
    const share = sharedTransactions({
      of: () => ({
        ...(databases[0]?.platform as Db),
        async tx(work) {
          await work({} as Db)
          throw fault
        },
      }),
    })
    const ends = await Promise.allSettled([1, 2, 3].map(() => share(organization_id, async () => ++done, 0)))
    assert.ok(ends.every((end) => end.status === 'rejected' && end.reason === fault))
    assert.equal(done, 3)
  })
}
