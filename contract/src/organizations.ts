/** Organizations and what belongs to the organization as a whole: settings, workspaces, API keys and the two reports
 *  on its credits. An organization is the tenant: nothing in it is ever seen from another. */

import { z } from 'zod'
import { Permission } from './access.ts'
import { BillingSummary, UsageGroup, UsageReport } from './billing.ts'
import { Email, Id, listParameters, Page, Slug, Timestamp, text } from './common.ts'
import type { Domain } from './operation.ts'

export const Address = z
  .strictObject({
    line1: text(200),
    line2: z.string().max(200).default(''),
    city: text(100),
    state: z.string().max(100).default(''),
    postal_code: z.string().max(20).default(''),
    country: z.string().regex(/^[A-Z]{2}$/, 'Use the two capital letters of ISO 3166-1, such as DE.'),
  })
  .meta({ id: 'Address' })

export const DomainName = z
  .string()
  .trim()
  .toLowerCase()
  .max(253)
  .regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/, 'Use a domain name such as example.com.')

const TimeZone = z.string().max(64).refine(isTimeZone, 'Use a time zone of the IANA database, such as Europe/Berlin.')

export const Organization = z
  .object({
    id: Id,
    name: text(200, 3),
    slug: Slug.describe('Unique on the platform.'),
    status: z.enum(['active', 'suspended', 'archived']).describe('Set by the operator of the platform.'),
    primary_domain: DomainName.nullable().describe(
      'The domain that invitations can be restricted to. Domains that sign in are claimed with single sign-on.',
    ),
    restrict_invitations: z.boolean().describe('Invite only e-mail addresses of the primary domain.'),
    industry: z.string().max(100).nullable(),
    contact_email: Email.nullable(),
    contact_phone: z.string().max(50).nullable(),
    billing_email: Email.nullable(),
    billing_address: Address.nullable(),
    support_tier: z.enum(['community', 'standard', 'premium', 'enterprise']),
    timezone: TimeZone,
    default_workspace_id: Id.describe('The workspace of requests that name none.'),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'Organization' })
export type Organization = z.infer<typeof Organization>

export const EnvironmentTier = z.enum(['dev', 'stage', 'prod'])

