/** `kill -9` in the middle of deliveries: another process goes on, and every event arrives. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readConfig } from '../config.ts'
import { contextOf, systemClock } from '../context.ts'
import { connect } from '../db/connect.ts'
import { testModes } from '../db/testing.ts'
import { openPlatform } from '../platform.ts'
import { prepare } from '../workflows/crash-testing.ts'
import { isSignedBy, openReceiver } from './testing.ts'
import * as webhooks from './webhooks.ts'

const EVENTS = 20
const environment = { FLOW_LOG_LEVEL: 'fatal', FLOW_SANDBOX_WORKERS: '1', FLOW_ALLOWED_HOSTS: '127.0.0.1' }

async function start(t: TestContext, orders: object): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'process-testing.ts')
  const child = spawn(process.execPath, ['--no-warnings', script, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  if (child.stdout) await once(child.stdout, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

for (const mode of testModes) {
  test(`no delivery is lost when its process is killed (${mode})`, { timeout: 120_000 }, async (t) => {
    const definition = { nodes: [{ id: 'one', type: 'condition', condition: 'true' }] }
    const made = await prepare(mode, {}, definition)
    t.after(made.remove)
    const { options, data_directory, who } = made
    const receiver = await openReceiver()
    const secret = await subscribe()
    const orders = { options, data_directory, ...who, emit: EVENTS }

    // The first process dies with some answered, some on their way and some not begun.
    receiver.answer = (response) => {
      if (receiver.received.length <= 5) response.end()
    }
    const first = await start(t, orders)
    await receiver.count(8)
    await kill(first)
    receiver.answer = (response) => response.end()
    const second = await start(t, { ...orders, emit: 0 })
    const versions = () => new Set(receiver.received.map(({ data }) => data.version))
    for (let count = receiver.received.length; versions().size < EVENTS; count += 1) await receiver.count(count)
    await kill(second)

    assert.ok(receiver.received.every((one) => isSignedBy(secret, one)))
    const ids = new Set(receiver.received.map(({ headers }) => headers['webhook-id']))
    assert.equal(ids.size, EVENTS, 'a message that comes again bears the id it had')

    async function subscribe(): Promise<string> {
      const database = await connect({ ...options, pool_max: 4 })
      const config = readConfig({ FLOW_DATA_DIR: data_directory, ...environment })
      const platform = await openPlatform(config, { database, clock: systemClock })
      const actor = { kind: 'user' as const, id: who.user_id, name: 'crash', grants: [], ...who }
      const ctx = contextOf(platform, database.of(who.organization_id), { actor, ...who })
      const made = await webhooks.create(ctx, { url: receiver.url, events: ['*'], description: '' })
      await platform.close(1000)
      return made.secret
    }
  })
}
