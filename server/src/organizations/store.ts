/** The SQL of organizations and workspaces. Every statement names the organization. */

import type { Parsed } from '@flow/contract/operation'
import type { Organization, organizations, Workspace } from '@flow/contract/organizations'
import { type Db, json, raw, type Sql, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'

type Ops = typeof organizations
export type Tenant = { db: Db; organization_id: string }

const columns = raw(`o.id, o.name, o.slug, o.status, o.primary_domain, o.restrict_invitations, o.industry,
  o.contact_email, o.contact_phone, o.billing_email, o.billing_address, o.support_tier, o.timezone,
  o.default_workspace_id, o.created_at, o.updated_at`)

/** The organizations that a person is an active member of. `db` sees all of them; `only` narrows it to one. */
export const list = (db: Db, user_id: string, only: string | undefined, input: Parsed<Ops['list']>) =>
  page<Organization>(db, {
    select: columns,
    from: sql`organizations o`,
    where: [
      sql`exists (select from memberships m
        where m.organization_id = o.id and m.user_id = ${user_id} and m.status = 'active')`,
      ...(only ? [sql`o.id = ${only}`] : []),
      ...(input.status ? [sql`o.status = ${input.status}`] : []),
      ...matching(sql`o.name || ' ' || o.slug`, input.search),
    ],
    sortable: { created_at: 'o.created_at', name: 'lower(o.name)', slug: 'o.slug' },
    id: 'o.id',
    parameters: input,
  })

export const find = (at: Tenant): Promise<Organization | undefined> =>
  at.db.maybe(sql`select ${columns} from organizations o where o.id = ${at.organization_id}`)

export const findForUpdate = (at: Tenant): Promise<Organization | undefined> =>
  at.db.maybe(sql`select ${columns} from organizations o where o.id = ${at.organization_id} for no key update`)

/** A slug that is taken anywhere on the platform is a unique violation: only the index sees the other tenants. */
export const replace = (at: Tenant, organization: Organization): Promise<Organization> =>
  at.db.one(sql`
    update organizations o
    set name = ${organization.name}, slug = ${organization.slug}, primary_domain = ${organization.primary_domain},
      restrict_invitations = ${organization.restrict_invitations}, industry = ${organization.industry},
      contact_email = ${organization.contact_email}, contact_phone = ${organization.contact_phone},
      billing_email = ${organization.billing_email}, billing_address = ${json(organization.billing_address)},
      support_tier = ${organization.support_tier}, timezone = ${organization.timezone},
      default_workspace_id = ${organization.default_workspace_id}, updated_at = ${organization.updated_at}
    where o.id = ${at.organization_id}
    returning ${columns}`)

export type NewOrganization = {
  id: string
  name: string
  slug: string
  default_workspace_id: string
  created_at: string
}

/** Nothing when the slug is taken anywhere on the platform. */
export const insert = (db: Db, made: NewOrganization): Promise<Organization | undefined> =>
  db.maybe(sql`
    insert into organizations as o (id, name, slug, default_workspace_id, created_at, updated_at)
    values (${made.id}, ${made.name}, ${made.slug}, ${made.default_workspace_id}, ${made.created_at},
      ${made.created_at})
    on conflict (slug) do nothing
    returning ${columns}`)

/** Held to the end of the transaction: of several processes that start on an empty database one founds. */
export const lockFounding = (platform: Db): Promise<unknown> =>
  platform.one(sql`select pg_advisory_xact_lock(7301, 1) is null as locked`)

/** The oldest organization of the platform, if there is any. */
export const first = (platform: Db): Promise<Organization | undefined> =>
  platform.maybe(sql`select ${columns} from organizations o order by o.created_at, o.id limit 1`)

const workspaceColumns = raw(`w.id, w.organization_id, w.name, w.slug, w.description, w.environment_tier,
  w.id = (select o.default_workspace_id from organizations o where o.id = w.organization_id) as is_default,
  w.created_at, w.updated_at`)

export const listWorkspaces = (at: Tenant, only: string | undefined, input: Parsed<Ops['listWorkspaces']>) => {
  const where: [Sql, ...Sql[]] = [
    sql`w.organization_id = ${at.organization_id}`,
    ...matching(sql`w.name || ' ' || w.description`, input.search),
  ]
  if (only) where.push(sql`w.id = ${only}`)
  if (input.environment_tier) where.push(sql`w.environment_tier = ${input.environment_tier}`)
  return page<Workspace>(at.db, {
    select: workspaceColumns,
    from: sql`workspaces w`,
    where,
    sortable: { created_at: 'w.created_at', name: 'lower(w.name)', slug: 'w.slug' },
    id: 'w.id',
    parameters: input,
  })
}

export const findWorkspace = (at: Tenant, id: string): Promise<Workspace | undefined> =>
  at.db.maybe(sql`
    select ${workspaceColumns} from workspaces w where w.id = ${id} and w.organization_id = ${at.organization_id}`)

/** Locks it against everything, new rows that refer to it included. */
export const findWorkspaceForUpdate = (at: Tenant, id: string): Promise<Workspace | undefined> =>
  at.db.maybe(sql`
    select ${workspaceColumns} from workspaces w
    where w.id = ${id} and w.organization_id = ${at.organization_id} for update`)

export type NewWorkspace = Pick<Workspace, 'id' | 'name' | 'slug' | 'description' | 'environment_tier' | 'created_at'>

/** Nothing when the slug is taken. */
export const insertWorkspace = (at: Tenant, made: NewWorkspace): Promise<Workspace | undefined> =>
  at.db.maybe(sql`
    insert into workspaces as w (id, organization_id, name, slug, description, environment_tier, created_at, updated_at)
    values (${made.id}, ${at.organization_id}, ${made.name}, ${made.slug}, ${made.description},
      ${made.environment_tier}, ${made.created_at}, ${made.created_at})
    on conflict (organization_id, slug) do nothing
    returning ${workspaceColumns}`)

export const replaceWorkspace = (at: Tenant, workspace: Workspace): Promise<Workspace> =>
  at.db.one(sql`
    update workspaces w
    set name = ${workspace.name}, slug = ${workspace.slug}, description = ${workspace.description},
      environment_tier = ${workspace.environment_tier}, updated_at = ${workspace.updated_at}
    where w.id = ${workspace.id} and w.organization_id = ${at.organization_id}
    returning ${workspaceColumns}`)

/** The tables that hold rows of the workspace. Keys that are bound to it do not count: they end with it. */
export const workspaceContents = (at: Tenant, id: string): Promise<{ contents: string }[]> =>
  at.db.many(sql`
    select contents from flow_workspace_contents(${id}) as contents where contents <> 'api_keys'`)

/** Roles that reach only into the workspace end with it. */
export const removeWorkspaceGrants = (at: Tenant, id: string): Promise<number> =>
  at.db.run(sql`
    delete from grants where organization_id = ${at.organization_id} and scope = 'workspace' and scope_id = ${id}`)

export const removeWorkspace = (at: Tenant, id: string): Promise<number> =>
  at.db.run(sql`delete from workspaces where id = ${id} and organization_id = ${at.organization_id}`)

/** The named workspace if it is the organization's, or its default one. One read by key: every request asks. */
export const workspaceOf = (at: Tenant, id: string | undefined): Promise<{ id: string } | undefined> =>
  id === undefined
    ? at.db.maybe(sql`select o.default_workspace_id as id from organizations o where o.id = ${at.organization_id}`)
    : at.db.maybe(sql`select w.id from workspaces w where w.id = ${id} and w.organization_id = ${at.organization_id}`)
