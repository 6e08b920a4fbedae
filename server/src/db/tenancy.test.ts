import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { type Db, sql } from './db.ts'
import { openTestDatabases } from './testing.ts'

const tables = `
  create table things (id int primary key, organization_id uuid not null, name text not null);
  create index things_searched on things using gin (to_tsvector('simple', name));
  select flow_tenant('things')`

const databases = await openTestDatabases({ tables })
after(() => Promise.all(databases.map((database) => database.close())))

for (const database of databases) {
  const { mode } = database
  let next_id = 1

  const newTenants = async () => {
    const [ours, theirs] = [randomUUID(), randomUUID()] as const
    const id = next_id++
    const insert = (db: Db, organization_id: string, name: string) =>
      db.run(sql`insert into things (id, organization_id, name) values (${next_id++}, ${organization_id}, ${name})`)
    await insert(database.of(ours), ours, `ours ${id}`)
    await insert(database.of(theirs), theirs, `theirs ${id}`)
    return { ours, theirs, us: database.of(ours), them: database.of(theirs), insert }
  }
  const names = async (db: Db) =>
    (await db.many<{ name: string }>(sql`select name from things order by id`)).map(({ name }) => name)

  test(`${mode}: an organization sees its own rows, the platform sees all`, async () => {
    const { us, them } = await newTenants()
    const [our, their] = await Promise.all([names(us), names(them)])
    assert.equal(our.length, 1)
    assert.match(our[0] ?? '', /^ours/)
    assert.match(their[0] ?? '', /^theirs/)
    const all = await names(database.platform)
    assert.ok([...our, ...their].every((name) => all.includes(name)))
  })

  test(`${mode}: the platform changes a row that somebody else is changing`, async () => {
    const { ours } = await newTenants()
    const rename = (db: Db, name: string) =>
      db.run(sql`
      update things t set name = w.name from (values (${ours}::uuid, ${name}::text)) as w (organization_id, name)
      where t.organization_id = w.organization_id`)
    let later: Promise<number> | undefined
    await database.platform.tx(async (db) => {
      await rename(db, 'first')
      later = database.platform.tx((other) => rename(other, 'second'))
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    assert.equal(await later, 1)
    const names = await database.platform.many(sql`select name from things where organization_id = ${ours}`)
    assert.deepEqual(names, [{ name: 'second' }])
  })

  test(`${mode}: nobody writes, changes or removes another's rows`, async () => {
    const { ours, theirs, us, them, insert } = await newTenants()
    await assert.rejects(insert(us, theirs, 'planted'), { code: '42501' })
    assert.equal(await us.run(sql`update things set name = 'taken' where organization_id = ${theirs}`), 0)
    assert.equal(await us.run(sql`delete from things where organization_id = ${theirs}`), 0)
    await assert.rejects(us.run(sql`update things set organization_id = ${theirs} where organization_id = ${ours}`), {
      code: '42501',
    })
    assert.match((await names(them))[0] ?? '', /^theirs/)
  })

  test(`${mode}: tenants that ask in turns are never mistaken, also around faults and rollbacks`, async () => {
    const { us, them } = await newTenants()
    const [[our], [their]] = await Promise.all([names(us), names(them)])
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        if (i % 3 === 0) await us.run(sql`select 1 / 0`).catch(() => {})
        if (i % 4 === 0) {
          await them
            .tx(async (tx) => {
              assert.deepEqual(await names(tx), [their])
              throw new Error('undone')
            })
            .catch((error) => assert.equal(error.message, 'undone'))
        }
        assert.deepEqual(await names(i % 2 === 0 ? us : them), [i % 2 === 0 ? our : their])
      }),
    )
  })

  test(`${mode}: only an id makes a tenant`, () => {
    for (const wrong of ['*', '', 'acme', `${randomUUID()}'`]) assert.throws(() => database.of(wrong), /is not the id/)
  })

  test(`${mode}: a session without a tenant sees nothing, and none works as an owner`, async () => {
    await newTenants()
    const unset = await database.platform.tx(async (tx) => {
      await tx.many(sql`select set_config('app.org', '', true)`)
      return names(tx)
    })
    assert.deepEqual(unset, [])
    const user = await database.platform.one(sql`
      select current_user as name, rolsuper or rolbypassrls as is_above, has_table_privilege('things', 'truncate') as may_truncate
      from pg_roles where rolname = current_user`)
    assert.deepEqual(user, { name: 'flow_app', is_above: false, may_truncate: false })
    await assert.rejects(database.platform.run(sql`alter table things disable row level security`), { code: '42501' })
  })

  test(`${mode}: a search uses its index under the policy`, async () => {
    const { us } = await newTenants()
    const plan = await us.tx(async (tx) => {
      await tx.run(sql`set local enable_seqscan = off`)
      return tx.many<Record<string, string>>(
        sql`explain select * from things where to_tsvector('simple', name) @@ to_tsquery('simple', 'ours')`,
      )
    })
    assert.match(plan.map((line) => line['QUERY PLAN']).join('\n'), /Index Scan on things_searched/)
  })
}
