import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inNamespaces, isReached, launches } from './isolation.ts'
import { openSandbox } from './sandbox.ts'
import { outputOf } from './testing.ts'

const sandbox = await openSandbox({ workers: 2 })
after(() => sandbox.close())
await outputOf(sandbox, 'export const main = () => 1')
await outputOf(sandbox, 'def main(): return 1', {}, { language: 'python' })
/** One for JavaScript, one for Python. */
const pids = sandbox.stats().workers.map((worker) => worker.pid ?? 0)

const isFiltering = process.platform === 'linux' && process.arch === 'x64'
const hasBubblewrap = existsSync('/usr/bin/bwrap')
const isRoot = process.getuid?.() === 0

test('the level and its layers are those the workers found in force', () => {
  const { level, layers, gaps } = sandbox.isolation
  assert.ok(layers.includes('permission') && layers.includes('memory reset'))
  assert.equal(level === 'process', !layers.includes('seccomp'))
  if (isFiltering) assert.notEqual(level, 'process')
  if (level !== 'bubblewrap') assert.ok(gaps.length > 0, 'what is missing is said')
})

test('what a worker reports decides, not how it was launched', () => {
  assert.equal(isReached('seccomp', ['process', 'permission']), false)
  assert.equal(isReached('process', ['process']), false)
  assert.equal(isReached('process', ['process', 'permission']), true)
  assert.equal(isReached('bubblewrap', ['permission', 'seccomp']), true)
})

test('nothing below the floor is tried', () => {
  const levels = launches(1, 'seccomp').found.map(({ level }) => level)
  assert.ok(!levels.includes('process'))
  assert.ok(launches(1, 'process').found.length > levels.length)
})

test('a floor that cannot be reached here is refused with the reason', { skip: hasBubblewrap }, async () => {
  await assert.rejects(openSandbox({ floor: 'bubblewrap' }), {
    code: 'SANDBOX_DOWN',
    message: /bubblewrap is not installed/,
  })
})

test('a floor that is reached is reported', { skip: !isFiltering }, async () => {
  const strict = await openSandbox({ floor: 'seccomp', workers: 2 })
  assert.ok(strict.isolation.layers.includes('seccomp'))
  await strict.close()
})

test('within bubblewrap a worker sees its own program and nothing else', () => {
  const args = inNamespaces('/usr/bin/node')
  assert.ok(args.includes('--unshare-all') && args.includes('--clearenv'))
  const bound = args.filter((_, at) => args[at - 2] === '--ro-bind')
  assert.ok(
    bound.every((path) => !['/', '/etc', '/home', '/root', '/tmp', '/proc'].includes(path)),
    bound.join(),
  )
})

test('a worker has no privileges, no user and filters that cannot be taken off', { skip: !isFiltering }, () => {
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]
    assert.equal(field('NoNewPrivs'), '1')
    assert.equal(field('Seccomp'), '2')
    assert.equal(Number(field('Seccomp_filters')) >= 2, true)
    assert.equal(field('CapEff'), '0000000000000000')
    assert.notEqual(field('Uid')?.split('\t')[0], '0')
  }
})

test('every thread of a worker is filtered', { skip: !isFiltering }, () => {
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      assert.match(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'), /^Seccomp_filters:\s*[2-9]/m)
    }
  }
})

test('a worker inherits no secrets: its environment is bare, its files are its pipes', {
  skip: !isFiltering || !isRoot,
}, () => {
  for (const pid of pids) {
    assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8'), 'TZ=UTC\0')
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    const strange = open.filter(
      (to) => !/^(socket:|pipe:|anon_inode:\[(eventpoll|eventfd)\]|\/dev\/null$|.*slate \(deleted\)$)/.test(to),
    )
    assert.deepEqual(strange, [])
    assert.ok(!open.some((to) => to.includes('io_uring')))
  }
})

test('a worker has limits on what it may write, open and keep', { skip: !isFiltering }, () => {
  for (const pid of pids) {
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8')
    assert.match(limits, /Max file size\s+0\s+0/)
    assert.match(limits, /Max open files\s+64\s+64/)
    assert.match(limits, /Max core file size\s+0\s+0/)
    assert.match(limits, /Max data size\s+2147483648/)
    assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim(), '1000')
  }
})

test('workers end with a server that is killed, also those that compute', {
  skip: process.platform === 'win32',
}, async () => {
  const program = `
    import { openSandbox } from ${JSON.stringify(new URL('./sandbox.ts', import.meta.url).href)}
    import { job } from ${JSON.stringify(new URL('./testing.ts', import.meta.url).href)}
    const sandbox = await openSandbox({ workers: 2 })
    const loop = 'export const main = () => { for (;;) {} }'
    for (const tenant of ['a', 'b']) sandbox.run(job(loop, {}, { tenant, timeout_ms: 60000 }))
    while (sandbox.stats().running < 2) await new Promise((r) => setTimeout(r, 5))
    console.log(JSON.stringify(sandbox.stats().workers.map(({ pid }) => pid)))`
  const server = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(server.stdout, 'data')
  const pids: number[] = JSON.parse(String(line))
  assert.equal(pids.length, 2)

  server.kill('SIGKILL')
  await once(server, 'close')
  const living = () => pids.filter((id) => isLiving(id))
  for (let i = 0; i < 200 && living().length > 0; i++) await sleep(10)
  assert.deepEqual(living(), [])
})

function isLiving(id: number): boolean {
  try {
    process.kill(id, 0)
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${id}/status`, 'utf8'))
  } catch {
    return false
  }
}
