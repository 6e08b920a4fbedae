import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { json, type Sql, sql } from './db.ts'
import { matching, page } from './page.ts'
import { openTestDatabase } from './testing.ts'

const database = await openTestDatabase()
after(() => database.close())

type Row = { id: number; name: string; place: number | null }

const rowsOf = (rows: Row[]): Sql => sql`jsonb_to_recordset(${json(rows)}::jsonb) as r (id int, name text, place int)`

const read = (rows: Row[], parameters: { limit: number; offset: number; order?: 'asc' | 'desc'; sort?: string }) =>
  page<Row>(database.platform, {
    select: sql`r.id, r.name, r.place`,
    from: rowsOf(rows),
    where: [sql`r.id > ${0}`],
    sortable: { place: 'r.place', name: 'r.name' },
    nullable: ['place'],
    id: 'r.id',
    parameters: { sort: 'place', order: 'asc', ...parameters },
  })

const numbered = (count: number, place: (i: number) => number | null): Row[] =>
  Array.from({ length: count }, (_, i) => ({ id: i + 1, name: `row ${i + 1}`, place: place(i) }))

test('pages of rows that sort alike hold every row once', async () => {
  for (const order of ['asc', 'desc'] as const) {
    const rows = numbered(25, (i) => (i % 5 === 0 ? null : i % 2))
    const ids: number[] = []
    for (let offset = 0; offset < 28; offset += 4) {
      const { items, total } = await read(rows, { limit: 4, offset, order })
      assert.equal(total, 25)
      ids.push(...items.map((item) => item.id))
    }
    assert.equal(ids.length, 25)
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      rows.map((row) => row.id),
    )
  }
})

test('rows without a value come last in either order', async () => {
  const rows = numbered(3, (i) => (i === 1 ? null : i))
  assert.deepEqual(
    (await read(rows, { limit: 3, offset: 0 })).items.map((item) => item.id),
    [1, 3, 2],
  )
  assert.deepEqual(
    (await read(rows, { limit: 3, offset: 0, order: 'desc' })).items.map((item) => item.id),
    [3, 1, 2],
  )
})

test('a page beyond the end is empty and still tells the total', async () => {
  assert.deepEqual(
    await read(
      numbered(3, () => 1),
      { limit: 5, offset: 3 },
    ),
    { items: [], total: 3, limit: 5, offset: 3 },
  )
  assert.deepEqual(await read([], { limit: 5, offset: 0 }), { items: [], total: 0, limit: 5, offset: 0 })
})

test('an item has the columns that were asked for and no others', async () => {
  const { items } = await read([{ id: 1, name: 'one', place: 7 }], { limit: 1, offset: 0 })
  assert.deepEqual(items, [{ id: 1, name: 'one', place: 7 }])
})

test('a sort that the list does not offer never reaches the database', async () => {
  await assert.rejects(read([], { limit: 1, offset: 0, sort: 'id; drop table users' }), /does not sort by/)
})

const found = async (text: string, words: string): Promise<boolean> => {
  const [condition = sql`true`] = matching(sql`${text}::text`, words)
  return (await database.platform.one<{ found: boolean }>(sql`select ${condition} as found`)).found
}

test('all words must be there, the last one as a prefix', async () => {
  const text = 'Ticket triage: Höhere High-Priority requests, alice@example.com'
  const cases: [string, boolean][] = [
    ['ticket', true],
    ['TICKET tri', true],
    ['tri ticket', false],
    ['ticket xyz', false],
    ['höh', true],
    ['high-prio', true],
    ['priority req', true],
    ['alice@exam', true],
    ['alice', true],
    ['!!! triage', true],
  ]
  for (const [words, expected] of cases) assert.equal(await found(text, words), expected, words)
})

test('nothing that is typed into a search is syntax', async () => {
  const odd = [
    "'",
    "''",
    '\\',
    "\\'",
    ':*',
    'a:*b',
    '&',
    '|!',
    '<->',
    '(',
    "x' | 'y",
    '\0',
    'a\0b',
    '   \t',
    '%',
    '"',
    '🙂',
  ]
  for (const words of odd) assert.equal(typeof (await found('x y z', `${words} tail`)), 'boolean', words)
  assert.equal(await found('x y', "z' | 'x"), false)
})

test('a search of white space alone is none', () => {
  assert.deepEqual(matching(sql`name`, undefined), [])
  assert.deepEqual(matching(sql`name`, ' \0 '), [])
})
