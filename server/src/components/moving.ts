/** Components on their way from one workspace to another: whole, with their drafts and published versions, and without
 *  anything of the installation they come from. Inside of what moves together everything is named by its slug, so that
 *  it means the same wherever it arrives; published versions arrive as published, since they were examined where they
 *  come from, and nothing of them can run that a draft could not. */

import type { FieldError, JsonValue } from '@flow/contract/common'
import type { Component, ComponentType } from '@flow/contract/components'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import { type Context, newId } from '../context.ts'
import { Failure, invalid } from '../failure.ts'
import { resolve } from './references.ts'
import { configFaults, digestOf, parseConfig, referencesOf, withDefaults } from './rules.ts'
import * as store from './store.ts'
import { keepTrigger } from './triggers.ts'

export type MovingVersion = { version: string; digest: string; changelog: string; config: Record<string, JsonValue> }

export type MovingComponent = {
  slug: string
  type: ComponentType
  name: string
  description: string
  tags: string[]
  status: Component['status']
  status_reason?: string | undefined
  /** Of the draft. */
  version: string
  published_version?: string | undefined
  config: Record<string, JsonValue>
  versions: MovingVersion[]
}

/** A component as it is stored, with its published versions. */
export type MovingRow = Pick<
  Component,
  | 'id'
  | 'slug'
  | 'type'
  | 'name'
  | 'description'
  | 'tags'
  | 'status'
  | 'status_reason'
  | 'version'
  | 'published_version'
> & {
  config: unknown
  versions: { version: string; changelog: string; config: unknown }[] | null
}

/** What moves, of rows: what they name by id among each other is named by slug, and all defaults are written out. */
export function movingOf(rows: MovingRow[]): MovingComponent[] {
  const slugs = new Map(rows.map(({ id, slug }) => [id, slug]))
  return rows.map(({ id: _, versions, status_reason, published_version, config, ...row }) => {
    const moved = (stored: unknown) =>
      renamed(row.type, withDefaults(row.type, stored) as Record<string, JsonValue>, (name) => slugs.get(name) ?? name)
    return {
      ...row,
      ...(status_reason === null ? {} : { status_reason }),
      ...(published_version === null ? {} : { published_version }),
      config: moved(config),
      versions: (versions ?? []).map(({ version, changelog, config }) => {
        const kept = moved(config)
        return { version, digest: digestOf(kept), changelog, config: kept }
      }),
    }
  })
}

/** The slugs that its draft and its published versions name. */
export const namesIn = ({ type, config, versions }: MovingComponent): string[] =>
  [config, ...versions.map((kept) => kept.config)].flatMap((each) =>
    referencesOf(type, each as Component['config']).map(({ ref }) => ref.split('@')[0] ?? ''),
  )

/** What is wrong with a component before it is known where it goes, each fault with its place below the component. */
export function movingFaults({ type, config, versions, status, published_version }: MovingComponent): FieldError[] {
  const faults = configOf(type, config, 'config')
  for (const [i, each] of versions.entries()) {
    faults.push(...configOf(type, each.config, `versions[${i}].config`))
    const first = versions.findIndex(({ version }) => version === each.version)
    if (first !== i)
      faults.push({ field: `versions[${i}].version`, message: `versions[${first}] is the same version.` })
    if (digestOf(each.config) !== each.digest) {
      const message = 'It is not the digest of "config": the file has been changed, or is damaged.'
      faults.push({ field: `versions[${i}].digest`, message })
    }
  }
  const isThere = versions.some(({ version }) => version === published_version)
  if (published_version !== undefined && !isThere) {
    faults.push({ field: 'published_version', message: `There is no version ${published_version} among "versions".` })
  }
  if (published_version === undefined && versions.length > 0) {
    faults.push({ field: 'published_version', message: 'Say which of the versions is the newest published one.' })
  }
  if ((status === 'published' || status === 'deprecated') && published_version === undefined) {
    faults.push({ field: 'status', message: `What is ${status} has a published version.` })
  }
  if (status === 'draft' && published_version !== undefined) {
    faults.push({ field: 'status', message: 'What has a published version is no draft.' })
  }
  return faults
}

function configOf(type: ComponentType, config: unknown, field: string): FieldError[] {
  const placed = (faults: FieldError[]) =>
    faults.map((fault) => ({ ...fault, field: fault.field.replace(/^config/, field) }))
  try {
    return placed(configFaults(type, parseConfig(type, config)))
  } catch (error) {
    if (error instanceof Failure && error.code === 'VALIDATION_ERROR') return placed(error.details)
    throw error
  }
}

/** Where each component arrives: under which slug, or as which that is there already. */
export type Arrival = { slug: string; existing_id?: string }

