import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { PGlite } from '@electric-sql/pglite'
import { SyncedFiles } from './synced-files.ts'

const directory = mkdtempSync(join(tmpdir(), 'flow-test-'))
after(() => rmSync(directory, { recursive: true, force: true }))

type Operations = Record<string, (stream: { nfd: number; path: string }) => void>

/** The synced files on operations that only write down whether a sync was still owed when they ran. */
async function newFiles() {
  const files = new SyncedFiles(directory)
  const done: string[] = []
  const record = (names: string[]): Operations =>
    Object.fromEntries(names.map((name) => [name, () => done.push(`${name}${files.owes ? ', owing' : ''}`)]))
  const NODEFS = {
    stream_ops: record(['write', 'close', 'msync', 'setattr', 'read']),
    node_ops: record(['setattr', 'rename', 'unlink', 'rmdir', 'mknod']),
    tryFSOperation: (operation: () => void) => operation(),
  }
  // Emscripten's module and PGlite's own object, as far as mounting needs them.
  const { emscriptenOpts } = await files.init({} as PGlite, {})
  const preRun = emscriptenOpts.preRun as ((module: object) => void)[]
  preRun.at(-1)?.({ FS: { filesystems: { NODEFS } } })

  const nfd = openSync(join(directory, 'file'), 'w')
  after(() => closeSync(nfd))
  const log = { nfd, path: '/pglite/data/pg_wal/000000010000000000000001' }
  const table = { nfd: nfd + 1_000_000, path: '/pglite/data/base/5/1259' }
  return { files, done, log, table, on: NODEFS.stream_ops, at: NODEFS.node_ops }
}

test('a sync of the log is owed while answers are held back, and paid before they are sent', async () => {
  const { files, log, on } = await newFiles()
  on.fsync?.(log)
  assert.equal(files.owes, false)
  files.isHeldBack = true
  on.fsync?.(log)
  on.fsync?.(log)
  assert.deepEqual([files.owes, files.asked], [true, 3])
  files.settle()
  assert.equal(files.owes, false)
})

test('nothing that the log describes changes before the log is on the disk', async () => {
  const { files, done, log, table, on, at } = await newFiles()
  files.isHeldBack = true
  const changes = [
    () => on.write?.(table),
    () => on.close?.(log),
    () => on.msync?.(table),
    () => on.setattr?.(table),
    () => at.setattr?.(table),
    () => at.rename?.(table),
    () => at.unlink?.(table),
    () => at.rmdir?.(table),
  ]
  for (const change of changes) {
    on.fsync?.(log)
    change()
    assert.equal(files.owes, false)
  }
  assert.deepEqual(done, ['write', 'close', 'msync', 'setattr', 'setattr', 'rename', 'unlink', 'rmdir'])
})

test('what changes nothing that the log describes does not wait for it', async () => {
  const { files, done, log, table, on, at } = await newFiles()
  files.isHeldBack = true
  on.fsync?.(log)
  on.write?.(log)
  on.read?.(table)
  on.close?.(table)
  at.mknod?.(table)
  assert.deepEqual(done, ['write, owing', 'read, owing', 'close, owing', 'mknod, owing'])
})

test('after a sync that failed nothing is answered any more', async () => {
  const { files, table, on } = await newFiles()
  files.isHeldBack = true
  on.fsync?.({ ...table, path: '/pglite/data/pg_wal/lost' })
  assert.throws(() => files.settle(), { code: 'EBADF' })
  assert.throws(() => files.settle(), { code: 'EBADF' })
  assert.throws(() => on.write?.(table), { code: 'EBADF' })
})
