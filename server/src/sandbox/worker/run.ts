/** One run in one machine, whatever the language: what the guest may ask for and how much of it, what the run has spent
 *  and how it has ended. Each language loads, calls and continues it in its own way. */

import { limits } from '../limits.ts'
import { type Fault, type LogEntry, levelOf } from '../verdict.ts'
import type { FromWorker } from '../wire.ts'
import { faultOf } from './faults.ts'
import { Answer, type Guest, type GuestMachine } from './guest.ts'

export type Ending = { output?: string; error?: Fault }

/** How a run speaks to the server. */
export type Line = { send: (message: FromWorker) => void; isCalledOff: (id: number) => boolean }

type Mark = { began: number; before: NodeJS.CpuUsage }

export abstract class Run<Machine extends GuestMachine = GuestMachine> implements Guest {
  readonly id: number
  readonly machine: Machine
  readonly filename: string
  readonly #line: Line
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
    options: { filename: string; timeout_ms: number; memory_mb: number; template_bytes: number; line: Line },
  ) {
    this.id = id
    this.machine = machine
    this.filename = options.filename
    this.#line = options.line
    this.#deadline = this.#began + options.timeout_ms
    this.#bytesBefore = machine.bytes
    this.#bytesAtStart = options.template_bytes
    this.#memory_bytes_max = options.memory_mb * 1024 * 1024
  }

  /** Goes on with the host's answer, or with a timer that is due. */
  abstract answer(call: number, isGood: boolean, value: string): void | Promise<void>

  get isWaiting(): boolean {
    return this.#pending + this.#sleeping.size > 0
  }

  // ---- steps

  protected enter(): Mark {
    this.machine.guest = this
    this.machine.deadline = this.#deadline
    return { began: performance.now(), before: process.threadCpuUsage() }
  }

  /** What escapes from a step is the engine's end, not the guest's error. */
  protected broke(error: unknown): void {
    this.isBroken = true
    this.ending ??= { error: brokenBy(error) }
  }

  protected leave({ began, before }: Mark): void {
    const { machine } = this
    if (machine.interruption) this.ending = { error: this.interrupted() }
    machine.guest = undefined
    const { user, system } = process.threadCpuUsage(before)
    const elapsed_ms = performance.now() - began
    // The kernel counts in ticks; between two of them the clock is the better measure.
    this.#cpu_ms += elapsed_ms < TICK_MS ? elapsed_ms : Math.min(elapsed_ms, (user + system) / 1000 + TICK_MS)
  }

  protected interrupted(): Fault {
    if (this.machine.interruption === 'called off') return { code: 'cancelled', message: 'It was cancelled.' }
    if (this.machine.interruption === 'memory') return OUT_OF_MEMORY
    const ms = Math.round(this.#deadline - this.#began)
    return { code: 'timeout', message: `It ran longer than ${ms} ms and was ended.` }
  }

  /** The host has answered. */
  protected answered(call: number): void {
    if (!this.#sleeping.delete(call)) this.#pending--
  }

  /** What a guest's prelude tells of an error. */
  protected told(description: string): Fault {
    return faultOf(description, this.filename)
  }

  protected get isNearlyFull(): boolean {
    return this.machine.bytes - this.#bytesBefore > 0.8 * this.#memory_bytes_max
  }

  // ---- what the guest asks for

  call(call: number, method: string, args: string): Answer {
    if (this.#calls >= limits.host_calls || this.#pending >= limits.host_calls_pending) return Answer.too_many
    if (args.length > limits.host_argument || method.length > limits.host_method) return Answer.too_large
    this.#calls++
    this.#pending++
    this.#line.send({ t: 'call', id: this.id, call, method, args })
    return Answer.yes
  }

  sleep(call: number, ms: number): Answer {
    if (this.#timers >= limits.timers || this.#sleeping.size >= limits.timers_pending) return Answer.too_many
    this.#timers++
    this.#sleeping.add(call)
    this.#line.send({ t: 'sleep', id: this.id, call, ms: Number.isFinite(ms) ? ms : limits.timeout_ms_max })
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
    return this.#line.isCalledOff(this.id)
  }

  end(kind: string, value: string): Answer {
    this.ending ??= this.endingOf(kind, value)
    return Answer.yes
  }

  protected endingOf(kind: string, value: string): Ending {
    if (kind === 'threw') return { error: this.told(value) }
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
    return this.outputOf(value)
  }

  /** The last say about a result that has a good shape. */
  protected outputOf(value: string): Ending {
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
export const STACK_OVERFLOW: Fault = { code: 'stack_overflow', message: 'It recursed until the stack was used up.' }
export const OUT_OF_MEMORY: Fault = { code: 'out_of_memory', message: 'It needs more memory than it may have.' }

/** What the WebAssembly machine itself throws: its native stack is used up, or it hit a trap. */
function brokenBy(error: unknown): Fault {
  if (error instanceof RangeError) return STACK_OVERFLOW
  if (error instanceof Error && error.message.includes('malloc')) return OUT_OF_MEMORY
  return { code: 'crashed', message: 'The machine it ran in broke.' }
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
