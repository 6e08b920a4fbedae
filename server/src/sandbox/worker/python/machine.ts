/** One machine: CPython in WebAssembly, with a linear memory of its own that is overwritten before every call. All that
 *  a guest can change is in that memory and in three numbers beside it, and `reset` sets all of them, whatever state the
 *  guest has left them in: also in the middle of a loop, of a call to the host, or after a trap.
 *
 *  The interpreter runs on a stack of its own, which is put aside while it waits for the host. The only files it has are
 *  its standard library, which is in the module, and the two channels to its run. */

import { Answer, type Guest, type GuestMachine, type Interruption } from '../guest.ts'
import { type Stretch, stretchesOf } from '../stretches.ts'
import type { Exports } from './module.ts'
import { errno, Wasi } from './wasi.ts'

/** The memory a call begins with: the bare machine's, with the pages that differ for this block. */
export type Template = { pages: Map<number, Uint8Array>; bytes: number; stackPointer: number }

/** The interpreter with its prelude, before anybody's code. */
export type Ground = { memory: Uint8Array; stretches: Stretch[]; stackPointer: number }

export const PAGE = 4096
const WASM_PAGE = 65_536
const NOTHING = new Uint8Array(PAGE)
const LOOK_EVERY_MS = 10
/** Rounds of loops between two looks at the clock: less than a tenth of a millisecond. */
const ROUNDS = 50_000

/** Thrown through the interpreter, whose state is then of no use any more. */
class Interrupted extends Error {}
class Ready extends Error {}
/** The guest has ended its process, as it sees it. */
export class Exited extends Error {}

export class Machine implements GuestMachine {
  readonly #engine: Exports
  readonly #wasi: Wasi
  readonly #start: (source: number, flags: number) => Promise<number>
  guest: Guest | undefined
  deadline = Number.POSITIVE_INFINITY
  interruption: Interruption | undefined
  /** Set when it was refused memory. */
  hasAskedTooMuch = false
  #looked_at = 0
  #isBooting = false
  #bytes_max = Number.POSITIVE_INFINITY
  #inbox: Uint8Array[] = []
  /** Goes on with a guest that waits for a message. */
  #wake: (() => void) | undefined
  #turn = Promise.withResolvers<'ended' | 'waiting'>()

