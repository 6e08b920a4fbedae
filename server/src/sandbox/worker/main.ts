/** A worker: reads a line, computes one step, writes what came of it, and reads on. Its first
 *  argument says for which languages. It has no timers, nothing that goes
 *  on beside a step and, once it is locked, nothing to open: only the pipes it was born with, 0 and 1 for messages, 3
 *  for the slate that calls a run off while it computes. */

import { readSync, writeSync } from 'node:fs'
import { keeping, sharing } from '../limits.ts'
import { Recent } from '../recent.ts'
import { ENTRY_BYTES, SLATE_ENTRIES } from '../slate.ts'
import type { Fault } from '../verdict.ts'
import { type FromWorker, sourceSize, type ToWorker } from '../wire.ts'
import { type Engine, NEVER, type Order, type Source } from './engine.ts'
import { lock } from './lock.ts'
import type { Run } from './run.ts'
import { readSource } from './source.ts'

class Worker {
  readonly #engine: Engine
  readonly #sources = new Recent<
    Pick<Order, 'packages' | 'modules'> & { code: string; read?: Source | { refused: Fault } }
  >(keeping.sources_size)
  readonly #runs = new Map<number, Run>()
  #breathed = 0
  /** The stripper of types broke. It does not mend: what it read before can still be run. */
  #isSpoiled = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** What was read together is as old as the first of it when the last is begun. */
  breathe(): void {
    this.#breathed = performance.now()
  }

  async receive(message: ToWorker): Promise<void> {
    if (message.t === 'run') await this.#begin(message)
    else if (message.t === 'ret') await this.#continue(message)
    else this.#drop(message.id)
    await this.#engine.refill()
  }

  async #begin(order: Order): Promise<void> {
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
    const run = await this.#engine.begin(order, source, { send, isCalledOff })
    if (run) this.#conclude(run)
    else send({ t: 'skip', id: order.id })
  }

  #sourceOf(order: Order): Source | { refused: Fault } | undefined {
    const { key, code, packages, modules } = order
    const kept = code === undefined ? this.#sources.get(key) : { code, packages, modules }
    if (!kept) return undefined
    if (code !== undefined) this.#sources.set(key, kept, sourceSize(code, packages, modules))
    if (kept.read) return kept.read
    if (this.#isSpoiled && order.language === 'typescript') return undefined
    const read = readSource(kept.code, order.language)
    if ('isSpoiled' in read) this.#isSpoiled = true
    kept.read = 'refused' in read ? read : { ...read, packages: kept.packages, modules: kept.modules }
    kept.code = ''
    return kept.read
  }

  async #continue({ id, call, ok, value }: Extract<ToWorker, { t: 'ret' }>): Promise<void> {
    const run = this.#runs.get(id)
    if (!run) {
      send({ t: 'skip', id })
      return
    }
    await run.answer(call, ok, value)
    this.#conclude(run)
  }

  #conclude(run: Run): void {
    if (!run.ending && run.isWaiting) {
      this.#runs.set(run.id, run)
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
    this.#engine.release(run)
  }
}

async function openEngine(kind: string | undefined): Promise<Engine> {
  if (kind === 'python') return (await import('./python/python.ts')).Python.open(process.argv[3] ?? '')
  return (await import('./javascript.ts')).JavaScript.open()
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

const engine = await openEngine(process.argv[2])
await engine.refill()
const worker = new Worker(engine)
send({ t: 'ready', ...lock() })
for (const messages of breaths()) {
  worker.breathe()
  for (const message of messages) await worker.receive(message)
}
process.exit(0)
