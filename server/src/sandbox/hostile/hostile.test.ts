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
    await t.test(`a program ${program.language === 'python' ? 'in Python ' : ''}that ${program.does}`, async () => {
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

const looks = [
  job('export const main = () => Object.getOwnPropertyNames(globalThis)'),
  job(
    'import builtins, sys, gc, colorsys\ndef main(): return [dir(builtins), sorted(sys.modules), len(gc.get_objects())]',
    {},
    { language: 'python', timeout_ms: 60_000 },
  ),
]

async function seen(): Promise<unknown[]> {
  const verdicts = await Promise.all(looks.map((look) => sandbox.run(look)))
  return verdicts.map((verdict) => (verdict.status === 'success' ? verdict.output : assert.fail(verdict.error.message)))
}

test('programs that mean harm come to nothing', async (t) => {
  const before = await seen()
  await Promise.all(Array.from({ length: 8 }, () => runAll(t)))

  assert.deepEqual(await seen(), before)
})
