import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type ConnectOptions, connect } from './connect.ts'
import { sql } from './db.ts'
import { DatabaseRefused } from './faults.ts'
import { type Migration, readMigrations } from './migrate.ts'
import { copyOfServerTemplate, copyOfTemplate, dropOnServer, testModes } from './testing.ts'

const ground = await readMigrations()
const leftovers: (() => unknown)[] = []
after(() => Promise.all(leftovers.map((remove) => remove())))

const migration = (number: number, text: string): Migration => ({
  number,
  name: `${number}_of_a_test.sql`,
  text,
  sha256: createHash('sha256').update(text).digest('hex'),
})

async function newPlace(mode: (typeof testModes)[number]): Promise<ConnectOptions> {
  if (mode === 'embedded') {
    const directory = await copyOfTemplate()
    leftovers.push(() => rmSync(directory, { recursive: true, force: true }))
    return { directory, durability: 'process' }
  }
  const database_url = await copyOfServerTemplate()
  leftovers.push(() => dropOnServer(database_url))
  return { database_url }
}

const refusal = (sentence: RegExp) => (error: Error) => {
  assert.ok(error instanceof DatabaseRefused, String(error))
  assert.match(error.message, sentence)
  return true
}

for (const mode of testModes) {
  test(`${mode}: each migration is applied once, in order, as a whole or not at all`, async () => {
    const place = await newPlace(mode)
    const first = migration(9001, 'create table counted (n int); insert into counted values (1)')
    const broken = migration(9002, 'insert into counted values (2); insert into missing values (1)')
    await assert.rejects(
      connect({ ...place, migrations: [...ground, first, broken] }),
      refusal(/^The migration 9002_of_a_test\.sql failed: relation "missing" does not exist/),
    )
    for (let i = 0; i < 2; i++) {
      const database = await connect({ ...place, migrations: [...ground, first] })
      assert.deepEqual(await database.platform.many(sql`select n from counted`), [{ n: 1 }])
      await database.close()
    }
  })

  test(`${mode}: a migration that was changed after it was applied is refused`, async () => {
    const place = await newPlace(mode)
    const before = migration(9001, 'create table changed (n int)')
    await (await connect({ ...place, migrations: [...ground, before] })).close()
    const changed = migration(9001, 'create table changed (n bigint)')
    await assert.rejects(
      connect({ ...place, migrations: [...ground, changed] }),
      refusal(/9001_of_a_test\.sql is not what was applied to this database/),
    )
  })

  test(`${mode}: a database of a newer Flow is refused`, async () => {
    const place = await newPlace(mode)
    await (await connect({ ...place, migrations: [...ground, migration(9001, 'select 1')] })).close()
    await assert.rejects(connect({ ...place, migrations: ground }), refusal(/has been used by a newer Flow/))
  })
}

if (testModes.includes('postgres')) {
  test('postgres: of many that start at once, one applies the migrations and all go on', async () => {
    const place = await newPlace('postgres')
    const slow = migration(9001, 'create table once (n int); select pg_sleep(0.2); insert into once values (1)')
    const databases = await Promise.all(
      Array.from({ length: 5 }, () => connect({ ...place, pool_max: 2, migrations: [...ground, slow] })),
    )
    for (const { platform } of databases) assert.deepEqual(await platform.many(sql`select n from once`), [{ n: 1 }])
    await Promise.all(databases.map((database) => database.close()))
  })
}

test('the files of migrations have numbers of their own', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'flow-test-'))
  leftovers.push(() => rmSync(directory, { recursive: true, force: true }))
  await writeFile(join(directory, '0001_one.sql'), '')
  await writeFile(join(directory, '0001_other.sql'), '')
  await assert.rejects(readMigrations(directory), /two migrations have the number of 0001_other\.sql/)
  await writeFile(join(directory, 'note.sql'), '')
  await assert.rejects(readMigrations(directory), /note\.sql is not called like 0001_name\.sql/)
})
