import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Job, openSandbox } from './sandbox.ts'

const sandbox = await openSandbox({ workers: 2 })
after(() => sandbox.close())

const run = (code: string, input: unknown = {}, more: Partial<Job> = {}) =>
  sandbox.run({
    language: 'javascript',
    code,
    entry_point: 'main',
    input,
    tenant: 'acme',
    timeout_ms: 1000,
    memory_mb: 64,
    ...more,
  })

test('a function is called with its input and its result comes back', async () => {
  const verdict = await run('export function main({ a, b }) { return { sum: a + b } }', { a: 1, b: 2 })

  assert.equal(verdict.status, 'success')
  assert.deepEqual(verdict.status === 'success' && verdict.output, { sum: 3 })
})
