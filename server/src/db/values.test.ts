import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { json, sql, texts } from './db.ts'
import { openTestDatabases } from './testing.ts'

const databases = await openTestDatabases()
after(() => Promise.all(databases.map((database) => database.close())))

for (const database of databases) {
  const { mode } = database
  const db = database.platform

  test(`${mode}: columns come in wire form`, async () => {
    const row = await db.one(sql`
      select true as yes, 7::int2 as small, 8::int4 as int, 9007199254740991::int8 as big, 1.25::numeric as exact,
        0.5::float8 as half, 'é'::text as text, 'b2d6e3c0-0000-7000-8000-000000000001'::uuid as id,
        '{"a":[1,null]}'::jsonb as body, '[]'::json as list, '\\x00ff'::bytea as bytes, date '2026-02-28' as day,
        timestamptz '2026-02-28 23:59:59.1239+02' as at, timestamptz '2026-01-01 00:00:00Z' as round,
        timestamptz '2026-01-01 00:00:00.5Z' as fraction, null::text as nothing, '[1,2]'::vector as vector`)
    assert.deepEqual(row, {
      yes: true,
      small: 7,
      int: 8,
      big: 9007199254740991,
      exact: 1.25,
      half: 0.5,
      text: 'é',
      id: 'b2d6e3c0-0000-7000-8000-000000000001',
      body: { a: [1, null] },
      list: [],
      bytes: Buffer.from([0, 255]),
      day: '2026-02-28',
      at: '2026-02-28T21:59:59.123Z',
      round: '2026-01-01T00:00:00.000Z',
      fraction: '2026-01-01T00:00:00.500Z',
      nothing: null,
      vector: '[1,2]',
    })
  })

  test(`${mode}: many texts go as they are, as strings or as bytes`, async () => {
    const given = ['a "quoted" \\ one', 'NULL', null, '', 'é€😀', Buffer.from('{"bytes":"é"}')]
    const row = await db.one(sql`select ${texts(given)}::text[] as some, ${texts([])}::text[] as none`)
    assert.deepEqual(row, { some: given.map((text) => (text === null ? null : text.toString())), none: [] })
  })

  test(`${mode}: arrays come as arrays, whatever is in them`, async () => {
    const row = await db.one(sql`
      select array['a "quoted" \\ one', 'NULL', null, 'a,b', '{}', ''] as texts, '{}'::text[] as none,
        array['b2d6e3c0-0000-7000-8000-000000000001']::uuid[] as ids, array[[1,2],[3,4]] as grid,
        '[0:1]={5,6}'::int[] as shifted, array[true,false] as flags, array['{"a":1}'::jsonb] as bodies,
        array[timestamptz '2026-01-01 00:00:00Z'] as times, array['\\x01'::bytea] as bytes`)
    assert.deepEqual(row, {
      texts: ['a "quoted" \\ one', 'NULL', null, 'a,b', '{}', ''],
      none: [],
      ids: ['b2d6e3c0-0000-7000-8000-000000000001'],
      grid: [
        [1, 2],
        [3, 4],
      ],
      shifted: [5, 6],
      flags: [true, false],
      bodies: [{ a: 1 }],
      times: ['2026-01-01T00:00:00.000Z'],
      bytes: [Buffer.from([1])],
    })
  })

  test(`${mode}: parameters come back as they went`, async () => {
    const at = new Date('2026-05-01T10:00:00.250Z')
    const texts = ['a "b" \\ c', 'NULL', '{}', ',', '', 'ü😀']
    const bytes = Buffer.from([0, 1, 2, 255])
    const row = await db.one(sql`
      select ${'text'}::text as text, ${12}::int as int, ${1.5}::float8 as float, ${true}::bool as yes,
        ${null}::text as nothing, ${undefined}::text as missing, ${at}::timestamptz as at, ${bytes}::bytea as bytes,
        ${new Uint8Array([7])}::bytea as view, ${texts}::text[] as texts, ${[null, 'a']}::text[] as with_null,
        ${json({ a: ["'", '"'] })}::jsonb as body, ${json([1])}::jsonb as list, ${{ b: 2 }}::jsonb as plain,
        ${10n}::int8 as big, ${[]}::uuid[] as none`)
    assert.deepEqual(row, {
      text: 'text',
      int: 12,
      float: 1.5,
      yes: true,
      nothing: null,
      missing: null,
      at: '2026-05-01T10:00:00.250Z',
      bytes,
      view: Buffer.from([7]),
      texts,
      with_null: [null, 'a'],
      body: { a: ["'", '"'] },
      list: [1],
      plain: { b: 2 },
      big: 10,
      none: [],
    })
  })

  test(`${mode}: a number that would be rounded is a fault, and the next statement is not hurt`, async () => {
    await assert.rejects(db.many(sql`select 9007199254740993::int8 as big`), /too large to be read exactly/)
    await assert.rejects(db.many(sql`select 9007199254740993::numeric as big`), /too large to be read exactly/)
    assert.deepEqual(await db.one(sql`select 9007199254740993::int8::text as big`), { big: '9007199254740993' })
  })

  test(`${mode}: a text of a megabyte and a thousand rows of it come whole`, async () => {
    const long = 'ab€'.repeat(300_000)
    assert.equal((await db.one<{ long: string }>(sql`select ${long}::text as long`)).long, long)
    const rows = await db.many<{ n: number; text: string }>(
      sql`select n, repeat('x', 10000) as text from generate_series(1, 1000) n`,
    )
    assert.equal(rows.length, 1000)
    assert.ok(rows.every(({ n, text }, i) => n === i + 1 && text.length === 10_000))
  })

  test(`${mode}: a fault has the server's code, constraint and detail, and leads to who asked`, async () => {
    const fault = await db.run(sql`select 1 / ${0}::int`).catch((error) => error)
    assert.equal(fault.code, '22012')
    assert.match(fault.message, /division by zero/)
    assert.match(fault.stack, /values\.test\.ts/)

    const twice = await db
      .tx(async (tx) => {
        await tx.run(sql`create temp table named (name text constraint named_once unique) on commit drop`)
        await tx.run(sql`insert into named values ('a'), ('a')`)
      })
      .catch((error) => error)
    assert.equal(twice.code, '23505')
    assert.equal(twice.constraint, 'named_once')
    assert.equal(twice.detail, 'Key (name)=(a) already exists.')
  })

  test(`${mode}: what would break the protocol is refused before it is sent`, async () => {
    await assert.rejects(db.many({ text: "select 'a\0b'", values: [] }), { code: '22021' })
    await assert.rejects(db.many(sql`select ${'a\0b'}::text`), { code: '22021' })
    const many = { text: 'select 1', values: Array.from({ length: 65_536 }, () => 1) }
    await assert.rejects(db.many(many), { code: '54000' })
    assert.deepEqual(await db.one(sql`select 1 as fine`), { fine: 1 })
  })

  test(`${mode}: one statement is asked for one row, and says so when it is not`, async () => {
    assert.equal(await db.maybe(sql`select 1 where false`), undefined)
    await assert.rejects(db.one(sql`select 1 where false`), /one row was expected, 0 came/)
    await assert.rejects(db.one(sql`select generate_series(1, 2)`), /one row was expected, 2 came/)
  })
}
