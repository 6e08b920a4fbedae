/** What tests with real processes share: a database that nobody has open, an organization with workflows in it, and
 *  processes that begin or finish executions (see process-testing.ts). */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { workflows as contract } from '@flow/contract/workflows'
import * as components from '../components/components.ts'
import { contextOf, newId, type Platform, systemClock } from '../context.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import type { Database } from '../db/db.ts'
import { copyOfServerTemplate, copyOfTemplate, dropOnServer } from '../db/testing.ts'
import { found } from '../organizations/founding.ts'
import { accountOf } from '../users/users.ts'
import type { Orders, Told, Who } from './process-testing.ts'
import * as workflows from './workflows.ts'

export type Made = Pick<Orders, 'options' | 'data_directory' | 'who' | 'log'> & {
  /** The workflow `crash`, which the first definition became. */
  workflow_id: string
  /** All of them, by slug. */
  workflow_ids: Record<string, string>
  remove(): Promise<void>
}

/** A database on this engine with an organization, these code blocks and this workflow in it. `others`: more workflows,
 *  by slug; all may name each other. */
export async function prepare(
  mode: Database['mode'],
  blocks: Record<string, string>,
  definition: object,
  others: Record<string, object> = {},
): Promise<Made> {
  const options: ConnectOptions =
    mode === 'embedded'
      ? { directory: await copyOfTemplate(), durability: 'process' }
      : { database_url: await copyOfServerTemplate() }
  const data_directory = await mkdtemp(join(tmpdir(), 'flow-crash-'))
  const database = await connect({ ...options, pool_max: 4 })
  const who = await newOwner(database)
  const ctx = contextFor(database, who)
  for (const [slug, code] of Object.entries(blocks)) {
    const config = { language: 'javascript', code }
    const described = { type: 'code_block' as const, name: slug, slug, description: '', tags: [], version: '0.1.0' }
    await components.create(ctx, { ...described, config })
  }
  const definitions = Object.entries({ crash: definition, ...others })
  const workflow_ids: Record<string, string> = {}
  const blank = { nodes: [{ id: 'nothing', type: 'transform', output: null }] }
  for (const [slug, made] of definitions) {
    const input = contract.create.input.parse({ name: slug, slug, ...(definitions.length === 1 ? made : blank) })
    workflow_ids[slug] = (await workflows.create(ctx, input)).id
  }
  for (const [slug, made] of definitions.length === 1 ? [] : definitions) {
    await workflows.update(ctx, contract.update.input.parse({ workflow_id: workflow_ids[slug], ...made }))
  }
  await database.close()

  const remove = async () => {
    await rm(data_directory, { recursive: true, force: true })
    if (options.directory) await rm(options.directory, { recursive: true, force: true })
    if (options.database_url) await dropOnServer(options.database_url)
  }
  const workflow_id = workflow_ids.crash ?? ''
  return { options, data_directory, who, workflow_id, workflow_ids, log: join(data_directory, 'calls.log'), remove }
}

async function newOwner(database: Database): Promise<Who> {
  const now = systemClock.now().toISOString()
  return database.platform.tx(async (db) => {
    const { id: user_id } = await accountOf(db, `crash-${newId()}@example.com`, 'Crash', now)
    const made = await found(db, { name: 'Crash', admin_id: user_id, now, slug: `crash-${newId()}` })
    if (!made) throw new Error('the slug of a test organization is taken')
    return { organization_id: made.organization.id, workspace_id: made.workspace.id, user_id }
  })
}

function contextFor(database: Database, { organization_id, workspace_id, user_id }: Who) {
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'crash', organization_id, grants: [] }
  // Making components needs nothing else of the platform.
  const platform = { database, clock: systemClock } as Platform
  return contextOf(platform, database.of(organization_id), { actor, organization_id, workspace_id })
}

/** Begins a process. What it tells comes line by line. */
export function begin(orders: Orders): { child: ChildProcess; told: AsyncGenerator<Told> } {
  const program = join(import.meta.dirname, 'process-testing.ts')
  const child = spawn(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Most of the life of a process that dies soon would be the reading of its program.
    env: { ...process.env, NODE_COMPILE_CACHE: join(orders.data_directory, 'compiled') },
  })
  async function* lines(): AsyncGenerator<Told> {
    for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Told
  }
  return { child, told: lines() }
}

/** Lets a process live to its end, and gives what it told, and whether it was killed. */
export async function live(orders: Orders): Promise<{ told: Told[]; was_killed: boolean }> {
  const { child, told: lines } = begin(orders)
  const exit = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  const told: Told[] = []
  for await (const one of lines) told.push(one)
  return { told, was_killed: (await exit) === 'SIGKILL' }
}
