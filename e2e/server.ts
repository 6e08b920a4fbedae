/** A real server for the journeys: a process of its own on a fresh data directory and a free port. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { PlatformClient } from '@flow/sdk'

export const repository = resolve(import.meta.dirname, '..')

export type RunningServer = {
  url: string
  directory: string
  environment: Record<string, string>
  client(): Promise<PlatformClient>
  /** The first key, as a header. */
  credential(): Promise<{ 'x-api-key': string }>
  /** Ends it as a crash would. */
  kill(): Promise<void>
  /** Starts it again on the same data. */
  start(): Promise<void>
  /** Stops it as a supervisor would, and gives its exit code. */
  stop(): Promise<number | null>
  /** Tells it and those it started, as Ctrl-C in a terminal does, where a group is told. */
  interrupt(): Promise<number | null>
  pid(): number
  remove(): Promise<void>
  /** What it has written so far. */
  output(): string
}

export async function startServer(more: Record<string, string> = {}): Promise<RunningServer> {
  const directory = more.FLOW_DATA_DIR ?? (await mkdtemp(join(tmpdir(), 'flow-e2e-')))
  const port = Number(more.PORT ?? (await freePort()))
  const url = `http://localhost:${port}`
  const environment = {
    PATH: `${join(repository, 'node_modules/.bin')}:${process.env.PATH}`,
    PORT: String(port),
    FLOW_DATA_DIR: directory,
    FLOW_ADMIN_EMAIL: 'ada@example.com',
    FLOW_ADMIN_PASSWORD: 'a password for tests',
    FLOW_LOG_LEVEL: 'warn',
    ...more,
  }
  let child: ChildProcess | undefined
  let output = ''
  const pid = () => {
    if (child?.pid === undefined) throw new Error('the server was not started')
    return child.pid
  }
  const end = (signal: NodeJS.Signals, told = pid()) =>
    new Promise<number | null>((done) => {
      if (!child || child.exitCode !== null || child.signalCode !== null) return done(child?.exitCode ?? null)
      child.once('exit', (code) => done(code))
      process.kill(told, signal)
    })
  const start = async () => {
    child = spawn(process.execPath, ['--no-warnings', 'server/src/main.ts'], {
      cwd: repository,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // The head of a group, as a shell makes it.
      detached: true,
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
      })
    }
    child.stderr?.pipe(process.stderr)
    await ready(url, child)
  }
  const credential = async () => {
    const { api_key } = JSON.parse(await readFile(join(directory, 'admin.json'), 'utf8')) as { api_key: string }
    return { 'x-api-key': api_key }
  }
  await start()
  return {
    url,
    directory,
    environment,
    start,
    credential,
    client: async () => new PlatformClient({ base_url: url, auth_token: (await credential())['x-api-key'] }),
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    interrupt: () => end('SIGINT', -pid()),
    pid,
    output: () => output,
    async remove() {
      await end('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function ready(url: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 1_200; tries += 1) {
    if (
      await fetch(`${url}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      return
    if (child.exitCode !== null) throw new Error(`the server ended at its start with ${child.exitCode}`)
    await new Promise((go) => setTimeout(go, 50))
  }
  throw new Error('the server was not ready within 60 seconds')
}

export function freePort(): Promise<number> {
  return new Promise((found) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => found(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
