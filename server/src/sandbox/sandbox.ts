/** Running strangers' code: this is the room's door. A job's code runs in a machine of WebAssembly whose memory is set
 *  back before every call, in a process that holds no secrets and may open nothing, ended from outside when it does
 *  not end itself. Only JSON text crosses. What a run does can be seen by nobody else, before or after, and costs
 *  nobody else more than their wait for a fair turn. The room knows no domain and no database. */

import { availableParallelism } from 'node:os'
import { Groups } from './groups.ts'
import type { Isolation, IsolationLevel } from './isolation.ts'
import { levels } from './isolation.ts'
import { limits } from './limits.ts'
import { type Package, Packages } from './packages.ts'
import { type Log, Pool, type PoolStats } from './pool.ts'
import type { Fault, FaultCode, Job, Language, Module, Verdict } from './verdict.ts'

export type { Isolation, IsolationLevel } from './isolation.ts'
export { SandboxUnavailable } from './queue.ts'
export type { Fault, FaultCode, HostCall, Job, Language, LogEntry, Module, Spent, Verdict } from './verdict.ts'

export type Sandbox = {
  /** Rejects only with `SandboxUnavailable`: nothing has run then. */
  run(job: Job): Promise<Verdict>
  /** Does it parse and export the entry point? Its top level is evaluated, in a worker like everything else. */
  check(
    code: string,
    language: Language,
    entry_point: string,
    tenant?: string,
    dependencies?: string[],
    modules?: Module[],
  ): Promise<Fault | undefined>
  /** Of each dependency that a block in this language can't have, its place and a sentence. */
  lacks(language: Language, dependencies: string[]): { at: number; reason: string }[]
  close(): Promise<void>
  /** What stands between a guest and the machine, as tested by the workers themselves when they started. */
  readonly isolation: Isolation
  stats(): PoolStats
}

/** Returns before a worker is up, unless a floor has to be made sure of first; a run that comes early waits. Rejects
 *  when the floor can't be reached here. */
export async function openSandbox(
  options: {
    workers?: number
    /** How many runs of one tenant are at work at a time, in each language's pool; half of the places at most. */
    runs_per_tenant?: number
    floor?: IsolationLevel
    /** The folder of Python's packages. */
    packages?: string
    log?: Log
    stopping?: AbortSignal
  } = {},
): Promise<Sandbox> {
  const floor = options.floor ?? 'process'
  const { workers = availableParallelism(), runs_per_tenant, log, stopping } = options
  const groups = new Groups()
  const packages = Packages.open(options.packages)
  const javascript = new Pool({ engine: 'javascript', workers, runs_per_tenant, floor, log, stopping })
  const python = new Pool({ engine: 'python', workers, runs_per_tenant, floor, log, stopping })
  const poolFor = (language: Language) => (language === 'python' ? python : javascript)
  if (floor !== 'process') await javascript.firstWorker()

  return {
    run: (job) => run(poolFor(job.language), packages, groups, job),
    async check(code, language, entry_point, tenant = 'check', dependencies = [], modules = undefined) {
      const wheels = loaded(packages, language, dependencies)
      if ('refused' in wheels) return wheels.refused
      const order = {
        ...wheels,
        code,
        modules,
        language,
        entry_point,
        tenant,
        depth: 0,
        timeout_ms: limits.check_ms[language],
        memory_mb: 64,
      }
      const verdict = await poolFor(language).submit(order)
      return verdict.status === 'error' ? verdict.error : undefined
    },
    lacks: (language, dependencies) =>
      language === 'python' ? packages.lacks(dependencies) : dependencies.map((_, at) => ({ at, reason: NO_PACKAGES })),
    async close() {
      await Promise.all([javascript.close(), python.close()])
    },
    get isolation() {
      return weaker(javascript, python)
    },
    stats: () => together(javascript.stats(), python.stats()),
  }
}

/** What can be relied on for all languages that have run. */
function weaker(javascript: Pool, python: Pool): Isolation {
  const rank = ({ isolation }: Pool) => levels.indexOf(isolation.level)
  return python.hasWorked && rank(python) < rank(javascript) ? python.isolation : javascript.isolation
}

const together = (a: PoolStats, b: PoolStats): PoolStats => ({
  workers: [...a.workers, ...b.workers],
  queued: a.queued + b.queued,
  running: a.running + b.running,
  lost: a.lost + b.lost,
})

const NO_PACKAGES =
  'There are packages for Python only: upload what the code imports as a bundled ES module, in "modules".'

function loaded(
  packages: Packages,
  language: Language,
  dependencies: string[],
): { packages?: Package[] } | { refused: Fault } {
  if (dependencies.length === 0) return {}
  if (language !== 'python') return { refused: { code: 'import_refused', message: NO_PACKAGES } }
  try {
    return { packages: packages.load(dependencies) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { refused: { code: 'import_refused', message } }
  }
}

async function run(pool: Pool, packages: Packages, groups: Groups, job: Job): Promise<Verdict> {
  const input = asJson(job.input)
  if (input === undefined) return refused('input_not_json', 'The input is not JSON.')
  if (input.length > limits.input) {
    return refused(
      'input_too_large',
      `The input has ${input.length} characters of JSON; at most ${limits.input} are taken.`,
    )
  }
  if (job.signal?.aborted) return refused('cancelled', 'It was cancelled before it began.')

  const wheels = loaded(packages, job.language, job.dependencies ?? [])
  if ('refused' in wheels) return refused('import_refused', wheels.refused.message)

  const { code, modules, language, entry_point, tenant, depth = 0, group, signal, host } = job
  const timeout_ms = Math.min(Math.max(1, job.timeout_ms), limits.timeout_ms_max)
  const memory_mb = Math.min(Math.max(limits.memory_mb_min, job.memory_mb), limits.memory_mb_max)
  const order = {
    ...wheels,
    code,
    modules,
    language,
    entry_point,
    tenant,
    depth,
    timeout_ms,
    memory_mb,
    input,
    signal,
    host,
  }
  if (!group) return pool.submit(order)
  return groups
    .within(group, { size: code.length + input.length, signal }, () => pool.submit(order))
    .catch((error) => {
      if (signal?.aborted) return refused('cancelled', 'It was cancelled.')
      throw error
    })
}

function asJson(input: unknown): string | undefined {
  try {
    return JSON.stringify(input === undefined ? null : input)
  } catch {
    return undefined
  }
}

const refused = (code: FaultCode, message: string): Verdict => ({
  status: 'error',
  error: { code, message },
  logs: [],
  duration_ms: 0,
})
