/** A directory belongs to one process. The lock is SQLite's own on a file, taken and never used for anything else:
 *  the kernel lets go of it when the process ends, however it ends, and a second open in the same process is refused
 *  too. No heartbeat could promise either: the embedded database blocks its thread for as long as a statement takes. */

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { unusable } from './directory.ts'
import { DirectoryInUse } from './faults.ts'

const SQLITE_BUSY = 5

/** Takes the directory, making it if it is missing, and returns how to let go of it. */
export function lockDirectory(directory: string): () => void {
  // Nothing else in this process may open the file: POSIX drops a process's locks when any of its descriptors closes.
  let lock: DatabaseSync | undefined
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    lock = new DatabaseSync(join(directory, 'lock.sqlite'), { timeout: 0 })
    lock.exec('pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive')
  } catch (error) {
    lock?.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)
      throw new DirectoryInUse(directory)
    throw unusable(directory, error)
  }
  return () => lock?.close()
}
