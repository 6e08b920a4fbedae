/** A slate that a worker can look at while its pipe is out of sight, in the middle of a step: a file without a name, in
 *  which the server writes the ids of runs that are called off, the latest few. */

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** More than can stand in a worker at a time. */
export const SLATE_ENTRIES = 64
export const ENTRY_BYTES = 8

export class Slate {
  readonly #fd: number
  #count = 0
  /** What the worker gets: it can only read. */
  readonly readable: number

  private constructor(fd: number, readable: number) {
    this.#fd = fd
    this.readable = readable
  }

  /** Nothing, where there is no place for temporary files: then a run is ended with its process. */
  static open(): Slate | undefined {
    try {
      const folder = mkdtempSync(join(tmpdir(), 'flow-'))
      const file = join(folder, 'slate')
      const slate = new Slate(openSync(file, 'w', 0o600), openSync(file, 'r'))
      rmSync(folder, { recursive: true })
      return slate
    } catch {
      return undefined
    }
  }

  write(id: number): void {
    const entry = Buffer.alloc(ENTRY_BYTES)
    entry.writeDoubleLE(id)
    writeSync(this.#fd, entry, 0, ENTRY_BYTES, (this.#count++ % SLATE_ENTRIES) * ENTRY_BYTES)
  }

  /** The worker has its own by now. */
  handedOver(): void {
    closeSync(this.readable)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
