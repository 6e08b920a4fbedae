/** Organizations: the tenants of the platform, their settings, workspaces and API keys. An organization always has a
 *  default workspace, and a workspace goes only when it is empty. The reports on credits are billing's, the keys
 *  themselves are auth's; here they stand because the contract lists them under the organization. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { ApiKey, organizations as contract, Organization, Workspace } from '@flow/contract/organizations'
import { type Context, newId, type Platform } from '../context.ts'
import { type Db, sql } from '../db/db.ts'
import { DatabaseFault } from '../db/faults.ts'
import { conflict, type Failure, invalid, notFound } from '../failure.ts'
import { accessChanged, listKeys, mintKey, revokeKey } from '../keys/keys.ts'
import { found } from './founding.ts'
import * as store from './store.ts'

export { getBilling, getUsage } from '../billing/billing.ts'

type Ops = typeof contract

/** The workspace that a request is about: the named one, else the organization's default. Refuses one that is not
 *  the organization's. */
export async function workspaceOf(platform: Platform, organization_id: string, workspace_id?: string): Promise<string> {
  const isId = workspace_id === undefined || /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(workspace_id)
  const at = { db: platform.database.of(organization_id), organization_id }
  const workspace = isId ? await store.workspaceOf(at, workspace_id) : undefined
  if (!workspace) throw notFound('workspace', workspace_id ?? 'default')
  return workspace.id
}

/** The one list that looks beyond the tenant: a person may belong to several. A key belongs to one organization. */
export function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Organization>> {
  const only = ctx.actor.kind === 'user' ? undefined : ctx.organization_id
  return store.list(ctx.platform.database.platform, ctx.actor.user_id, only, input)
}

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<Organization> {
  const id = newId()
  const made = await asTenant(ctx, id, (db) => found(db, { id, ...input, admin_id: ctx.actor.user_id, now: ctx.now }))
  if (!made) throw slugTaken(input.slug ?? '')
  return made.organization
}

/** Runs `work` as another tenant inside the request's own transaction: what it makes is there with it or not at all. */
async function asTenant<Result>(ctx: Context, organization_id: string, work: (db: Db) => Promise<Result>) {
  await ctx.db.run(sql`select set_config('app.org', ${organization_id}, true)`)
  const result = await work(ctx.db)
  await ctx.db.run(sql`select set_config('app.org', ${ctx.organization_id}, true)`)
  return result
}

export async function get(ctx: Context, _input: Parsed<Ops['get']>): Promise<Organization> {
  const organization = await store.find(ctx)
  if (!organization) throw notFound('organization', ctx.organization_id)
  return organization
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<Organization> {
  const { org_id, ...sent } = input
  const before = await store.findForUpdate(ctx)
  if (!before) throw notFound('organization', org_id)
  const wanted = { ...before, ...sent, updated_at: ctx.now }
  if (wanted.restrict_invitations && wanted.primary_domain === null) {
    throw invalid([{ field: 'restrict_invitations', message: 'Set the primary domain to restrict invitations to it.' }])
  }
  if (!(await store.findWorkspace(ctx, wanted.default_workspace_id))) {
    const message = `There is no workspace "${wanted.default_workspace_id}".`
    throw invalid([{ field: 'default_workspace_id', message }])
  }

  return ctx.db.tx((db) => store.replace({ ...ctx, db }, wanted)).catch(refuseTakenSlug(wanted.slug))
}

export const listWorkspaces = (ctx: Context, input: Parsed<Ops['listWorkspaces']>): Promise<Page<Workspace>> =>
  store.listWorkspaces(ctx, ctx.actor.workspace_id, input)

export async function createWorkspace(ctx: Context, input: Parsed<Ops['createWorkspace']>): Promise<Workspace> {
  const { org_id: _, ...wanted } = input
  const made = await store.insertWorkspace(ctx, { id: newId(), ...wanted, created_at: ctx.now })
  if (!made) throw slugTaken(input.slug)
  return made
}

export async function getWorkspace(ctx: Context, input: Parsed<Ops['getWorkspace']>): Promise<Workspace> {
  const workspace = await store.findWorkspace(ctx, input.workspace_id)
  if (!workspace) throw notFound('workspace', input.workspace_id)
  return workspace
}

export async function updateWorkspace(ctx: Context, input: Parsed<Ops['updateWorkspace']>): Promise<Workspace> {
  const { org_id: _, workspace_id, ...sent } = input
  const before = await store.findWorkspaceForUpdate(ctx, workspace_id)
  if (!before) throw notFound('workspace', workspace_id)

  const wanted = { ...before, ...sent, updated_at: ctx.now }
  return ctx.db.tx((db) => store.replaceWorkspace({ ...ctx, db }, wanted)).catch(refuseTakenSlug(wanted.slug))
}

export async function removeWorkspace(ctx: Context, input: Parsed<Ops['removeWorkspace']>): Promise<undefined> {
  const workspace = await store.findWorkspaceForUpdate(ctx, input.workspace_id)
  if (!workspace) throw notFound('workspace', input.workspace_id)
  if (workspace.is_default) {
    throw conflict(`"${workspace.slug}" is the default workspace. Make another one the default first.`)
  }
  const contents = await store.workspaceContents(ctx, workspace.id)
  if (contents.length > 0) {
    const names = contents.map((each) => each.contents.replaceAll('_', ' ')).join(', ')
    throw conflict(`"${workspace.slug}" is not empty: it has ${names}. Delete these first.`)
  }

  accessChanged(ctx.db, ctx.organization_id)
  await store.removeWorkspaceGrants(ctx, workspace.id)
  await store.removeWorkspace(ctx, workspace.id)
}

export async function listApiKeys(ctx: Context, input: Parsed<Ops['listApiKeys']>): Promise<Page<ApiKey>> {
  const { limit, offset } = input
  const { items, total } = await listKeys(ctx, input)
  return { items: items as ApiKey[], total, limit, offset }
}

export async function createApiKey(
  ctx: Context,
  input: Parsed<Ops['createApiKey']>,
): Promise<ApiKey & { key: string }> {
  if (input.expires_at !== undefined && Date.parse(input.expires_at) <= Date.parse(ctx.now)) {
    throw invalid([{ field: 'expires_at', message: 'This moment is in the past.' }])
  }
  if (input.workspace_id && !(await store.findWorkspace(ctx, input.workspace_id))) {
    throw invalid([{ field: 'workspace_id', message: `There is no workspace "${input.workspace_id}".` }])
  }

  const { org_id: _, ...wanted } = input
  return (await mintKey(ctx, wanted)) as ApiKey & { key: string }
}

export async function revokeApiKey(ctx: Context, input: Parsed<Ops['revokeApiKey']>): Promise<undefined> {
  if (!(await revokeKey(ctx, input.key_id))) throw notFound('API key', input.key_id)
}

const slugTaken = (slug: string): Failure =>
  conflict(`The slug "${slug}" is taken.`, [{ field: 'slug', message: 'It is taken. Choose another.' }])

/** The savepoint around the statement lets the transaction go on to its refusal. */
const refuseTakenSlug = (slug: string) => (thrown: unknown) => {
  if (thrown instanceof DatabaseFault && thrown.code === '23505') throw slugTaken(slug)
  throw thrown
}
