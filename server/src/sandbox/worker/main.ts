/** A worker: reads a line, computes one step, writes what came of it, and reads on. It has no timers, nothing that goes
 *  on beside a step and, once it is locked, nothing to open: only the pipes it was born with, 0 and 1 for messages, 3
 *  for the slate that calls a run off while it computes. */

import { readFileSync, readSync, writeSync } from 'node:fs'
import { keeping, sharing } from '../limits.ts'
import { Recent } from '../recent.ts'
import { ENTRY_BYTES, SLATE_ENTRIES } from '../slate.ts'
import type { Fault } from '../verdict.ts'
import type { FromWorker, ToWorker } from '../wire.ts'
import { loadParts, type Parts } from './engine.ts'
import { lock } from './lock.ts'
import { type Ground, Machine, PAGE, type Template } from './machine.ts'
import { Run } from './run.ts'
import { readSource } from './source.ts'

type Order = Extract<ToWorker, { t: 'run' }>
type Source = { text: string; filename: string }
type Loaded = Template & { namespace: number }

class Worker {
  readonly #parts: Parts
  readonly #ground: Ground
  readonly #spare: Machine[]
  readonly #sources = new Recent<{ code: string; read?: Source | { refused: Fault } }>(keeping.sources_size)
  readonly #templates = new Recent<Loaded>(keeping.templates_bytes)
  readonly #runs = new Map<number, Run>()
  #breathed = 0
  #discarded_bytes = 0
  /** The stripper of types broke. It does not mend: what it read before can still be run. */
  #isSpoiled = false

  private constructor(parts: Parts, ground: Ground, spare: Machine[]) {
    this.#parts = parts
    this.#ground = ground
    this.#spare = spare
  }

  static async open(): Promise<Worker> {
    const text = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')
    const parts = await loadParts()
    const first = await Machine.create(parts)
    const ground = first.prepare(text('./globals.js'), text('./prelude.js'))
    const worker = new Worker(parts, ground, [first])
    await worker.refill()
    return worker
  }

  /** Between two steps there is time to make what the next may need. */
  async refill(): Promise<void> {
    if (this.#discarded_bytes > keeping.discarded_bytes) {
      this.#discarded_bytes = 0
      // V8 sees only the small objects that hold the machines' memories, and would let a gigabyte of them pile up.
      globalThis.gc?.()
    }
    while (this.#spare.length < keeping.spare_machines) this.#spare.push(await Machine.create(this.#parts))
  }

  /** What was read together is as old as the first of it when the last is begun. */
  breathe(): void {
    this.#breathed = performance.now()
  }

  receive(message: ToWorker): void {
    if (message.t === 'run') this.#begin(message)
    else if (message.t === 'ret') this.#continue(message)
    else this.#drop(message.id)
  }

  #begin(order: Order): void {
    const source = this.#sourceOf(order)
    const isOld = performance.now() - this.#breathed > sharing.sweep_ms
    if (source === undefined || (isOld && isCalledOff(order.id))) {
      send({ t: 'skip', id: order.id })
      return
    }
    if ('refused' in source) {
      const spent = { cpu_ms: 0, memory_bytes: 0 }
      send({ t: 'done', id: order.id, error: source.refused, ...spent, retire: this.#isSpoiled })
      return
    }
    const machine = this.#spare.pop()
    if (machine) this.#run(order, machine, source)
    else send({ t: 'skip', id: order.id })
  }

  #sourceOf(order: Order): Source | { refused: Fault } | undefined {
    const kept = order.code === undefined ? this.#sources.get(order.key) : { code: order.code }
    if (!kept) return undefined
    if (order.code !== undefined) this.#sources.set(order.key, kept, order.code.length + keeping.source_overhead)
    if (kept.read) return kept.read
    if (this.#isSpoiled && order.language === 'typescript') return undefined
    const read = readSource(kept.code, order.language)
    if ('isSpoiled' in read) this.#isSpoiled = true
    kept.read = read
    kept.code = ''
    return read
  }

  #run(order: Order, machine: Machine, source: Source): void {
    const template = this.#templates.get(order.key)
    machine.reset(this.#ground, order.memory_mb, template)
    const run = new Run(order.id, machine, this.#ground, {
      filename: source.filename,
      timeout_ms: order.timeout_ms,
      memory_mb: order.memory_mb,
      template_bytes: template?.bytes ?? this.#ground.memory.length,
      send,
      isCalledOff,
    })
    this.#runs.set(order.id, run)
    run.step(() => {
      if (!this.#load(run, order, source.text, template)) return
      if (order.input === undefined) run.ending = { output: 'null' }
      else run.start(order.entry_point, order.input)
    })
    this.#conclude(run)
  }

  /** The module's top level is evaluated once and kept, unless it looked at the clock or at chance: then what it found
   *  would be every later call's too, and it is evaluated anew for each. */
  #load(run: Run, order: Order, text: string, template: Loaded | undefined): boolean {
    const { machine } = run
    if (template) return run.adopt(machine.duplicate(template.namespace), order.entry_point)
    const namespace = run.load(text)
    if (namespace === undefined) return false
    const made = machine.hasLookedOut || machine.interruption ? undefined : machine.template(this.#ground)
    if (made) this.#templates.set(order.key, { ...made, namespace }, made.pages.size * PAGE)
    return run.adopt(machine.duplicate(namespace), order.entry_point)
  }

  #continue({ id, call, ok, value }: Extract<ToWorker, { t: 'ret' }>): void {
    const run = this.#runs.get(id)
    if (!run) {
      send({ t: 'skip', id })
      return
    }
    run.step(() => run.answer(call, ok, value))
    this.#conclude(run)
  }

  #conclude(run: Run): void {
    if (!run.ending && run.isWaiting) {
      send({ t: 'wait', id: run.id, ...run.spending() })
      return
    }
    send({ t: 'done', id: run.id, ...(run.ending ?? { error: NEVER }), ...run.spending() })
    this.#release(run)
  }

