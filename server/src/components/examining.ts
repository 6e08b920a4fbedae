/** What is looked at before something counts: whether a version can be published, and what comes of a component when it
 *  is tried. Code may run for that, so no transaction is open; nothing is written but the bill. */

import type { FieldError, JsonValue } from '@flow/contract/common'
import type {
  Component,
  ComponentTest,
  ComponentType,
  components as contract,
  TestRun,
} from '@flow/contract/components'
import type { Parsed } from '@flow/contract/operation'
import { assertBudget } from '../billing/billing.ts'
import type { Context } from '../context.ts'
import { conflict, invalid, notFound, unavailable } from '../failure.ts'
import { SandboxUnavailable } from '../sandbox/sandbox.ts'
import { codeFaults } from './code.ts'
import { configFaults, digestOf, parseConfig, referencesOf } from './rules.ts'
import { openSession, type Ran, type Session } from './running.ts'
import * as store from './store.ts'
import type { Example } from './types/kind.ts'
import { kindOf } from './types/kinds.ts'

type Ops = typeof contract

/** How long all examples of a component have together. */
const SECONDS = 300
/** Characters of JSON that what runs gave may come to in one answer. */
const TOLD_MAX = 8 * 1024 * 1024

/** What was found, and of which configuration it was. */
export type Examined = { digest: string; faults: FieldError[] }

/** What stands in the way of publishing: faults of the configuration, references without a published version, code that
 *  could not run; and where there is none of these, examples that fail. */
export async function examine(ctx: Context, input: Parsed<Ops['publish']>): Promise<Examined> {
  const { component, config, isFinal } = await wanted(ctx, input.component_id, input.version)
  const digest = digestOf(config)
  if (isFinal) return { digest, faults: [] }
  const { id, type } = component

  const parsed = parseConfig(type, config)
  const faults = [
    ...configFaults(type, parsed),
    ...(kindOf(type).publishFaults?.(parsed) ?? []),
    ...(await referenceFaults(ctx, type, parsed, id)),
    ...(await codeFaults(ctx.platform.sandbox, ctx.workspace_id, type, parsed).catch(whenFull)),
  ]
  if (faults.length > 0) return { digest, faults }
  return { digest, faults: await exampleFaults(ctx, component, parsed) }
}

/** Nothing has been found out then. */
function whenFull(error: unknown): never {
  throw error instanceof SandboxUnavailable ? unavailable(error.message) : error
}

/** Runs a component with the input, or all of its examples. */
export async function runTest(ctx: Context, input: Parsed<Ops['test']>): Promise<ComponentTest> {
  const version = input.version === 'draft' ? undefined : input.version
  const { component, kept, config } = await wanted(ctx, input.component_id, version)
  if (version !== undefined && !kept) throw notFound('version', version)
  const { id, type } = component
  const parsed = parseConfig(type, config)
  const kind = kindOf(type)
  const refusal = kind.cannotRun?.(parsed)
  if (refusal) throw conflict(refusal)
  const examples = input.input === undefined ? (kind.examples?.(parsed) ?? []) : []
  if (input.input === undefined && examples.length === 0) {
    throw invalid([{ field: 'input', message: 'It has no examples: send an input.' }])
  }
  await assertBudget(ctx)

  const runs = await inSession(ctx, { ...component, config: parsed } as Component, async (run) => {
    if (input.input !== undefined) return [runOf(null, input.input, undefined, await run(input.input))]
    return runExamples(examples, run)
  })

  return {
    component_id: id,
    type,
    version: input.version,
    passed: runs.every(({ passed }) => passed),
    runs,
  }
}

async function wanted(ctx: Context, component_id: string, version: string | undefined) {
  const component = await store.find(ctx, component_id)
  if (!component) throw notFound('component', component_id)
  const kept = version ? await store.findVersion(ctx, component.id, version) : undefined
  return { component, kept, config: kept ? kept.config : component.config, isFinal: kept?.status === 'published' }
}

async function referenceFaults(
  ctx: Context,
  type: ComponentType,
  config: Component['config'],
  id: string,
): Promise<FieldError[]> {
  const faults: FieldError[] = []
  for (const { field, ref, types } of referencesOf(type, config)) {
    const [name = '', version] = ref.split('@')
    const used = await store.findByRef(ctx, name, types)
    if (used?.id === id && version === undefined) continue
    const kept = used && version ? await store.findVersion(ctx, used.id, version) : undefined
    if (version ? kept?.status === 'published' : used?.published_version) continue
    const noun = types.join(' or ')
    const message = used
      ? `The ${noun} "${ref}" ${version ? 'is not published' : 'has no published version'}.`
      : `There is no ${noun} "${ref}" in this workspace.`
    faults.push({ field: `config.${field}`, message })
  }
  return faults
}

async function exampleFaults(ctx: Context, component: Component, config: Component['config']): Promise<FieldError[]> {
  const kind = kindOf(component.type)
  const examples = kind.examples?.(config) ?? []
  if (examples.length === 0 || kind.cannotRun?.(config)) return []
  await assertBudget(ctx)
  const runs = await inSession(ctx, { ...component, config } as Component, (run) => runExamples(examples, run))
  return runs.flatMap(({ example, passed, error, differences }) => {
    if (passed) return []
    const [first] = differences
    const message = error
      ? `It fails: ${error.message}`
      : `It gives something else at "${first?.path}"${differences.length > 1 ? ` and ${differences.length - 1} more` : ''}.`
    return [{ field: `config.examples[${example}]`, message }]
  })
}

type Run = (input: unknown) => Promise<Ran>

async function inSession<Result>(
  ctx: Context,
  component: Component,
  work: (run: Run) => Promise<Result>,
): Promise<Result> {
  const session: Session = openSession(ctx, component, SECONDS)
  try {
    return await work((input) => session.run(component, input))
  } finally {
    await session.close()
  }
}

/** What is too much for one answer is left out as soon as it is there, from the first run that has no room. */
async function runExamples(examples: Example[], run: Run): Promise<TestRun[]> {
  const runs: TestRun[] = []
  let left = TOLD_MAX
  for (const [i, example] of examples.entries()) {
    const ran = runOf(i, example.input, example, await run(example.input))
    left -= JSON.stringify([ran.output, ran.differences, ran.logs]).length
    const [first] = ran.differences
    const blank = { output: null, differences: first ? [{ path: first.path, kind: first.kind }] : [], logs: [] }
    runs.push(left >= 0 ? ran : { ...ran, ...blank, omitted: true })
  }
  return runs
}

function runOf(at: number | null, input: unknown, example: Example | undefined, ran: Ran): TestRun {
  const differences = example && !ran.error ? example.differencesTo(ran.output) : []
  return {
    example: at,
    passed: ran.error === null && differences.length === 0,
    input: input as JsonValue,
    expected: (example?.expected ?? null) as JsonValue,
    ...ran,
    differences,
    omitted: false,
  }
}
