/** Lists: the one way a room reads a page of its rows. Items and total come from one statement, so they agree with
 *  each other; the id breaks ties, so pages never repeat a row. Here is also the full text search of every list. */

import type { ListParameters, Page } from '@flow/contract/common'
import { type Db, join, raw, type Sql, sql } from './db.ts'

export type PageQuery = {
  /** The columns of an item, such as `sql`c.id, c.name``. */
  select: Sql
  /** The table with its alias and its joins. */
  from: Sql
  /** Conditions that all must hold. At least the organization's or the workspace's. */
  where: [Sql, ...Sql[]]
  /** What each value of `sort` means in SQL. Text of the program, never of a caller. */
  sortable: Record<string, string>
  /** Those values of `sort` whose column may be null: such rows come last in either order. No index helps to sort so,
   *  therefore it is said only where it is needed. */
  nullable?: readonly string[]
  /** The column that breaks ties. */
  id: string
  parameters: ListParameters
}

/** Reads one page. `limit`, `offset`, `sort` and `order` are the caller's; `search` is a condition (see `matching`). */
export async function page<Item extends object>(db: Db, query: PageQuery): Promise<Page<Item>> {
  const { limit, offset, sort, order } = query.parameters
  const column = query.sortable[sort]
  if (!column) throw new Error(`this list does not sort by "${sort}"`)
  const nulls = query.nullable?.includes(sort) ? ' nulls last' : ''
  const place = raw(`${column} ${order}${nulls}, ${query.id} ${order}`)
  const where = join(query.where, ' and ')

  type Row = Item & { page_total: number; page_place: number | null }
  const rows = await db.many<Row>(sql`
    select matched.page_total, rows.*
    from (select count(*)::int as page_total from ${query.from} where ${where}) matched
    left join (
      select ${query.select}, row_number() over (order by ${place})::int as page_place
      from ${query.from} where ${where} order by ${place} limit ${limit} offset ${offset}
    ) rows on true
    order by rows.page_place`)

  // Without a row on this page the join leaves one that only carries the total.
  const items = rows.filter((row) => row.page_place !== null).map(({ page_total, page_place, ...item }) => item)
  return { items: items as object[] as Item[], total: rows[0]?.page_total ?? 0, limit, offset }
}

/** The condition of a full text search: all words, the last one as a prefix. None without `words`.
 *  `text` is the very expression that the table's index holds, without `to_tsvector`. */
export function matching(text: Sql, words: string | undefined): Sql[] {
  if (words === undefined) return []
  // Each word is quoted, so that PostgreSQL's own parser splits it just as it split the text. The parser sees a word
  // of its own in half an address only when it is whole, so the last one is also looked for as it stands.
  const quoted = words
    .replaceAll('\0', ' ')
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => `'${word.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`)
  const last = quoted.pop()
  if (last === undefined) return []
  const whole = sql`to_tsquery('simple', ${quoted.join(' & ')})`
  const begun = sql`(to_tsquery('simple', ${`${last}:*`}) || ${`${last.toLowerCase()}:*`}::tsquery)`
  return [sql`to_tsvector('simple', ${text}) @@ (${whole} && ${begun})`]
}
