/** The way of calls into the database, when it is not smooth. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { newId } from '../../context.ts'
import { sql } from '../../db/db.ts'
import { openTestDatabase } from '../../db/testing.ts'
import { callAs } from './calls-testing.ts'
import { journalLimits, openJournal } from './journal.ts'

/** What is logged as an error. */
function newLog() {
  const lines: { msg: string; dropped?: number }[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  return { log, lines }
}
const who = () => ({ organization_id: newId(), workspace_id: newId(), user_id: newId(), key_id: null })

test('what is noted when the server stops is written', async () => {
  const database = await openTestDatabase()
  const { log, lines } = newLog()
  const journal = openJournal({ database, log })
  const count = journalLimits.batch_calls * 2 + 5
  for (let i = 0; i < count; i += 1) journal.note(callAs(who(), {}))
  await journal.close()

  assert.deepEqual(await database.platform.one(sql`select count(*)::int as count from gateway_calls`), { count })
  assert.deepEqual(lines, [])
  await database.close()
})

test('a call that cannot be written keeps no other from being written', async () => {
  const database = await openTestDatabase()
  const { log, lines } = newLog()
  const journal = openJournal({ database, log })
  const [first, odd, last] = [callAs(who(), {}), callAs({ ...who(), workspace_id: 'none' }, {}), callAs(who(), {})]
  for (const call of [first, odd, last]) journal.note(call)
  await journal.close()

  const rows = await database.platform.many<{ id: string }>(sql`select id from gateway_calls`)
  assert.deepEqual(new Set(rows.map(({ id }) => id)), new Set([first.id, last.id]))
  assert.match(lines[0]?.msg ?? '', /cannot be written/)
  await database.close()
})

test('what waits is bounded while the database is away: contents are let go first, then calls, and it is said', async () => {
  const database = await openTestDatabase()
  await database.close()
  const { log, lines } = newLog()
  const journal = openJournal({ database, log })
  const long = callAs(who(), { request: 'x'.repeat(1024 * 1024) })
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < journalLimits.calls + 7; i += 1) journal.note({ ...long, request: `${i}${long.request}` })
  // A million characters each would be 20 GB.
  assert.ok(process.memoryUsage().heapUsed - before < 300 * 1024 * 1024)
  await journal.close()

  assert.equal(lines.at(-1)?.dropped, journalLimits.calls + 7)
})
