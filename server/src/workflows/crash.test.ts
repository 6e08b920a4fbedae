/** `kill -9` at every moment of an execution's writing: nothing is lost, nothing that is recorded runs again, and the
 *  result is the one it would have been. One workflow has all the patterns; each round begins an execution, dies, and
 *  lets the next process finish it. FLOW_CRASH=all dies at every writing instead of some. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { workflows as contract } from '@flow/contract/workflows'
import * as components from '../components/components.ts'
import { contextOf, newId, type Platform, systemClock } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import type { Database } from '../db/db.ts'
import { copyOfServerTemplate, copyOfTemplate, dropOnServer, testModes } from '../db/testing.ts'
import { found } from '../organizations/founding.ts'
import { accountOf } from '../users/users.ts'
import type { Death, Orders, Told, Who } from './testing-process.ts'
import * as workflows from './workflows.ts'

const EVERY = process.env.FLOW_CRASH === 'all'
/** Otherwise one moment in so many, another one each time the tests run. */
const STRIDE = 16

const code = (id: string, slug: string, more: object = {}) => ({ id, type: 'code_block', component_ref: slug, ...more })
const edge = (source: string, target: string, more: object = {}) => ({ source, target, ...more })

const blocks: Record<string, string> = {
  add: 'export const main = ({ n }) => ({ n: n + 1 })',
  flaky:
    "export const main = async ({ n }) => { const { attempt } = await flow.call('context'); if (attempt === 1) throw new Error('once'); return { n: n * 10 } }",
  fails: "export const main = () => { throw new Error('always') }",
  square: 'export const main = (n) => n * n',
}

/** Sequence, parallel split and synchronisation, exclusive choice, the first of two, map, retry, route, rest. */
const definition = {
  nodes: [
    code('a', 'add'),
    { id: 'is_big', type: 'condition', condition: 'nodes.a.output.n > 3' },
    code('big', 'add', { input: { n: 100 } }),
    code('small', 'add', { input: { n: 1 } }),
    code('flaky', 'flaky', { retry: { max_attempts: 3, backoff_seconds: 0.02 } }),
    code('fails', 'fails', { on_error: 'route' }),
    code('mended', 'add', { input: { n: 7 } }),
    { id: 'each', type: 'map', component_ref: 'square', items: '{{ [1, 2, 3, 4, nodes.a.output.n] }}', concurrency: 2 },
    code('sync', 'add', { input: { n: '{{ nodes.flaky.output.n + nodes.mended.output.n }}' } }),
    code('first', 'add', { join: 'any', input: { n: 1000 } }),
    { id: 'rest', type: 'wait', seconds: 86_400 },
    code('last', 'add', { input: { n: '{{ nodes.sync.output.n }}' } }),
  ],
  edges: [
    edge('a', 'is_big'),
    edge('is_big', 'big', { condition: 'nodes.is_big.output' }),
    edge('is_big', 'small', { condition: '!nodes.is_big.output' }),
    edge('a', 'flaky'),
    edge('a', 'fails'),
    edge('fails', 'mended', { on: 'error' }),
    edge('a', 'each'),
    edge('flaky', 'sync'),
    edge('mended', 'sync'),
    edge('big', 'first'),
    edge('small', 'first'),
    edge('sync', 'rest'),
    edge('each', 'rest'),
    edge('first', 'rest'),
    edge('rest', 'last'),
  ],
  output: {
    last: '{{ nodes.last.output }}',
    each: '{{ nodes.each.output }}',
    first: '{{ nodes.first.output }}',
    small: '{{ nodes.small.status }}',
  },
}
const result = { last: { n: 50 }, each: [1, 4, 9, 16, 16], first: { n: 1001 }, small: 'skipped' }

/** An organization with the workflow, in a database that nobody has open. */
async function prepare(options: ConnectOptions): Promise<{ who: Who; workflow_id: string }> {
  const database = await connect({ ...options, pool_max: 4 })
  const now = systemClock.now().toISOString()
  const made = await database.platform.tx(async (db) => {
    const { id: admin_id } = await accountOf(db, `crash-${newId()}@example.com`, 'Crash', now)
    return { admin_id, ...(await found(db, { name: 'Crash', admin_id, now, slug: `crash-${newId()}` })) }
  })
  const who = {
    organization_id: made.organization?.id ?? '',
    workspace_id: made.workspace?.id ?? '',
    user_id: made.admin_id,
  }
  const ctx = contextFor(database, who)
  for (const [slug, text] of Object.entries(blocks)) {
    const config = { language: 'javascript', code: text }
    await components.create(ctx, {
      type: 'code_block',
      name: slug,
      slug,
      description: '',
      tags: [],
      version: '0.1.0',
      config,
    })
  }
  const input = contract.create.input.parse({ name: 'Crash', slug: 'crash', ...definition })
  const { id: workflow_id } = await workflows.create(ctx, input)
  await database.close()
  return { who, workflow_id }
}

