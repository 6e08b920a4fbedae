/** Starts that are refused: each ends at once with a sentence that names the setting and how to mend it, and has made
 *  nothing that the next start would miss. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, repository, startServer } from './server.ts'

type Start = { env?: Record<string, string>; before?: string[] }

/** Starts a server until it ends by itself; `env` over a fresh directory and a free port, `before` its command. */
async function start(t: TestContext, { env = {}, before = [] }: Start = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'flow-e2e-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const [command = '', ...args] = [...before, process.execPath, '--no-warnings', 'server/src/main.ts']
  const child = spawn(command, args, {
    cwd: repository,
    env: { PORT: '0', FLOW_DATA_DIR: directory, FLOW_LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const code = await new Promise<number | null>((done, fail) => child.once('close', done).once('error', fail))
  return { code, printed, complaint, directory }
}

async function taken(t: TestContext): Promise<number> {
  const server = await new Promise<Server>((opened) => {
    const one = createServer().listen(0, '127.0.0.1', () => opened(one))
  })
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

/** A sentence, and no stack. */
function assertRefused({ code, printed, complaint }: Awaited<ReturnType<typeof start>>, sentence: RegExp): void {
  assert.equal(code, 1)
  assert.match(complaint, /^Flow did not start\.\n/)
  assert.match(complaint, sentence)
  assert.doesNotMatch(complaint, /^\s+at /m)
  assert.equal(printed, '')
}

test('a port that is in use is refused before there is a key, and the next start prints the first one', async (t) => {
  const port = String(await taken(t))

  const refused = await start(t, { env: { PORT: port } })
  const metrics = await start(t, { env: { FLOW_METRICS_PORT: port } })

  assertRefused(refused, new RegExp(`^PORT: the port ${port} of 127\\.0\\.0\\.1 is in use .* set PORT to another`, 'm'))
  assertRefused(metrics, new RegExp(`^FLOW_METRICS_PORT: the port ${port} .* set FLOW_METRICS_PORT to another`, 'm'))
  const { directory } = refused
  assert.ok(!(await readdir(directory)).includes('admin.json'))
  const server = await startServer({ FLOW_DATA_DIR: directory })
  t.after(server.remove)
  assert.match(server.output(), /API key +fl_/)
})

test('a host that this machine does not have is refused', async (t) => {
  const refused = await start(t, { env: { FLOW_HOST: '192.0.2.1' } })

  assertRefused(refused, /^FLOW_HOST: this machine has no address "192\.0\.2\.1"\. Set FLOW_HOST to /m)
})

test('a data directory that is none is refused', async (t) => {
  const file = join(await mkdtemp(join(tmpdir(), 'flow-e2e-')), 'file')
  t.after(() => rm(join(file, '..'), { recursive: true, force: true }))
  await writeFile(file, 'not a directory')

  for (const FLOW_DATA_DIR of [file, join(file, 'below')]) {
    const refused = await start(t, { env: { FLOW_DATA_DIR } })
    assertRefused(refused, /^FLOW_DATA_DIR: .* is not a directory, .*Name a directory/m)
  }
})

test('a data directory that may not be written is refused', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'flow-e2e-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o500)
  // Root may write everywhere, unless it gives that right away.
  const before = process.getuid?.() === 0 ? ['setpriv', '--bounding-set', '-dac_override,-dac_read_search'] : []

  const refused = await start(t, { env: { FLOW_DATA_DIR: directory }, before })

  assertRefused(refused, /^FLOW_DATA_DIR: this user may not write in .*Give it to the user that Flow runs as/m)
  assert.deepEqual(await readdir(directory), [])
})

test('the data directory that a start makes is readable by its owner only', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'flow-e2e-'))
  const server = await startServer({ FLOW_DATA_DIR: join(parent, 'made') })
  t.after(async () => {
    await server.remove()
    await rm(parent, { recursive: true, force: true })
  })

  assert.equal((await stat(server.directory)).mode & 0o077, 0)
})

test('while it starts, a server answers nothing but that it starts', async (t) => {
  const port = await freePort()
  const starting = startServer({ PORT: String(port) })
  const answers = new Map<number, string>()
  for (let isReady = false; !isReady; await sleep(5)) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)
    if (answer) answers.set(answer.status, await answer.text())
    isReady = answer?.status === 200
  }
  const server = await starting
  t.after(server.remove)

  assert.deepEqual([...answers.keys()], [503, 200])
  assert.match(answers.get(503) ?? '', /"code":"UNAVAILABLE","message":"Flow is starting\."/)
})
