/** Components: what people build from. A component has a draft that is edited and versions that never change once
 *  published. Each type is one file in `components/`: its configuration, and nothing else. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Semver, Slug, Tag, Timestamp, text } from './common.ts'
import { CodeBlockConfig } from './components/code-block.ts'
import { SchemaConfig } from './components/schema.ts'
import { WorkflowConfig } from './components/workflow.ts'
import type { Domain } from './operation.ts'

/** The types there are, and what configures each. A new type is a new file and a new line. */
export const configs = {
  code_block: CodeBlockConfig,
  schema: SchemaConfig,
  workflow: WorkflowConfig,
} as const

export const ComponentType = z.enum(['code_block', 'schema', 'workflow']).meta({ id: 'ComponentType' })
export type ComponentType = z.infer<typeof ComponentType>

const common = {
  id: Id,
  name: text(200),
  slug: Slug.describe('Names the component inside its workspace; free again when the component is gone.'),
  description: z.string().max(2000).default(''),
  tags: z.array(Tag).max(50).default([]),
  status: z.enum(['draft', 'published', 'deprecated', 'archived']),
  version: Semver.describe('The version that the draft will become.'),
  published_version: Semver.nullable(),
  created_at: Timestamp,
  updated_at: Timestamp,
  created_by: Id,
}

export const Component = z
  .discriminatedUnion('type', [
    z.object({ ...common, type: z.literal('code_block'), config: CodeBlockConfig }),
    z.object({ ...common, type: z.literal('schema'), config: SchemaConfig }),
    z.object({ ...common, type: z.literal('workflow'), config: WorkflowConfig }),
  ])
  .meta({ id: 'Component' })
export type Component = z.infer<typeof Component>

export const ComponentVersion = z
  .object({
    id: Id,
    component_id: Id,
    version: Semver,
    config: Json,
    digest: z.string().describe('`sha256:` and the digest of the canonical configuration (RFC 8785).'),
    changelog: z.string().max(10_000),
    status: z.enum(['draft', 'published']),
    created_at: Timestamp,
    created_by: Id,
  })
  .meta({ id: 'ComponentVersion' })
export type ComponentVersion = z.infer<typeof ComponentVersion>

const component_id = Id
/** Checked by the type's own configuration, so that every bad field is named with its place: where the type is sent
 *  beside it, together with all other fields; else by the room, which knows the component. */
const config = z.record(z.string(), Json)
const written = {
  name: common.name,
  slug: common.slug,
  description: z.string().max(2000),
  tags: z.array(Tag).max(50),
  config,
}

/** The configuration against its type's shape, whatever else is wrong. Issues are left as they are found: who parses
 *  decides about their sentences. */
const configOfType = z.superRefine<{ type: ComponentType; config: Record<string, unknown> }>(
  ({ type, config }, { issues }) => {
    if (!Object.hasOwn(configs, type) || !isObject(config)) return
    const found = configs[type]._zod.run({ value: config, issues: [] }, { async: false }) as z.core.ParsePayload
    issues.push(...z.core.util.prefixIssues('config', found.issues))
  },
  { when: () => true },
)

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

export const components = {
  list: {
    method: 'GET',
    path: '/components',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the components of the workspace.',
    input: z.object({
      ...listParameters(['created_at', 'updated_at', 'name', 'slug']),
      type: ComponentType.optional(),
      status: common.status.optional(),
      tag: Tag.optional(),
    }),
    output: Page(Component),
  },
  create: {
    method: 'POST',
    path: '/components',
    permission: 'solutions.write',
    summary: 'Create a component.',
    creates: '/components/{component_id}',
    input: z
      .object({
        ...written,
        type: ComponentType,
        description: written.description.default(''),
        tags: written.tags.default([]),
        version: Semver.default('0.1.0'),
      })
      .check(configOfType),
    output: Component,
    refusals: ['CONFLICT: the slug is taken.', 'VALIDATION_ERROR: the configuration does not fit the type.'],
  },
  get: {
    method: 'GET',
    path: '/components/{component_id}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read one component.',
    input: z.object({ component_id }),
    output: Component,
  },
  update: {
    method: 'PUT',
    path: '/components/{component_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Update a component: what is sent replaces, what is not sent stays.',
    input: z.object({ component_id, ...z.object(written).partial().shape, version: Semver.optional() }),
    output: Component,
  },
  remove: {
    method: 'DELETE',
    path: '/components/{component_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Delete a component that no other uses.',
    input: z.object({ component_id }),
    refusals: ['CONFLICT: others use it; they are named.'],
  },
  listVersions: {
    method: 'GET',
    path: '/components/{component_id}/versions',
    permission: 'solutions.read',
    narrows: true,
    summary: "List a component's versions.",
    input: z.object({ component_id, ...listParameters(['created_at', 'version']) }),
    output: Page(ComponentVersion),
  },
  createVersion: {
    method: 'POST',
    path: '/components/{component_id}/versions',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Keep the draft as a version.',
    description: 'Without `version` the next free patch version is taken. The version can be published later.',
    creates: '/components/{component_id}/versions',
    input: z.object({ component_id, version: Semver.optional(), changelog: z.string().max(10_000).default('') }),
    output: ComponentVersion,
    refusals: ['CONFLICT: the version exists with another content.'],
  },
  publish: {
    method: 'POST',
    path: '/components/{component_id}/publish',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Publish a version: from now on it never changes.',
    description: 'Without `version` the draft is published under its own version. Every reference is checked first.',
    input: z.object({ component_id, version: Semver.optional(), changelog: z.string().max(10_000).default('') }),
    output: ComponentVersion,
    refusals: ['CONFLICT: references are missing, or code does not parse; each is named.'],
  },
} as const satisfies Domain
