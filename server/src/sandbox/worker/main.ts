/** A worker: reads a line, computes one step, writes what came of it, and reads on. It has no timers, no event loop to
 *  speak of and, once it is locked, nothing to open: only the two pipes it was born with. */

import { readFileSync, readSync, writeSync } from 'node:fs'
import { keeping } from '../limits.ts'
import { Recent } from '../recent.ts'
import type { Fault } from '../sandbox.ts'
import type { FromWorker, ToWorker } from '../wire.ts'
import { type Ground, loadEngine, Machine, type Template } from './machine.ts'
import { Run } from './run.ts'
import { readSource } from './source.ts'

type Kept = { text: string; filename: string } | { refused: Fault }
type Order = Extract<ToWorker, { t: 'run' }>

class Worker {
  readonly #parts: Awaited<ReturnType<typeof loadEngine>>
  readonly #ground: Ground
  readonly #spare: Machine[]
  readonly #sources = new Recent<{ code: string; kept?: Kept }>(keeping.sources)
  readonly #templates = new Recent<Template & { namespace: number }>(keeping.sources)
  readonly #runs = new Map<number, Run>()
  readonly #dropped = new Set<number>()
  #isSpoiled = false

  private constructor(parts: Awaited<ReturnType<typeof loadEngine>>, ground: Ground, spare: Machine[]) {
    this.#parts = parts
    this.#ground = ground
    this.#spare = spare
  }

  static async open(): Promise<Worker> {
    const text = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')
    const parts = await loadEngine()
    const first = await Machine.create(parts)
    const ground = first.prepare(text('./globals.js'), text('./prelude.js'))
    return new Worker(parts, ground, [first])
  }

  /** Between two messages there is time to make what the next may need. */
  async refill(): Promise<void> {
    while (this.#spare.length < keeping.spare_machines) this.#spare.push(await Machine.create(this.#parts))
  }

  /** Known before the run's turn comes, when both lines were read at once. */
  foresee(message: ToWorker): void {
    if (message.t === 'drop' && !this.#runs.has(message.id)) this.#dropped.add(message.id)
  }

  receive(message: ToWorker): void {
    if (message.t === 'drop') return this.#drop(message.id)
    if (message.t === 'run') return this.#begin(message)
    const run = this.#runs.get(message.id)
    if (!run) return send({ t: 'skip', id: message.id })
    run.step(() => run.answer(message.call, message.ok, message.value))
    this.#conclude(run)
  }

  #drop(id: number): void {
    this.#dropped.delete(id)
    const run = this.#runs.get(id)
    if (run) this.#release(run)
  }

  #begin(order: Order): void {
    const known = order.code === undefined ? this.#sources.get(order.key) : { code: order.code }
    if (order.code !== undefined && known) this.#sources.set(order.key, known)
    if (this.#dropped.has(order.id) || this.#isSpoiled || !known) return send({ t: 'skip', id: order.id })

    known.kept ??= this.#read(known.code, order)
    if ('refused' in known.kept) {
      const spending = { cpu_ms: 0, memory_bytes: 0 }
      return send({
        t: 'done',
        id: order.id,
        error: known.kept.refused,
        ...spending,
        retire: this.#isSpoiled || undefined,
      })
    }
    const machine = this.#spare.pop()
    if (!machine) return send({ t: 'skip', id: order.id })
    this.#run(order, machine, known.kept)
  }

  #read(code: string, order: Order): Kept {
    const source = readSource(code, order.language)
    if ('refused' in source && source.isSpoiled) this.#isSpoiled = true
    return source
  }

  #run(order: Order, machine: Machine, source: { text: string; filename: string }): void {
    const template = this.#templates.get(order.key)
    machine.reset(this.#ground, order.memory_mb, template)
    const run = new Run(order.id, machine, this.#ground, {
      filename: source.filename,
      timeout_ms: order.timeout_ms,
      template_bytes: template?.bytes ?? this.#ground.memory.length,
      send,
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
  #load(run: Run, order: Order, text: string, template: (Template & { namespace: number }) | undefined): boolean {
    if (template) return run.adopt(run.machine.duplicate(template.namespace), order.entry_point)
    const namespace = run.load(text)
    if (namespace === undefined) return false
    const made = run.machine.hasLookedOut || run.machine.wasInterrupted ? undefined : run.machine.template(this.#ground)
    if (made) this.#templates.set(order.key, { ...made, namespace })
    return run.adopt(run.machine.duplicate(namespace), order.entry_point)
  }

  #conclude(run: Run): void {
    if (!run.ending && run.isWaiting) return send({ t: 'wait', id: run.id, ...run.spending() })
    const ending = run.ending ?? { error: NEVER }
    send({ t: 'done', id: run.id, ...ending, ...run.spending() })
    this.#release(run)
  }

  #release(run: Run): void {
    this.#runs.delete(run.id)
    if (!run.isBroken && run.machine.bytes <= keeping.machine_bytes) this.#spare.push(run.machine)
  }
}

const NEVER: Fault = {
  code: 'never_resolves',
  message: 'The promise it returned never resolves: nothing is left that could do it.',
}

function send(message: FromWorker): void {
  const line = Buffer.from(`${JSON.stringify(message)}\n`)
  for (let at = 0; at < line.length; ) at += writeSync(1, line, at)
}

/** Lines as they come; ends when the server's end of the pipe is gone. */
function* chunks(): Generator<ToWorker[]> {
  const buffer = Buffer.allocUnsafe(1 << 20)
  let rest: Buffer[] = []
  for (;;) {
    const count = readSync(0, buffer)
    if (count === 0) return
    const last = buffer.lastIndexOf(10, count - 1)
    if (last < 0) {
      rest.push(Buffer.from(buffer.subarray(0, count)))
      continue
    }
    const text = Buffer.concat([...rest, buffer.subarray(0, last)]).toString()
    rest = [Buffer.from(buffer.subarray(last + 1, count))]
    yield text.split('\n').map((line) => JSON.parse(line) as ToWorker)
  }
}

const worker = await Worker.open()
await worker.refill()
send({ t: 'ready', layers: [], gaps: [] })
for (const messages of chunks()) {
  for (const message of messages) worker.foresee(message)
  for (const message of messages) {
    worker.receive(message)
    await worker.refill()
  }
}
process.exit(0)
