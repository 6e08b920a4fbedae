/** One machine: QuickJS in WebAssembly, with a linear memory of its own that is overwritten before every call. It
 *  speaks to the engine through its raw exports, because the wrapper's cached handles point into a memory that a
 *  reset takes away. Nothing of a guest outlives `reset`: all its state is linear memory and one stack pointer. */

import type { JSValueHandle as Handle, QuickJS as Vm } from 'quickjs-wasi'
import { keeping } from '../limits.ts'
import type { Module } from '../verdict.ts'
import type { Order } from './engine.ts'
import { Answer, type Guest, type GuestMachine, type Interruption } from './guest.ts'
import { EvalFlags, JSValueHandle, type Parts, QuickJS } from './quickjs.ts'
import { type Stretch, stretchesOf } from './stretches.ts'

type Exports = ReturnType<Vm['_getExports']>

/** The memory a call begins with: the bare machine's pages, and those that differ for this block. */
export type Template = { pages: Map<number, Uint8Array>; bytes: number; stackPointer: number }

/** The bare machine: the engine, its globals and the prelude, before anybody's code. */
export type Ground = {
  memory: Uint8Array
  stretches: Stretch[]
  stackPointer: number
  runtime: number
  context: number
  /** Where the prelude's functions are in that memory. */
  functions: Record<'adopt' | 'run' | 'answer' | 'describe', number>
  /** Where a box for each `Answer` is: a guest that asks without end makes nothing grow. */
  answers: number[]
}

export const PAGE = 4096
const NOTHING = new Uint8Array(PAGE)
const LOOK_EVERY_MS = 10

export class Machine implements GuestMachine {
  readonly #vm: Vm
  readonly #engine: Exports
  /** Whoever runs in it now. */
  guest: Guest | undefined
  /** On the clock of `performance.now`. */
  deadline = 0
  /** Why the engine was interrupted, if it was; only `reset` takes it back. */
  interruption: Interruption | undefined
  /** What it wanted to import and there is none of. */
  wantedImport: string | undefined
  /** What it may import. */
  #modules: Module[] = []
  #looked_at = 0
  /** The linear memory it may grow to. The engine counts what it allocates itself, to the byte; this bounds the gaps
   *  between, and what its extensions allocate. */
  #bytes_max = Number.POSITIVE_INFINITY
  /** Set when the guest read the clock or asked for randomness. */
  hasLookedOut = false
  /** What the last reset wrote, and how large the memory was then. */
  #written = 0
  #bytes_then = 0
  #answers: number[] = []
  /** Whose run was the last one. */
  #tenant: string | undefined

  private constructor(vm: Vm) {
    this.#vm = vm
    this.#engine = vm._getExports()
  }

  static async create(parts: Parts): Promise<Machine> {
    let machine: Machine | undefined
    const isOver = () => machine?.isOver() === true
    const outside = (memory: WebAssembly.Memory) => ({
      clock_time_get(_clock: number, _precision: bigint, at: number) {
        if (machine) machine.hasLookedOut = true
        new DataView(memory.buffer).setBigUint64(at, BigInt(Date.now()) * 1_000_000n, true)
        return 0
      },
      random_get(at: number, length: number) {
        if (machine) machine.hasLookedOut = true
        crypto.getRandomValues(new Uint8Array(memory.buffer, at, length))
        return 0
      },
      // The engine's own printing: the pipe to the server is not a place for it.
      fd_write: () => 52,
    })
    const vm = await QuickJS.create({
      wasm: parts.engine,
      extensions: parts.extensions,
      maxStackSize: keeping.stack_bytes,
      timezoneOffset: 0,
      interruptHandler: isOver,
      wasi: outside,
      moduleLoader: {
        // A name stands for itself, wherever it is imported from.
        normalize: (_: string, name: string) => name,
        load(name: string) {
          if (!machine) throw refusedImport(name)
          return machine.#sourceOf(name)
        },
      },
    })
    machine = new Machine(vm)
    machine.#lend()
    return machine
  }

  /** Asked by the engine every few thousand instructions. */
  isOver(): boolean {
    const now = performance.now()
    if (now >= this.deadline) this.interruption ??= 'deadline'
    if (this.bytes > this.#bytes_max) this.interruption ??= 'memory'
    if (now - this.#looked_at > LOOK_EVERY_MS) {
      this.#looked_at = now
      if (this.guest?.isCalledOff()) this.interruption ??= 'called off'
    }
    return this.interruption !== undefined
  }

  #sourceOf(name: string): string {
    const module = this.#modules.find((one) => one.name === name)
    if (module) return module.code
    this.wantedImport ??= name
    throw refusedImport(name)
  }

