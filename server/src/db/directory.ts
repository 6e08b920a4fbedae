/** Whether the data directory can be used: what can't is refused with a sentence that says how to mend it, instead of
 *  failing half-way through the making of a database. */

import { existsSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseRefused } from './faults.ts'

/** A new database takes half of it; the rest is for the log's first segments. */
const NEW_BYTES = 64 * 1024 * 1024
/** One segment of the log: without it the first write breaks the database. */
const OLD_BYTES = 16 * 1024 * 1024

/** `database`: the name of the database's own directory in this one. */
export function refuseFullDisk(directory: string, database: string): void {
  const needed = existsSync(join(directory, database)) ? OLD_BYTES : NEW_BYTES
  const { blocks, bavail, bsize } = statfsSync(directory)
  // Some file systems do not know their size.
  if (blocks > 0 && bavail * bsize < needed) {
    throw new DatabaseRefused(
      `FLOW_DATA_DIR: there is no space left in ${directory}: ${megabytes(bavail * bsize)} MiB are free, and ` +
        `${megabytes(needed)} are needed. Make room, or name a directory on a larger disk.`,
    )
  }
}

/** The refusal for what the system said of the directory or of a file in it. */
export function unusable(directory: string, error: unknown): DatabaseRefused {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const message = error instanceof Error ? error.message : String(error)
  const why = reasons[code]?.(directory) ?? `${directory} can't be used (${message}). Name another directory.`
  return new DatabaseRefused(`FLOW_DATA_DIR: ${why}`, { cause: error })
}

const notDirectory = (directory: string) =>
  `${directory} is not a directory, or lies below what is none. Name a directory; it is made if it is missing.`
const notAllowed = (directory: string) =>
  `this user may not write in ${directory}. Give it to the user that Flow runs as, or name another directory.`
const reasons: Record<string, (directory: string) => string> = {
  EEXIST: notDirectory,
  ENOTDIR: notDirectory,
  EACCES: notAllowed,
  EPERM: notAllowed,
  EROFS: notAllowed,
}

const megabytes = (bytes: number) => Math.floor(bytes / 1024 / 1024)
