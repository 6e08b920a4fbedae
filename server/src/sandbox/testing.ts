/** What the sandbox's tests share: a run with the usual limits, told by what comes of it. */

import assert from 'node:assert/strict'
import type { Fault, Job, Sandbox } from './sandbox.ts'

export const job = (code: string, input: unknown = {}, more: Partial<Job> = {}): Job => ({
  language: 'javascript',
  code,
  entry_point: 'main',
  input,
  tenant: 'acme',
  timeout_ms: 2000,
  memory_mb: 64,
  ...more,
})

export async function outputOf(sandbox: Sandbox, ...args: Parameters<typeof job>): Promise<unknown> {
  const verdict = await sandbox.run(job(...args))
  assert.equal(verdict.status, 'success', JSON.stringify(verdict))
  return verdict.status === 'success' ? verdict.output : undefined
}

export async function faultOf(sandbox: Sandbox, ...args: Parameters<typeof job>): Promise<Fault> {
  const verdict = await sandbox.run(job(...args))
  if (verdict.status === 'error') return verdict.error
  throw new assert.AssertionError({ message: `It succeeded with ${JSON.stringify(verdict.output)}` })
}
