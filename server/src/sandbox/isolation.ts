/** What stands around a worker, from the outside: how it is launched, and how strong that is. */

import { fileURLToPath } from 'node:url'

/** From weakest to strongest. Each holds everything the one before it holds. */
export const levels = ['process', 'seccomp', 'bubblewrap'] as const
export type IsolationLevel = (typeof levels)[number]

/** `gaps` says in a sentence what could not be had, and why. */
export type Isolation = { level: IsolationLevel; layers: string[]; gaps: string[] }

export type Launch = { level: IsolationLevel; command: string; args: string[]; env: Record<string, string> }

const room = fileURLToPath(new URL('.', import.meta.url))
const engine = fileURLToPath(new URL('.', import.meta.resolve('quickjs-wasi/package.json')))

const main = fileURLToPath(new URL('./worker/main.ts', import.meta.url))

/** An empty environment: what a worker could read of it would be a stranger's. */
const env = { UV_USE_IO_URING: '0', TZ: 'UTC' }

const nodeFlags = [
  '--permission',
  '--allow-ffi',
  `--allow-fs-read=${room}`,
  `--allow-fs-read=${engine}`,
  '--no-warnings',
  '--max-old-space-size=128',
]

/** The ways to launch a worker here, strongest first. */
export function launches(): Launch[] {
  return [{ level: 'process', command: process.execPath, args: [...nodeFlags, main], env }]
}
