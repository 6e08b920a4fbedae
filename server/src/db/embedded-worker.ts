/** The thread in which the embedded database lives: bytes of PostgreSQL's protocol in, bytes out. It blocks while a
 *  statement runs, so it has a thread of its own; queue, statements and rows are the main thread's (embedded.ts).
 *
 *  It waits on a shared integer instead of its event loop: being woken by the loop costs as much as a statement. */

import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import { vector } from '@electric-sql/pglite-pgvector'
import { SyncedFiles } from './synced-files.ts'

export type WorkerInput = {
  directory: string
  durability: 'fsync' | 'process'
  signal: SharedArrayBuffer
  port: MessagePort
}
/** To the main thread: answers as bytes, or one of these. */
export type WorkerWord = { word: 'ready' } | { word: 'refused'; message: string } | { word: 'closed' }
/** From the main thread: statements as bytes, or this. */
export type Close = 'close'

const POSTGRES_MAJOR = '18'
const POSTGRES_MAIN_LONGJMP = 100
const SYNC = 0x53
const QUERY = 0x51
/** Answers of one batch are sent on after this long, so that the first asker need not wait for the last. */
const ANSWER_AFTER_MS = 0.25
const ANSWER_SYNCED_AFTER_MS = 1
const AWAKE_MS = 0.05

const { directory, durability, signal, port } = workerData as WorkerInput
const say = (word: WorkerWord) => port.postMessage(word)

async function run(): Promise<void> {
  try {
    if (!existsSync(join(directory, 'PG_VERSION'))) await makeDatabase()
    refuseOtherVersions()
    const { postgres, files } = await open()
    serve(postgres, files)
    await postgres.close()
    say({ word: 'closed' })
  } catch (error) {
    say({ word: 'refused', message: error instanceof Error ? error.message : String(error) })
  }
  port.close()
}

/** Runs `initdb` beside the place and moves the result there, so that a crash leaves no half of a database. */
async function makeDatabase(): Promise<void> {
  const making = `${directory}.making`
  rmSync(making, { recursive: true, force: true })
  const postgres = await PGlite.create(making, {
    extensions: { vector },
    initDbStartParams: ['--no-sync', '--no-instructions'],
  })
  // Nobody but a session in them could freeze these two, and their age would stop the whole cluster one day.
  await postgres.exec('update pg_database set datistemplate = false, datallowconn = true')
  await postgres.exec('drop database template1')
  await postgres.exec('drop database template0')
  await postgres.exec('checkpoint')
  await postgres.close()
  if (durability === 'fsync') sync(making)
  renameSync(making, directory)
  if (durability === 'fsync') sync(join(directory, '..'), false)
}

function sync(path: string, contents = true): void {
  const entries = contents ? readdirSync(path, { recursive: true, withFileTypes: true }) : []
  for (const file of [...entries.map((entry) => join(entry.parentPath, entry.name)), path]) {
    const descriptor = openSync(file, 'r')
    fsyncSync(descriptor)
    closeSync(descriptor)
  }
}

function refuseOtherVersions(): void {
  const version = readFileSync(join(directory, 'PG_VERSION'), 'utf8').trim()
  if (version === POSTGRES_MAJOR) return
  throw new Error(
    `The database in ${directory} is of PostgreSQL ${version}, this Flow brings ${POSTGRES_MAJOR}. ` +
      'Export it with the Flow that made it, and import it into a new directory.',
  )
}

async function open(): Promise<{ postgres: PGlite; files: SyncedFiles | undefined }> {
  const files = durability === 'fsync' ? new SyncedFiles(directory) : undefined
  const postgres = await PGlite.create({
    fs: files ?? new NodeFS(directory),
    extensions: { vector },
    startParams: [
      // Of the parameters PGlite starts with, `-F` turns syncing off.
      ...PGlite.defaultStartParams.filter((parameter) => !files || parameter !== '-F'),
      '-c',
      'wal_sync_method=fsync',
    ],
  })
  exitWhenBroken(postgres)
  if (files) await proveSync(postgres, files)
  return { postgres, files }
}

