/** Users: the people of an organization. The account is the person's own, one on the platform for each e-mail
 *  address; name, roles and status are the membership's. Life: `invited` → `active` ↔ `suspended`; an invitation
 *  that runs out is `expired` and can be sent again. */

import { z } from 'zod'
import { Grant, Role } from './access.ts'
import { Email, Id, listParameters, Page, Timestamp, text } from './common.ts'
import type { Domain } from './operation.ts'

export const UserStatus = z.enum(['invited', 'active', 'suspended', 'expired'])
export type UserStatus = z.infer<typeof UserStatus>

export const User = z
  .object({
    id: Id,
    email: Email,
    name: z.string().max(200),
    title: z.string().max(200).describe('What they are in the organization, in its own words.'),
    status: UserStatus,
    grants: z.array(Grant).describe('Their roles, and how far each reaches.'),
    invited_by: Id.nullable(),
    invitation_expires_at: Timestamp.nullable(),
    invitation_sent_at: Timestamp.nullable().describe('When the mail server took the invitation; null: it has not.'),
    joined_at: Timestamp.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'User' })
export type User = z.infer<typeof User>

export const InvitedUser = User.extend({
  accept_url: z.url().describe('The link that accepts the invitation. It is shown this once.'),
  mail: z.enum(['queued', 'not_configured']).describe('Whether the link also goes out by e-mail.'),
}).meta({ id: 'InvitedUser' })
export type InvitedUser = z.infer<typeof InvitedUser>

const user_id = Id
const grants = z.array(Grant).min(1, 'Give at least one role.').max(50).describe('Replaces all roles they had.')

export const users = {
  list: {
    method: 'GET',
    path: '/users',
    permission: 'organization.read',
    summary: "List the organization's users.",
    input: z.object({
      ...listParameters(['created_at', 'name', 'email', 'joined_at']),
      status: UserStatus.optional(),
      role: Role.optional().describe('Those who have this role in any scope.'),
    }),
    output: Page(User),
  },
  invite: {
    method: 'POST',
    path: '/users/invite',
    permission: 'users.write',
    summary: 'Invite a user. The invitation lives 7 days.',
    description: 'The link in the answer accepts it; with a mail server configured it also goes out by e-mail.',
    creates: '/users/{user_id}',
    secret: true,
    input: z.object({
      email: Email,
      name: z.string().trim().max(200).default(''),
      grants: z.array(Grant).min(1, 'Give at least one role.').max(50),
      message: z.string().max(2000).default('').describe('Words of yours in the e-mail.'),
    }),
    output: InvitedUser,
    refusals: [
      'CONFLICT: they are a user already, or invited.',
      'VALIDATION_ERROR: the address is not of the primary domain, or a scope does not exist.',
    ],
  },
  resendInvitation: {
    method: 'POST',
    path: '/users/{user_id}/resend-invitation',
    permission: 'users.write',
    summary: 'Send an invitation again: a new link for another 7 days. The old link ends.',
    secret: true,
    input: z.object({ user_id }),
    output: InvitedUser,
    refusals: ['CONFLICT: they have joined already.'],
  },
  me: {
    method: 'GET',
    path: '/users/me',
    permission: 'authenticated',
    summary: 'Read the authenticated user.',
    input: z.object({}),
    output: User,
  },
  get: {
    method: 'GET',
    path: '/users/{user_id}',
    permission: 'organization.read',
    summary: 'Read a user.',
    input: z.object({ user_id }),
    output: User,
  },
  update: {
    method: 'PUT',
    path: '/users/{user_id}',
    permission: 'users.write',
    summary: 'Update profile, roles or status: what is sent replaces, what is not sent stays.',
    input: z.object({
      user_id,
      name: text(200).optional(),
      title: z.string().trim().max(200).optional(),
      grants: grants.optional(),
      status: z.enum(['active', 'suspended']).optional(),
    }),
    output: User,
    refusals: [
      'CONFLICT: it would leave the organization without an active admin, or an invited user would be made active.',
      'VALIDATION_ERROR: a scope does not exist.',
    ],
  },
  remove: {
    method: 'DELETE',
    path: '/users/{user_id}',
    permission: 'users.write',
    summary: 'Remove a user from the organization. Their roles and keys end at once; the account stays.',
    input: z.object({ user_id }),
    refusals: ['CONFLICT: it would leave the organization without an active admin.'],
  },
} as const satisfies Domain
