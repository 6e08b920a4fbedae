/** JavaScript and TypeScript: machines of QuickJS that are set back before every call, and what blocks begin with. */

import { readFileSync } from 'node:fs'
import { keeping, sharing } from '../limits.ts'
import { Recent } from '../recent.ts'
import type { Engine, Order, Source } from './engine.ts'
import { JavaScriptRun } from './javascript-run.ts'
import { type Ground, Machine, PAGE, type Template } from './machine.ts'
import { loadParts, type Parts } from './quickjs.ts'
import type { Line } from './run.ts'

type Loaded = Template & { namespace: number }

export class JavaScript implements Engine {
  readonly #parts: Parts
  readonly #ground: Ground
  readonly #spare: Machine[]
  readonly #templates = new Recent<Loaded>(keeping.templates_bytes)
  #discarded_bytes = 0

  private constructor(parts: Parts, ground: Ground, spare: Machine[]) {
    this.#parts = parts
    this.#ground = ground
    this.#spare = spare
  }

  static async open(): Promise<JavaScript> {
    const text = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')
    const parts = await loadParts()
    const first = await Machine.create(parts)
    const ground = first.prepare(text('./globals.js'), text('./prelude.js'))
    return new JavaScript(parts, ground, [first])
  }

  async refill(): Promise<void> {
    if (this.#discarded_bytes > keeping.discarded_bytes) {
      this.#discarded_bytes = 0
      // V8 sees only the small objects that hold the machines' memories, and would let a gigabyte of them pile up.
      globalThis.gc?.()
    }
    while (this.#spare.length < keeping.spare_machines) this.#spare.push(await Machine.create(this.#parts))
  }

  begin(order: Order, source: Source, line: Line): JavaScriptRun | undefined {
    const machine = this.#spare.pop()
    if (!machine) return undefined
    const template = this.#templates.get(order.key)
    machine.reset(this.#ground, order, template, source.modules)
    const run = new JavaScriptRun(this.#ground, source.modules ?? [], order.id, machine, {
      filename: source.filename,
      timeout_ms: order.timeout_ms,
      memory_mb: order.memory_mb,
      template_bytes: template?.bytes ?? this.#ground.memory.length,
      line,
    })
    run.step(() => {
      if (!this.#load(run, order, source.text, template)) return
      if (order.input === undefined) run.ending = { output: 'null' }
      else run.start(order.entry_point, order.input)
    })
    return run
  }

  /** The module's top level is evaluated once and kept, unless it looked at the clock or at chance: then what it found
   *  would be every later call's too, and it is evaluated anew for each. */
  #load(run: JavaScriptRun, order: Order, text: string, template: Loaded | undefined): boolean {
    const { machine } = run
    if (template) return run.adopt(machine.duplicate(template.namespace), order.entry_point)
    const namespace = run.load(text)
    if (namespace === undefined) return false
    const made = machine.hasLookedOut || machine.interruption ? undefined : machine.template(this.#ground)
    if (made) this.#templates.set(order.key, { ...made, namespace }, made.pages.size * PAGE)
    return run.adopt(machine.duplicate(namespace), order.entry_point)
  }

  release(run: JavaScriptRun): void {
    const isWorthKeeping = !run.isBroken && run.machine.bytes <= keeping.machine_bytes
    if (isWorthKeeping && this.#spare.length < sharing.pipeline) this.#spare.push(run.machine)
    else this.#discarded_bytes += run.machine.bytes
  }
}
