import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { launches } from '../isolation.ts'

const isFiltering = process.platform === 'linux' && process.arch === 'x64'
const drill = fileURLToPath(new URL('./drill-worker.ts', import.meta.url))

type Told = { layers: string[]; made: string[]; through: string[] }

function told(command: string, args: string[]): Told {
  const { stdout, stderr, signal } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { TZ: 'UTC' },
    timeout: 60_000,
    // As a worker has them, the last in place of the slate.
    stdio: ['pipe', 'pipe', 'pipe', 'ignore'],
  })
  assert.deepEqual([signal, stderr], [null, ''])
  return JSON.parse(stdout)
}

test('nobody gets out of a worker, whoever rules in it', { skip: !isFiltering }, () => {
  const launch = launches(process.pid, 'seccomp').found.find(({ level }) => level === 'seccomp')
  assert.ok(launch)
  const args = launch.args.map((arg) => (arg.endsWith('worker/main.ts') ? drill : arg))
  const { layers, made, through } = told(launch.command, args)

  assert.deepEqual(through, [])
  assert.ok(layers.includes('seccomp') && layers.includes('permission'))
  assert.ok(made.length >= 100, `${made.length} attempts`)
})

test('what harms nobody comes through where there is no lock', { skip: !isFiltering }, () => {
  const { made, through } = told(process.execPath, ['--no-warnings', drill, 'control'])

  assert.deepEqual(through, made)
  assert.ok(made.length >= 30)
})
