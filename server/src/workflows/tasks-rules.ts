/** Who may see a task, answer it and pass it on: decisions without I/O. */

import type { Permission, Role } from '@flow/contract/access'
import type { Task } from '@flow/contract/tasks'
import type { Actor } from '../context.ts'

/** Whoever asks, as far as it decides over tasks of one workspace. */
export type Asker = {
  /** What an assignee may be written as: the user's e-mail address and id. */
  names: string[]
  /** Those that reach the workspace. */
  roles: Role[]
  may_read: boolean
  may_write: boolean
  /** What a key was narrowed to. */
  scopes?: Permission[]
}

type Asked = Pick<Task, 'assignees' | 'role'>

/** The roles of the actor that reach the workspace. */
export const rolesIn = ({ grants }: Pick<Actor, 'grants'>, workspace_id: string): Role[] =>
  grants
    .filter(({ scope, scope_id }) => scope === 'organization' || (scope === 'workspace' && scope_id === workspace_id))
    .map(({ role }) => role)

export const isNamed = ({ names }: Pick<Asker, 'names'>, { assignees }: Pick<Asked, 'assignees'>): boolean =>
  assignees.some((one) => names.includes(one))

const isAsked = (asker: Asker, task: Asked): boolean =>
  isNamed(asker, task) || (task.role !== null && asker.roles.includes(task.role))

/** Whether tasks are seen only by being asked to answer them. A key that was narrowed to less sees none so. */
export const seesByBeingAsked = ({ scopes }: Asker): boolean => !scopes || scopes.includes('solutions.read')

export const maySee = (asker: Asker, task: Asked): boolean =>
  asker.may_read || (seesByBeingAsked(asker) && isAsked(asker, task))

/** Why the asker may not answer; nothing when they may. */
export function whyNotAnswer(asker: Asker, task: Asked): string | undefined {
  if (isReadOnly(asker)) return narrowed
  const isForAnybody = task.assignees.length === 0 && task.role === null
  if (isForAnybody && asker.may_write) return undefined
  if (isForAnybody) return 'This task is for those who may run workflows ("solutions.write").'
  if (isAsked(asker, task) || asker.roles.includes('admin')) return undefined
  return 'You are not among those who are asked to answer this task.'
}

/** Why the asker may not pass it on; nothing when they may. */
export function whyNotDelegate(asker: Asker, task: Asked): string | undefined {
  if (isReadOnly(asker)) return narrowed
  if (isNamed(asker, task) || asker.roles.includes('admin')) return undefined
  return 'Only its assignees and admins pass a task on.'
}

const isReadOnly = ({ scopes }: Asker): boolean => scopes !== undefined && !scopes.includes('solutions.write')
const narrowed = 'This API key is narrowed to scopes, and "solutions.write" is not among them.'
