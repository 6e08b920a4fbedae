/** Solutions: what people build, bundled. The slug names a solution in its workspace, and every row is one version of
 *  it. A component belongs to its workspace and can be in many solutions; who may see a solution is said here, who may
 *  see its components by themselves is the workspace's matter. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Semver, Slug, Tag, Timestamp, text } from './common.ts'
import { ComponentType, components } from './components.ts'
import type { Domain } from './operation.ts'

export const SolutionStatus = z
  .enum(['draft', 'in_progress', 'completed', 'archived'])
  .meta({ id: 'SolutionStatus' })
  .describe(
    '`draft` → `in_progress` → `completed` → `archived`. Back: `in_progress` → `draft`, `completed` → `in_progress`, ' +
      '`archived` → `draft` or `in_progress`; `draft` and `in_progress` can be archived, too.',
  )
export type SolutionStatus = z.infer<typeof SolutionStatus>

export const VisibilityLevel = z
  .enum(['private', 'workspace', 'organization', 'marketplace'])
  .meta({ id: 'VisibilityLevel' })
  .describe(
    '`private`: whoever made it, admins, and whoever has a role in it. `workspace`: who may read in its workspace. ' +
      '`organization`: who may read in any workspace of the organization. `marketplace`: who may read in any ' +
      'organization of the installation; they see it as it is, may copy it, and are not told who made it.',
  )
export type VisibilityLevel = z.infer<typeof VisibilityLevel>

export const Skeleton = z
  .object({
    nodes: z
      .array(z.object({ node_id: z.string().nullable(), component_id: Id, type: ComponentType, slug: Slug }))
      .describe(
        'What was made of the nodes, and without a node the model that agents need. It may have been changed or deleted ' +
          'since.',
      ),
    workflow_id: Id.nullable().describe('The workflow that the edges became.'),
    unknown_shapes: z
      .array(z.object({ node_id: z.string(), shape: z.string(), label: z.string() }))
      .describe('Nodes of which nothing was made, because their shape means no type of component.'),
    left_out: z
      .array(z.object({ source: z.string(), target: z.string(), reason: z.string() }))
      .describe('Edges that the workflow does not have.'),
  })
  .meta({ id: 'Skeleton', description: 'What a flowchart was made into.' })
export type Skeleton = z.infer<typeof Skeleton>

export const Solution = z
  .object({
    id: Id,
    workspace_id: Id.nullable().describe("Null of another organization's."),
    slug: Slug.describe('Names the solution in its workspace, whatever the version.'),
    version: Semver,
    name: text(200),
    description: z.string().max(2000),
    mermaid_source: z.string().nullable(),
    skeleton: Skeleton.nullable().describe('What the flowchart was made into, the last time that one was sent.'),
    status: SolutionStatus,
    status_reason: z.string().nullable().describe('Why it has the status, in the words of whoever set it.'),
    visibility_level: VisibilityLevel,
    component_count: z.int(),
    completed_count: z.int().describe('How many of the components have a published version.'),
    versions: z
      .array(z.object({ id: Id, version: Semver, status: SolutionStatus }))
      .describe('All versions that you may see, the newest first; at most 100.'),
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Id.nullable().describe("Null of another organization's."),
  })
  .meta({ id: 'Solution' })
export type Solution = z.infer<typeof Solution>

export const SolutionComponent = z
  .object({
    id: Id,
    type: ComponentType,
    name: z.string(),
    slug: Slug,
    description: z.string(),
    tags: z.array(Tag),
    status: z.enum(['draft', 'published', 'deprecated', 'archived']),
    version: Semver,
    published_version: Semver.nullable(),
    config: z.record(z.string(), Json),
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: Id.nullable().describe("Null of another organization's."),
    added_at: Timestamp,
  })
  .meta({ id: 'SolutionComponent', description: 'A component, as it is in a solution.' })
export type SolutionComponent = z.infer<typeof SolutionComponent>

export const ImportedSolution = Solution.extend({
  imported: z.array(
    z.object({
      slug: Slug.describe('As it was called where it comes from.'),
      arrived_as: Slug,
      component_id: Id,
      action: z.enum(['created', 'renamed', 'skipped']),
    }),
  ),
}).meta({ id: 'ImportedSolution', description: 'A solution that has come in, and what became of each component.' })
export type ImportedSolution = z.infer<typeof ImportedSolution>

const solution_id = Id
const coming = {
  on_conflict: z
    .enum(['fail', 'rename', 'skip'])
    .default('fail')
    .describe(
      'What becomes of a slug that is taken. `fail`: nothing is brought in, and each is named. `rename`: it gets a ' +
        'number, and so do all references to it. `skip`: what is there is used instead, if it is of the same type; a ' +
        'solution that is there gets the components.',
    ),
  visibility_level: VisibilityLevel.default('workspace'),
  arm_triggers: z
    .boolean()
    .default(false)
    .describe('Whether workflows are set off from now on. Otherwise not before they are saved or published again.'),
}
const mermaid_source = z
  .string()
  .max(65_536)
  .describe('A Mermaid flowchart. For each of its nodes a component is made by its shape, and a workflow of its edges.')
const fields = {
  name: text(200),
  description: z.string().max(2000),
  visibility_level: VisibilityLevel,
}
const { search: _, ...versionsListed } = listParameters(['version', 'created_at'])

export const solutions = {
  list: {
    method: 'GET',
    path: '/solutions',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the solutions of the current workspace.',
    description:
      'One item for each slug: the newest version that you may see, with the others in `versions`. ' +
      '`from=organization` lists what other workspaces of the organization show, `from=marketplace` what other ' +
      'organizations do.',
    input: z.object({
      ...listParameters(['created_at', 'updated_at', 'name', 'slug']),
      status: SolutionStatus.optional(),
      slug: Slug.optional(),
      from: z.enum(['workspace', 'organization', 'marketplace']).default('workspace'),
    }),
    output: Page(Solution),
  },
  create: {
    method: 'POST',
    path: '/solutions',
    permission: 'solutions.write',
    summary: 'Create a solution, or the next version of one.',
    description:
      'With a slug that there is already, and another version, it is the next version of that solution; `based_on` ' +
      'takes over the components of one that is there. A `mermaid_source` becomes a skeleton of components.',
    creates: '/solutions/{solution_id}',
    input: z.object({
      ...fields,
      slug: Slug,
      version: Semver.default('0.1.0'),
      description: fields.description.default(''),
      visibility_level: fields.visibility_level.default('workspace'),
      mermaid_source: mermaid_source.optional(),
      based_on: Id.optional().describe('A solution of the workspace: its components are taken over.'),
    }),
    output: Solution,
    refusals: [
      'CONFLICT: the slug has this version.',
      'VALIDATION_ERROR: the flowchart cannot be read; the line and the column are named.',
    ],
  },
  get: {
    method: 'GET',
    path: '/solutions/{solution_id}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read one solution.',
    input: z.object({ solution_id }),
    output: Solution,
  },
  update: {
    method: 'PUT',
    path: '/solutions/{solution_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Update a solution: what is sent replaces, what is not sent stays.',
    description:
      'Slug and version stay as they are. Components are made of those nodes of a new `mermaid_source` that were not ' +
      'in the one before; components that are there are never changed by it.',
    input: z.object({
      solution_id,
      ...z.object(fields).partial().shape,
      mermaid_source: mermaid_source.nullable().optional(),
      status: SolutionStatus.optional(),
      status_reason: text(500).optional().describe('Why the status changes. Only beside `status`.'),
    }),
    output: Solution,
    refusals: ['CONFLICT: the status cannot become this one now; what stands in the way is named.'],
  },
  remove: {
    method: 'DELETE',
    path: '/solutions/{solution_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Delete one version of a solution. Its components stay.',
    input: z.object({ solution_id }),
  },
  listVersions: {
    method: 'GET',
    path: '/solutions/{solution_id}/versions',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the versions of a solution, the newest first unless told.',
    input: z.object({ solution_id, ...versionsListed }),
    output: Page(Solution),
  },
  listComponents: {
    method: 'GET',
    path: '/solutions/{solution_id}/components',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the components of a solution.',
    input: z.object({
      solution_id,
      ...listParameters(['added_at', 'name', 'slug']),
      type: ComponentType.optional(),
    }),
    output: Page(SolutionComponent),
  },
  addComponent: {
    method: 'POST',
    path: '/solutions/{solution_id}/components',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Add a component to a solution: one that is there, or a new one.',
    input: z
      .object({
        solution_id,
        component_id: Id.optional().describe('A component of the workspace.'),
        component: components.create.input.strict().optional().describe('A new component.'),
      })
      .refine((sent) => (sent.component_id === undefined) !== (sent.component === undefined), {
        error: 'Send either "component_id" or "component".',
        path: ['component_id'],
        when: ({ value }) => typeof value === 'object' && value !== null,
      }),
    output: SolutionComponent,
    creates: '/components/{component_id}',
    refusals: ['CONFLICT: the solution is completed or archived, or has 1,000 components.'],
  },
  removeComponent: {
    method: 'DELETE',
    path: '/solutions/{solution_id}/components/{component_id}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Take a component out of a solution. The component itself stays.',
    input: z.object({ solution_id, component_id: Id }),
    refusals: ['CONFLICT: the solution is completed or archived.'],
  },
  export: {
    method: 'GET',
    path: '/solutions/{solution_id}/export',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Download a solution as one file, `flow-solution.yaml`.',
    description:
      'With its components, their drafts and published versions, and all that those use. The same content gives the ' +
      'same bytes: exported, imported into an empty workspace and exported again.',
    downloads: 'application/yaml',
    input: z.object({ solution_id }),
    refusals: ['CONFLICT: it would be larger than 5 MiB.'],
  },
  import: {
    method: 'POST',
    path: '/solutions/import',
    permission: 'solutions.write',
    summary: 'Make a solution of a file that was exported.',
    description: 'All of it, or nothing. What is wrong in the file is named with its line and column.',
    creates: '/solutions/{solution_id}',
    body_bytes_max: 12 * 1024 * 1024,
    input: z.object({ file: z.string().min(1).describe('The text of the file, up to 5 MiB.'), ...coming }),
    output: ImportedSolution,
    refusals: [
      'CONFLICT: slugs are taken, or the address of a webhook; each is named.',
      'VALIDATION_ERROR: the file is no sound solution; each fault is named with its place.',
    ],
  },
  clone: {
    method: 'POST',
    path: '/solutions/{solution_id}/clone',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Copy a solution with its components, into a workspace in which you may write.',
    description:
      'Also one that another workspace or, in the marketplace, another organization shows. It begins as a draft.',
    creates: '/solutions/{solution_id}',
    input: z.object({
      solution_id,
      target_workspace_id: Id.optional().describe('A workspace of your organization; the current one without it.'),
      ...coming,
    }),
    output: ImportedSolution,
    refusals: ['FORBIDDEN: you may not write in the target workspace.', 'CONFLICT: slugs are taken there.'],
  },
  deploy: {
    method: 'POST',
    path: '/solutions/{solution_id}/deploy',
    permission: 'deployments.write',
    narrows: true,
    summary: 'Deploy a solution to a ring.',
    description: 'There are no deployments on this platform yet: every call is refused with 409.',
    input: z.object({ solution_id }),
    output: Solution,
    status: 202,
    refusals: ['CONFLICT: this platform has no deployments.'],
  },
} as const satisfies Domain
