import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import { PLATFORM } from './adapter.ts'
import { sql } from './db.ts'
import { openEmbedded } from './embedded.ts'
import { copyOfTemplate } from './testing.ts'
import { isCheckpointDue, tidyTables } from './upkeep.ts'

test('dead rows are vacuumed, statistics are made, and a long log is due for a checkpoint', async () => {
  const directory = await copyOfTemplate()
  const embedded = await openEmbedded({
    directory,
    durability: 'process',
    statement_timeout_ms: 60_000,
    idle_timeout_ms: 10_000,
    wait_timeout_ms: 60_000,
  })
  const ask = async (statement: ReturnType<typeof sql>) => (await embedded.once(PLATFORM, statement)).rows
  await embedded.asOwner((session) => session.script('create table worn (n int, text text)'))
  await ask(sql`insert into worn select n, repeat('x', 900) from generate_series(1, 40000) n`)
  await ask(sql`update worn set n = n + 1`)
  // The server counts rows when the statement that changed them is over.
  await ask(sql`select pg_stat_force_next_flush()`)

  assert.equal(await isCheckpointDue(embedded), true)
  await embedded.asOwner((session) => session.script('checkpoint'))
  assert.equal(await isCheckpointDue(embedded), false)

  const tidied = await tidyTables(embedded)
  assert.deepEqual(
    tidied.filter(({ name }) => name === 'public.worn'),
    [{ name: 'public.worn', vacuum: true }],
  )
  const [worn] = await ask(sql`
    select n_dead_tup as dead, (select count(*) > 0 from pg_stats where tablename = 'worn') as has_statistics
    from pg_stat_user_tables where relname = 'worn'`)
  assert.equal(worn?.dead, 0)
  assert.deepEqual(
    (await tidyTables(embedded)).filter(({ name }) => name === 'public.worn'),
    [],
  )
  await embedded.close()
  rmSync(directory, { recursive: true, force: true })
})
