import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { openSandbox } from '../sandbox.ts'
import { job } from '../testing.ts'
import { programs } from './programs.ts'

const sandbox = await openSandbox({ workers: 3 })
after(() => sandbox.close())

let next = 0

/** Eight at a time, of eight tenants, so that they are each other's neighbours too. */
async function runAll(t: TestContext) {
  while (next < programs.length) {
    const index = next++
    const program = programs[index]
    if (!program) return
    await t.test(`a program that ${program.does}`, async () => {
      const { code, language = 'javascript', memory_mb = 32, input } = program
      const timeout_ms = program.ends?.includes('timeout') ? 100 : 2000
      const tenant = `tenant-${index % 8}`
      const verdict = await sandbox.run(job(code, input, { language, memory_mb, timeout_ms, tenant }))
      const told = JSON.stringify(verdict).slice(0, 500)

      if (verdict.status === 'success') assert.deepEqual(verdict.output, program.gives)
      else assert.ok(program.ends?.includes(verdict.error.code), told)
    })
  }
}

test('programs that mean harm come to nothing', async (t) => {
  const globals = job('export const main = () => Object.getOwnPropertyNames(globalThis)')
  const before = await sandbox.run(globals)
  await Promise.all(Array.from({ length: 8 }, () => runAll(t)))

  const after = await sandbox.run(globals)
  assert.equal(after.status, 'success')
  assert.deepEqual(after.status === 'success' && after.output, before.status === 'success' && before.output)
})
