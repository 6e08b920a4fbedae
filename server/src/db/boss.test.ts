import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { PgBoss } from 'pg-boss'
import { executor } from './boss.ts'
import { sql } from './db.ts'
import { openTestDatabases } from './testing.ts'

const databases = await openTestDatabases()
after(() => Promise.all(databases.map((database) => database.close())))

for (const database of databases) {
  const { mode, platform: db } = database

  const open = async () => {
    const boss = new PgBoss({
      db: database.bossDatabase(),
      backend: mode === 'embedded' ? 'pglite' : 'postgres',
      schema: 'pgboss',
      createSchema: false,
      useListenNotify: true,
      superviseIntervalSeconds: 1,
    })
    const faults: unknown[] = []
    boss.on('error', (error) => faults.push(error))
    await boss.start()
    return { boss, faults }
  }

  test(`${mode}: the queue library starts twice, works on jobs and looks after itself`, async () => {
    for (let round = 0; round < 2; round++) {
      const { boss, faults } = await open()
      await boss.createQueue(`q${round}`, { notify: true })
      const done = Promise.withResolvers<object>()
      await boss.work<{ n: number }>(`q${round}`, async ([job]) => {
        done.resolve(job?.data ?? {})
      })
      await boss.send(`q${round}`, { n: round })
      assert.deepEqual(await done.promise, { n: round })
      await boss.schedule(`q${round}`, '0 3 * * *', null, { tz: 'Europe/Berlin' })
      await boss.supervise()
      await boss.stop({ graceful: true })
      assert.deepEqual(faults, [])
    }
  })

  test(`${mode}: a job is in the queue when its transaction commits, and never when it does not`, async () => {
    const { boss } = await open()
    await boss.createQueue('transactional')
    const jobs = async () =>
      (await db.one<{ jobs: number }>(sql`select count(*) as jobs from pgboss.job where name = 'transactional'`)).jobs
    await assert.rejects(
      db.tx(async (tx) => {
        await boss.send('transactional', { n: 1 }, { db: executor(tx) })
        throw new Error('undone')
      }),
      /undone/,
    )
    assert.equal(await jobs(), 0)
    await db.tx(async (tx) => {
      await tx.tx((inner) => boss.send('transactional', { n: 2 }, { db: executor(inner) }))
      await boss.send('transactional', { n: 3 }, { db: executor(tx) })
    })
    assert.equal(await jobs(), 2)
    const [first] = await boss.fetch<{ n: number }>('transactional')
    assert.equal(first?.data.n, 2)
    await boss.stop({ graceful: false })
  })

  test(`${mode}: a text of several statements gives all its rows, and one that fails leaves no transaction behind`, async () => {
    const boss = database.bossDatabase()
    const { rows } = await boss.executeSql(`begin; select 1 as n; select now() as at; commit`)
    assert.equal(rows[0].n, 1)
    assert.ok(rows[1].at instanceof Date)
    await assert.rejects(boss.executeSql('begin; select 1 / 0; commit'), { code: '22012' })
    assert.deepEqual((await boss.executeSql('select $1::int as n', [2])).rows, [{ n: 2 }])
    assert.equal(await db.run(sql`select 1`), 1)
    assert.deepEqual(await db.one(sql`select current_user as user, current_setting('app.org') as org`), {
      user: 'flow_app',
      org: '*',
    })
  })

  test(`${mode}: only the handle of a transaction enqueues in one`, async () => {
    assert.throws(() => executor(db), /this handle is not one/)
    const late = await db.tx(async (tx) => executor(tx))
    await assert.rejects(late.executeSql('select 1', []), /has ended/)
  })
}
