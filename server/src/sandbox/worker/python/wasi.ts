/** The part of WASI (preview 1) that Python asks for. There are no files but the channels to the run: 0 to
 *  read from, 1 and 2 to write to; no directory, no clock but the time, no environment, nothing that waits except
 *  for a message. What is not here answers that it does not exist. */

import { limits } from '../../limits.ts'

/** As WASI numbers them, which is what Python's `errno` has here, too. */
export const errno = {
  tooBig: 1,
  access: 2,
  again: 6,
  badFile: 8,
  noSpace: 51,
  notThere: 52,
  notPermitted: 63,
} as const

export type Outside = {
  memory: () => ArrayBuffer
  /** The next message, if there is one. */
  read: () => Uint8Array | undefined
  /** Until there is one. */
  wait: () => Promise<void>
  write: (file: number, text: () => string) => number
  exit: () => never
}

const CHARACTER_DEVICE = 2
const REALTIME = 0

export class Wasi {
  readonly #outside: Outside
  args: string[] = []
  hasLookedOut = false
  /** The last it wrote when nobody listened. */
  trouble = ''
  /** Of a message that was read in part. */
  #rest: Uint8Array | undefined

  constructor(outside: Outside) {
    this.#outside = outside
  }

  get #bytes(): Uint8Array {
    return new Uint8Array(this.#outside.memory())
  }

  get #view(): DataView {
    return new DataView(this.#outside.memory())
  }

  /** A function for everything the module wants. */
  imports(module: WebAssembly.Module): Record<string, WebAssembly.ImportValue> {
    const none = () => errno.notThere
    const all = WebAssembly.Module.imports(module).map(({ name }) => [name, none] as const)
    return { ...Object.fromEntries(all), ...this.#calls() }
  }

  #calls(): Record<string, WebAssembly.ImportValue> {
    return {
      args_sizes_get: (count: number, size: number) => {
        this.#view.setUint32(count, this.args.length, true)
        this.#view.setUint32(size, Buffer.byteLength(this.args.join('\0')) + 1, true)
        return 0
      },
      args_get: (pointers: number, at: number) => {
        let next = at
        for (const [index, arg] of this.args.entries()) {
          this.#view.setUint32(pointers + 4 * index, next, true)
          const text = Buffer.from(`${arg}\0`)
          this.#bytes.set(text, next)
          next += text.length
        }
        return 0
      },
      environ_sizes_get: (count: number, size: number) => {
        this.#view.setUint32(count, 0, true)
        this.#view.setUint32(size, 0, true)
        return 0
      },
      environ_get: () => 0,
      clock_time_get: (clock: number, _precision: bigint, at: number) => {
        this.hasLookedOut = true
        const ms = clock === REALTIME ? Date.now() : performance.now()
        this.#view.setBigUint64(at, BigInt(Math.round(ms * 1000)) * 1000n, true)
        return 0
      },
      random_get: (at: number, length: number) => {
        this.hasLookedOut = true
        for (let done = 0; done < length; done += RANDOM_MAX) {
          crypto.getRandomValues(new Uint8Array(this.#outside.memory(), at + done, Math.min(RANDOM_MAX, length - done)))
        }
        return 0
      },
      fd_prestat_get: () => errno.badFile,
      fd_fdstat_get: (file: number, at: number) => {
        if (file > 2) return errno.badFile
        this.#bytes.fill(0, at, at + 24)
        this.#view.setUint8(at, CHARACTER_DEVICE)
        this.#view.setBigUint64(at + 8, (1n << 30n) - 1n, true)
        return 0
      },
      fd_filestat_get: (file: number, at: number) => {
        if (file > 2) return errno.badFile
        this.#bytes.fill(0, at, at + 64)
        this.#view.setUint8(at + 16, CHARACTER_DEVICE)
        return 0
      },
      fd_write: (file: number, pieces: number, count: number, written: number) =>
        this.#write(file, pieces, count, written),
      fd_read: new WebAssembly.Suspending((file: number, pieces: number, count: number, read: number) =>
        this.#read(file, pieces, count, read),
      ),
      proc_exit: () => this.#outside.exit(),
    }
  }

  #write(file: number, pieces: number, count: number, written: number): number {
    const texts: Buffer[] = []
    let length = 0
    let kept = 0
    for (let i = 0; i < count && i < PIECES_MAX; i++) {
      const at = this.#view.getUint32(pieces + 8 * i, true)
      const size = this.#view.getUint32(pieces + 8 * i + 4, true)
      const piece = new Uint8Array(this.#outside.memory(), at, size)
      length += size
      texts.push(Buffer.from(piece.subarray(0, MESSAGE_BYTES - kept)))
      kept = Math.min(MESSAGE_BYTES, kept + size)
    }
    this.#view.setUint32(written, length, true)
    const text = () => Buffer.concat(texts).toString()
    const answer = this.#outside.write(file, text)
    if (answer === errno.badFile && file === 2) this.trouble = (this.trouble + text()).slice(-2000)
    return answer
  }

  #read(file: number, pieces: number, count: number, read: number): number | Promise<number> {
    if (file !== 0 || count < 1) return errno.badFile
    this.#rest ??= this.#outside.read()
    if (this.#rest) return this.#fill(pieces, read)
    return this.#outside.wait().then(() => {
      this.#rest ??= this.#outside.read()
      return this.#fill(pieces, read)
    })
  }

  #fill(pieces: number, read: number): number {
    const at = this.#view.getUint32(pieces, true)
    const room = this.#view.getUint32(pieces + 4, true)
    const message = this.#rest ?? new Uint8Array()
    new Uint8Array(this.#outside.memory(), at, room).set(message.subarray(0, room))
    this.#rest = message.length > room ? message.subarray(room) : undefined
    this.#view.setUint32(read, Math.min(room, message.length), true)
    return 0
  }

  /** Nothing of a message is left for the next run. */
  forget(): void {
    this.#rest = undefined
    this.hasLookedOut = false
  }
}

/** Of one message, more is cut off: what is left is still found too large by whoever reads it. */
const MESSAGE_BYTES = 4 * limits.output
const PIECES_MAX = 1024
const RANDOM_MAX = 65_536
