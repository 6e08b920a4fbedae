/** Decisions about solutions, without I/O: what a status may become, the order of versions, who is shown what. */

import type { Solution, SolutionStatus } from '@flow/contract/solutions'
import { parse } from 'semver'
import type { Actor } from '../context.ts'

/** What each status may become. */
export const nextStatuses: Record<SolutionStatus, readonly SolutionStatus[]> = {
  draft: ['in_progress', 'archived'],
  in_progress: ['draft', 'completed', 'archived'],
  completed: ['in_progress', 'archived'],
  archived: ['draft', 'in_progress'],
}

/** Whether components may come and go: what is completed or archived stays as it is. */
export const isOpen = (status: SolutionStatus): boolean => status === 'draft' || status === 'in_progress'

/** Why the status may not become the other one, as a sentence; nothing if it may. */
export function transitionFault({ slug, status }: Pick<Solution, 'slug' | 'status'>, to: SolutionStatus) {
  if (status === to || nextStatuses[status].includes(to)) return undefined
  const next = nextStatuses[status].map((each) => `"${each}"`)
  return `"${slug}" is ${spoken(status)}: it can become ${next.join(' or ')}, not "${to}".`
}

/** Why something cannot be changed that is no longer worked on. */
export const closedFault = ({ slug, status }: Pick<Solution, 'slug' | 'status'>): string =>
  `"${slug}" is ${spoken(status)}. Set its status to "in_progress" first.`

const spoken = (status: SolutionStatus) => status.replace('_', ' ')

/** A text for each version, ordered as semantic versions are (semver.org, 11): numbers by size, a release after what
 *  leads to it, numbers before words. */
export function versionOrder(version: string): string {
  const parsed = parse(version)
  if (!parsed) throw new Error(`not a version: ${version}`)
  const release = [parsed.major, parsed.minor, parsed.patch].map(padded).join('.')
  if (parsed.prerelease.length === 0) return `${release}~`
  // "!" comes before every character of an identifier, so that a shorter one comes first.
  return `${release}-${parsed.prerelease.map((part) => (typeof part === 'number' ? `0${padded(part)}` : `1${part}`)).join('!')}`
}

const padded = (number: number) => String(number).padStart(15, '0')

/** Whether the actor is an admin of the workspace: admins see what others keep private. */
export const isAdminOf = (actor: Actor, workspace_id: string): boolean =>
  actor.grants.some(
    ({ role, scope, scope_id }) =>
      role === 'admin' && (scope === 'organization' || (scope === 'workspace' && scope_id === workspace_id)),
  )

/** The solutions in which the actor has a role of their own. */
export const solutionsOf = (actor: Actor): string[] =>
  actor.grants.flatMap(({ scope, scope_id }) => (scope === 'solution' && scope_id ? [scope_id] : []))
