/** Components: what people build from. A component has a draft that is edited and versions that never change once
 *  published. Each type is one file in `components/`: its configuration, and nothing else. */

import { z } from 'zod'
import { FieldError, Id, Json, listParameters, Page, Semver, Slug, Tag, Timestamp, text } from './common.ts'
import { AgentConfig } from './components/agent.ts'
import { CodeBlockConfig } from './components/code-block.ts'
import { ModelConfig } from './components/model.ts'
import { ObservabilityConfig } from './components/observability.ts'
import { PromptConfig } from './components/prompt.ts'
import { SchemaConfig, SchemaField } from './components/schema.ts'
import { StateConfig } from './components/state.ts'
import { ToolConfig } from './components/tool.ts'
import { TransformConfig } from './components/transform.ts'
import { ValidationConfig } from './components/validation.ts'
import { WorkflowConfig } from './components/workflow.ts'
import { JsonSchema } from './json-schema.ts'
import type { Domain } from './operation.ts'

/** The types there are, and what configures each. A new type is a new file and a new line. */
export const configs = {
  agent: AgentConfig,
  code_block: CodeBlockConfig,
  model: ModelConfig,
  observability: ObservabilityConfig,
  prompt: PromptConfig,
  schema: SchemaConfig,
  state: StateConfig,
  tool: ToolConfig,
  transform: TransformConfig,
  validation: ValidationConfig,
  workflow: WorkflowConfig,
} as const

export type ComponentType = keyof typeof configs
const types = Object.keys(configs) as [ComponentType, ...ComponentType[]]
export const ComponentType = z.enum(types).meta({ id: 'ComponentType' })

const common = {
  id: Id,
  name: text(200),
  slug: Slug.describe('Names the component inside its workspace; free again when the component is gone.'),
  description: z.string().max(2000).default(''),
  tags: z.array(Tag).max(50).default([]),
  status: z.enum(['draft', 'published', 'deprecated', 'archived']),
  status_reason: z.string().nullable().describe('Why it was deprecated or archived.'),
  version: Semver.describe('The version that the draft will become.'),
  published_version: Semver.nullable(),
  warnings: z.array(FieldError).describe('What the draft uses that is deprecated or archived.'),
  created_at: Timestamp,
  updated_at: Timestamp,
  created_by: Id,
}

type Common = z.infer<z.ZodObject<typeof common>>
type Of<Type extends ComponentType> = Type extends ComponentType
  ? Common & { type: Type; config: z.infer<(typeof configs)[Type]> }
  : never
export type Component = Of<ComponentType>

const ofType = (type: ComponentType) => z.object({ ...common, type: z.literal(type), config: configs[type] })
const [first, ...others] = types
/** A union by `type`; that it is one of all types is said here, since it is made of the list of them. */
export const Component = z
  .discriminatedUnion('type', [ofType(first), ...others.map(ofType)])
  .meta({ id: 'Component' }) as unknown as z.ZodType<Component>

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

export const Change = z
  .object({
    path: z.string().describe('Such as `nodes[parse].retry.max_attempts`: items with an `id` or a `name` go by it.'),
    kind: z.enum(['added', 'removed', 'changed', 'moved']).describe('`moved`: the same items in another order.'),
    before: Json.optional(),
    after: Json.optional(),
  })
  .meta({ id: 'Change' })
export type Change = z.infer<typeof Change>

/** One of two that are compared: a version, or the draft. */
const VersionName = z.union([z.literal('draft'), Semver])
const Side = z.object({ version: VersionName, digest: z.string(), status: z.enum(['draft', 'published']) })

export const VersionDiff = z
  .object({
    component_id: Id,
    from: Side,
    to: Side,
    changes: z.array(Change).describe('Empty: they are the same. At most the first thousand.'),
  })
  .meta({ id: 'VersionDiff' })
export type VersionDiff = z.infer<typeof VersionDiff>

export const TestRun = z
  .object({
    example: z.int().nullable().describe('Which example it was; null for an input that was sent.'),
    passed: z.boolean().describe('Whether it ran and, for an example, gave what the example says.'),
    input: Json.nullable(),
    expected: Json.nullable(),
    output: Json.nullable(),
    differences: z.array(Change).describe('From what the example says to what came out; at most a thousand.'),
    error: z
      .object({
        code: z.string(),
        message: z.string(),
        line: z.int().optional(),
        column: z.int().optional(),
        stack: z.string().optional(),
      })
      .nullable(),
    logs: z.array(
      z.object({ level: z.enum(['debug', 'info', 'warn', 'error']), message: z.string(), at_ms: z.number() }),
    ),
    duration_ms: z.number(),
    cpu_ms: z.number().nullable().describe('Of code.'),
    memory_bytes: z.number().nullable().describe('Of code: the most that its machine had.'),
    omitted: z
      .boolean()
      .describe('Output, logs and all differences but the first place are left out: the answer would be too large.'),
  })
  .meta({ id: 'TestRun' })
