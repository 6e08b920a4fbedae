/** How an organization begins: with a default workspace, an account for its credits and one admin, all at once. */

import type { Organization, Workspace } from '@flow/contract/organizations'
import { openAccount } from '../billing/billing.ts'
import { newId } from '../context.ts'
import type { Db } from '../db/db.ts'
import { join } from '../users/users.ts'
import * as store from './store.ts'

export type Founding = {
  id?: string
  name: string
  /** Made from the name without it; then a number is put behind one that is taken. */
  slug?: string
  /** The account of the first admin. */
  admin_id: string
  now: string
}

/** Needs a transaction that may write for the new organization. Nothing when the wished slug is taken. */
export async function found(
  db: Db,
  wanted: Founding,
): Promise<{ organization: Organization; workspace: Workspace } | undefined> {
  const { id = newId(), name, now } = wanted
  const made = { id, name, default_workspace_id: newId(), created_at: now }
  const organization = wanted.slug
    ? await store.insert(db, { ...made, slug: wanted.slug })
    : await insertUnderFreeSlug(db, made)
  if (!organization) return undefined

  const at = { db, organization_id: id }
  const workspace = await store.insertWorkspace(at, {
    id: made.default_workspace_id,
    name: 'Default',
    slug: 'default',
    description: '',
    environment_tier: 'dev',
    created_at: now,
  })
  if (!workspace) throw new Error('a new organization has a workspace already')
  await openAccount(db, id, now)
  await join(at, { user_id: wanted.admin_id, grants: [{ role: 'admin', scope: 'organization' }], now })
  return { organization, workspace }
}

async function insertUnderFreeSlug(db: Db, made: Omit<store.NewOrganization, 'slug'>): Promise<Organization> {
  const slug = slugOf(made.name)
  for (let n = 1; n <= 20; n += 1) {
    const organization = await store.insert(db, { ...made, slug: n === 1 ? slug : `${slug}-${n}` })
    if (organization) return organization
  }
  const organization = await store.insert(db, { ...made, slug: `${slug}-${made.id}` })
  if (!organization) throw new Error('a slug with a new id in it is taken')
  return organization
}

/** Letters, digits and hyphens of a name: "Ärzte & Co." becomes "arzte-co". */
export function slugOf(name: string): string {
  const plain = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '')
  const slug = plain
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
    .replace(/^-+|-+$/g, '')
  return slug.length >= 3 ? slug : `organization${slug ? `-${slug}` : ''}`
}
