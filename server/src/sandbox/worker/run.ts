/** One run in one machine: loaded, called, continued with each of the host's answers, ended once. */

import { limits } from '../limits.ts'
import { type Fault, type LogEntry, levelOf } from '../verdict.ts'
import type { FromWorker } from '../wire.ts'
import { faultOf } from './faults.ts'
import { Answer, type Ground, type Guest, type Machine } from './machine.ts'

export type Ending = { output?: string; error?: Fault }

export class Run implements Guest {
  readonly id: number
  readonly machine: Machine
  readonly filename: string
  readonly #send: (message: FromWorker) => void
  readonly #isCalledOff: (id: number) => boolean
  readonly #ground: Ground
  readonly #began = performance.now()
  readonly #deadline: number
  readonly #bytesBefore: number
  readonly #bytesAtStart: number
  readonly #memory_bytes_max: number
  #calls = 0
  #timers = 0
  readonly #sleeping = new Set<number>()
  #pending = 0
  #cpu_ms = 0
  #logs: LogEntry[] = []
  #logRoom: number = limits.log
  ending: Ending | undefined
  /** The machine met something the engine does not recover from. */
  isBroken = false

  constructor(
    id: number,
    machine: Machine,
    ground: Ground,
    options: {
      filename: string
      timeout_ms: number
      memory_mb: number
      template_bytes: number
      send: (message: FromWorker) => void
      isCalledOff: (id: number) => boolean
    },
  ) {
    this.id = id
    this.machine = machine
    this.filename = options.filename
    this.#ground = ground
    this.#send = options.send
    this.#isCalledOff = options.isCalledOff
    this.#deadline = this.#began + options.timeout_ms
    this.#bytesBefore = machine.bytes
    this.#bytesAtStart = options.template_bytes
    this.#memory_bytes_max = options.memory_mb * 1024 * 1024
  }

  get isWaiting(): boolean {
    return this.#pending + this.#sleeping.size > 0
  }

