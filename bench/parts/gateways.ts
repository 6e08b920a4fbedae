/** What stands between the client and the provider, each a process of its own: Flow, Portkey's gateway from npm, and a
 *  bare nginx, which is the least that a proxy costs. */

import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PlatformClient } from '@flow/sdk'
import { freePort, startServer } from '../../e2e/server.ts'
import type { LoadAnswer, LoadOrder } from './load.ts'

const run = promisify(execFile)

/** Flow and its neighbours have a core to themselves, the client and the provider share what is left. */
export const cores = { gateway: 0, client: 1, provider: availableParallelism() > 2 ? 2 : 1 }
export const arePinned = availableParallelism() > 1 && (await can('taskset', '--version'))

async function can(command: string, ...given: string[]): Promise<boolean> {
  return run(command, given).then(
    () => true,
    () => false,
  )
}

export async function pin(pid: number, core: number): Promise<void> {
  if (arePinned) await run('taskset', ['-a', '-c', '-p', String(core), String(pid)])
}

export type Target = {
  name: string
  pid: number
  port: number
  /** For this format of the provider's, whole or in a stream. */
  path: string
  headersFor(format: 'openai' | 'anthropic'): Record<string, string>
  /** How it names a model of the provider that does so. */
  modelOf(does: string, format: 'openai' | 'anthropic'): string
}
export type Gateway = Target & { stop(): Promise<void> }
export type Flow = Gateway & { settings: PlatformClient['gateway'] }

/** Whatever becomes of the bench, nothing of it stays. */
function mortal(pid: number | undefined): number {
  if (pid === undefined) throw new Error('what is measured was not started')
  process.once('exit', () => {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended already.
    }
  })
  return pid
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** A part of the bench that was forked and talks, and the first thing that it says. */
async function forked(name: string, core: number, given: string[] = []) {
  const child = fork(join(import.meta.dirname, `${name}.ts`), given, { execArgv: ['--no-warnings'] })
  const { pid } = child
  if (pid === undefined) throw new Error(`${name} was not started`)
  const first = once(child, 'message')
  await pin(pid, core)
  const [said] = await first
  return { child, pid, said: said as unknown }
}

export async function startProvider(): Promise<{ port: number; target: Target; stop(): void }> {
  const { child, pid, said } = await forked('upstream', cores.provider)
  const port = Number(said)
  const target: Target = {
    name: 'the provider itself',
    pid,
    port,
    path: '/v1/chat/completions',
    headersFor: () => ({}),
    modelOf: (does) => does,
  }
  return { port, target, stop: () => void child.kill() }
}

/** The least of Node's: what Flow costs besides is what it does. `proxy` is by the libraries that Flow has, too; `sockets`
 *  by none, and no HTTP. */
export async function startProxy(provider: number, by: 'proxy' | 'sockets' = 'proxy'): Promise<Gateway> {
  const { child, pid, said } = await forked(by, cores.gateway, [String(provider)])
  return {
    name: by === 'proxy' ? 'a bare proxy in Node' : 'bare sockets in Node',
    pid: mortal(pid),
    port: Number(said),
    path: '/v1/chat/completions',
    headersFor: () => ({}),
    modelOf: (does) => does,
    stop: () => ended(child),
  }
}

export async function startClient(): Promise<{ load(order: LoadOrder): Promise<LoadAnswer>; stop(): void }> {
  const { child } = await forked('load', cores.client)
  return {
    async load(order) {
      const answered = once(child, 'message') as Promise<[LoadAnswer | { error: string }]>
      child.send(order)
      const [answer] = await answered
      if ('error' in answer) throw new Error(`127.0.0.1:${order.port}${order.path}: ${answer.error}`)
      return answer
    },
    stop: () => void child.kill(),
  }
}

