/** How executions begin: by a caller, by a trigger, taken up again, or as the child of another. Each is pinned to its
 *  definition, and either queued at once or, where its workflow limits how many run, put in line. */

import type { WorkflowConfig } from '@flow/contract/components/workflow'
import { assertBudget } from '../billing/billing.ts'
import { resolve } from '../components/components.ts'
import type { Graph } from '../components/workflow-rules.ts'
import { type Context, newId, rightsOf, within } from '../context.ts'
import { ExpressionFault, TooLarge } from '../expressions/expressions.ts'
import { conflict, Failure, invalid } from '../failure.ts'
import { freshlyMade } from './fresh.ts'
import type { Effect } from './nodes/node.ts'
import { Redaction } from './redaction.ts'
import { admitting, executing } from './runs.ts'
import { pin, type Snapshot, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'

const INPUT_CHARACTERS = 1024 * 1024

/** What a definition is, and where it is from. */
export type Definition = { workflow_id: string; version: string; config: WorkflowConfig }

/** What sets an execution off, when it is not a caller of `execute`. `depth`: how many events lie behind it. */
export type SetOff = { type: string; detail?: store.TriggerDetail; depth?: number }

/** Of a child: whose. */
export type Parent = {
  execution_id: string
  node_id: string
  attempt: number
  on_parent_end: 'cancel' | 'leave'
  depth: number
}

export type Beginning = Pick<
  store.ExecutionRow,
  'workflow_id' | 'workflow_version' | 'snapshot' | 'retry_of' | 'trigger_type' | 'trigger' | 'event_depth'
> & {
  input: string
  parent: Parent | null
  concurrency_key: string | null
  /** Instead of the definition's. */
  priority?: number
  replay_id?: string
}

export const byHand = { trigger_type: 'manual', trigger: null, event_depth: 0, parent: null }

/** Everything that can be refused, before anything is written of the execution. */
export async function prepare(
  ctx: Context,
  definition: () => Definition | Promise<Definition>,
  input: unknown,
  { type, detail, depth }: SetOff,
): Promise<Beginning> {
  const text = JSON.stringify(input)
  if (text.length > INPUT_CHARACTERS) throw new Failure('PAYLOAD_TOO_LARGE', 'The input has more than 1 MiB of JSON.')
  if (depthBelow(ctx) > DEPTH_MAX) throw conflict(`Executions start each other more than ${DEPTH_MAX} deep.`)
  const [{ workflow_id, version, config }] = await Promise.all([definition(), assertBudget(ctx)])
  const snapshot = await pin(ctx, config)
  return {
    workflow_id,
    workflow_version: version,
    snapshot,
    input: text,
    retry_of: null,
    trigger_type: type,
    trigger: detail ?? null,
    event_depth: depth ?? 0,
    parent: null,
    concurrency_key: lineOf(await fitting(ctx, snapshot, input), input),
  }
}

/** The definition that the input fits; refuses another input. */
async function fitting(ctx: Context, digest: string, input: unknown): Promise<Snapshot> {
  const snapshot = await snapshotOf(ctx.db, ctx.organization_id, digest)
  assertFits(snapshot.graph, input)
  return snapshot
}

/** An input of before with another definition, if it fits that. */
export async function prepareAgain(ctx: Context, made: Definition & { snapshot: string }, input: unknown) {
  const concurrency_key = lineOf(await fitting(ctx, made.snapshot, input), input)
  return { workflow_version: made.version, snapshot: made.snapshot, concurrency_key }
}

/** Executions that start each other without an end are stopped here. */
export const DEPTH_MAX = 32

/** Of what code starts: it stands below the execution that the code belongs to. */
const depthBelow = ({ inside }: Context): number => (inside ? inside.calls + 1 : 0)

/** Queues an execution, or puts it in line. `more` is done before anybody can take it. */
export async function begin(
  ctx: Context,
  made: Beginning,
  more?: (id: string) => Promise<unknown>,
): Promise<store.ExecutionRow> {
  const { actor, request_id } = ctx
  const { graph, observability } = await snapshotOf(ctx.db, ctx.organization_id, made.snapshot)
  const { retention_days = observability?.log_config.retention_days, concurrency } = graph.config
  const { priority = graph.config.priority, replay_id = null } = made
  const id = newId()
  const inserted = store.insert(ctx, {
    ...made,
    id,
    replay_id,
    rights: rightsOf(ctx),
    depth: made.parent?.depth ?? depthBelow(ctx),
    started_by: actor.user_id || null,
    request_id,
    priority,
    retention_days: retention_days ?? null,
  })
  const keep = freshlyMade(ctx, made.input.length)
  const { workflow_id, concurrency_key: key } = made
  const start = () =>
    concurrency && key !== null
      ? ctx.start(admitting, { workflow_id, key, limit: concurrency.limit })
      : ctx.start(executing, { execution_id: id }, { id, is_fresh: true, ...(priority ? { priority } : {}) })
  // What is asked in one turn travels at once.
  const [row] = await Promise.all([inserted, more ? inserted.then(() => more(id)).then(start) : start()])
  keep(row)
  return row
}

/** The line that an execution stands in, beside others of its workflow with the same key; null where all begin at once. */
function lineOf({ graph, secrets }: Snapshot, input: unknown): string | null {
  const { concurrencyKey, config } = graph
  if (!config.concurrency) return null
  if (!concurrencyKey) return ''
  const refuse = (message: string) => {
    const redaction = new Redaction()
    redaction.learn(secrets?.input, input)
    return invalid([{ field: 'input', message: `"concurrency.key" gives no key: ${redaction.message(message)}` }])
  }
  try {
    const value = concurrencyKey.evaluate({ input, vars: config.vars })
    // Escaped, whatever is in it.
    const key = typeof value === 'string' && /^[\w .:@-]*$/.test(value) ? value : JSON.stringify(value)
    if (key.length <= 500) return key
  } catch (error) {
    if (error instanceof ExpressionFault || error instanceof TooLarge) throw refuse(error.message)
    throw error
  }
  throw refuse('it is longer than 500 characters.')
}

/** Starts those for which there is room. One at a time for each line: whoever counts holds it. */
export async function admit(ctx: Context, line: { workflow_id: string; key: string; limit: number }): Promise<void> {
  await ctx.db.tx(async (db) => {
    const at = within(ctx, db)
    await store.holdLine(at, line.workflow_id, line.key)
    for (const { id, workspace_id, started_by, request_id, priority } of await store.admit(at, line)) {
      const starter = { ...at, workspace_id, actor: { user_id: started_by ?? '' }, request_id: request_id ?? undefined }
      const options = { id, ...(priority ? { priority } : {}) }
      await ctx.platform.engine.start(starter, executing, { execution_id: id }, options)
    }
  })
}

/** Resolves a child and checks what can be; gives what begins it. */
export async function prepareChild(
  ctx: Context,
  ref: string,
  input: unknown,
  parent: Parent & { event_depth: number },
): Promise<Effect> {
  const found = await resolve(ctx, ref, 'workflow')
  if (!found) throw invalid([{ field: 'component_ref', message: `There is no workflow "${ref}" in this workspace.` }])
  const definition = { workflow_id: found.id, version: found.version, config: found.config as WorkflowConfig }
  const set_off = { type: 'workflow', depth: parent.event_depth }
  const made = await prepare(ctx, () => definition, input ?? null, set_off)
  return (db) => begin(within(ctx, db), { ...made, parent })
}

function assertFits(graph: Graph, input: unknown): void {
  const faults = graph.checkInput?.(input) ?? []
  if (faults.length === 0) return
  throw invalid(faults.map(({ place, message }) => ({ field: `input${fieldOf(place)}`, message: `It ${message}.` })))
}

/** `/rows/3/name` as `.rows[3].name`. */
export const fieldOf = (place: string): string =>
  place
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll('~1', '/').replaceAll('~0', '~')}`))
    .join('')