function contextFor(database: Database, { organization_id, workspace_id, user_id }: Who) {
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants: [] }
  // Making components needs nothing else of the platform.
  const platform = { database, clock: systemClock } as Platform
  return contextOf(platform, database.of(organization_id), { actor, organization_id, workspace_id })
}

/** Runs a process to its end, and gives what it told. */
async function live(orders: Orders): Promise<Told[]> {
  const told: Told[] = []
  for await (const one of begin(orders).told) told.push(one)
  return told
}

function begin(orders: Orders): { child: ChildProcess; told: AsyncIterable<Told> } {
  const program = join(import.meta.dirname, 'testing-process.ts')
  const child = spawn(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  async function* lines(): AsyncGenerator<Told> {
    for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Told
  }
  return { child, told: lines() }
}

type Ended = Extract<Told, { ended: unknown }>['ended']
const endedIn = (told: Told[]): Ended | undefined => told.flatMap((one) => ('ended' in one ? [one.ended] : []))[0]

/** What must hold of an execution, however often it was interrupted. */
function assertWhole(ended: Ended | undefined, log: string, about: string): void {
  assert.equal(ended?.status, 'completed', about)
  assert.deepEqual(ended?.output, result, about)
  const final = new Set<string>()
  for (const { type, node_id } of ended?.events ?? []) {
    if (node_id === null) continue
    assert.ok(!final.has(node_id), `${about}: ${type} of ${node_id} after its end`)
    if (/completed|failed|skipped/.test(type)) final.add(node_id)
  }
  assert.equal(final.size, definition.nodes.length, about)
  const kept = new Set<string>()
  for (const line of log.split('\n').filter((line) => line.includes(ended?.execution_id ?? ''))) {
    const [word, key = ''] = line.split(' ')
    if (word === 'kept') kept.add(key)
    const called = key.replace(/:\d+$/, '')
    if (word === 'call') assert.ok(!kept.has(called), `${about}: ${called} is recorded and ran again`)
  }
  assert.ok(kept.size >= 14, about)
}

async function place(mode: Database['mode']): Promise<ConnectOptions> {
  return mode === 'embedded'
    ? { directory: await copyOfTemplate(), durability: 'process' }
    : { database_url: await copyOfServerTemplate() }
}

async function leave({ directory, database_url }: ConnectOptions): Promise<void> {
  if (directory) await rm(directory, { recursive: true, force: true })
  if (database_url) await dropOnServer(database_url)
}

for (const mode of testModes) {
  test(`a process that is killed at any writing loses nothing and repeats nothing that is recorded (${mode})`, async () => {
    const options = await place(mode)
    const data_directory = await mkdtemp(join(tmpdir(), 'flow-crash-'))
    const { who, workflow_id } = await prepare(options)
    const log = join(data_directory, 'calls.log')
    const orders = { options, data_directory, who, workflow_id, log }

    // How many writings there are shows in one that nobody interrupts.
    const whole = await live({ ...orders, death: { at: Infinity, when: 'after' } })
    assertWhole(endedIn(whole), await readFile(log, 'utf8'), 'not interrupted')
    const writings = whole.flatMap((one) => ('writings' in one ? [one.writings] : []))[0] ?? 0
    assert.ok(writings > 10)

    let finish: { id: string; about: string } | undefined
    for (const death of deaths(writings)) {
      const told = await live({ ...orders, finish: finish?.id, death })
      if (finish) assertWhole(endedIn(told), await readFile(log, 'utf8'), finish.about)
      const id = told.flatMap((one) => ('begun' in one ? [one.begun] : []))[0]
      finish = id ? { id, about: `${mode}, killed ${death.when} writing ${death.at}` } : undefined
    }
    if (finish)
      assertWhole(endedIn(await live({ ...orders, finish: finish.id })), await readFile(log, 'utf8'), finish.about)

    await leave(options)
    await rm(data_directory, { recursive: true, force: true })
  })
}

function deaths(writings: number): Death[] {
  const all = Array.from({ length: writings }, (_, i) => i + 1).flatMap((at) =>
    (['before', 'during', 'after'] as const).map((when) => ({ at, when })),
  )
  if (EVERY) return all
  const from = Math.floor(Math.random() * STRIDE)
  return all.filter((_, i) => i % STRIDE === from)
}
