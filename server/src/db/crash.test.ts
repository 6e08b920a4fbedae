import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectOptions, connect } from './connect.ts'
import { sql } from './db.ts'
import { copyOfServerTemplate, copyOfTemplate, dropOnServer, testModes, withTables } from './testing.ts'
import { written } from './testing-writer.ts'

const KILLS = 4

/** Lets a process write until it is killed without notice, and returns the ids it said were acknowledged. */
async function writeUntilKilled(options: ConnectOptions, first: number): Promise<number[]> {
  const writer = spawn(
    process.execPath,
    [join(import.meta.dirname, 'testing-writer.ts'), JSON.stringify({ first, ...options })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const acknowledged: number[] = []
  for await (const line of createInterface({ input: writer.stdout })) {
    assert.doesNotMatch(line, /^refused/)
    if (line !== 'open') acknowledged.push(Number(line))
    // From the first row on it may die at any moment: between two statements, within one, at a commit.
    if (acknowledged.length === 1 && line !== 'open') sleep(Math.random() * 250).then(() => writer.kill('SIGKILL'))
  }
  return acknowledged
}

async function killAndCount(options: ConnectOptions): Promise<void> {
  let first = 1
  const acknowledged: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    acknowledged.push(...(await writeUntilKilled(options, first)))
    const database = await connect({ ...options, migrations: await withTables(written) })
    const rows = await database.platform.many<{ id: number; twin: number }>(
      sql`select id, twin from written order by id`,
    )
    await database.close()

    const ids = new Set(rows.map(({ id }) => id))
    assert.deepEqual(
      acknowledged.filter((id) => !ids.has(id)),
      [],
      'acknowledged, but lost',
    )
    assert.deepEqual(
      rows.filter(({ id, twin }) => twin !== (id % 2 === 0 ? id - 1 : 0)),
      [],
      'half of a transaction',
    )
    const last = rows.at(-1)?.id ?? 0
    first = last + (last % 2 === 0 ? 1 : 2)
  }
  assert.ok(acknowledged.length > KILLS)
}

for (const durability of ['fsync', 'process'] as const) {
  test(`embedded, ${durability}: no acknowledged row is lost when the process is killed at any moment`, async () => {
    const directory = await copyOfTemplate()
    try {
      await killAndCount({ directory, durability })
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
}

if (testModes.includes('postgres')) {
  test('postgres: no acknowledged row is lost when the process is killed at any moment', async () => {
    const database_url = await copyOfServerTemplate()
    try {
      await killAndCount({ database_url })
    } finally {
      await dropOnServer(database_url)
    }
  })
}
