import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { after, test } from 'node:test'
import { connect } from './connect.ts'
import { DatabaseUnavailable, sql } from './db.ts'
import { DatabaseRefused } from './faults.ts'
import { openDatabase } from './handles.ts'
import { Postgres, type PostgresOptions } from './postgres.ts'
import { APP_ROLE } from './postgres-owner.ts'
import { copyOfServerTemplate, dropOnServer, onServer, testModes, withTables } from './testing.ts'

const skip = testModes.includes('postgres') ? false : 'there is no PostgreSQL to test with'
const leftovers: (() => Promise<unknown>)[] = []
after(async () => {
  for (const remove of leftovers.toReversed()) await remove()
})

async function newUrl(): Promise<string> {
  const url = await copyOfServerTemplate()
  leftovers.push(() => dropOnServer(url))
  return url
}

async function open(options: Partial<PostgresOptions> = {}) {
  const postgres = new Postgres({
    url: await newUrl(),
    role: APP_ROLE,
    pool_max: 1,
    statement_timeout_ms: 30_000,
    idle_timeout_ms: 10_000,
    wait_timeout_ms: 30_000,
    warn: () => {},
    ...options,
  })
  const database = openDatabase(postgres)
  return { database, db: database.platform }
}

/** A user of the server with a database of its own, on which a superuser has put pgvector. */
async function newUser(attributes: string): Promise<string> {
  const [name, password] = [`flow_user_${randomBytes(6).toString('hex')}`, randomBytes(12).toString('hex')]
  await onServer(async (client) => {
    await client.query(`create role ${name} login password '${password}' ${attributes}`)
    await client.query(`create database ${name} owner ${name}`)
  })
  leftovers.push(() =>
    onServer(async (client) => {
      await client.query(`drop database ${name} with (force)`)
      await client.query(`drop role ${name}`)
    }),
  )
  const own = new URL(await newUrl())
  own.pathname = `/${name}`
  await onServer((client) => client.query('create extension vector'), own.href)
  own.username = name
  own.password = password
  return own.href
}

test('a server that does not answer or does not let us in is named, its password is not', async () => {
  const refusal = async (database_url: string) => {
    const error = await connect({ database_url }).catch((error) => error)
    assert.ok(error instanceof DatabaseRefused)
    assert.doesNotMatch(error.message, /hush/)
    return error.message
  }
  assert.match(
    await refusal('postgres://user:hush@127.0.0.1:1/flow'),
    /^The PostgreSQL at 127\.0\.0\.1:1\/flow can't be used: .*ECONNREFUSED/,
  )
  if (skip) return
  const url = new URL(await newUrl())
  url.password = 'hush'
  assert.match(await refusal(url.href), /password authentication failed/)
})

test('a statement over its limit is stopped, and the session goes on', { skip }, async () => {
  const { database, db } = await open({ statement_timeout_ms: 200 })
  await assert.rejects(db.many(sql`select pg_sleep(10)`), { code: '57014' })
  assert.deepEqual(await db.one(sql`select 1 as fine`), { fine: 1 })
  await database.close()
})

test('a transaction that idles too long is rolled back, and its session replaced', { skip }, async () => {
  const { database, db } = await open({ idle_timeout_ms: 100 })
  const idle = db.tx(async (tx) => {
    await tx.many(sql`select 1`)
    await new Promise((resolve) => setTimeout(resolve, 400))
    await tx.many(sql`select 2`)
  })
  await assert.rejects(idle, { code: '25P03' })
  assert.deepEqual(await db.one(sql`select 1 as fine`), { fine: 1 })
  await database.close()
})

test('a session that is lost in use is unavailable, and the next one is fresh', { skip }, async () => {
  const { database, db } = await open({ pool_max: 2 })
  const organization = randomUUID()
  const pid = async () => (await db.one<{ pid: number }>(sql`select pg_backend_pid() as pid`)).pid
  const before = await pid()
  const sleeping = db.many(sql`select pg_sleep(10)`)
  const transaction = db.tx(async (tx) => {
    const { pid } = await tx.one<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    await onServer((client) => client.query('select pg_terminate_backend($1), pg_terminate_backend($2)', [pid, before]))
    await tx.many(sql`select 2`)
  })
  const outcomes = await Promise.allSettled([sleeping, transaction])
  for (const outcome of outcomes)
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof DatabaseUnavailable)
  assert.notEqual(await pid(), before)
  assert.deepEqual(await database.of(organization).one(sql`select current_setting('app.org') as org`), {
    org: organization,
  })
  await database.close()
})

