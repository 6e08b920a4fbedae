import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Db, sql } from './db.ts'
import { openTestDatabases } from './testing.ts'

const tables = `
  create table notes (id int primary key, topic text not null);
  create table pages (note_id int references notes deferrable initially deferred)`

const databases = await openTestDatabases({ tables })
after(() => Promise.all(databases.map((database) => database.close())))

for (const database of databases) {
  const { mode } = database
  const db = database.platform
  const write = (to: Db, topic: string, id: number) =>
    to.run(sql`insert into notes (id, topic) values (${id}, ${topic})`)
  const written = async (topic: string) => {
    const rows = await db.many<{ id: number }>(sql`select id from notes where topic = ${topic} order by id`)
    return rows.map(({ id }) => id)
  }

  test(`${mode}: a transaction is there as a whole`, async () => {
    const result = await db.tx(async (tx) => {
      await write(tx, 'whole', 1)
      await write(tx, 'whole', 2)
      return 'done'
    })
    assert.equal(result, 'done')
    assert.deepEqual(await written('whole'), [1, 2])
  })

  test(`${mode}: a transaction that throws leaves nothing, and the session is usable after it`, async () => {
    const work = db.tx(async (tx) => {
      await write(tx, 'thrown', 11)
      throw new Error('a change of mind')
    })
    await assert.rejects(work, /a change of mind/)
    assert.deepEqual(await written('thrown'), [])
  })

  test(`${mode}: what is sent is committed with the rest, and nothing is when it is refused`, async () => {
    const send = (to: Db, id: number) => to.send(sql`insert into notes (id, topic) values (${id}, 'sent')`)
    await db.tx(async (tx) => {
      await send(tx, 9131)
      await tx.tx((inner) => send(inner, 9132))
    })
    await send(db, 9133)
    const refused = (work: (tx: Db) => Promise<void>) => assert.rejects(db.tx(work), { code: '23505' })
    await refused(async (tx) => {
      await write(tx, 'sent', 9134)
      await send(tx, 9131)
    })
    await refused(async (tx) => {
      await write(tx, 'sent', 9134)
      await tx.tx((inner) => send(inner, 9132))
    })
    await assert.rejects(send(db, 9133), { code: '23505' })

    assert.deepEqual(await written('sent'), [9131, 9132, 9133])
  })

  test(`${mode}: a refused statement fails its transaction, even when its author looks away`, async () => {
    await assert.rejects(
      db.tx(async (tx) => {
        await write(tx, 'failed', 21)
        await write(tx, 'failed', 21)
      }),
      { code: '23505' },
    )
    const lookedAway = db.tx(async (tx) => {
      await write(tx, 'failed', 22)
      await write(tx, 'failed', 22).catch(() => {})
    })
    await assert.rejects(lookedAway, { code: '25P02' })
    await assert.rejects(
      db.tx(async (tx) => {
        await write(tx, 'failed', 23)
        await tx.many(sql`selekt`).catch(() => {})
        await write(tx, 'failed', 24)
      }),
      { code: '25P02' },
    )
    assert.deepEqual(await written('failed'), [])
  })

  test(`${mode}: a constraint that is checked at the commit refuses the commit`, async () => {
    await assert.rejects(
      db.tx(async (tx) => {
        await write(tx, 'deferred', 31)
        await tx.run(sql`insert into pages values (999)`)
      }),
      { code: '23503' },
    )
    assert.deepEqual(await written('deferred'), [])
    await write(db, 'deferred', 32)
    assert.deepEqual(await written('deferred'), [32])
  })

  test(`${mode}: a transaction within a transaction is undone alone`, async () => {
    await db.tx(async (tx) => {
      await write(tx, 'nested', 41)
      await assert.rejects(
        tx.tx(async (inner) => {
          await write(inner, 'nested', 42)
          await inner.tx((innermost) => write(innermost, 'nested', 43))
          await write(inner, 'nested', 41)
        }),
        { code: '23505' },
      )
      await tx.tx((inner) => write(inner, 'nested', 44))
      await write(tx, 'nested', 45)
    })
    assert.deepEqual(await written('nested'), [41, 44, 45])
  })

  test(`${mode}: what a transaction contains goes with it`, async () => {
    const work = db.tx(async (tx) => {
      await tx.tx((inner) => write(inner, 'outer', 51))
      throw new Error('late')
    })
    await assert.rejects(work, /late/)
    assert.deepEqual(await written('outer'), [])
  })

  test(`${mode}: a handle is refused where its statement would belong to something else`, async () => {
    let kept: Db | undefined
    await db.tx(async (tx) => {
      kept = tx
      await tx.tx(async () => {
        await assert.rejects(write(tx, 'refused', 61), /a transaction within this one is open/)
      })
      await assert.rejects(
        tx.tx(async () => {}, { isolation: 'repeatable read' }),
        /the isolation of the outer one/,
      )
    })
    assert.ok(kept)
    await assert.rejects(write(kept, 'refused', 62), /has ended/)
    await assert.rejects(
      kept.tx(async () => {}),
      /has ended/,
    )
    assert.deepEqual(await written('refused'), [])
  })

  test(`${mode}: nothing slips into another's transaction`, async () => {
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 20 }, (_, i) =>
        db.tx(async (tx) => {
          await write(tx, 'mixed', 100 + 2 * i)
          await tx.many(sql`select pg_sleep(0.001)`)
          await write(tx, 'mixed', 101 + 2 * i)
          if (i % 2 === 0) throw new Error('undone')
        }),
      ),
      ...Array.from({ length: 50 }, (_, i) => write(db, 'alone', 200 + i)),
    ])
    assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 10)
    const kept = Array.from({ length: 20 }, (_, i) => i).filter((i) => i % 2 === 1)
    assert.deepEqual(
      await written('mixed'),
      kept.flatMap((i) => [100 + 2 * i, 101 + 2 * i]),
    )
    assert.equal((await written('alone')).length, 50)
  })

  test(`${mode}: statements asked at once in a transaction are done in their order`, async () => {
    await db.tx(async (tx) => {
      await Promise.all(Array.from({ length: 100 }, (_, i) => write(tx, 'at once', 300 + i)))
      const counts = await Promise.all([
        tx.run(sql`delete from notes where topic = ${'at once'}`),
        tx.one<{ left: number }>(sql`select count(*) as left from notes where topic = ${'at once'}`),
      ])
      assert.deepEqual(counts, [100, { left: 0 }])
    })
  })

  test(`${mode}: a repeatable read sees one moment`, async () => {
    await write(db, 'moment', 71)
    const seen = await db.tx(
      async (tx) => {
        const { isolation } = await tx.one<{ isolation: string }>(
          sql`select current_setting('transaction_isolation') as isolation`,
        )
        const before = await tx.many(sql`select id from notes where topic = 'moment'`)
        // Another session may write meanwhile; where there is only one, it cannot, which is the same to the reader.
        if (mode === 'postgres') await write(db, 'moment', 72)
        const after = await tx.many(sql`select id from notes where topic = 'moment'`)
        return { isolation, grew: after.length - before.length }
      },
      { isolation: 'repeatable read' },
    )
    assert.deepEqual(seen, { isolation: 'repeatable read', grew: 0 })
    assert.deepEqual(await db.one(sql`select current_setting('transaction_isolation') as isolation`), {
      isolation: 'read committed',
    })
  })

  test(`${mode}: a statement is prepared anew when the schema has changed`, async () => {
    const changing = () => db.tx((tx) => tx.many(sql`select * from changing`))
    await db.run(sql`create temp table changing (a int)`).catch((error) => assert.equal(error.code, '42501'))
    if (mode === 'postgres') return // a temporary table belongs to one session of many
    await db.run(sql`insert into changing values (1)`)
    assert.deepEqual(await changing(), [{ a: 1 }])
    await db.run(sql`alter table changing add column b int default 2`)
    assert.deepEqual(await changing(), [{ a: 1, b: 2 }])
    await db.run(sql`do $$ begin alter table changing drop column a; end $$`)
    assert.deepEqual(await db.many(sql`select * from changing`), [{ b: 2 }])
  })
}
