/** A process of Flow to be measured: it opens a database and runs executions, and does what the bench orders. */

import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Answer, Name, Orders } from './orders.ts'

export type Flow = {
  pid: number
  ask<N extends Name>(name: N, asked: Orders[N]['asked']): Promise<Orders[N]['answer']>
  /** Lets it end, and ends it if it does not. */
  stop(): Promise<void>
}

const STOP_MS = 10_000

/** Opens the database that the environment names, as the server would. */
export async function startFlow(environment: Record<string, string>): Promise<Flow> {
  const child = fork(join(import.meta.dirname, 'runner.ts'), [], {
    execArgv: ['--no-warnings'],
    env: { PATH: process.env.PATH, FLOW_LOG_LEVEL: 'error', ...environment },
    serialization: 'advanced',
  })
  // Whatever becomes of the bench, nothing of it stays.
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const asking = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>()
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  exited.then(() => {
    process.off('exit', end)
    for (const { reject } of asking.values()) reject(new Error('the process to be measured has ended'))
  })
  child.on('message', ({ number, answer, error }: Answer) => {
    const one = asking.get(number)
    asking.delete(number)
    if (error !== undefined) one?.reject(new Error(error))
    else one?.resolve(answer)
  })
  let count = 0
  const ask = <N extends Name>(name: N, asked: Orders[N]['asked']) =>
    new Promise<Orders[N]['answer']>((resolve, reject) => {
      count += 1
      // The runner answers each order with what the table of orders promises.
      asking.set(count, { resolve: (answer) => resolve(answer as Orders[N]['answer']), reject })
      child.send({ number: count, name, asked })
    })
  return { pid: pidOf(child), ask, stop: () => stop(child, ask, exited) }
}

async function stop(child: ChildProcess, ask: Flow['ask'], exited: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const cut = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  ask('stop', null).catch(() => {})
  await exited
  clearTimeout(cut)
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the process to be measured was not started')
  return pid
}
