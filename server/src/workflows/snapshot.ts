/** Snapshots: a definition with the code it calls, kept by digest. An execution is pinned to one, so what is edited or
 *  published later does not touch it. What is compiled of a snapshot is kept in memory while it is in use. */

import { createHash } from 'node:crypto'
import type { FieldError } from '@flow/contract/common'
import { configs } from '@flow/contract/components'
import { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { ObservabilityConfig } from '@flow/contract/components/observability'
import type { SchemaConfig } from '@flow/contract/components/schema'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { jsonSchemaOf, type Resolved, referencesOf, resolve, type Used } from '../components/components.ts'
import { compileWorkflow, type Graph } from '../components/workflow-rules.ts'
import type { Context } from '../context.ts'
import type { Db } from '../db/db.ts'
import { compileJsonSchema, ExpressionFault, type JsonSchemaCheck } from '../expressions/expressions.ts'
import { conflict, Failure } from '../failure.ts'
import type { Block } from './nodes/node.ts'
import { type Secrets, secretsOf } from './redaction.ts'
import * as store from './snapshot-store.ts'

export type Snapshot = {
  graph: Graph
  blocks: ReadonlyMap<string, Block>
  schemas: ReadonlyMap<string, JsonSchemaCheck>
  /** The transforms and validations of its nodes, and what they refer to. */
  components: ReadonlyMap<string, Used>
  observability: ObservabilityConfig | undefined
  /** What its schemas mark as secret; mostly nothing. */
  secrets: Secrets | undefined
  /** It was pinned by a newer release, which knows how to run it. */
  isNewer: boolean
}

/** What this release understands. It grows with every type of node and every rule that an older one does not know, so
 *  that an older release leaves to a newer one what it cannot run. */
const FORMAT = 4

type Content = {
  format?: number
  config: WorkflowConfig
  /** By the reference that the definition uses. */
  blocks: Record<string, { component_id: string; version: string; config: CodeBlockConfig }>
  schemas?: Record<string, Record<string, unknown>>
  components?: Components
}
type Components = Record<string, Pick<Used, 'id' | 'slug' | 'version' | 'type' | 'config'>>

const KEPT = 200
/** By organization and digest: what is compiled is the same wherever it comes from. */
const compiled = new Map<string, Snapshot>()
/** Those that are committed, so that they need not be written again, and when that was last known. It is believed for
 *  an hour: a snapshot without executions is removed when it has been one for a day. */
const committed = new Map<string, number>()
const BELIEVED_MS = 3_600_000

/** Keeps the definition as it is at this moment, with what its references name now. */
export async function pin(ctx: Context, config: WorkflowConfig): Promise<string> {
  const blocks: Content['blocks'] = {}
  const schemas: Content['schemas'] = {}
  const components: Components = {}
  const lost: FieldError[] = []
  for (const { field, ref, types } of referencesOf('workflow', config)) {
    if ([blocks, schemas, components].some((kept) => Object.hasOwn(kept, ref))) continue
    const found = await resolve(ctx, ref, types)
    if (!found) lost.push({ field, message: `There is no ${types.join(' or ')} "${ref}" in this workspace.` })
    else if (found.type === 'schema') schemas[ref] = jsonSchemaOf(found.config as SchemaConfig)
    else if (found.type === 'code_block')
      blocks[ref] = { component_id: found.id, version: found.version, config: found.config as CodeBlockConfig }
    // A child is pinned when it begins.
    else if (found.type !== 'workflow') await pinComponent(ctx, ref, found, components, field, lost)
  }
  if (lost.length > 0) throw conflict('The workflow needs components that are not there.', lost)

  const content = JSON.stringify({ format: FORMAT, config, blocks, schemas, components } satisfies Content)
  const digest = createHash('sha256').update(content).digest('hex')
  const key = keyOf(ctx.organization_id, digest)
  const isKnown = Date.parse(ctx.now) - (committed.get(key) ?? -Infinity) < BELIEVED_MS
  if (!isKnown) await store.keepSnapshot(ctx, digest, content)
  return digest
}

/** A component together with what it refers to. None of these refers to itself, however far it is followed. */
async function pinComponent(
  ctx: Context,
  ref: string,
  { id, slug, version, type, config }: Resolved,
  components: Components,
  field: string,
  lost: FieldError[],
): Promise<void> {
  components[ref] = { id, slug, version, type, config }
  for (const inner of referencesOf(type, config)) {
    if (Object.hasOwn(components, inner.ref)) continue
    const found = await resolve(ctx, inner.ref, inner.types)
    // A child is pinned when it begins.
    if (found?.type === 'workflow') continue
    if (found) await pinComponent(ctx, inner.ref, found, components, field, lost)
    else
      lost.push({
        field,
        message: `"${ref}" needs the ${inner.types.join(' or ')} "${inner.ref}", which is not there.`,
      })
  }
}

/** What an execution is pinned to, ready to be run. */
export async function snapshotOf(db: Db, organization_id: string, digest: string): Promise<Snapshot> {
  const key = keyOf(organization_id, digest)
  const known = compiled.get(key)
  if (known) return known
  const { content } = await store.snapshot(db, organization_id, digest)
  const snapshot = compile(content as Content)
  forgetOldest(compiled)
  compiled.set(key, snapshot)
  return snapshot
}

/** At this time an execution that others can see was pinned to it. */
export function markCommitted(organization_id: string, digest: string, now: Date): void {
  const key = keyOf(organization_id, digest)
  if (!committed.has(key)) forgetOldest(committed)
  committed.set(key, now.getTime())
}

function forgetOldest(kept: { size: number; keys(): Iterator<string>; delete(key: string): boolean }): void {
  const oldest = kept.keys().next()
  if (kept.size >= KEPT && !oldest.done) kept.delete(oldest.value)
}

const keyOf = (organization_id: string, digest: string) => `${organization_id}:${digest}`

/** What is to be gone on with, and not only told of. */
export function assertKnown({ isNewer }: Snapshot): void {
  if (!isNewer) return
  throw new Failure('UNAVAILABLE', 'A newer release of Flow began this execution, and this one cannot go on with it.')
}

function compile({ format = 1, config, blocks, schemas = {}, components = {} }: Content): Snapshot {
  if (format > FORMAT) return toldOnly(config, blocks)
  // An older release may have kept it: what has been added since has its default.
  const { graph } = compileWorkflow(WorkflowConfig.parse(config))
  const entries = Object.entries(blocks).map(([ref, { component_id, version, config }]): [string, Block] => [
    ref,
    { component_id, version, config: CodeBlockConfig.parse(config), ...schemasOf(config) },
  ])
  const used = new Map(Object.entries(components).map(([ref, each]) => [ref, withDefaults(each)]))
  const byRef = new Map(entries)
  return {
    graph,
    blocks: byRef,
    secrets: secretsOf(graph, byRef, used),
    schemas: new Map(Object.entries(schemas).map(([ref, schema]) => [ref, schemaOf(schema)])),
    components: used,
    // A configuration that was found under its own reference is of its own type.
    observability: used.get(config.observability_ref ?? '')?.config as ObservabilityConfig | undefined,
    isNewer: false,
  }
}

/** Of what a newer release has pinned: which nodes there are, and what its schemas mark as secret. All else may be of a
 *  shape or mean what is not known here. */
function toldOnly(config: WorkflowConfig, blocks: Content['blocks'] | undefined): Snapshot {
  const nodes = config.nodes.map((node, index) => ({ node, index, incoming: [], outgoing: [] }))
  const byId = new Map(nodes.map((at) => [at.node.id, at]))
  const graph = { config, nodes, byId, edges: [] }
  const secrets = secretsOf(graph, new Map(Object.entries(blocks ?? {})))
  const none = { blocks: new Map(), schemas: new Map(), components: new Map(), observability: undefined }
  return { graph, secrets, ...none, isNewer: true }
}

const withDefaults = (component: Used): Used =>
  // The configuration has been one of its own type since it was saved.
  ({ ...component, config: configs[component.type].parse(component.config) }) as Used

function schemasOf({ input_schema, output_schema }: CodeBlockConfig): Pick<Block, 'checkInput' | 'checkOutput'> {
  return {
    ...(input_schema ? { checkInput: schemaOf(input_schema) } : {}),
    ...(output_schema ? { checkOutput: schemaOf(output_schema) } : {}),
  }
}

/** A schema that is none refuses everything, with the reason. */
function schemaOf(schema: Record<string, unknown>): JsonSchemaCheck {
  try {
    return compileJsonSchema(schema)
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    const faults = [{ place: '', message: `cannot be checked. ${error.message}` }]
    return () => faults
  }
}