export const Workspace = z
  .object({
    id: Id,
    organization_id: Id,
    name: text(200, 3),
    slug: Slug.describe('Unique in the organization.'),
    description: z.string().max(2000),
    environment_tier: EnvironmentTier,
    is_default: z.boolean(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'Workspace', description: 'What people build in: components, connectors and deployments are its own.' })
export type Workspace = z.infer<typeof Workspace>

export const ApiKey = z
  .object({
    id: Id,
    name: text(200),
    prefix: z
      .enum(['fl_', 'fl_hsl_', 'fl_deploy_'])
      .describe('`fl_` standard, `fl_hsl_` service, `fl_deploy_` deployment.'),
    last_four: z.string().describe('The last four characters, to recognise the key by.'),
    scopes: z.array(Permission).describe("What the key is narrowed to; empty: all that the maker's roles allow."),
    workspace_id: Id.nullable().describe('The one workspace it is bound to.'),
    expires_at: Timestamp.nullable(),
    last_used_at: Timestamp.nullable(),
    created_by: Id.describe('It never may more than this user may now, and falls with them.'),
    created_at: Timestamp,
  })
  .meta({ id: 'ApiKey' })
export type ApiKey = z.infer<typeof ApiKey>

const org_id = Id
const settings = {
  name: Organization.shape.name,
  slug: Organization.shape.slug,
  primary_domain: Organization.shape.primary_domain,
  restrict_invitations: z.boolean(),
  industry: Organization.shape.industry,
  contact_email: Organization.shape.contact_email,
  contact_phone: Organization.shape.contact_phone,
  billing_email: Organization.shape.billing_email,
  billing_address: Organization.shape.billing_address,
  support_tier: Organization.shape.support_tier,
  timezone: Organization.shape.timezone,
  default_workspace_id: Id,
}
const workspace = {
  name: Workspace.shape.name,
  slug: Workspace.shape.slug,
  description: z.string().max(2000),
  environment_tier: EnvironmentTier,
}

export const organizations = {
  list: {
    method: 'GET',
    path: '/organizations',
    permission: 'authenticated',
    summary: 'List the organizations you belong to.',
    description: 'A key sees its own organization only.',
    input: z.object({
      ...listParameters(['created_at', 'name', 'slug']),
      status: Organization.shape.status.optional(),
    }),
    output: Page(Organization),
  },
  create: {
    method: 'POST',
    path: '/organizations',
    permission: 'organization.write',
    summary: 'Create another organization, with you as its admin.',
    description: 'It begins with one workspace, a rate card and a subscription. Sign in to it to work in it.',
    creates: '/organizations/{org_id}',
    input: z.object({ name: settings.name, slug: settings.slug.optional().describe('Made from the name without it.') }),
    output: Organization,
    refusals: ['CONFLICT: the slug is taken.'],
  },
  get: {
    method: 'GET',
    path: '/organizations/{org_id}',
    permission: 'organization.read',
    summary: 'Read an organization.',
    input: z.object({ org_id }),
    output: Organization,
  },
  update: {
    method: 'PUT',
    path: '/organizations/{org_id}',
    permission: 'organization.write',
    summary: 'Update the settings: what is sent replaces, what is not sent stays.',
    input: z.object({ org_id, ...z.object(settings).partial().shape }),
    output: Organization,
    refusals: [
      'CONFLICT: the slug is taken.',
      'VALIDATION_ERROR: the default workspace is not one of this organization.',
    ],
  },
  listWorkspaces: {
    method: 'GET',
    path: '/organizations/{org_id}/workspaces',
    permission: 'organization.read',
    summary: 'List the workspaces.',
    input: z.object({
      org_id,
      ...listParameters(['created_at', 'name', 'slug']),
      environment_tier: EnvironmentTier.optional(),
    }),
    output: Page(Workspace),
  },
  createWorkspace: {
    method: 'POST',
    path: '/organizations/{org_id}/workspaces',
    permission: 'organization.write',
    summary: 'Create a workspace.',
    creates: '/organizations/{org_id}/workspaces/{workspace_id}',
    input: z.object({
      org_id,
      name: workspace.name,
      slug: workspace.slug,
      description: workspace.description.default(''),
      environment_tier: EnvironmentTier.default('dev'),
    }),
    output: Workspace,
    refusals: ['CONFLICT: the slug is taken.'],
  },
  getWorkspace: {
    method: 'GET',
    path: '/organizations/{org_id}/workspaces/{workspace_id}',
    permission: 'organization.read',
    summary: 'Read a workspace.',
    input: z.object({ org_id, workspace_id: Id }),
    output: Workspace,
  },
  updateWorkspace: {
    method: 'PUT',
    path: '/organizations/{org_id}/workspaces/{workspace_id}',
    permission: 'organization.write',
    summary: 'Update a workspace: what is sent replaces, what is not sent stays.',
    input: z.object({ org_id, workspace_id: Id, ...z.object(workspace).partial().shape }),
    output: Workspace,
    refusals: ['CONFLICT: the slug is taken.'],
  },
  removeWorkspace: {
    method: 'DELETE',
    path: '/organizations/{org_id}/workspaces/{workspace_id}',
    permission: 'organization.write',
    summary: 'Delete an empty workspace.',
    input: z.object({ org_id, workspace_id: Id }),
    refusals: ['CONFLICT: it is the default workspace, or something is in it; what is named.'],
  },
  getBilling: {
    method: 'GET',
    path: '/organizations/{org_id}/billing',
    permission: 'billing.read',
    summary: 'Read the summary of credits, the budget and the subscription.',
    input: z.object({ org_id }),
    output: BillingSummary,
    moving: ['credits_consumed', 'credits_remaining', 'budget_consumed_credits', 'badge'],
  },
  getUsage: {
    method: 'GET',
    path: '/organizations/{org_id}/billing/usage',
    permission: 'billing.read',
    summary: 'Read what was used, in groups.',
    description: 'The groups are a page; `credits_debited` and `transactions` beside them cover all groups.',
    input: z.object({
      org_id,
      ...z.object(listParameters(['credits_debited', 'key'])).omit({ search: true }).shape,
      group_by: UsageGroup.default('day'),
      from: z.iso.datetime().optional().describe('From this moment on; without it from the beginning.'),
      to: z.iso.datetime().optional().describe('Before this moment; without it until now.'),
    }),
    output: UsageReport,
  },
  listApiKeys: {
    method: 'GET',
    path: '/organizations/{org_id}/api-keys',
    permission: 'organization.write',
    summary: 'List the API keys.',
    input: z.object({ org_id, ...listParameters(['created_at', 'name', 'last_used_at', 'expires_at']) }),
    output: Page(ApiKey),
  },
  createApiKey: {
    method: 'POST',
    path: '/organizations/{org_id}/api-keys',
    permission: 'organization.write',
    summary: 'Create an API key. Its secret is shown this once.',
    creates: '/organizations/{org_id}/api-keys/{key_id}',
    secret: true,
    input: z.object({
      org_id,
      name: text(200),
      kind: z.enum(['standard', 'deployment']).default('standard').describe('Prefix `fl_` or `fl_deploy_`.'),
      scopes: z.array(Permission).max(20).default([]),
      workspace_id: Id.optional(),
      expires_at: z.iso.datetime().optional(),
    }),
    output: ApiKey.extend({ key: z.string().describe('The secret. It is stored nowhere and shown never again.') }).meta(
      {
        id: 'NewApiKey',
      },
    ),
    refusals: ['VALIDATION_ERROR: a scope is more than you may, or the time is in the past.'],
  },
  revokeApiKey: {
    method: 'DELETE',
    path: '/organizations/{org_id}/api-keys/{key_id}',
    permission: 'organization.write',
    summary: 'Revoke an API key: it is refused from now on.',
    input: z.object({ org_id, key_id: Id }),
  },
} as const satisfies Domain

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).format(0) !== ''
  } catch {
    return false
  }
}
