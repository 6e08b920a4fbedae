/** Components: a draft that is edited, and versions. A version is `draft` until `publish` makes it final; from then
 *  on nothing changes it. What a component refers to is kept as rows, so that nothing that is used can go. */

import { type FieldError, type JsonValue, type Page, Semver } from '@flow/contract/common'
import type {
  Component,
  ComponentTest,
  ComponentType,
  ComponentVersion,
  components as contract,
  SchemaForms,
  VersionDiff,
} from '@flow/contract/components'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import type { Parsed } from '@flow/contract/operation'
import { inc } from 'semver'
import { type Context, newId } from '../context.ts'
import { emit } from '../events/events.ts'
import { conflict, invalid, notFound } from '../failure.ts'
import { type Examined, examine, runTest } from './examining.ts'
import { pythonOf } from './python-source.ts'
import { resolve } from './references.ts'
import { configDifferences, configFaults, digestOf, parseConfig, referencesOf } from './rules.ts'
import { fieldsOf, jsonSchemaOf } from './schema-rules.ts'
import * as store from './store.ts'
import { dropTrigger, keepTrigger } from './triggers.ts'

export { executeBlock, executeFor, executing } from './calling.ts'
export { groupOf, hostOf } from './code-host.ts'
export { examine } from './examining.ts'
export {
  type Arrival,
  bringIn,
  type MovingComponent,
  type MovingRow,
  movingFaults,
  movingOf,
  namesIn,
} from './moving.ts'
export { type Resolved, resolve } from './references.ts'
export { referencesOf } from './rules.ts'
export { jsonSchemaOf } from './schema-rules.ts'
export { reached } from './store.ts'
export { checksOf, type Means, RunFailure, type Used } from './types/kind.ts'
export { runPrompt } from './types/prompt.ts'
export { keyCheck, VALUE_MAX } from './types/state.ts'
export { assertArguments, runTool } from './types/tool.ts'
export { runTransform } from './types/transform.ts'
export { runValidation } from './types/validation.ts'

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

  // It is in none of the solutions yet that a role may be for.
  return get({ ...ctx, solution_ids: undefined }, { component_id: created.id })
}

export async function get(ctx: Context, input: { component_id: string }): Promise<Component> {
  const component = await store.find(ctx, input.component_id)
  if (!component) throw notFound('component', input.component_id)
  return component
}

/** For whoever is about to refer to it: it is neither changed nor removed before their transaction ends. */
export const held = (ctx: Context, component_id: string): Promise<Component | undefined> =>
  store.findForShare(ctx, component_id)

/** The slugs of the workspace that begin like these: for whoever looks for free ones. */
export const slugsLike = async (ctx: Context, slugs: string[]): Promise<Set<string>> =>
  new Set((await store.slugsLike(ctx, slugs)).map(({ slug }) => slug))

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<Component> {
  const before = await findToChange(ctx, input.component_id)
  assertNotArchived(before)
  // The configuration is one value: when it is sent, it replaces what was there.
  const config = input.config ? await checked(ctx, before.type, input.config, before.id) : before.config
  if (input.slug && input.slug !== before.slug && (await store.findBySlug(ctx, input.slug))) throw slugTaken(input.slug)

  const { component_id: _, ...sent } = input
  const updated = await store.replace(ctx, { ...before, ...sent, config, updated_at: ctx.now } as Component)
  await store.refer(ctx, updated.id, DRAFT, await usedBy(ctx, updated.type, config))
  const isArmed = updated.type === 'workflow' && updated.published_version === null
  if (isArmed) await keepTrigger(ctx, updated.id, updated.config)

  return get(ctx, input)
}

export async function remove(ctx: Context, input: { component_id: string }): Promise<undefined> {
  const component = await findToChange(ctx, input.component_id)
  const users = await store.usersOf(ctx, component.id)
  if (users.length > 0) {
    const details = users.map((user) => ({ field: user.type, message: `"${user.slug}" (${user.id}) uses it.` }))
    throw conflict(
      `"${component.slug}" is used by ${users.length} other${users.length > 1 ? 's' : ''}; change those first.`,
      details,
    )
  }
  await assertGuardsNothing(ctx, component)
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
  const component = await findToChange(ctx, input.component_id)
  assertNotArchived(component)
  const version = input.version ?? (await nextFree(ctx, component))

  const kept = await keep(ctx, component, version, input.changelog)
  await store.advance(ctx, component.id, after(version))

  return kept
}

