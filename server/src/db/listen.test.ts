import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Database, sql } from './db.ts'
import { onServer, openTestDatabases } from './testing.ts'

const databases = await openTestDatabases()
after(() => Promise.all(databases.map((database) => database.close())))

/** Resolves with what a channel says next. */
function hear(database: Database, channel: string) {
  const heard: string[] = []
  let wake = () => {}
  const listening = database.listen(channel, (payload) => {
    heard.push(payload)
    wake()
  })
  const until = async (count: number) => {
    while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve))
    return heard
  }
  return { listening, heard, until }
}

for (const database of databases) {
  const { mode, platform: db } = database
  const notify = (to: typeof db, channel: string, payload: string) =>
    to.many(sql`select pg_notify(${channel}, ${payload})`)

  test(`${mode}: what is notified is heard when it is committed, in order, by everybody who listens`, async () => {
    const [one, two] = [hear(database, 'Some channel'), hear(database, 'Some channel')]
    await Promise.all([one.listening, two.listening])
    await db.tx(async (tx) => {
      await notify(tx, 'Some channel', 'a')
      await notify(tx, 'Some channel', 'b')
      await notify(tx, 'another channel', 'x')
      assert.deepEqual(one.heard, [])
    })
    await db
      .tx(async (tx) => {
        await notify(tx, 'Some channel', 'never')
        throw new Error('undone')
      })
      .catch(() => {})
    await notify(db, 'Some channel', 'c')
    assert.deepEqual(await one.until(3), ['a', 'b', 'c'])
    assert.deepEqual(await two.until(3), ['a', 'b', 'c'])
  })

  test(`${mode}: what is told in a transaction is heard when it has committed, and never when it is undone`, async () => {
    const { listening, heard, until } = hear(database, 'told')
    await listening
    await db.tx(async (tx) => {
      tx.tell('told', 'a')
      await tx.tx(async (inner) => inner.tell('told', 'b'))
      const undone = tx.tx(async (inner) => {
        inner.tell('told', 'never')
        throw new Error('undone')
      })
      await assert.rejects(undone)
      await tx.run(sql`select 1`)
      assert.deepEqual(heard, [])
    })
    await db
      .tx(async (tx) => {
        tx.tell('told', 'never')
        throw new Error('undone')
      })
      .catch(() => {})
    db.tell('told', 'c')
    assert.deepEqual(await until(3), ['a', 'b', 'c'])
  })

  test(`${mode}: who stops listening hears no more, others go on`, async () => {
    const [one, two] = [hear(database, 'stopping'), hear(database, 'stopping')]
    const stop = await one.listening
    await two.listening
    await stop()
    await stop()
    await notify(db, 'stopping', 'a')
    assert.deepEqual(await two.until(1), ['a'])
    assert.deepEqual(one.heard, [])
  })

  if (mode === 'postgres') {
    test('postgres: a listening session that is lost comes back, and says that something may be missing', async () => {
      const channel = hear(database, 'lost')
      await channel.listening
      const { promise: gap, resolve } = Promise.withResolvers<void>()
      await database.listen('gaps', () => {}, resolve)
      const { name } = await db.one<{ name: string }>(sql`select current_database() as name`)
      await onServer(async (client) => {
        const ended = `select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'flow listener' and datname = $1`
        assert.equal((await client.query(ended, [name])).rowCount, 1)
      })
      await gap
      await notify(db, 'lost', 'back')
      assert.deepEqual(await channel.until(1), ['back'])
    })
  }
}
