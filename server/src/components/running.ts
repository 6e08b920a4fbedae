/** Running a component once, outside of any execution: in the name of whoever asks, recorded nowhere. What code has
 *  taken is counted, for the bill. */

import { type Component, ComponentType, configs, type TestRun } from '@flow/contract/components'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { Asker } from '../asking.ts'
import { debit } from '../billing/billing.ts'
import { type Context, newId } from '../context.ts'
import { unavailable } from '../failure.ts'
import { type Language, SandboxUnavailable, type Verdict } from '../sandbox/sandbox.ts'
import { languageFault } from './code.ts'
import { groupOf, hostOf } from './code-host.ts'
import { resolve } from './references.ts'
import { assertFits, type CodeCall, checksOf, type Means, RunFailure, type Used } from './types/kind.ts'
import { kindOf } from './types/kinds.ts'

export type Ran = Pick<TestRun, 'output' | 'error' | 'logs' | 'duration_ms' | 'cpu_ms' | 'memory_bytes'>

/** All that runs in the name of one request. */
export type Session = {
  run(component: Pick<Component, 'id' | 'type' | 'config'>, input: unknown): Promise<Ran>
  /** Bills what code has taken. */
  close(): Promise<void>
}

type Told = Pick<Ran, 'logs' | 'cpu_ms' | 'memory_bytes'>

export function openSession(ctx: Context, of: Pick<Component, 'id' | 'type'>, seconds: number): Session {
  const signal = AbortSignal.any([ctx.signal, ctx.platform.stopping, AbortSignal.timeout(seconds * 1000)])
  let spent_ms = 0
  return {
    async run({ type, config }, input) {
      const told: Told = { logs: [], cpu_ms: null, memory_bytes: null }
      const means = meansOf(ctx, signal, (verdict) => {
        spent_ms += verdict.duration_ms
        told.logs.push(...verdict.logs)
        if (verdict.cpu_ms !== undefined) told.cpu_ms = (told.cpu_ms ?? 0) + verdict.cpu_ms
        if (verdict.memory_bytes !== undefined) {
          told.memory_bytes = Math.max(told.memory_bytes ?? 0, verdict.memory_bytes)
        }
      })
      const began = performance.now()
      const end = await attempt(type, config, input, means, signal)
      return { ...end, ...told, duration_ms: performance.now() - began }
    },
    async close() {
      if (spent_ms === 0) return
      await debit(ctx, {
        service_type: 'code_run',
        resource_type: of.type,
        resource_id: of.id,
        user_id: ctx.actor.user_id,
        usage_quantity: spent_ms / 1000,
      })
    },
  }
}

async function attempt(
  type: ComponentType,
  config: Component['config'],
  input: unknown,
  means: Means,
  signal: AbortSignal,
): Promise<Pick<Ran, 'output' | 'error'>> {
  try {
    signal.throwIfAborted()
    const output = await kindOf(type).run?.(config, input, means)
    return { output: (output ?? null) as Ran['output'], error: null }
  } catch (error) {
    if (error instanceof RunFailure) {
      return { output: null, error: { code: error.code, message: error.message, ...error.place } }
    }
    if (!signal.aborted) throw error
    return { output: null, error: { code: 'TIMEOUT', message: 'There was no time left for it.' } }
  }
}

function meansOf(ctx: Context, signal: AbortSignal, tell: (verdict: Verdict) => void): Means {
  const about = { workspace_id: ctx.workspace_id, execution_id: null, workflow_id: null, node_id: null }
  const asker = askerOf(ctx, signal)
  return {
    async find(ref) {
      const found = await resolve(ctx, ref, ComponentType.options)
      // What was kept before a field was added has its default.
      return found && ({ ...found, config: configs[found.type].parse(found.config) } as Used)
    },
    code: (block, call) => callCode(ctx, block, call, asker, tell),
    fetch: ctx.platform.fetch,
    signal,
    about,
  }
}

/** Code asks in the name of whoever called it. */
function askerOf(ctx: Context, signal: AbortSignal): Asker {
  const { organization_id, workspace_id, request_id, actor } = ctx
  const top = { execution_id: null, workflow_id: null, node_id: null, calls: 0, events: 0, blocks: 0 }
  const inside = ctx.inside
    ? { ...ctx.inside, blocks: ctx.inside.blocks + 1 }
    : { ...top, run_key: newId(), sum: { asked: 0 } }
  return { organization_id, workspace_id, request_id, actor, inside, signal, asked: new Map() }
}

async function callCode(
  ctx: Context,
  block: Used,
  { input, entry_point, timeout_seconds }: CodeCall,
  asker: Asker,
  tell: (verdict: Verdict) => void,
): Promise<unknown> {
  const { signal } = asker
  // What is still asked when the code has ended is for nobody.
  const over = new AbortController()
  const asking = { ...asker, signal: AbortSignal.any([signal, over.signal]) }
  const config = block.config as CodeBlockConfig
  const refusal = languageFault(config.language)
  if (refusal) throw new RunFailure('LANGUAGE_UNAVAILABLE', refusal)
  const { checkInput, checkOutput } = checksOf(config)
  assertFits(checkInput, input, 'INVALID_INPUT', 'The input does not fit the schema of the code block')

  const seconds = Math.min(config.timeout_seconds, timeout_seconds ?? config.timeout_seconds)
  const job = {
    language: config.language as Language,
    code: config.code,
    dependencies: config.dependencies,
    modules: config.modules,
    entry_point: entry_point ?? config.entry_point,
    input,
    tenant: ctx.workspace_id,
    depth: asker.inside.blocks + asker.inside.calls,
    group: groupOf(block.id, config),
    timeout_ms: seconds * 1000,
    memory_mb: config.memory_mb,
    signal,
    host: hostOf({
      network: config.network,
      fetch: ctx.platform.fetch,
      signal,
      timeout_seconds: seconds,
      context: () => ({ workspace_id: ctx.workspace_id ?? null, execution_id: null, workflow_id: null, node_id: null }),
      // What is tried is not measured.
      measure: () => {},
      ask: (method, args) => ctx.platform.asking.ask({ method, args, asker: asking }),
    }),
  }
  const verdict = await ctx.platform.sandbox
    .run(job)
    .catch((error: unknown) => {
      throw error instanceof SandboxUnavailable ? unavailable(error.message) : error
    })
    .finally(() => over.abort())
  tell(verdict)
  if (verdict.status === 'error') {
    const { code, message, ...place } = verdict.error
    throw new RunFailure(code === 'threw' ? 'CODE_FAILED' : code.toUpperCase(), message, { is_final: false, place })
  }
  assertFits(checkOutput, verdict.output, 'INVALID_OUTPUT', 'The output does not fit the schema of the code block')
  return verdict.output
}
