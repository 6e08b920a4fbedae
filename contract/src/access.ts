/** Who may do what: permissions, the built-in roles and the matrix between them. An operation names the permission
 *  it needs; a role is a set of permissions; a grant gives a user a role in a scope. */

import { z } from 'zod'

export const Permission = z.enum([
  'organization.read',
  'organization.write',
  'users.write',
  'billing.read',
  'billing.write',
  'audit.read',
  'solutions.read',
  'solutions.write',
  'deployments.write',
  'deployments.approve',
  'connectors.write',
])
export type Permission = z.infer<typeof Permission>

export const Role = z
  .enum(['admin', 'solution_builder', 'viewer', 'billing_manager', 'security_auditor'])
  .meta({ id: 'Role', description: 'A built-in role.' })
export type Role = z.infer<typeof Role>

const build: Permission[] = [
  'organization.read',
  'solutions.read',
  'solutions.write',
  'deployments.write',
  'connectors.write',
]

/** The matrix of the built-in roles. Everybody may see which organization they are in and who else is. */
export const permissionsOf: Record<Role, readonly Permission[]> = {
  admin: Permission.options,
  solution_builder: build,
  viewer: ['organization.read', 'solutions.read'],
  billing_manager: ['organization.read', 'billing.read', 'billing.write'],
  security_auditor: ['organization.read', 'solutions.read', 'audit.read'],
}

export const Grant = z
  .object({
    role: Role,
    scope: z.enum(['organization', 'workspace', 'solution']).default('organization'),
    scope_id: z.uuid().optional().describe('The workspace or the solution; absent for the whole organization.'),
  })
  .meta({ id: 'Grant', description: 'A role, and how far it reaches.' })
export type Grant = z.infer<typeof Grant>
