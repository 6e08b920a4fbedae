/** Decisions of sign-in and access, without I/O. Who may do what is the contract's matrix; how far a grant reaches,
 *  and what narrows it, is decided here. */

import { type Permission, permissionsOf } from '@flow/contract/access'
import type { Actor } from '../context.ts'

/** Where something is asked for. */
export type Place = { workspace_id: string; solution_id?: string }

/** What concerns the organization as a whole: a role in one workspace gives none of it. */
const organizationWide: ReadonlySet<Permission> = new Set([
  'organization.write',
  'users.write',
  'billing.read',
  'billing.write',
  'audit.read',
])

/** Whether the actor has the permission there. A grant for the organization counts everywhere in it, one for a
 *  workspace or a solution only there; a key's own narrowing comes on top and never widens anything. */
export function may(actor: Actor, permission: Permission, at: Place): boolean {
  if (actor.scopes && !actor.scopes.includes(permission)) return false
  if (actor.workspace_id && permission !== 'organization.read') {
    if (organizationWide.has(permission) || actor.workspace_id !== at.workspace_id) return false
  }
  return actor.grants.some((grant) => permissionsOf[grant.role].includes(permission) && reaches(grant, permission, at))
}

function reaches(grant: Actor['grants'][number], permission: Permission, at: Place): boolean {
  // Whoever has any role in an organization may see which one it is.
  if (grant.scope === 'organization' || permission === 'organization.read') return true
  if (organizationWide.has(permission)) return false
  return grant.scope === 'workspace' ? grant.scope_id === at.workspace_id : grant.scope_id === at.solution_id
}

/** The solutions in which the actor has the permission by a role for them alone. They have to be in the workspace of the
 *  request, which is the room's to see: a grant says only which solution. */
export function solutionsWith(actor: Actor, permission: Permission, workspace_id: string): string[] {
  const given = actor.grants.flatMap(({ scope, scope_id }) => (scope === 'solution' && scope_id ? [scope_id] : []))
  return [...new Set(given)].filter((solution_id) => {
    const only = { ...actor, grants: actor.grants.filter((grant) => grant.scope_id === solution_id) }
    return !organizationWide.has(permission) && may(only, permission, { workspace_id, solution_id })
  })
}

/** Everything the actor may do there: for people who want to know, not for decisions. */
export const permissionsAt = (actor: Actor, at: Place, all: readonly Permission[]): Permission[] =>
  all.filter((permission) => may(actor, permission, at))

/** Sign-in slows down with failures; it never locks. For each subject: how many attempts are free, the longest wait,
 *  and after how long without an attempt the failures are forgotten. The wait doubles with each failure from one
 *  second.
 *
 *  - `pair`, one account from one address: somebody guesses. A stranger elsewhere cannot spend these.
 *  - `address`, any account from one address: somebody tries many accounts.
 *  - `account`, one account from addresses it has not signed in from: many try one. The longest wait is short, and
 *    the owner's usual addresses do not count, so strangers cannot keep the owner out. */
export const slowDown = {
  pair: { free: 5, wait_seconds_max: 900, forgotten_seconds: 3600 },
  address: { free: 30, wait_seconds_max: 900, forgotten_seconds: 3600 },
  account: { free: 50, wait_seconds_max: 30, forgotten_seconds: 3600 },
} as const
export type SlowDownSubject = keyof typeof slowDown

/** How long the next attempt must wait after that many failures. */
export function waitSeconds(subject: SlowDownSubject, failures: number): number {
  const { free, wait_seconds_max } = slowDown[subject]
  return failures < free ? 0 : Math.min(wait_seconds_max, 2 ** (failures - free))
}

/** The network that an address counts as: a subscriber has a whole /64 of IPv6, and could use a new address each time. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? []
  const front = head === '' ? [] : head.split(':')
  const back = tail ? tail.split(':') : []
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0')
  return `${[...front, ...zeros, ...back]
    .slice(0, 4)
    .map((part) => part.replace(/^0+(?=.)/, ''))
    .join(':')
    .toLowerCase()}::/64`
}

/** The domain of an e-mail address, in lower case. */
export const domainOf = (email: string): string => email.slice(email.lastIndexOf('@') + 1).toLowerCase()

/** Whether a browser may be sent there with a code: this platform, an origin that the operator allows, or the
 *  person's own machine, on any port (RFC 8252, section 7.3). */
export function isOwnAddress(config: { public_url: string; cors_origins: string[] }, address: string): boolean {
  const url = URL.parse(address)
  if (!url || url.username || url.password || url.hash) return false
  if (url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) return true
  return [config.public_url, ...config.cors_origins].some((origin) => URL.parse(origin)?.origin === url.origin)
}