  private constructor(module: WebAssembly.Module) {
    this.#wasi = new Wasi({
      memory: () => this.#engine.memory.buffer,
      read: () => this.#inbox.shift(),
      wait: () => this.#waits(),
      write: (file, text) => this.#told(file, text),
      exit: () => {
        throw new Exited()
      },
    })
    const own = {
      sched_yield: () => this.#poll(),
      fd_datasync: (pages: number) => this.#grow(pages >>> 0),
      clock_res_get: (_clock: number, at: number) => {
        if (this.#isBooting) throw new Ready()
        new DataView(this.#engine.memory.buffer).setBigUint64(at, 1_000_000n, true)
        return 0
      },
    }
    const imports = { wasi_snapshot_preview1: { ...this.#wasi.imports(module), ...own } }
    this.#engine = new WebAssembly.Instance(module, imports).exports as Exports
    this.#engine.pages.value = this.#engine.memory.buffer.byteLength / WASM_PAGE
    this.#start = WebAssembly.promising(this.#engine.run_source)
  }

  static create(module: WebAssembly.Module): Machine {
    return new Machine(module)
  }

  /** Starts the interpreter with our own part of the guest's world. Every other machine begins with the memory this one
   *  ends with. */
  boot(prelude: string): Ground {
    this.#wasi.args = ['python', '-I', '-S', '-B', '-c', prelude]
    this.#isBooting = true
    try {
      this.#engine._start()
    } catch (error) {
      if (!(error instanceof Ready)) throw new Error(`Python did not start. ${this.#wasi.trouble}`, { cause: error })
    }
    this.#isBooting = false
    const memory = new Uint8Array(this.#engine.memory.buffer).slice(0, this.bytes)
    return { memory, stretches: stretchesOf(memory, PAGE), stackPointer: this.#engine.stack_pointer.value }
  }

  /** What the guest has of it. The memory itself may be larger: one can't be made smaller. */
  get bytes(): number {
    return this.#engine.pages.value * WASM_PAGE
  }

  get bytesTaken(): number {
    return this.#engine.memory.buffer.byteLength
  }

  /** Set when the guest read the clock or asked for randomness. */
  get hasLookedOut(): boolean {
    return this.#wasi.hasLookedOut
  }

  /** The interpreter's own stack grows down to the beginning of its memory: beyond is a trap. */
  get isStackUsedUp(): boolean {
    return this.#engine.stack_pointer.value < 0
  }

  /** Is its stack put aside, waiting? */
  get isSuspended(): boolean {
    return this.#wake !== undefined
  }

  reset(ground: Ground, memory_mb: number, template?: Template): void {
    const size = template?.bytes ?? ground.memory.length
    const missing = size - this.bytesTaken
    if (missing > 0) this.#engine.memory.grow(missing / WASM_PAGE)
    const memory = new Uint8Array(this.#engine.memory.buffer)
    for (const { from, to, held } of ground.stretches) {
      if (held) memory.set(held, from)
      else memory.fill(0, from, to)
    }
    memory.fill(0, ground.memory.length)
    for (const [at, page] of template?.pages ?? []) memory.set(page, at)

    this.#engine.stack_pointer.value = template?.stackPointer ?? ground.stackPointer
    this.#engine.pages.value = size / WASM_PAGE
    this.#engine.counter.value = 0
    this.#bytes_max = size + memory_mb * 1024 * 1024
    this.#inbox = []
    this.#wake = undefined
    this.#wasi.forget()
    this.interruption = undefined
    this.hasAskedTooMuch = false
  }

  /** What a run of this block begins with, if it is small enough to keep. */
  template(ground: Ground, bytes_max: number): Template | undefined {
    const memory = Buffer.from(this.#engine.memory.buffer)
    const pages = new Map<number, Uint8Array>()
    for (let at = 0; at < this.bytes; at += PAGE) {
      const page = memory.subarray(at, at + PAGE)
      const before = at < ground.memory.length ? ground.memory.subarray(at, at + PAGE) : NOTHING
      if (page.compare(before) !== 0) pages.set(at, new Uint8Array(page))
      if (pages.size * PAGE > bytes_max) return undefined
    }
    return { pages, bytes: this.bytes, stackPointer: this.#engine.stack_pointer.value }
  }

  // ---- steps

  /** Runs Python source of a few words, until it has ended or waits for a message. */
  run(source: string): Promise<'ended' | 'waiting'> {
    const engine = this.#engine
    const before = engine.stack_pointer.value
    const text = Buffer.from(`${source}\0`)
    // On the interpreter's own stack, below whatever is there.
    const at = (before - text.length) & ~15
    new Uint8Array(engine.memory.buffer).set(text, at)
    engine.stack_pointer.value = at
    this.#turn = Promise.withResolvers()
    const turn = this.#turn.promise
    this.#start(at, 0).then(
      () => {
        engine.stack_pointer.value = before
        this.#turn.resolve('ended')
      },
      (error: unknown) => this.#turn.reject(error),
    )
    return turn
  }

  /** Gives it a message, and if it waits for one, goes on with it. */
  give(message: Uint8Array): void {
    this.#inbox.push(message)
  }

  goOn(): Promise<'ended' | 'waiting'> {
    this.#turn = Promise.withResolvers()
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
    return this.#turn.promise
  }

  #waits(): Promise<void> {
    this.#turn.resolve('waiting')
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #poll(): number {
    const now = performance.now()
    if (now >= this.deadline) this.interruption ??= 'deadline'
    if (now - this.#looked_at > LOOK_EVERY_MS) {
      this.#looked_at = now
      if (this.guest?.isCalledOff()) this.interruption ??= 'called off'
    }
    if (this.interruption) throw new Interrupted(this.interruption)
    this.#engine.counter.value = ROUNDS
    return 0
  }

  #grow(pages: number): number {
    const before = this.#engine.pages.value
    const wanted = (before + pages) * WASM_PAGE
    if (wanted > this.#bytes_max) {
      this.hasAskedTooMuch = true
      return -1
    }
    const missing = wanted - this.bytesTaken
    try {
      if (missing > 0) this.#engine.memory.grow(missing / WASM_PAGE)
    } catch {
      return -1
    }
    this.#engine.pages.value = before + pages
    return before
  }

  #told(file: number, text: () => string): number {
    const { guest } = this
    if (!guest) return errno.badFile
    const message = text()
    const what = file === 1 ? message.charCodeAt(0) : 0
    const body = message.slice(1)
    if (what === END) return ERRORS[guest.end(...divided(body, '\n'))]
    const level = LEVELS[what]
    if (level) return ERRORS[guest.print(level, body)]
    if (what !== CALL && what !== SLEEP) return ERRORS[guest.print(file === 1 ? 'info' : 'error', message)]
    const [id, rest] = divided(body, ' ')
    if (what === SLEEP) return ERRORS[guest.sleep(Number(id), Number(rest))]
    return ERRORS[guest.call(Number(id), ...divided(rest, '\n'))]
  }
}

/** What a message is, as the prelude says it. */
const END = 1
const CALL = 2
const SLEEP = 3
const LEVELS: Record<number, string> = { 4: 'debug', 5: 'info', 6: 'warn', 7: 'error' }

const ERRORS: Record<Answer, number> = {
  [Answer.yes]: 0,
  [Answer.no_host]: errno.notPermitted,
  [Answer.too_many]: errno.again,
  [Answer.too_large]: errno.tooBig,
  [Answer.log_full]: errno.noSpace,
  [Answer.not_yet]: errno.access,
}

function divided(text: string, by: string): [string, string] {
  const at = text.indexOf(by)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