/** On the embedded database, or on a PostgreSQL, whose processes are not counted. */
export async function startFlow(provider: number, environment: Record<string, string> = {}): Promise<Flow> {
  const server = await startServer({
    FLOW_ALLOWED_HOSTS: '127.0.0.1',
    FLOW_RATE_LIMIT_PER_MINUTE: '100000000',
    FLOW_SANDBOX_WORKERS: '1',
    ...environment,
  })
  // The first start prints it, once, where it is not in a file.
  const [, key = (await server.credential())['x-api-key']] = /API key\s+(\S+)/.exec(server.output()) ?? []
  const { gateway } = new PlatformClient({ base_url: server.url, auth_token: key })
  const base_url = `http://127.0.0.1:${provider}/v1`
  await gateway.providers.create({ name: 'mock', kind: 'openai', base_url, key: 'x', skip_test: true })
  await gateway.prices.create({ model: 'mock/*', input: 1, output: 3 })
  await gateway.prices.create({ model: 'other/*', input: 1, output: 3 })
  await gateway.providers.create({
    name: 'other',
    kind: 'anthropic',
    base_url,
    key: 'x',
    skip_test: true,
  })
  const pid = mortal(server.pid())
  await pin(pid, cores.gateway)
  return {
    name: environment.DATABASE_URL ? 'Flow, PostgreSQL' : 'Flow, embedded',
    settings: gateway,
    pid,
    port: Number(new URL(server.url).port),
    path: '/api/v1/gateway/v1/chat/completions',
    headersFor: () => ({ authorization: `Bearer ${key}` }),
    modelOf: (does, format) => `${format === 'openai' ? 'mock' : 'other'}/${does}`,
    stop: () => server.remove(),
  }
}

/** A limit and a budget for everybody whom a call can be counted for. */
export async function govern({ settings }: Flow): Promise<void> {
  for (const kind of ['organization', 'workspace', 'user', 'key', 'model'] as const) {
    const subject = { kind }
    await settings.limits.create({ subject, requests_per_minute: 1_000_000, tokens_per_minute: 1_000_000_000 })
    await settings.budgets.create({ subject, credits: 1_000_000 })
  }
}

/** Its package has no lock file of its own: the one beside this bench pins what npm gives for it. */
export async function startPortkey(provider: number): Promise<Gateway> {
  const place = join(tmpdir(), 'flow-bench-portkey')
  await mkdir(place, { recursive: true })
  await cp(join(import.meta.dirname, '../peers/portkey'), place, { recursive: true })
  await run('npm', ['ci', '--prefix', place, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  const port = await freePort()
  const program = join(place, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  const child = spawn(process.execPath, [program, '--headless', `--port=${port}`], { stdio: 'ignore' })
  const pid = mortal(child.pid)
  await reached(port, child)
  await pin(pid, cores.gateway)
  return {
    name: 'Portkey',
    pid,
    port,
    path: '/v1/chat/completions',
    headersFor: (format) => ({
      authorization: 'Bearer x',
      'x-portkey-provider': format,
      'x-portkey-custom-host': `http://127.0.0.1:${provider}/v1`,
    }),
    modelOf: (does) => does,
    stop: () => ended(child),
  }
}

/** Undefined where there is none on this machine. */
export async function startNginx(provider: number): Promise<Gateway | undefined> {
  if (!(await can('nginx', '-v'))) return undefined
  const place = await mkdtemp(join(tmpdir(), 'flow-bench-nginx-'))
  const port = await freePort()
  await writeFile(join(place, 'nginx.conf'), configOf(place, port, provider))
  const given = ['-p', place, '-c', join(place, 'nginx.conf'), '-e', join(place, 'error.log')]
  const child = spawn('nginx', given, { stdio: 'ignore' })
  const pid = mortal(child.pid)
  await reached(port, child)
  await pin(pid, cores.gateway)
  return {
    name: 'nginx',
    pid,
    port,
    path: '/v1/chat/completions',
    headersFor: () => ({}),
    modelOf: (does) => does,
    async stop() {
      await ended(child)
      await rm(place, { recursive: true, force: true })
    },
  }
}

/** Kept connections on both sides; streams pass as they come. */
const configOf = (place: string, port: number, provider: number) => `
daemon off;
master_process off;
pid ${place}/pid;
error_log ${place}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${place}/body;
  proxy_temp_path ${place}/proxy;
  fastcgi_temp_path ${place}/fastcgi;
  uwsgi_temp_path ${place}/uwsgi;
  scgi_temp_path ${place}/scgi;
  upstream provider { server 127.0.0.1:${provider}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      client_body_buffer_size 1m;
      proxy_read_timeout 1h;
    }
  }
}
`

async function reached(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended at its start with ${child.exitCode}`)
    const isThere = await new Promise<boolean>((told) => {
      const socket = connect(port, '127.0.0.1', () => told(true)).on('error', () => told(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isThere) return
    await new Promise((go) => setTimeout(go, 50))
  }
  throw new Error(`${child.spawnfile} does not listen`)
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