/** Makes components of the workspace of what moves, and gives their ids, in its order. `arrivals` are by slug. Refuses
 *  references that name nothing here, with their places below `places[i]`; the caller's transaction then ends. */
export async function bringIn(
  ctx: Context,
  moving: MovingComponent[],
  arrivals: ReadonlyMap<string, Arrival>,
  { places, arm_triggers }: { places: string[]; arm_triggers: boolean },
): Promise<string[]> {
  const rename = (name: string) => arrivals.get(name)?.slug ?? name
  const arrived: { id: string; component: MovingComponent; place: string }[] = []
  const ids: string[] = []
  for (const [i, each] of moving.entries()) {
    const existing_id = arrivals.get(each.slug)?.existing_id
    const component = { ...each, slug: rename(each.slug), config: renamed(each.type, each.config, rename) }
    const versions = each.versions.map((kept) => ({ ...kept, config: renamed(each.type, kept.config, rename) }))
    const id = existing_id ?? (await insert(ctx, { ...component, versions }))
    ids.push(id)
    if (!existing_id) arrived.push({ id, component: { ...component, versions }, place: places[i] ?? '' })
  }
  const faults: FieldError[] = []
  for (const each of arrived) faults.push(...(await refer(ctx, each)))
  if (faults.length > 0) throw invalid(faults)
  for (const { id, component } of arrived) if (arm_triggers) await arm(ctx, id, component)
  return ids
}

async function insert(ctx: Context, moving: MovingComponent): Promise<string> {
  const { type, name, slug, description, tags, version, status, status_reason, published_version } = moving
  const made = { created_at: ctx.now, created_by: ctx.actor.user_id }
  const config = parseConfig(type, moving.config)
  const component = await store.insert(ctx, {
    id: newId(),
    type,
    name,
    slug,
    description,
    tags,
    version,
    config,
    ...made,
  })
  if (!component) throw new Failure('CONFLICT', `A component with the slug "${slug}" was made at the same time.`)
  for (const { version, changelog, config } of moving.versions) {
    const parsed = parseConfig(type, config)
    const kept = { version, changelog, config: parsed as JsonValue, digest: digestOf(parsed), ...made }
    const row = await store.insertVersion(ctx, { id: newId(), component_id: component.id, ...kept })
    if (row) await store.publishVersion(ctx, row.id, changelog)
  }
  if (published_version !== undefined) await store.markPublished(ctx, component.id, published_version)
  if (status === 'deprecated' || status === 'archived') {
    await store.markAs(ctx, component.id, { status, reason: status_reason ?? null })
  }
  return component.id
}

/** Keeps what the draft and each version use. Everything that moves together is there by now. */
async function refer(
  ctx: Context,
  { id, component, place }: { id: string; component: MovingComponent; place: string },
): Promise<FieldError[]> {
  const faults: FieldError[] = []
  const kept = component.versions.map(({ version, config }, i) => ({ version, config, at: `versions[${i}].config` }))
  for (const { version, config, at } of [{ version: '', config: component.config, at: 'config' }, ...kept]) {
    const used = new Set<string>()
    for (const { field, ref, types } of referencesOf(component.type, parseConfig(component.type, config))) {
      const found = await resolve(ctx, ref, types)
      const message = `There is no ${types.join(' or ')} "${ref}" in the file or in this workspace.`
      if (found) used.add(found.id)
      else faults.push({ field: `${place}.${at}.${field}`, message })
    }
    if (faults.length === 0) await store.refer(ctx, id, version, [...used])
  }
  return faults
}

async function arm(ctx: Context, id: string, { type, status, config, versions, published_version }: MovingComponent) {
  if (type !== 'workflow' || status === 'archived') return
  const armed = versions.find(({ version }) => version === published_version)?.config ?? config
  await keepTrigger(ctx, id, parseConfig(type, armed) as WorkflowConfig)
}

/** The configuration with its references renamed: what stands before `@` or `#` in each. */
function renamed(
  type: ComponentType,
  config: Record<string, JsonValue>,
  rename: (name: string) => string,
): Record<string, JsonValue> {
  const copy = structuredClone(config)
  for (const { field, ref } of referencesOf(type, copy as Component['config'])) {
    const [name = ''] = ref.split('@')
    const steps = [...field.matchAll(/[^.[\]]+/g)].map(([step]) => step)
    const last = steps.pop() ?? ''
    const holder = steps.reduce<Holder>((at, step) => at[step] as Holder, copy as Holder)
    const value = holder[last]
    if (typeof value === 'string' && value.startsWith(name)) holder[last] = rename(name) + value.slice(name.length)
  }
  return copy
}
type Holder = { [step: string]: unknown }
