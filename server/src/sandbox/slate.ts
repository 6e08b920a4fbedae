/** A slate that a worker reads while it computes and can read nothing else: eight bytes of a file without a name, in
 *  which the server writes the id of the run to be ended. */

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Slate {
  readonly #fd: number
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
      slate.write(0)
      return slate
    } catch {
      return undefined
    }
  }

  write(id: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(id)
    writeSync(this.#fd, bytes, 0, 8, 0)
  }

  /** The worker has its own by now. */
  handedOver(): void {
    closeSync(this.readable)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