/** What takes its time is done before the transaction begins, and handed to it. */
export const prepares = { publish: examine, test: runTest }

export async function publish(
  ctx: Context,
  input: Parsed<Ops['publish']>,
  { digest, faults }: Examined,
): Promise<ComponentVersion> {
  const component = await findToChange(ctx, input.component_id)
  assertNotArchived(component)
  const version = input.version ?? component.version
  const asked = input.version ? await store.findVersion(ctx, component.id, version) : undefined
  if (asked?.status === 'published') return asked
  if (digestOf(asked?.config ?? component.config) !== digest) {
    throw conflict(`"${component.slug}" was changed while it was examined. Publish it again.`)
  }
  if (faults.length > 0) {
    throw conflict(
      `"${component.slug}" can't be published yet: ${faults.length} of its parts are not in order.`,
      faults,
    )
  }
  const kept = asked ?? (await keep(ctx, component, version, input.changelog))
  if (kept.status === 'published') return kept

  const published = await store.publishVersion(ctx, kept.id, input.changelog || kept.changelog)
  await store.markPublished(ctx, component.id, version)
  await store.advance(ctx, component.id, after(version))
  if (component.type === 'workflow') await keepTrigger(ctx, component.id, published.config as WorkflowConfig)
  const { id: component_id, type, slug } = component
  const data = { component_id, type, slug, workspace_id: ctx.workspace_id, version }
  await emit(ctx, [{ type: 'component.published', data }])
  return published
}

export async function diff(ctx: Context, input: Parsed<Ops['diff']>): Promise<VersionDiff> {
  const component = await get(ctx, input)
  const [from, to] = [await side(ctx, component, input.a), await side(ctx, component, input.b)]
  const changes = configDifferences(component.type, from.config, to.config)
  return { component_id: component.id, from, to, changes }
}

async function side(ctx: Context, { id, config }: Component, version: string) {
  if (version === 'draft')
    return { version: 'draft' as const, digest: digestOf(config), status: 'draft' as const, config }
  return findVersion(ctx, id, version)
}

export async function restore(ctx: Context, input: Parsed<Ops['restore']>): Promise<Component> {
  const { config } = await findVersion(ctx, (await get(ctx, input)).id, input.version)
  return update(ctx, { component_id: input.component_id, config: config as Record<string, JsonValue> })
}

export async function deprecate(ctx: Context, input: Parsed<Ops['deprecate']>): Promise<Component> {
  const component = await findToChange(ctx, input.component_id)
  const { slug, status } = component
  if (status !== 'published' && status !== 'deprecated') {
    throw conflict(`"${slug}" is not published; it is ${status === 'draft' ? 'a draft' : 'archived'}.`)
  }

  return store.markAs(ctx, component.id, { status: 'deprecated', reason: input.reason })
}

export async function undeprecate(ctx: Context, input: Parsed<Ops['undeprecate']>): Promise<Component> {
  const component = await findToChange(ctx, input.component_id)
  if (component.status !== 'deprecated') throw conflict(`"${component.slug}" is not deprecated.`)

  return store.markAs(ctx, component.id, { status: 'published', reason: null })
}

export async function archive(ctx: Context, input: Parsed<Ops['archive']>): Promise<Component> {
  const component = await findToChange(ctx, input.component_id)
  await assertGuardsNothing(ctx, component)
  if (component.type === 'workflow') await keepTrigger(ctx, component.id, { ...component.config, ...unarmed })

  return store.markAs(ctx, component.id, { status: 'archived', reason: input.reason })
}

const unarmed = { trigger_type: 'manual', trigger_config: {} } as const

