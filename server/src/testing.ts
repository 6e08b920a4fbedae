/** The harness of the stories: one platform for each test file, on a database of its own, answering in the process
 *  without a socket; an organization of its own for each test, with clients of the product's SDK.
 *
 *    const { alice, member } = await newOrganization()      // alice is its admin
 *    const bob = await member('viewer')                     // bob.client, bob.user_id, bob.api_key
 *    await alice.components.create({ … })
 *
 *  `testFlow()` gives the platform itself, `fetch` for raw requests, and a clock that can be set. Everything is closed
 *  when the file is done. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { after } from 'node:test'
import type { Grant, Role } from '@flow/contract/access'
import { PlatformClient } from '@flow/sdk'
import { type App, createApp } from './app.ts'
import { readConfig } from './config.ts'
import type { Clock, Context, Platform } from './context.ts'
import { contextOf, newId } from './context.ts'
import { openTestDatabase } from './db/testing.ts'
import { startDispatcher } from './events/events.ts'
import { createMetrics } from './http/metrics.ts'
import { mintKey } from './keys/keys.ts'
import { found } from './organizations/founding.ts'
import { openPlatform } from './platform.ts'
import { accountOf, join } from './users/users.ts'

export type TestFlow = {
  platform: Platform
  clock: TestClock
  /** Sends a request to the app; a path stands for a URL below it. */
  fetch(input: string | Request, init?: RequestInit): Promise<Response>
  /** What answers, for a test that listens on a socket of its own. */
  app: App
  /** A client with this credential, or none. */
  client(auth_token?: string, options?: { workspace_id?: string; org_id?: string }): PlatformClient
}

/** Real time, put forward by what the test says. */
export class TestClock implements Clock {
  #ahead_ms = 0

  now(): Date {
    return new Date(Date.now() + this.#ahead_ms)
  }

  advance(seconds: number): void {
    this.#ahead_ms += seconds * 1000
  }
}

let flow: Promise<TestFlow> | undefined
let close: (() => Promise<void>) | undefined
after(() => close?.())

/** The platform of this test file. `environment` counts at the first call only. */
export function testFlow(environment: Record<string, string> = {}): Promise<TestFlow> {
  flow ??= open(environment)
  return flow
}

async function open(environment: Record<string, string>): Promise<TestFlow> {
  const directory = await mkdtemp(pathOf(tmpdir(), 'flow-test-'))
  const clock = new TestClock()
  const config = readConfig({
    FLOW_DATA_DIR: directory,
    FLOW_LOG_LEVEL: 'fatal',
    FLOW_MASTER_KEY: randomBytes(32).toString('base64'),
    FLOW_RATE_LIMIT_PER_MINUTE: '1000000',
    FLOW_SIGN_IN_LIMIT_PER_MINUTE: '1000000',
    FLOW_SANDBOX_WORKERS: '1',
    ...environment,
  })
  const platform = await openPlatform(config, { database: await openTestDatabase(), clock })
  const app = createApp(platform, createMetrics(), { draining: false })
  await platform.engine.work(platform)
  const dispatcher = startDispatcher(platform)
  close = async () => {
    await dispatcher.stop()
    await app.close()
    await platform.close(5_000)
    await rm(directory, { recursive: true, force: true })
  }
  const fetch = async (input: string | Request, init?: RequestInit) =>
    app.fetch(typeof input === 'string' ? new Request(new URL(input, 'http://flow.test'), init) : input)
  const client: TestFlow['client'] = (auth_token, options = {}) =>
    new PlatformClient({ base_url: 'http://flow.test', auth_token, fetch, max_retries: 0, ...options })
  return { platform, clock, app, fetch, client }
}

export type Member = { client: PlatformClient; user_id: string; email: string; api_key: string }

export type TestOrganization = {
  organization_id: string
  workspace_id: string
  /** The admin's client. */
  alice: PlatformClient
  admin: Member
  /** A new member with these roles, and their client. */
  member(...grants: (Role | Grant)[]): Promise<Member>
}

/** A new organization with an admin, Alice. */
export async function newOrganization(name = 'Test organization'): Promise<TestOrganization> {
  const { platform, client } = await testFlow()
  const email = `alice-${newId()}@example.com`
  const now = platform.clock.now().toISOString()
  const made = await platform.database.platform.tx(async (db) => {
    const { id: admin_id } = await accountOf(db, email, 'Alice', now)
    return found(db, { name, admin_id, now, slug: `test-${newId()}` })
  })
  if (!made) throw new Error('the slug of a test organization is taken')
  const organization_id = made.organization.id
  const workspace_id = made.workspace.id

  const memberOf = async (email: string, user_id: string, grants: Grant[]): Promise<Member> => {
    const ctx = contextFor(platform, { organization_id, workspace_id, user_id, email, grants })
    const { key: api_key } = await mintKey(ctx, { name: 'Test key' })
    return { client: client(api_key, { org_id: organization_id, workspace_id }), user_id, email, api_key }
  }
  const admin_id = await platform.database.platform.tx(async (db) => (await accountOf(db, email, 'Alice', now)).id)
  const admin = await memberOf(email, admin_id, [{ role: 'admin', scope: 'organization' }])
  const member = async (...wanted: (Role | Grant)[]) => {
    const grants = wanted.map(
      (grant): Grant => (typeof grant === 'string' ? { role: grant, scope: 'organization' } : grant),
    )
    const email = `member-${newId()}@example.com`
    const user_id = await platform.database.platform.tx(async (db) => {
      const { id } = await accountOf(db, email, 'Bob', now)
      await join({ db, organization_id }, { user_id: id, grants, now })
      return id
    })
    return memberOf(email, user_id, grants)
  }
  return { organization_id, workspace_id, alice: admin.client, admin, member }
}

type Who = { organization_id: string; workspace_id: string; user_id: string; email: string; grants: Grant[] }

const contextFor = (platform: Platform, who: Who): Context =>
  contextOf(platform, platform.database.of(who.organization_id), {
    ...who,
    actor: {
      kind: 'user',
      id: who.user_id,
      user_id: who.user_id,
      name: who.email,
      organization_id: who.organization_id,
      grants: who.grants,
    },
  })