  /** Under names, so that the functions in a restored memory find this machine's. */
  #lend(): void {
    const vm = this.#vm
    const boxed = (answer: Answer | undefined) =>
      new JSValueHandle(vm, this.#answers[answer ?? Answer.no_host] ?? 0, false, true)
    const lent: Record<string, (...args: Handle[]) => Handle> = {
      __call: (call, method, args) =>
        boxed(this.guest?.call(call?.toNumber() ?? 0, method?.toString() ?? '', args?.toString() ?? '')),
      __sleep: (call, ms) => boxed(this.guest?.sleep(call?.toNumber() ?? 0, ms?.toNumber() ?? 0)),
      __print: (level, message) => boxed(this.guest?.print(level?.toString() ?? '', message?.toString() ?? '')),
      __end: (kind, value) => boxed(this.guest?.end(kind?.toString() ?? '', value?.toString() ?? '')),
    }
    for (const [name, lend] of Object.entries(lent)) vm.registerHostCallback(name, lend)
  }

  /** Evaluates our own part of the guest's world. Every other machine begins with the memory this one ends with. */
  prepare(globals: string, prelude: string): Ground {
    const vm = this.#vm
    this.deadline = Number.POSITIVE_INFINITY
    for (const name of ['__call', '__sleep', '__print', '__end']) {
      const { ptr, len } = vm._writeString(name)
      vm.setProp(vm.global, name, new JSValueHandle(vm, this.#engine.qjs_new_host_function(ptr, len, 0)))
    }
    vm.evalCode(globals, 'globals.js')
    const api = vm.evalCode(prelude, 'prelude.js')
    const at = (name: string) => vm.exportHandle(api.getProp(name))
    const functions = { adopt: at('adopt'), run: at('run'), answer: at('answer'), describe: at('describe') }
    const answers = Object.values(Answer).map((answer) => this.#engine.qjs_new_number(answer))
    vm.runGC()
    // Room that the allocator knows of and a small run fits into: what a run makes the memory grow by is lost to the
    // runs after it, since the allocator they begin with looks for new pages only at the end.
    const room = this.#engine.wasm_malloc(keeping.room_bytes)
    this.#engine.wasm_free(room)
    const { memory, stackPointer, runtimePtr, contextPtr } = vm.snapshot()
    return {
      memory,
      stretches: stretchesOf(memory, PAGE),
      stackPointer,
      runtime: runtimePtr,
      context: contextPtr,
      functions,
      answers,
    }
  }

  get bytes(): number {
    return this.#engine.memory.buffer.byteLength
  }

  /** Overwrites all of the linear memory that anybody can have written to; of a tenant's own last run the dead stack is
   *  left, which nothing reads: less to write, and it stays in the processor's cache. An allocator takes new pages at its
   *  end, so between the template's end and those lies nothing. */
  reset(
    ground: Ground,
    { tenant, memory_mb }: Pick<Order, 'tenant' | 'memory_mb'>,
    template?: Template,
    modules: Module[] = [],
  ): void {
    const size = template?.bytes ?? ground.memory.length
    const used = this.bytes > this.#bytes_then ? this.bytes : this.#written
    this.#growTo(size)
    const memory = new Uint8Array(this.#engine.memory.buffer)
    const stackPointer = template?.stackPointer ?? ground.stackPointer
    for (const { from, to, held } of ground.stretches) {
      if (held) memory.set(held, from)
      else if (to > stackPointer || tenant !== this.#tenant) memory.fill(0, from, to)
    }
    this.#tenant = tenant
    memory.fill(0, ground.memory.length, Math.max(size, used))
    for (const [at, page] of template?.pages ?? []) memory.set(page, at)
    this.#written = size
    this.#bytes_then = this.bytes

    const limit = memory_mb * 1024 * 1024
    this.#engine.qjs_set_runtime_and_context(ground.runtime, ground.context)
    this.#engine.__stack_pointer.value = stackPointer
    this.#engine.qjs_set_memory_limit(limit)
    this.#bytes_max = this.bytes + 2 * limit
    this.#answers = ground.answers
    this.#modules = modules
    this.interruption = undefined
    this.wantedImport = undefined
    this.hasLookedOut = false
  }

  #growTo(size: number): void {
    const { memory } = this.#engine
    const missing = size - memory.buffer.byteLength
    if (missing > 0) memory.grow(missing / 65_536)
  }

  /** What a run of this block begins with, if it is small enough to keep. The stack below is dead, and may hold what a
   *  run before has left. */
  template(ground: Ground): Template | undefined {
    const bytes = this.bytes > this.#bytes_then ? this.bytes : this.#written
    const memory = Buffer.from(this.#engine.memory.buffer)
    const pages = new Map<number, Uint8Array>()
    const alive = this.#engine.__stack_pointer.value
    for (let at = alive - (alive % PAGE); at < bytes; at += PAGE) {
      const page = memory.subarray(at, at + PAGE)
      const before = at < ground.memory.length ? ground.memory.subarray(at, at + PAGE) : NOTHING
      if (page.compare(before) !== 0) pages.set(at, new Uint8Array(page))
    }
    if (pages.size * PAGE > keeping.template_bytes_max) return undefined
    return { pages, bytes, stackPointer: alive }
  }

  /** Evaluates a module up to where it waits for something. The address is its namespace's, or what it threw. */
  evaluate(
    source: string,
    filename: string,
  ): { state: 'loaded' | 'threw' | 'unread'; at: number } | { state: 'pending' } {
    const engine = this.#engine
    const code = this.#vm._writeString(source)
    const name = this.#vm._writeString(filename)
    const promise = engine.qjs_eval(code.ptr, code.len, name.ptr, EvalFlags.TYPE_MODULE)
    engine.wasm_free(code.ptr)
    engine.wasm_free(name.ptr)
    if (engine.qjs_is_exception(promise) !== 0) return { state: 'unread', at: engine.qjs_get_exception() }
    const isSettled = this.settle(() => engine.qjs_promise_state(promise) !== 0)
    if (!isSettled) return { state: 'threw', at: engine.qjs_get_exception() }
    const state = engine.qjs_promise_state(promise)
    if (state === 0) return { state: 'pending' }
    return { state: state === 1 ? 'loaded' : 'threw', at: engine.qjs_promise_result(promise) }
  }

  duplicate(value: number): number {
    return this.#engine.qjs_dup_value(value)
  }

  string(value: string): number {
    const { ptr, len } = this.#vm._writeString(value)
    const made = this.#engine.qjs_new_string(ptr, len)
    this.#engine.wasm_free(ptr)
    if (this.isException(made)) throw new Error('malloc: no room for a string')
    return made
  }

  number(value: number): number {
    return this.#engine.qjs_new_number(value)
  }

  boolean(value: boolean): number {
    return value ? this.#engine.qjs_get_true() : this.#engine.qjs_get_false()
  }

  /** Calls a function of the prelude and gives the address of its result. Arguments are used up. */
  call(fn: number, ...args: number[]): number {
    const engine = this.#engine
    const argv = engine.wasm_malloc(Math.max(args.length, 1) * 4)
    if (argv === 0) throw new Error('malloc: no room for a call')
    const nothing = engine.qjs_get_undefined()
    new Uint32Array(engine.memory.buffer, argv, args.length).set(args)
    const result = engine.qjs_call(fn, nothing, args.length, argv)
    engine.wasm_free(argv)
    for (const arg of args) engine.qjs_free_value(arg)
    engine.qjs_free_value(nothing)
    return result
  }

  read(value: number): string {
    return new JSValueHandle(this.#vm, value).consume((handle) => handle.toString())
  }

  isException(value: number): boolean {
    return this.#engine.qjs_is_exception(value) !== 0
  }

  /** Everything that is ready now, or until the run has ended. False when the engine gave up in the middle. */
  settle(hasEnded: () => boolean): boolean {
    // The engine asks for an interrupt only every few thousand instructions of one job; many short ones pass below.
    for (let count = 1; this.#engine.qjs_is_job_pending() && !hasEnded(); count++) {
      if (count % 64 === 0 && this.isOver()) return false
      if (this.#engine.qjs_execute_pending_job() < 0) return false
    }
    return true
  }
}

function refusedImport(name: string): Error {
  const refusal = new Error(`"${name.slice(0, 200)}" can't be imported: it is none of the block's modules.`)
  // The library copies a host error's stack into the guest; ours names our files.
  refusal.stack = ''
  return refusal
}
