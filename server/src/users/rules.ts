/** Decisions about roles and invitations, without I/O. */

import type { Grant } from '@flow/contract/access'
import type { FieldError } from '@flow/contract/common'
import type { UserStatus } from '@flow/contract/users'

export const INVITATION_DAYS = 7

export const invitationEnd = (now: string): string =>
  new Date(Date.parse(now) + INVITATION_DAYS * 24 * 3600 * 1000).toISOString()

/** An admin is one for the whole organization; an admin of a workspace can't put another in place. */
export const isAdmin = (grants: Grant[]): boolean =>
  grants.some((grant) => grant.role === 'admin' && grant.scope === 'organization')

/** Whether the change takes an active admin away. */
export function takesAdminAway(
  before: { status: UserStatus; grants: Grant[] },
  change: { status?: 'active' | 'suspended' | undefined; grants?: Grant[] | undefined },
): boolean {
  if (before.status !== 'active' || !isAdmin(before.grants)) return false
  return change.status === 'suspended' || (change.grants !== undefined && !isAdmin(change.grants))
}

/** What is wrong with the scopes of these roles; `there` are the ids of workspaces and solutions that exist. */
export function grantFaults(
  grants: Grant[],
  there: Record<'workspace' | 'solution', ReadonlySet<string>>,
): FieldError[] {
  return grants.flatMap((grant, i): FieldError[] => {
    const field = `grants[${i}].scope_id`
    if (grant.scope === 'organization') {
      if (grant.scope_id === undefined) return []
      return [{ field, message: 'A role for the whole organization has no scope_id.' }]
    }
    if (grant.scope_id === undefined) return [{ field, message: `Name the ${grant.scope} that the role is for.` }]
    if (there[grant.scope].has(grant.scope_id.toLowerCase())) return []
    return [{ field, message: `There is no ${grant.scope} "${grant.scope_id}".` }]
  })
}

/** Whether the address is of the domain, and not only of one that ends like it. */
export const isOfDomain = (email: string, domain: string): boolean => email.endsWith(`@${domain}`)