  #drop(id: number): void {
    const run = this.#runs.get(id)
    if (run) this.#release(run)
  }

  #release(run: Run): void {
    this.#runs.delete(run.id)
    const isWorthKeeping = !run.isBroken && run.machine.bytes <= keeping.machine_bytes
    if (isWorthKeeping && this.#spare.length < sharing.pipeline) this.#spare.push(run.machine)
    else this.#discarded_bytes += run.machine.bytes
  }
}

const NEVER: Fault = {
  code: 'never_resolves',
  message: 'The promise it returned never resolves: nothing is left that could do it.',
}

const slate = Buffer.alloc(SLATE_ENTRIES * ENTRY_BYTES)

function isCalledOff(id: number): boolean {
  try {
    const length = readSync(3, slate, 0, slate.length, 0)
    for (let at = 0; at < length; at += ENTRY_BYTES) if (slate.readDoubleLE(at) === id) return true
  } catch {
    // There is none: who must end is ended with the process.
  }
  return false
}

function send(message: FromWorker): void {
  const line = Buffer.from(`${JSON.stringify(message)}\n`)
  for (let at = 0; at < line.length; ) at += writeSync(1, line, at)
}

/** The messages of one breath; ends when the server's end of the pipe is gone. */
function* breaths(): Generator<ToWorker[]> {
  const buffer = Buffer.allocUnsafe(1 << 20)
  let rest: Buffer[] = []
  for (;;) {
    const count = readInto(buffer)
    if (count === 0) return
    const end = buffer.lastIndexOf(10, count - 1)
    if (end < 0) {
      rest.push(Buffer.from(buffer.subarray(0, count)))
      continue
    }
    const text = Buffer.concat([...rest, buffer.subarray(0, end)]).toString()
    rest = [Buffer.from(buffer.subarray(end + 1, count))]
    // The server is the one side that is believed.
    yield text.split('\n').map((line) => JSON.parse(line) as ToWorker)
  }
}

function readInto(buffer: Buffer): number {
  try {
    return readSync(0, buffer)
  } catch {
    // However the server's end went, it is gone.
    return 0
  }
}

// Some stop a service by telling all of its processes. The server ends its workers, when what they run has ended; and
// when it is gone, so is what they read.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const worker = await Worker.open()
send({ t: 'ready', ...lock() })
for (const messages of breaths()) {
  worker.breathe()
  for (const message of messages) {
    worker.receive(message)
    await worker.refill()
  }
}
process.exit(0)
