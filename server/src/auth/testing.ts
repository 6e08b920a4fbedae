/** What the tests of this room stand on: a real database, a clock that can be set, people and organizations put there
 *  directly. Rules of other rooms are not repeated; whoever tests a story uses the SDK instead. */

import { randomBytes } from 'node:crypto'
import type { Grant, Role } from '@flow/contract/access'
import { pino } from 'pino'
import { readConfig } from '../config.ts'
import { type Actor, type Context, newId, type Platform, type PublicContext } from '../context.ts'
import { sql } from '../db/db.ts'
import { openTestDatabase } from '../db/testing.ts'
import { createFetch } from '../fetch.ts'
import { createSeal } from '../seal.ts'
import { hashPassword } from './passwords.ts'

export type AuthTest = Awaited<ReturnType<typeof openAuthTest>>
export type Person = { user_id: string; organization_id: string; workspace_id: string; email: string; password: string }

export const PASSWORD = 'correct horse battery'

export async function openAuthTest() {
  const database = await openTestDatabase()
  const clock = { at: new Date('2026-03-01T12:00:00.000Z'), now: () => new Date(clock.at) }
  const config = {
    ...readConfig({ FLOW_PUBLIC_URL: 'https://flow.example', FLOW_ALLOWED_HOSTS: '127.0.0.1,localhost' }),
    cors_origins: ['https://console.example'],
  }
  const seal = createSeal(randomBytes(32).toString('base64'))
  const log = pino({ level: 'silent' })
  // The room uses neither engine, sandbox nor mail.
  const platform = { config, clock, log, database, seal, fetch: createFetch(config) } as unknown as Platform
  const hash = await hashPassword(PASSWORD)

  /** Another process on the same database. */
  const anotherReplica = (parts: Partial<Platform> = {}): Platform => ({
    ...platform,
    database: { ...database },
    ...parts,
  })

  const asked = (address = '198.51.100.7') => ({
    platform,
    db: database.platform,
    now: clock.now().toISOString(),
    request_id: newId(),
    address,
    log,
    signal: new AbortController().signal,
  })
  /** The context of somebody who is not known. */
  const stranger = (parts: Partial<PublicContext> = {}): PublicContext => ({
    ...asked(parts.address),
    credentials: {},
    ...parts,
  })
  /** The context that the edge gives to an actor. */
  const contextOf = (actor: Actor, workspace_id = ''): Context => ({
    ...asked(),
    db: database.of(actor.organization_id),
    organization_id: actor.organization_id,
    workspace_id: actor.workspace_id ?? workspace_id,
    actor,
    start: async () => undefined,
    wait_seconds: 0,
  })

  async function newOrganization(): Promise<{ organization_id: string; workspace_id: string; slug: string }> {
    const [organization_id, workspace_id] = [newId(), newId()]
    const now = clock.now().toISOString()
    const slug = `org-${organization_id}`
    await database.platform.tx(async (db) => {
      await db.run(sql`
        insert into organizations (id, name, slug, default_workspace_id, created_at, updated_at)
        values (${organization_id}, 'Test', ${slug}, ${workspace_id}, ${now}, ${now})`)
      await db.run(sql`
        insert into workspaces (id, organization_id, name, slug, environment_tier, created_at, updated_at)
        values (${workspace_id}, ${organization_id}, 'Default', 'default', 'dev', ${now}, ${now})`)
    })
    return { organization_id, workspace_id, slug }
  }

  /** Makes somebody a member; a new account unless one is given. */
  async function join(
    organization_id: string,
    person: {
      user_id?: string
      email?: string
      role?: Role
      grants?: Grant[]
      status?: string
      password_hash?: string | null
    } = {},
  ): Promise<{ user_id: string; email: string }> {
    const { user_id = newId(), role = 'admin', grants = [{ role, scope: 'organization' }], status = 'active' } = person
    const { email = `${user_id}@example.com`, password_hash = hash } = person
    const now = clock.now().toISOString()
    await database.platform.tx(async (db) => {
      await db.run(sql`
        insert into users (id, email, name, password_hash, created_at, updated_at)
        values (${user_id}, ${email}, 'Somebody', ${password_hash}, ${now}, ${now}) on conflict (id) do nothing`)
      await db.run(sql`
        insert into memberships (organization_id, user_id, status, joined_at, created_at, updated_at)
        values (${organization_id}, ${user_id}, ${status}, ${status === 'invited' ? null : now}, ${now}, ${now})`)
      for (const grant of grants) {
        await db.run(sql`
          insert into grants (id, organization_id, user_id, role, scope, scope_id, created_at)
          values (${newId()}, ${organization_id}, ${user_id}, ${grant.role}, ${grant.scope}, ${grant.scope_id}, ${now})`)
      }
    })
    return { user_id, email }
  }

  /** An organization of its own with one member. */
  async function newPerson(role: Role = 'admin'): Promise<Person> {
    const { organization_id, workspace_id } = await newOrganization()
    return { organization_id, workspace_id, ...(await join(organization_id, { role })), password: PASSWORD }
  }

  async function invite(
    organization_id: string,
    person: { user_id?: string; email?: string; password_hash?: string | null },
  ) {
    const member = await join(organization_id, { password_hash: null, ...person, status: 'invited', role: 'viewer' })
    const token = randomBytes(32).toString('base64url')
    const now = clock.now()
    await database.platform.run(sql`
      insert into invitations (id, organization_id, user_id, token_hash, expires_at, created_at)
      values (${newId()}, ${organization_id}, ${member.user_id}, sha256(${Buffer.from(token)}::bytea),
        ${new Date(now.getTime() + 7 * 24 * 3600 * 1000)}, ${now})`)
    return { ...member, token }
  }

  const wait = (seconds: number) => {
    clock.at = new Date(clock.at.getTime() + seconds * 1000)
  }
  const close = async () => {
    await platform.fetch.close()
    await database.close()
  }
  return {
    platform,
    clock,
    database,
    anotherReplica,
    stranger,
    contextOf,
    newOrganization,
    newPerson,
    join,
    invite,
    wait,
    close,
  }
}