  /** Computes until nothing is ready any more. What escapes from it is the engine's end, not the guest's error. */
  step(work: () => void): void {
    const { machine } = this
    const began = performance.now()
    const before = process.threadCpuUsage()
    machine.guest = this
    machine.deadline = this.#deadline
    try {
      work()
      if (!machine.settle(() => this.ending !== undefined) && !this.ending) this.ending = { error: this.#interrupted() }
    } catch (error) {
      this.isBroken = true
      this.ending ??= { error: machine.interruption ? this.#interrupted() : brokenBy(error) }
    }
    if (machine.interruption) this.ending = { error: this.#interrupted() }
    machine.guest = undefined
    const { user, system } = process.threadCpuUsage(before)
    const elapsed_ms = performance.now() - began
    // The kernel counts in ticks; between two of them the clock is the better measure.
    this.#cpu_ms += elapsed_ms < TICK_MS ? elapsed_ms : Math.min(elapsed_ms, (user + system) / 1000 + TICK_MS)
  }

  #interrupted(): Fault {
    if (this.machine.interruption === 'called off') return { code: 'cancelled', message: 'It was cancelled.' }
    if (this.machine.interruption === 'memory') return OUT_OF_MEMORY
    const ms = Math.round(this.#deadline - this.#began)
    return { code: 'timeout', message: `It ran longer than ${ms} ms and was ended.` }
  }

  /** Evaluates the module; gives where its namespace is, if it has come that far. */
  load(source: string): number | undefined {
    const loaded = this.machine.evaluate(source, this.filename)
    if (loaded.state === 'loaded') return loaded.at
    if (loaded.state === 'pending') {
      const message = 'The module waits at its top level for something that never comes.'
      this.ending = { error: { code: 'never_resolves', message } }
      return undefined
    }
    const fault = this.#failedImport(source) ?? this.describe(loaded.at)
    const isSyntax = loaded.state === 'unread' && fault.code === 'threw'
    this.ending = { error: isSyntax ? { ...fault, code: 'syntax' } : fault }
    return undefined
  }

  /** Nothing can be imported, so what was looked for first is what is wrong. */
  #failedImport(source: string): Fault | undefined {
    const name = this.machine.wantedImport
    if (name === undefined) return undefined
    const at = Math.max(source.indexOf(`'${name}'`), source.indexOf(`"${name}"`))
    const line = at < 0 ? undefined : source.slice(0, at).split('\n').length
    const message = `A code block is one module: "${name.slice(0, 200)}" can't be imported.`
    return { code: 'import_refused', message, line }
  }

  adopt(namespace: number, entryPoint: string): boolean {
    const { machine } = this
    const lack = machine.read(machine.call(this.#ground.functions.adopt, namespace, machine.string(entryPoint)))
    if (lack !== '') this.ending = { error: lackOf(lack, entryPoint) }
    return lack === ''
  }

  describe(thrown: number): Fault {
    const { machine } = this
    const told = machine.call(this.#ground.functions.describe, thrown)
    if (machine.isException(told)) return { code: 'threw', message: 'It threw something that cannot be read.' }
    return this.#told(machine.read(told))
  }

  /** Without memory left even for the error, the engine throws null. */
  #told(description: string): Fault {
    const fault = faultOf(description, this.filename)
    const isFull = this.machine.bytes - this.#bytesBefore > 0.8 * this.#memory_bytes_max
    return isFull && fault.message === 'It threw null.' ? OUT_OF_MEMORY : fault
  }

  start(entryPoint: string, input: string): void {
    const { machine } = this
    machine.call(this.#ground.functions.run, machine.string(entryPoint), machine.string(input))
  }

  answer(call: number, isGood: boolean, value: string): void {
    const { machine } = this
    if (!this.#sleeping.delete(call)) this.#pending--
    machine.call(this.#ground.functions.answer, machine.number(call), machine.boolean(isGood), machine.string(value))
  }

  // ---- what the guest asks for

  call(call: number, method: string, args: string): Answer {
    if (this.#calls >= limits.host_calls || this.#pending >= limits.host_calls_pending) return Answer.too_many
    if (args.length > limits.host_argument || method.length > limits.host_method) return Answer.too_large
    this.#calls++
    this.#pending++
    this.#send({ t: 'call', id: this.id, call, method, args })
    return Answer.yes
  }

  sleep(call: number, ms: number): Answer {
    if (this.#timers >= limits.timers || this.#sleeping.size >= limits.timers_pending) return Answer.too_many
    this.#timers++
    this.#sleeping.add(call)
    this.#send({ t: 'sleep', id: this.id, call, ms: Number.isFinite(ms) ? ms : limits.timeout_ms_max })
    return Answer.yes
  }

  print(level: string, message: string): Answer {
    if (this.#logRoom <= 0) return Answer.log_full
    const shown = message.length > limits.log_message ? `${message.slice(0, limits.log_message)} …` : message
    this.#logRoom -= shown.length + 16
    const at_ms = Math.round(performance.now() - this.#began)
    if (this.#logRoom > 0) {
      this.#logs.push({ level: levelOf(level), message: shown, at_ms })
      return Answer.yes
    }
    this.#logs.push({ level: 'warn', message: 'The log is full at 256 KiB: what follows is lost.', at_ms })
    return Answer.log_full
  }

  isCalledOff(): boolean {
    return this.#isCalledOff(this.id)
  }

  end(kind: string, value: string): Answer {
    this.ending ??= this.#endingOf(kind, value)
    return Answer.yes
  }

  #endingOf(kind: string, value: string): Ending {
    if (kind === 'threw') return { error: this.#told(value) }
    if (kind !== 'value') {
      return {
        error: { code: 'not_json', message: `The result is not JSON: ${value.slice(0, limits.error_message)}.` },
      }
    }
    if (value.length > limits.output) {
      const message = `The result has ${value.length} characters of JSON; at most ${limits.output} are taken.`
      return { error: { code: 'output_too_large', message } }
    }
    if (depthOf(value) > limits.output_depth) {
      const message = `The result is not JSON we take: it is nested deeper than ${limits.output_depth} levels.`
      return { error: { code: 'not_json', message } }
    }
    return { output: value }
  }

  /** What the run has spent until now, with the log since the last time it was asked. */
  spending(): { logs?: LogEntry[]; cpu_ms: number; memory_bytes: number } {
    const logs = this.#logs.length > 0 ? this.#logs : undefined
    this.#logs = []
    const memory_bytes = this.#bytesAtStart + this.machine.bytes - this.#bytesBefore
    return { logs, cpu_ms: this.#cpu_ms, memory_bytes }
  }
}

const TICK_MS = 4
const STACK_OVERFLOW: Fault = { code: 'stack_overflow', message: 'It recursed until the stack was used up.' }
const OUT_OF_MEMORY: Fault = { code: 'out_of_memory', message: 'It needs more memory than it may have.' }

/** What the WebAssembly machine itself throws: its native stack is used up, or it hit a trap. */
function brokenBy(error: unknown): Fault {
  if (error instanceof RangeError) return STACK_OVERFLOW
  if (error instanceof Error && error.message.includes('malloc')) return OUT_OF_MEMORY
  return { code: 'crashed', message: 'The machine it ran in broke.' }
}

function lackOf(told: string, entryPoint: string): Fault {
  const { found, exports } = JSON.parse(told) as { found: string; exports: string[] }
  const offered = exports.length > 0 ? `It exports ${exports.slice(0, 20).join(', ')}.` : 'It exports nothing.'
  const message =
    found === 'undefined'
      ? `The code exports no function "${entryPoint}". ${offered}`
      : `The export "${entryPoint}" is no function but ${found}.`
  return { code: 'no_entry_point', message }
}

/** How deep arrays and objects lie in each other in a JSON text. */
function depthOf(json: string): number {
  let depth = 0
  let deepest = 0
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at)
    if (code === 34) {
      for (at++; at < json.length && json.charCodeAt(at) !== 34; at++) if (json.charCodeAt(at) === 92) at++
    } else if (code === 91 || code === 123) {
      if (++depth > deepest) deepest = depth
    } else if (code === 93 || code === 125) depth--
  }
  return deepest
}
