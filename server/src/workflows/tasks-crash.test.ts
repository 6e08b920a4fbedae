/** `kill -9` right after an answer was accepted: the next process goes on with it. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { testModes } from '../db/testing.ts'
import { prepare } from './crash-testing.ts'
import type { Answering } from './tasks-process-testing.ts'

const definition = {
  nodes: [
    { id: 'ask', type: 'human_task', title: 'Go on?', due_seconds: 86_400, on_due: 'expire' },
    { id: 'told', type: 'transform', output: '{{ nodes.ask.output.word }}' },
  ],
  edges: [{ source: 'ask', target: 'told' }],
}

/** Lets a process live to its end: what it told, and what it died of. */
const live = (orders: Answering) =>
  new Promise<{ told: string; signal: string | null }>((resolve) => {
    const program = join(import.meta.dirname, 'tasks-process-testing.ts')
    execFile(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], (error, told) =>
      resolve({ told, signal: error?.signal ?? null }),
    )
  })

for (const mode of testModes) {
  test(`an answer that was accepted survives the process that took it (${mode})`, async () => {
    const { remove, ...orders } = await prepare(mode, {}, definition)
    for (let round = 0; round < 2; round += 1) {
      const word = `answer ${round}`
      const answering = await live({ ...orders, word })
      assert.equal(answering.signal, 'SIGKILL')

      const finishing = await live({ ...orders, finish: answering.told })
      assert.deepEqual(JSON.parse(finishing.told), { status: 'completed', output: word, task: 'completed' })
    }
    await remove()
  })
}
