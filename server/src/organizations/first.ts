/** The first organization of a platform, made when it starts on an empty database: with its admin and an API key.
 *  All of it is one transaction: a start that is killed leaves nothing, and a second start finds everything. */

import { randomBytes } from 'node:crypto'
import { hashPassword } from '../auth/auth.ts'
import { type Context, contextOf, type Platform } from '../context.ts'
import { mintKey } from '../keys/keys.ts'
import { accountOf, givePassword } from '../users/users.ts'
import { found } from './founding.ts'
import * as store from './store.ts'

export type FirstOrganization = {
  organization_id: string
  workspace_id: string
  user_id: string
  email: string
  /** Shown this once: only its digest is stored. */
  api_key: string
  /** Only when the configuration gave none: shown this once. */
  password?: string
}

const ADMIN_EMAIL = 'admin@flow.local'

/** Makes the organization that the configuration names, and lets `furnish` put something into it as its admin.
 *  Nothing when the platform has one already. */
export async function createFirstOrganization(
  platform: Platform,
  furnish: (ctx: Context) => Promise<void> = async () => undefined,
): Promise<FirstOrganization | undefined> {
  const { config, database } = platform
  if (await store.first(database.platform)) return undefined
  // Hashed before the transaction: it is slow, and a transaction waits for nothing.
  const password = config.admin_password ?? randomBytes(15).toString('base64url')
  const password_hash = await hashPassword(password)
  const email = config.admin_email ?? ADMIN_EMAIL

  return database.platform.tx(async (db) => {
    await store.lockFounding(db)
    if (await store.first(db)) return undefined
    const now = platform.clock.now().toISOString()
    const { id: user_id } = await accountOf(db, email, 'Admin', now)
    await givePassword(db, user_id, password_hash, now)
    const founded = await found(db, { name: config.organization_name, admin_id: user_id, now })
    if (!founded) throw new Error('an organization without a wished slug was not founded')

    const { id: organization_id, default_workspace_id: workspace_id } = founded.organization
    const grants = [{ role: 'admin' as const, scope: 'organization' as const }]
    const actor = { kind: 'user' as const, id: user_id, user_id, name: 'Admin', organization_id, grants }
    const ctx = contextOf(platform, db, { actor, organization_id, workspace_id })
    const { key: api_key } = await mintKey(ctx, { name: 'First key' })
    await furnish(ctx)
    const generated = config.admin_password ? {} : { password }
    return { organization_id, workspace_id, user_id, email, api_key, ...generated }
  })
}