async function proveSync(postgres: PGlite, files: SyncedFiles): Promise<void> {
  const before = files.asked
  await postgres.exec(`select pg_logical_emit_message(true, 'flow', 'start')`)
  if (files.asked > before) return
  throw new Error(
    'This build of the embedded database does not sync its files, so a commit would not survive a loss of power. ' +
      'Install the exact versions of the lock file, or accept that with FLOW_DURABILITY=process.',
  )
}

/** PGlite swallows every exception of its engine, a broken memory as well as an ordinary error. After the first
 *  kind nothing it answers is true: the thread ends, and the next one recovers from the log. */
function exitWhenBroken(postgres: PGlite): void {
  const module = postgres.Module
  const step = module._PostgresMainLoopOnce
  module._PostgresMainLoopOnce = () => {
    try {
      step()
    } catch (error) {
      const isOrdinary =
        typeof error === 'object' && error && 'status' in error && error.status === POSTGRES_MAIN_LONGJMP
      if (!isOrdinary) {
        say({ word: 'refused', message: `The embedded database broke: ${error}` })
        process.exit(70)
      }
      throw error
    }
  }
}

/** Answers until the main thread says `close`. */
function serve(postgres: PGlite, files: SyncedFiles | undefined): void {
  const asked = new Int32Array(signal)
  const answers = new Answers(files)
  if (files) files.isHeldBack = true
  postgres.execProtocolRawStream(new Uint8Array(0), { syncToFs: false, onRawData: (bytes) => answers.add(bytes) })
  say({ word: 'ready' })

  for (let seen = 0; ; seen = Atomics.load(asked, 0)) {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
      if (next.message === ('close' satisfies Close)) {
        if (files) files.isHeldBack = false
        return
      }
      for (const statement of statements(next.message)) {
        postgres.execProtocolRawSync(statement)
        answers.sendIfDue()
      }
      answers.send()
    }
    // Whoever asked will often ask again at once, and a thread that sleeps takes longer to wake than to answer.
    const until = performance.now() + AWAKE_MS
    while (Atomics.load(asked, 0) === seen && performance.now() < until);
    Atomics.wait(asked, 0, seen)
  }
}

/** What is to be sent. Not before the log is on the disk: an answer may say that a commit is. */
class Answers {
  #files: SyncedFiles | undefined
  #bytes = Buffer.allocUnsafe(65_536)
  #at = 0
  #since = 0

  constructor(files: SyncedFiles | undefined) {
    this.#files = files
  }

  /** The engine lends its own memory: copied before it goes on. */
  add(lent: Uint8Array): void {
    if (this.#at + lent.length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + lent.length))
      this.#bytes.copy(grown, 0, 0, this.#at)
      this.#bytes = grown
    }
    if (this.#at === 0) this.#since = performance.now()
    this.#bytes.set(lent, this.#at)
    this.#at += lent.length
  }

  sendIfDue(): void {
    // Waiting a little longer lets more commits share a sync.
    const after_ms = this.#files?.owes ? ANSWER_SYNCED_AFTER_MS : ANSWER_AFTER_MS
    if (performance.now() - this.#since > after_ms) this.send()
  }

  send(): void {
    if (this.#at === 0) return
    this.#files?.settle()
    const taken = new Uint8Array(this.#at)
    taken.set(this.#bytes.subarray(0, this.#at))
    port.postMessage(taken, [taken.buffer])
    this.#at = 0
    if (this.#bytes.length > 1 << 22) this.#bytes = Buffer.allocUnsafe(65_536)
  }
}

/** Cuts a batch where the engine is to answer: behind each `Sync` and each simple query. */
function* statements(batch: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  let start = 0
  for (let at = 0; at < batch.length; ) {
    const code = batch[at]
    at += 1 + view.getUint32(at + 1)
    if (code !== SYNC && code !== QUERY) continue
    yield batch.subarray(start, at)
    start = at
  }
}

await run()