export type TestRun = z.infer<typeof TestRun>

export const ComponentTest = z
  .object({
    component_id: Id,
    type: ComponentType,
    version: VersionName,
    passed: z.boolean().describe('Whether all runs passed.'),
    runs: z.array(TestRun),
  })
  .meta({ id: 'ComponentTest' })
export type ComponentTest = z.infer<typeof ComponentTest>

export const SchemaForms = z
  .object({
    fields: z.array(SchemaField),
    strict_validation: z.boolean(),
    json_schema: JsonSchema,
    pydantic: z.string().describe('The source of a Pydantic model (version 2).'),
    typed_dict: z.string().describe('The source of a `TypedDict`.'),
  })
  .meta({ id: 'SchemaForms' })
export type SchemaForms = z.infer<typeof SchemaForms>

const component_id = Id
const reason = text(1000)
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
    summary: 'Delete a component that nothing uses.',
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
    description:
      'Without `version` the draft is published under its own version. Every reference is checked first, and every example is run.',
    input: z.object({ component_id, version: Semver.optional(), changelog: z.string().max(10_000).default('') }),
    output: ComponentVersion,
    refusals: ['CONFLICT: references are missing, code does not parse, examples fail; each is named.'],
  },
  diff: {
    method: 'GET',
    path: '/components/{component_id}/versions/{a}/diff/{b}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Compare two versions, field by field.',
    description: 'Either may be `draft`. Fields that a version was kept without count with their defaults.',
    input: z.object({ component_id, a: VersionName, b: VersionName }),
    output: VersionDiff,
  },
  restore: {
    method: 'POST',
    path: '/components/{component_id}/versions/{version}/restore',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Make the configuration of a version the draft again.',
    description: 'The draft keeps its own version; no version is changed.',
    input: z.object({ component_id, version: Semver }),
    output: Component,
    refusals: ['VALIDATION_ERROR: what the version refers to is not there any more.'],
  },
  deprecate: {
    method: 'POST',
    path: '/components/{component_id}/deprecate',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Advise against a published component.',
    description: 'It goes on working. Whatever uses it, or begins to, is told so in its `warnings`.',
    input: z.object({ component_id, reason }),
    output: Component,
    refusals: ['CONFLICT: it is not published.'],
  },
  undeprecate: {
    method: 'POST',
    path: '/components/{component_id}/undeprecate',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Take back that a component is deprecated.',
    input: z.object({ component_id }),
    output: Component,
    refusals: ['CONFLICT: it is not deprecated.'],
  },
  archive: {
    method: 'POST',
    path: '/components/{component_id}/archive',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Put a component away.',
    description:
      'It can be read, and what uses it goes on; nothing new may use it, and it is neither changed nor published. A ' +
      'workflow is not set off any longer.',
    input: z.object({ component_id, reason }),
    output: Component,
    refusals: ['CONFLICT: guardrails of the gateway run it; they are named.'],
  },
  unarchive: {
    method: 'POST',
    path: '/components/{component_id}/unarchive',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Take a component out of the archive.',
    input: z.object({ component_id }),
    output: Component,
    refusals: ['CONFLICT: it is not archived.'],
  },
  test: {
    method: 'POST',
    path: '/components/{component_id}/test',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Run a component once, or all of its examples.',
    description:
      'With `input` it runs once; without, every example runs, and what comes out is compared with what it says. ' +
      'Nothing is recorded but the time that code took, which is billed. All of it has 300 seconds.',
    input: z.object({
      component_id,
      input: Json.optional(),
      version: VersionName.default('draft'),
    }),
    output: ComponentTest,
    refusals: [
      'CONFLICT: the type cannot be run by itself, with the reason.',
      'VALIDATION_ERROR: there is neither an input nor an example.',
    ],
  },
  convertSchema: {
    method: 'POST',
    path: '/schemas/convert',
    permission: 'solutions.read',
    summary: 'Turn fields into a JSON Schema and Python types, or a JSON Schema into fields.',
    description: 'Send `fields` or `json_schema`. Nothing is stored.',
    input: z.object({
      name: z
        .string()
        .regex(/^[A-Z][A-Za-z0-9]{0,99}$/, 'Use the name of a class, such as `Customer`.')
        .default('Model')
        .describe('What the Python class is called.'),
      fields: z.array(SchemaField).min(1).max(500).optional(),
      strict_validation: z.boolean().default(true).describe('Of `fields`.'),
      json_schema: JsonSchema.optional(),
    }),
    output: SchemaForms,
    refusals: ['VALIDATION_ERROR: the JSON Schema says what fields cannot; each place is named.'],
  },
} as const satisfies Domain
