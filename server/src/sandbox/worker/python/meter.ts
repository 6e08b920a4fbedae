/** Makes a WebAssembly module that can always be stopped, and that asks before it grows. Into every loop goes a counter
 *  that, when it has run out, calls the host, which fills it up again or throws: so no loop of the module runs for ever
 *  unasked, neither the interpreter's own nor one inside of a built-in. Whatever has no loop ends by itself or by the
 *  stack. Every `memory.grow` becomes a call to the host, which grows the memory or refuses, and every `memory.size` is
 *  read from a global that the host sets: so it can give a module back a smaller memory than it had grown to.
 *
 *  The module's functions keep their numbers, since nothing is imported anew: two imports that its code can do without
 *  are given these tasks. Only what the module's own toolchain writes is understood; anything else is an error here, at
 *  the worker's start, never a module that is only half metered. */

export type Metering = {
  /** Of type `() → i32`: called when the counter has run out. */
  poll: string
  /** Of type `(i32) → i32`: asked for pages; answers like `memory.grow`. */
  grow: string
  /** Exported besides, by number. */
  functions: Record<string, number>
  /** Exported under these names. The stack pointer is the module's own, its first global. */
  globals: { counter: string; pages: string; stackPointer: string }
}

const SECTION = { custom: 0, import: 2, global: 6, export: 7, code: 10 } as const
const I32 = 0x7f
const MUTABLE = 1
const END = 0x0b
const LOOP = 0x03
const CALL = 0x10
const GLOBAL_GET = 0x23
const SIZE = 0x3f
const GROW = 0x40
/** A global that changes, 0 at first. */
const ZERO = [I32, MUTABLE, 0x41, 0, END]
const KIND_FUNCTION = 0
const KIND_GLOBAL = 3

export function metered(module: Uint8Array, metering: Metering): Uint8Array<ArrayBuffer> {
  const reader = new Reader(module, 8)
  const parts: Uint8Array[] = [module.subarray(0, 8)]
  let imports: string[] = []
  let globals = 0
  while (reader.at < module.length) {
    const id = reader.byte()
    const size = reader.number()
    const body = module.subarray(reader.at, reader.at + size)
    reader.at += size
    // Debug information is most of the file, and of no use here.
    if (id === SECTION.custom) continue
    if (id === SECTION.import) imports = functionsImported(body)
    if (id === SECTION.global) globals = new Reader(body, 0).number()
    parts.push(...section(id, rewritten(id, body, { metering, imports, globals })))
  }
  return joined(parts)
}

/** `globals`: how many the module has of its own. Ours are the next two. */
type Context = { metering: Metering; imports: string[]; globals: number }

function rewritten(id: number, body: Uint8Array, { metering, imports, globals }: Context): Uint8Array[] {
  const counter = globals
  const pages = globals + 1
  if (id === SECTION.global) return oneMore(body, ZERO, ZERO)
  if (id === SECTION.export) {
    const functions = Object.entries(metering.functions).map(([name, index]) => exported(name, KIND_FUNCTION, index))
    const names = metering.globals
    const numbers = [[names.counter, counter] as const, [names.pages, pages] as const, [names.stackPointer, 0] as const]
    return oneMore(body, ...functions, ...numbers.map(([name, index]) => exported(name, KIND_GLOBAL, index)))
  }
  if (id !== SECTION.code) return [body]
  const at = (name: string) => {
    const index = imports.indexOf(name)
    if (index < 0) throw new Error(`The module imports no "${name}".`)
    return index
  }
  return code(body, {
    [LOOP]: poll(counter, at(metering.poll)),
    [GROW]: [CALL, ...leb(at(metering.grow))],
    [SIZE]: [GLOBAL_GET, ...leb(pages)],
  })
}

/** `if (--counter < 0) host()` */
const poll = (counter: number, host: number): number[] => [
  ...[GLOBAL_GET, ...leb(counter), 0x41, 0x7f, 0x6a, 0x24, ...leb(counter)],
  ...[GLOBAL_GET, ...leb(counter), 0x41, 0, 0x48, 0x04, 0x40, CALL, ...leb(host), 0x1a, END],
]

/** After a loop's head; instead of the two others. */
type Changes = Record<typeof LOOP | typeof GROW | typeof SIZE, number[]>