export async function unarchive(ctx: Context, input: Parsed<Ops['unarchive']>): Promise<Component> {
  const component = await findToChange(ctx, input.component_id)
  const { slug, status, published_version } = component
  if (status !== 'archived') throw conflict(`"${slug}" is not archived.`)
  if (component.type === 'workflow') {
    const armed = published_version ? await findVersion(ctx, component.id, published_version) : component
    await keepTrigger(ctx, component.id, armed.config as WorkflowConfig)
  }

  return store.markAs(ctx, component.id, { status: published_version ? 'published' : 'draft', reason: null })
}

/** It has run already, before the transaction. */
export const test = async (_: Context, __: Parsed<Ops['test']>, tested: ComponentTest): Promise<ComponentTest> => tested

export async function convertSchema(_: Context, input: Parsed<Ops['convertSchema']>): Promise<SchemaForms> {
  const { fields, json_schema, strict_validation, name } = input
  if ((fields === undefined) === (json_schema === undefined)) {
    throw invalid([{ field: 'fields', message: 'Send either "fields" or "json_schema".' }])
  }
  const { faults, ...read } = json_schema
    ? fieldsOf(json_schema, 'json_schema')
    : { fields: fields ?? [], strict_validation, faults: [] }
  const config = { ...read, schema_type: 'json_schema' as const, examples: [] }
  const place = json_schema ? 'json_schema' : ''
  const unsound = faults.length > 0 ? faults : configFaults('schema', config).map((fault) => moved(fault, place))
  if (unsound.length > 0) throw invalid(unsound)
  return { ...read, json_schema: jsonSchemaOf(read) as SchemaForms['json_schema'], ...pythonOf(name, read) }
}

/** A fault of fields is told where they stand here. */
const moved = ({ field, message }: FieldError, place: string): FieldError => ({
  field: place || field.replace(/^config\./, ''),
  message,
})

/** The configuration, parsed by its type, with every fault of it and every reference that names nothing refused. What is
 *  archived can stay in use where it is, and be used nowhere else. */
async function checked(ctx: Context, type: ComponentType, config: unknown, id?: string): Promise<Component['config']> {
  const parsed = parseConfig(type, config)
  const before = id ? await store.usedBefore(ctx, id) : new Set<string>()
  const lost: FieldError[] = []
  for (const { field, ref, types } of referencesOf(type, parsed)) {
    const found = await resolve(ctx, ref, types)
    const isAway = found?.status === 'archived' && !before.has(found.id)
    if (found && !isAway) continue
    const message = found
      ? `"${ref}" is archived: nothing new may use it.`
      : `There is no ${types.join(' or ')} "${ref}" in this workspace.`
    lost.push({ field: `config.${field}`, message })
  }
  const faults = [...configFaults(type, parsed), ...lost]
  if (faults.length > 0) throw invalid(faults)
  return parsed
}

async function findToChange(ctx: Context, id: string): Promise<Component> {
  const component = await store.findForUpdate(ctx, id)
  if (!component) throw notFound('component', id)
  return component
}

async function findVersion(ctx: Context, component_id: string, version: string): Promise<ComponentVersion> {
  const found = await store.findVersion(ctx, component_id, version)
  if (!found) throw notFound('version', version)
  return found
}

/** A guardrail whose code block is gone or archived lets no call through. */
async function assertGuardsNothing(ctx: Context, { id, slug }: Component): Promise<void> {
  const guardrails = await store.guardrailsWith(ctx, id)
  if (guardrails.length === 0) return
  const names = guardrails.map(({ name }) => `"${name}"`).join(', ')
  const [which, those] = guardrails.length === 1 ? ['guardrail', 'it'] : ['guardrails', 'those']
  throw conflict(`"${slug}" is run by the ${which} ${names} of the gateway. Change ${those} first.`)
}

function assertNotArchived({ slug, status }: Component): void {
  if (status === 'archived') throw conflict(`"${slug}" is archived: it can be read, not changed.`)
}

async function usedBy(ctx: Context, type: ComponentType, config: Component['config']): Promise<string[]> {
  const used = await Promise.all(referencesOf(type, config).map(({ ref, types }) => resolve(ctx, ref, types)))
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
