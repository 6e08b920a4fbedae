import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { connect } from './connect.ts'
import { DatabaseFault, DatabaseUnavailable, sql } from './db.ts'
import { type Embedded, type EmbeddedOptions, openEmbedded } from './embedded.ts'
import { DatabaseRefused, DirectoryInUse } from './faults.ts'
import { openDatabase } from './handles.ts'
import { copyOfTemplate } from './testing.ts'

const directories: string[] = []
const opened: Embedded[] = []
after(async () => {
  // Where a test has failed, its database would keep the process.
  await Promise.all(opened.map((embedded) => embedded.close()))
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

async function newDirectory(): Promise<string> {
  const directory = await copyOfTemplate()
  directories.push(directory)
  return directory
}

async function open(options: Partial<EmbeddedOptions> = {}) {
  const embedded = await openEmbedded({
    directory: await newDirectory(),
    durability: 'process',
    statement_timeout_ms: 30_000,
    idle_timeout_ms: 10_000,
    wait_timeout_ms: 30_000,
    ...options,
  })
  opened.push(embedded)
  return { embedded, database: openDatabase(embedded), db: openDatabase(embedded).platform }
}

test('a second process is refused the directory with a sentence, and gets it when the first is gone', async () => {
  const directory = await newDirectory()
  const start = () => {
    const options = JSON.stringify({ directory, durability: 'process', first: 1 })
    const writer = spawn(process.execPath, [join(import.meta.dirname, 'testing-writer.ts'), options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    return { writer, lines: createInterface({ input: writer.stdout })[Symbol.asyncIterator]() }
  }
  const first = start()
  assert.equal((await first.lines.next()).value, 'open')

  const second = start()
  const said = String((await second.lines.next()).value)
  assert.match(said, /^refused The data directory .+ is in use by another Flow\. Stop that one first/)
  assert.ok(said.includes(directory))
  await assert.rejects(connect({ directory, durability: 'process' }), DirectoryInUse)

  first.writer.kill('SIGKILL')
  await once(first.writer, 'exit')
  const third = start()
  assert.equal((await third.lines.next()).value, 'open')
  third.writer.kill('SIGKILL')
  await once(third.writer, 'exit')
})

test('a second open in the same process is refused, and does not harm the first', async () => {
  const directory = await newDirectory()
  const first = await connect({ directory, durability: 'process' })
  await assert.rejects(connect({ directory, durability: 'process' }), DirectoryInUse)
  await assert.rejects(connect({ directory, durability: 'process' }), DirectoryInUse)
  assert.deepEqual(await first.platform.one(sql`select 1 as fine`), { fine: 1 })
  await first.close()
  await (await connect({ directory, durability: 'process' })).close()
})

test('an empty directory becomes a database, and one that was left half made becomes one, too', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'flow-test-'))
  directories.push(directory)
  // What a crash during the very first start leaves behind.
  mkdirSync(join(directory, 'postgres.making', 'base'), { recursive: true })
  writeFileSync(join(directory, 'postgres.making', 'PG_VERSION'), '18\n')
  const first = await connect({ directory })
  assert.equal(first.durability, 'fsync')
  await first.close()
  assert.deepEqual(readdirSync(directory).toSorted(), ['lock.sqlite', 'postgres'])
})

test('a directory of another version of PostgreSQL is refused with a sentence', async () => {
  const directory = await newDirectory()
  writeFileSync(join(directory, 'postgres', 'PG_VERSION'), '17\n')
  await assert.rejects(connect({ directory, durability: 'process' }), (error: Error) => {
    assert.ok(error instanceof DatabaseRefused)
    assert.match(error.message, /is of PostgreSQL 17, this Flow brings 18/)
    return true
  })
})

test('a statement over its limit is stopped, and the next one is answered from the log', async () => {
  const { database, db } = await open({ statement_timeout_ms: 500 })
  await db.run(sql`create table kept (n int)`)
  await db.run(sql`insert into kept values (1)`)
  const gaps: string[] = []
  const heard: string[] = []
  await database.listen(
    'kept',
    (payload) => heard.push(payload),
    () => gaps.push('gap'),
  )

  const endless = db.many(sql`select count(*) from generate_series(1, 1000000000) a, generate_series(1, 1000) b`)
  const behind = db.run(sql`insert into kept values (2)`)
  const [first, second] = await Promise.allSettled([endless, behind])
  assert.ok(first.status === 'rejected' && first.reason instanceof DatabaseFault && first.reason.code === '57014')
  assert.ok(second.status === 'rejected' && second.reason instanceof DatabaseUnavailable)

  assert.deepEqual(await db.many(sql`select n from kept`), [{ n: 1 }])
  await db.many(sql`select pg_notify('kept', 'again')`)
  assert.deepEqual([gaps, heard], [['gap'], ['again']])
  await database.close()
})

test('a transaction that is lost with its thread fails, and what waited for it goes on', async () => {
  const { database, db } = await open({ statement_timeout_ms: 500 })
  await db.run(sql`create table lost (n int)`)
  const transaction = db.tx(async (tx) => {
    await tx.run(sql`insert into lost values (1)`)
    await tx
      .many(sql`select count(*) from generate_series(1, 1000000000) a, generate_series(1, 1000) b`)
      .catch(() => {})
    await tx.run(sql`insert into lost values (2)`)
  })
  const waiting = db.many(sql`select n from lost`)
  await assert.rejects(transaction, DatabaseUnavailable)
  assert.deepEqual(await waiting, [])
  await database.close()
})

test('a transaction that waits for a statement outside of itself is rolled back instead of waiting for ever', async () => {
  const { database, db } = await open({ idle_timeout_ms: 300 })
  await db.run(sql`create table idle (n int)`)
  const transaction = db.tx(async (tx) => {
    await tx.run(sql`insert into idle values (1)`)
    await db.run(sql`insert into idle values (2)`)
    await tx.run(sql`insert into idle values (3)`)
  })
  await assert.rejects(transaction, { code: '25P03' })
  assert.deepEqual(await db.many(sql`select n from idle`), [{ n: 2 }])
  await database.close()
})

test('who waits too long for the session is told that the database is busy', async () => {
  const { database, db } = await open({ wait_timeout_ms: 300 })
  await db.tx(async (tx) => {
    await tx.many(sql`select 1`)
    await assert.rejects(db.many(sql`select 2`), DatabaseUnavailable)
    await tx.many(sql`select 3`)
  })
  assert.deepEqual(await db.one(sql`select 4 as n`), { n: 4 })
  await database.close()
})

test('closing waits for what was asked, and refuses what comes later', async () => {
  const { database, db } = await open()
  await db.run(sql`create table closing (n int)`)
  const asked = Array.from({ length: 20 }, (_, n) => db.tx((tx) => tx.run(sql`insert into closing values (${n})`)))
  const closing = database.close()
  assert.deepEqual(await Promise.all(asked), Array(20).fill(1))
  await closing
  await assert.rejects(db.many(sql`select 1`), DatabaseUnavailable)
  await database.close()
})

test('more different statements than are kept prepared are all answered', async () => {
  const { database, db } = await open()
  for (let round = 0; round < 2; round++) {
    const rows = await Promise.all(
      Array.from({ length: 700 }, (_, n) => db.one<{ n: number }>({ text: `select ${n} as n`, values: [] })),
    )
    assert.ok(rows.every((row, n) => row.n === n))
  }
  await database.close()
})

test('vectors of more dimensions than there can be are refused, and the session goes on', async () => {
  const { database, db } = await open()
  const long = `[${Array(20_000).fill('0.5').join(',')}]`
  await assert.rejects(db.many(sql`select ${long}::vector`), { code: '54000' })
  await assert.rejects(db.many(sql`select ${long}::halfvec`), { code: '54000' })
  assert.deepEqual(await db.one(sql`select '[1,2]'::vector <-> '[1,4]'::vector as distance`), { distance: 2 })
  await database.close()
})