function code(body: Uint8Array, changes: Changes): Uint8Array[] {
  const reader = new Reader(body, 0)
  const count = reader.number()
  const writer = new Writer(body.length * 1.25)
  const starts: Uint8Array[] = [new Uint8Array(leb(count))]
  for (let i = 0; i < count; i++) {
    const size = reader.number()
    const end = reader.at + size
    const from = writer.length
    let copied = reader.at
    for (let groups = reader.number(); groups > 0; groups--) {
      reader.number()
      reader.byte()
    }
    while (reader.at < end) {
      const start = reader.at
      const opcode = reader.instruction()
      if (opcode !== LOOP && opcode !== GROW && opcode !== SIZE) continue
      writer.copy(body, copied, opcode === LOOP ? reader.at : start)
      writer.add(changes[opcode])
      copied = reader.at
    }
    if (reader.at !== end) throw new Error(`Function ${i} does not end where it says.`)
    writer.copy(body, copied, end)
    starts.push(new Uint8Array(leb(writer.length - from)), writer.since(from))
  }
  return starts
}

function functionsImported(body: Uint8Array): string[] {
  const reader = new Reader(body, 0)
  return Array.from({ length: reader.number() }, () => {
    reader.text()
    const name = reader.text()
    if (reader.byte() !== KIND_FUNCTION) throw new Error('The module imports more than functions.')
    reader.number()
    return name
  })
}

const exported = (name: string, kind: number, index: number) => [
  ...leb(name.length),
  ...Buffer.from(name),
  kind,
  ...leb(index),
]

function oneMore(body: Uint8Array, ...entries: number[][]): Uint8Array[] {
  const reader = new Reader(body, 0)
  const count = reader.number()
  return [new Uint8Array(leb(count + entries.length)), body.subarray(reader.at), new Uint8Array(entries.flat())]
}

function section(id: number, body: Uint8Array[]): Uint8Array[] {
  const size = body.reduce((sum, { length }) => sum + length, 0)
  return [new Uint8Array([id, ...leb(size)]), ...body]
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function leb(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}

class Writer {
  #bytes: Uint8Array
  length = 0

  constructor(room: number) {
    this.#bytes = new Uint8Array(Math.ceil(room) + 1024)
  }

  copy(from: Uint8Array, start: number, end: number): void {
    this.#bytes.set(from.subarray(start, end), this.length)
    this.length += end - start
  }

  add(bytes: number[]): void {
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.length)
  }
}

class Reader {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new Error('The module ends too early.')
    return byte
  }

  number(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
  }

  text(): string {
    const length = this.number()
    this.at += length
    return Buffer.from(this.#bytes.subarray(this.at - length, this.at)).toString()
  }

  #skip(): void {
    while (this.byte() >= 0x80);
  }

  /** Reads one instruction with what belongs to it and gives its opcode: WebAssembly 1.0 and the extensions of sign. */
  instruction(): number {
    const opcode = this.byte()
    // A block's type is one byte or a number.
    if (opcode === 0x02 || opcode === LOOP || opcode === 0x04) this.#skip()
    else if (opcode === 0x0c || opcode === 0x0d || opcode === 0x10) this.#skip()
    else if (opcode === 0x0e) for (let labels = this.number() + 1; labels > 0; labels--) this.#skip()
    else if (opcode === 0x11 || (opcode >= 0x28 && opcode <= 0x3e)) {
      this.#skip()
      this.#skip()
    } else if ((opcode >= 0x20 && opcode <= 0x24) || opcode === SIZE || opcode === GROW) this.#skip()
    else if (opcode === 0x41 || opcode === 0x42) this.#skip()
    else if (opcode === 0x43) this.at += 4
    else if (opcode === 0x44) this.at += 8
    else if (!isPlain(opcode)) throw new Error(`The module has an instruction unknown here: ${opcode.toString(16)}.`)
    return opcode
  }
}

const isPlain = (opcode: number) =>
  opcode <= 0x01 ||
  opcode === 0x05 ||
  opcode === END ||
  opcode === 0x0f ||
  opcode === 0x1a ||
  opcode === 0x1b ||
  (opcode >= 0x45 && opcode <= 0xc4)