test('a server that falls silent, at the greeting or later, is unavailable; the next session is fresh', {
  skip,
}, async () => {
  const url = new URL(await newUrl())
  const { hostname, port } = url
  /** A line that has heard this says nothing more. */
  let last = ''
  const line = createServer((near) => {
    const far = createConnection(Number(port), hostname)
    let isMute = false
    near.on('data', (bytes) => {
      isMute ||= last !== '' && bytes.includes(last)
      if (!isMute) far.write(bytes)
    })
    far.on('data', (bytes) => isMute || near.write(bytes))
    near.on('error', () => {}).on('close', () => far.destroy())
    far.on('error', () => {}).on('close', () => near.destroy())
  }).listen(0, '127.0.0.1')
  leftovers.push(async () => line.close())
  await once(line, 'listening')
  url.hostname = '127.0.0.1'
  url.port = String((line.address() as AddressInfo).port)
  const { database, db } = await open({ url: url.href, statement_timeout_ms: 200 })
  await db.many(sql`select 1`)

  for (const heard of ['select 2', 'set timezone']) {
    last = heard
    await assert.rejects(db.many(sql`select 2`), DatabaseUnavailable, heard)
  }
  last = ''
  assert.deepEqual(await db.many(sql`select 2 as two`), [{ two: 2 }])
  await database.close()
})

test('who gets no session in time is told that the database is busy', { skip }, async () => {
  const { database, db } = await open({ wait_timeout_ms: 200 })
  await db.tx(async (tx) => {
    await tx.many(sql`select 1`)
    await assert.rejects(db.many(sql`select 2`), DatabaseUnavailable)
  })
  await database.close()
  await assert.rejects(db.many(sql`select 1`), DatabaseUnavailable)
})

test('an owner who may not create roles is subject to the policies himself', { skip }, async () => {
  const database = await connect({
    database_url: await newUser('nosuperuser nocreaterole'),
    migrations: await withTables(`create table things (organization_id uuid not null); select flow_tenant('things')`),
  })
  const [ours, theirs] = [randomUUID(), randomUUID()]
  const insert = (as: string, organization_id: string) =>
    database.of(as).run(sql`insert into things values (${organization_id})`)
  await insert(ours, ours)
  await insert(theirs, theirs)
  await assert.rejects(insert(ours, theirs), { code: '42501' })
  assert.deepEqual(await database.of(ours).many(sql`select * from things`), [{ organization_id: ours }])
  assert.equal((await database.platform.many(sql`select * from things`)).length, 2)
  await database.bossDatabase().executeSql('create table pgboss.of_the_owner ()')
  await database.close()
})

test('an owner who may create roles works as flow_app', { skip }, async () => {
  const url = await newUser('nosuperuser createrole')
  // Another database of this cluster may have made the role before: then a superuser lets him be a member.
  await onServer((client) => client.query(`grant ${APP_ROLE} to ${new URL(url).username}`))
  const database = await connect({ database_url: url })
  assert.deepEqual(await database.platform.one(sql`select current_user as name`), { name: APP_ROLE })
  await database.close()
})

test('an owner who sees every row and may be nobody else is refused', { skip }, async () => {
  await assert.rejects(connect({ database_url: await newUser('nosuperuser bypassrls') }), (error: Error) => {
    assert.ok(error instanceof DatabaseRefused)
    assert.match(error.message, /sees every organization's rows .* create role flow_app nologin; grant flow_app to/)
    return true
  })
})

test('a statement is prepared anew in every session when the schema has changed', { skip }, async () => {
  const url = await newUrl()
  const { database, db } = await open({ url, pool_max: 3 })
  const alter = (text: string) => onServer((client) => client.query(text), url)
  await alter('create table changing (a int); insert into changing values (1)')
  await alter('grant select on changing to flow_app')
  const read = () => db.many(sql`select * from changing`)
  await Promise.all([read(), read(), read()])
  await alter('alter table changing add column b int default 2')
  assert.deepEqual(await Promise.all([read(), read(), read()]), Array(3).fill([{ a: 1, b: 2 }]))
  await database.close()
})
