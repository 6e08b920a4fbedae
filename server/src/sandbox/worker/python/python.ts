/** Python: machines of CPython that are set back before every call, and what blocks begin with. */

import { readFileSync } from 'node:fs'
import { keeping } from '../../limits.ts'
import { Recent } from '../../recent.ts'
import type { Engine, Order, Source } from '../engine.ts'
import type { Line } from '../run.ts'
import { type Ground, Machine, PAGE, type Template } from './machine.ts'
import { loadPython } from './module.ts'
import { PythonRun } from './run.ts'

const { python } = keeping

export class Python implements Engine {
  readonly #module: WebAssembly.Module
  readonly #ground: Ground
  readonly #spare: Machine[]
  readonly #templates = new Recent<Template>(python.templates_bytes)
  #discarded_bytes = 0

  private constructor(module: WebAssembly.Module, ground: Ground, spare: Machine[]) {
    this.#module = module
    this.#ground = ground
    this.#spare = spare
  }

  static async open(folder: string): Promise<Python> {
    const module = await loadPython(folder)
    const first = Machine.create(module)
    const ground = first.boot(readFileSync(new URL('./prelude.py', import.meta.url), 'utf8'))
    // Of the file as it was read and as it was changed nothing is needed any more.
    globalThis.gc?.()
    return new Python(module, ground, [first])
  }

  async refill(): Promise<void> {
    if (this.#discarded_bytes > keeping.discarded_bytes) {
      this.#discarded_bytes = 0
      // V8 sees only the small objects that hold the machines' memories, and would let a gigabyte of them pile up.
      globalThis.gc?.()
    }
    if (this.#spare.length === 0) this.#spare.push(Machine.create(this.#module))
  }

  async begin(order: Order, source: Source, line: Line): Promise<PythonRun | undefined> {
    const machine = this.#spare.pop()
    if (!machine) return undefined
    const template = this.#templates.get(keyOf(order))
    machine.reset(this.#ground, order.memory_mb, template)
    const run = new PythonRun(order.id, machine, {
      filename: source.filename,
      timeout_ms: order.timeout_ms,
      memory_mb: order.memory_mb,
      template_bytes: template?.bytes ?? this.#ground.memory.length,
      line,
    })
    if (!template) await this.#load(run, order, source)
    if (run.ending) return run
    if (order.input === undefined) run.ending = { output: 'null' }
    else await run.start(order.input)
    return run
  }

  /** The module's top level is evaluated once and kept, unless it looked at the clock or at chance: then what it found
   *  would be every later call's too, and it is evaluated anew for each. */
  async #load(run: PythonRun, order: Order, source: Source): Promise<void> {
    const { machine } = run
    await run.load(source, order.entry_point)
    if (run.ending || machine.hasLookedOut || machine.interruption) return
    const made = machine.template(this.#ground, python.template_bytes_max)
    if (made) this.#templates.set(keyOf(order), made, made.pages.size * PAGE)
  }

  /** Whatever state it was left in is overwritten. Only one whose stack is put aside does not come back. */
  release({ machine }: PythonRun): void {
    const isWorthKeeping = !machine.isSuspended && machine.bytesTaken <= python.machine_bytes
    if (isWorthKeeping && this.#spare.length < python.spare_machines_max) this.#spare.push(machine)
    else this.#discarded_bytes += machine.bytesTaken
  }
}

/** What is kept of a module knows its entry point: another function of the same code has one of its own. */
const keyOf = ({ key, entry_point }: Order): string => `${key}#${entry_point}`
