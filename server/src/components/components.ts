/** Components: a draft that is edited, and versions. A version is `draft` until `publish` makes it final; from then
 *  on nothing changes it. What a component refers to is kept as rows, so that nothing that is used can go. */

import { type FieldError, type Page, Semver } from '@flow/contract/common'
import type { Component, ComponentType, ComponentVersion, components as contract } from '@flow/contract/components'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Parsed } from '@flow/contract/operation'
import { inc } from 'semver'
import { type Context, newId } from '../context.ts'
import { emit } from '../events/events.ts'
import { conflict, invalid, notFound } from '../failure.ts'
import { codeFaults } from './code.ts'
import { configFaults, digestOf, parseConfig, referencesOf } from './rules.ts'
import * as store from './store.ts'
import { dropTrigger, keepTrigger } from './triggers.ts'

export { jsonSchemaOf } from './schema-rules.ts'

type Ops = typeof contract

/** The draft's place among the versions, where references are kept. */
const DRAFT = ''

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Component>> => store.list(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<Component> {
  const config = await checked(ctx, input.type, input.config)

  const created = await store.insert(ctx, {
    id: newId(),
    ...input,
    config,
    created_at: ctx.now,
    created_by: ctx.actor.user_id,
  })
  if (!created) throw slugTaken(input.slug)
  await store.refer(ctx, created.id, DRAFT, await usedBy(ctx, created.type, config))
  if (created.type === 'workflow') await keepTrigger(ctx, created.id, created.config)

  return created
}

export async function get(ctx: Context, input: { component_id: string }): Promise<Component> {
  const component = await store.find(ctx, input.component_id)
  if (!component) throw notFound('component', input.component_id)
  return component
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<Component> {
  const before = await store.findForUpdate(ctx, input.component_id)
  if (!before) throw notFound('component', input.component_id)
  if (before.status === 'archived') throw conflict(`"${before.slug}" is archived: it can be read, not changed.`)
  // The configuration is one value: when it is sent, it replaces what was there.
  const config = input.config ? await checked(ctx, before.type, input.config) : before.config
  if (input.slug && input.slug !== before.slug && (await store.findBySlug(ctx, input.slug))) throw slugTaken(input.slug)

  const { component_id: _, ...sent } = input
  const updated = await store.replace(ctx, { ...before, ...sent, config, updated_at: ctx.now } as Component)
  await store.refer(ctx, updated.id, DRAFT, await usedBy(ctx, updated.type, config))
  const isArmed = updated.type === 'workflow' && updated.published_version === null
  if (isArmed) await keepTrigger(ctx, updated.id, updated.config)

  return updated
}

export async function remove(ctx: Context, input: { component_id: string }): Promise<undefined> {
  const component = await store.findForUpdate(ctx, input.component_id)
  if (!component) throw notFound('component', input.component_id)
  const users = await store.usersOf(ctx, component.id)
  if (users.length > 0) {
    const details = users.map((user) => ({ field: user.type, message: `"${user.slug}" (${user.id}) uses it.` }))
    throw conflict(
      `"${component.slug}" is used by ${users.length} other${users.length > 1 ? 's' : ''}; change those first.`,
      details,
    )
  }
  const solutions = await store.solutionsWith(ctx, component.id)
  if (solutions.length > 0) {
    const details = solutions.map(({ id, slug, version }) => ({
      field: 'solution',
      message: slug === null ? 'A private solution has it.' : `"${slug}" ${version} (${id}) has it.`,
    }))
    throw conflict(`"${component.slug}" is in ${solutions.length} solution${solutions.length > 1 ? 's' : ''}.`, details)
  }

  await store.remove(ctx, component.id)
  if (component.type === 'workflow') await dropTrigger(ctx, component.id)
}

export async function listVersions(ctx: Context, input: Parsed<Ops['listVersions']>): Promise<Page<ComponentVersion>> {
  await get(ctx, input)
  return store.listVersions(ctx, input)
}

export async function createVersion(ctx: Context, input: Parsed<Ops['createVersion']>): Promise<ComponentVersion> {
  const component = await store.findForUpdate(ctx, input.component_id)
  if (!component) throw notFound('component', input.component_id)
  const version = input.version ?? (await nextFree(ctx, component))

  const kept = await keep(ctx, component, version, input.changelog)
  await store.advance(ctx, component.id, after(version))

  return kept
}

export async function publish(ctx: Context, input: Parsed<Ops['publish']>): Promise<ComponentVersion> {
  const component = await store.findForUpdate(ctx, input.component_id)
  if (!component) throw notFound('component', input.component_id)
  const version = input.version ?? component.version
  const asked = input.version ? await store.findVersion(ctx, component.id, version) : undefined
  const kept = asked ?? (await keep(ctx, component, version, input.changelog))
  if (kept.status === 'published') return kept
  const faults = await publishFaults(ctx, { ...component, config: kept.config } as Component)
  if (faults.length > 0) {
    throw conflict(
      `"${component.slug}" can't be published yet: ${faults.length} of its parts are not in order.`,
      faults,
    )
  }

  const published = await store.publishVersion(ctx, kept.id, input.changelog || kept.changelog)
  await store.markPublished(ctx, component.id, version)
  await store.advance(ctx, component.id, after(version))
  if (component.type === 'workflow') await keepTrigger(ctx, component.id, published.config as WorkflowConfig)
  const { id: component_id, type, slug } = component
  const data = { component_id, type, slug, workspace_id: ctx.workspace_id, version }
  await emit(ctx, [{ type: 'component.published', data }])
  return published
}

/** What a reference names: a component's id or slug, optionally `@version`. Without a version it is the newest
 *  published one, and the draft where nothing is published. */
export async function resolve(ctx: Context, ref: string, type: ComponentType): Promise<Resolved | undefined> {
  const [name = '', version] = ref.split('@')
  const component = await store.findByRef(ctx, name, type)
  if (!component) return undefined
  const wanted = version ?? component.published_version
  if (!wanted) return { ...component, version: component.version }
  const kept = await store.findVersion(ctx, component.id, wanted)
  return kept && { ...component, version: kept.version, config: kept.config as Resolved['config'] }
}
export type Resolved = Pick<Component, 'id' | 'slug' | 'version' | 'config' | 'type'>

/** The configuration, parsed by its type, with every fault of it and every reference that names nothing refused. */
async function checked(ctx: Context, type: ComponentType, config: unknown): Promise<Component['config']> {
  const parsed = parseConfig(type, config)
  const lost: FieldError[] = []
  for (const { field, ref, type: wanted } of referencesOf(type, parsed)) {
    if (await resolve(ctx, ref, wanted)) continue
    lost.push({ field: `config.${field}`, message: `There is no ${wanted} "${ref}" in this workspace.` })
  }
  const faults = [...configFaults(type, parsed), ...lost]
  if (faults.length > 0) throw invalid(faults)
  return parsed
}

/** What stands in the way of publishing: faults of the configuration, references without a published version, and code
 *  that could not run. */
async function publishFaults(ctx: Context, { id, type, config }: Component): Promise<FieldError[]> {
  const faults = configFaults(type, config)
  for (const { field, ref, type: wanted } of referencesOf(type, config)) {
    const used = await store.findByRef(ctx, ref.split('@')[0] ?? '', wanted)
    if (used?.published_version || used?.id === id) continue
    faults.push({ field: `config.${field}`, message: `The ${wanted} "${ref}" has no published version.` })
  }
  return [...faults, ...(await codeFaults(ctx.platform.sandbox, ctx.organization_id, type, config))]
}

async function usedBy(ctx: Context, type: ComponentType, config: Component['config']): Promise<string[]> {
  const used = await Promise.all(referencesOf(type, config).map(({ ref, type: wanted }) => resolve(ctx, ref, wanted)))
  return [...new Set(used.flatMap((component) => (component ? [component.id] : [])))]
}

async function keep(ctx: Context, component: Component, version: string, changelog: string): Promise<ComponentVersion> {
  const digest = digestOf(component.config)
  const made = await store.insertVersion(ctx, {
    id: newId(),
    component_id: component.id,
    version,
    config: component.config,
    digest,
    changelog,
    created_at: ctx.now,
    created_by: ctx.actor.user_id,
  })
  if (made) {
    await store.refer(ctx, component.id, version, await usedBy(ctx, component.type, component.config))
    return made
  }
  const there = await store.findVersion(ctx, component.id, version)
  if (there?.digest === digest) return there
  throw conflict(`Version ${version} of "${component.slug}" exists with another content. Choose another version.`)
}

async function nextFree(ctx: Context, component: Component): Promise<string> {
  let version = component.version
  while (await store.findVersion(ctx, component.id, version)) version = after(version)
  return version
}

/** The version that a draft gets once this one is taken. */
function after(version: string): string {
  const next = Semver.safeParse(inc(version, 'patch'))
  if (next.success) return next.data
  throw conflict(`There is no version after ${version}. Choose a smaller one.`)
}

const slugTaken = (slug: string) =>
  conflict(`A component with the slug "${slug}" exists already.`, [{ field: 'slug', message: 'It is taken.' }])
