/** The embedded database's directory, on files that really are synced. PostgreSQL's `fsync` ends in a file system
 *  that has no such operation and reports success; here it gets one.
 *
 *  Commits that are answered together share one sync: while answers are held back, a sync of the write-ahead log is
 *  owed instead of done, and `settle` pays before they are sent. PostgreSQL relies on the log being on the disk before
 *  anything else that it describes: so every other change of the directory is preceded by a payment, too. */

import { fdatasyncSync } from 'node:fs'
import type { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'

/** What we reach into: Emscripten's file system on a directory of Node's, in which PGlite mounts its own. */
type Stream = { nfd: number; path?: string }
type Operation = (...given: never[]) => unknown
type NodeFiles = {
  stream_ops: Record<string, Operation> & { fsync?: (stream: Stream) => void }
  node_ops: Record<string, Operation>
  tryFSOperation: (operation: () => void) => void
}

export class SyncedFiles extends NodeFS {
  /** How often PostgreSQL asked for a sync. Stays 0 where it asks for none. */
  asked = 0
  /** Whether somebody settles before each answer. */
  isHeldBack = false
  #owed = new Set<number>()
  #failure: unknown

  get owes(): boolean {
    return this.#owed.size > 0
  }

  settle(): void {
    // A sync that failed once may succeed when asked again, without the bytes: from then on nothing is true here.
    if (this.#failure) throw this.#failure
    try {
      for (const descriptor of this.#owed) fdatasyncSync(descriptor)
    } catch (error) {
      this.#failure = error
      throw error
    }
    this.#owed.clear()
  }

  override async init(postgres: PGlite, options: Parameters<NodeFS['init']>[1]) {
    const { emscriptenOpts } = await super.init(postgres, options)
    const given: unknown = emscriptenOpts.preRun
    const addSync = (module: { FS: { filesystems: { NODEFS: NodeFiles } } }) => this.#sync(module.FS.filesystems.NODEFS)
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(Array.isArray(given) ? given : []), addSync] } }
  }

  #sync(files: NodeFiles): void {
    files.stream_ops.fsync = (stream) => {
      this.asked++
      if (this.isHeldBack && isLog(stream)) {
        this.#owed.add(stream.nfd)
        return
      }
      files.tryFSOperation(() => {
        this.settle()
        fdatasyncSync(stream.nfd)
      })
    }
    const settledFirst = (
      operations: Record<string, Operation>,
      name: string,
      isExempt: (stream: Stream) => boolean,
    ) => {
      const operation = operations[name]
      if (!operation) throw new Error(`this build of the embedded database has no file operation "${name}"`)
      operations[name] = (...given) => {
        if (this.#owed.size > 0 && !isExempt(given[0] as unknown as Stream)) files.tryFSOperation(() => this.settle())
        return operation(...given)
      }
    }
    // More of the log may be written; a descriptor that owes is not closed.
    settledFirst(files.stream_ops, 'write', isLog)
    settledFirst(files.stream_ops, 'close', (stream) => !this.#owed.has(stream.nfd))
    for (const name of ['msync', 'setattr']) settledFirst(files.stream_ops, name, () => false)
    for (const name of ['setattr', 'rename', 'unlink', 'rmdir']) settledFirst(files.node_ops, name, () => false)
  }
}

const isLog = ({ path }: Stream) => path?.includes('/pg_wal/') ?? false
