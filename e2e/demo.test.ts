/** The demo as a person runs it, and with the server killed in its middle. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { type RunningServer, repository, startServer } from './server.ts'

/** Runs the demo; calls `heard` with each line it prints. */
async function demo(server: RunningServer, heard: (line: string) => void = () => undefined): Promise<string> {
  const env = { ...server.environment, FLOW_URL: server.url }
  const child = spawn(process.execPath, ['--no-warnings', join(repository, 'demo/run.ts')], { cwd: repository, env })
  let text = ''
  let told = 0
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const lines = text.split('\n')
    for (; told < lines.length - 1; told += 1) heard(lines[told] ?? '')
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const code = await new Promise((done) => child.once('exit', done))
  assert.equal(code, 0, text)
  return text
}

const reportOf = (text: string): { tickets: number } => JSON.parse(text.slice(text.indexOf('\n{')))

test('the demo counts every row of its file once', async (t) => {
  const server = await startServer()
  t.after(server.remove)

  const report = reportOf(await demo(server)) as Record<string, never> & {
    rows_read: number
    rows_rejected: number
    duplicates_dropped: number
    tickets: number
    by_priority: Record<string, number>
    why_rejected: Record<string, number>
    categories: Record<string, number>
    months: Record<string, number>
    escalation: { urgent: number }
  }

  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0)
  assert.equal(report.rows_read, 6260)
  assert.equal(report.rows_rejected, 1000)
  assert.equal(report.duplicates_dropped, 260)
  assert.equal(report.tickets, 5000)
  assert.equal(sum(report.why_rejected), 1000)
  assert.equal(sum(report.by_priority), 5000)
  assert.equal(sum(report.categories), 5000)
  assert.equal(sum(report.months), 5000)
  assert.equal(report.escalation.urgent, report.by_priority.urgent)
})

test('a server that is killed in the middle of the demo goes on where it was, and the report is the same', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const undisturbed = reportOf(await demo(server))
  for (const node of ['parsed', 'clean', 'months']) {
    let restarted: Promise<void> | undefined
    const lines: string[] = []

    const text = await demo(server, (line) => {
      lines.push(line)
      if (!restarted && line.includes(`… ${node}`)) restarted = server.kill().then(server.start)
    })
    await restarted

    assert.ok(restarted, `the demo never began ${node}`)
    assert.deepEqual(reportOf(text), undisturbed)
    const completed = lines.filter((line) => line.includes('✓')).map((line) => line.replace(/ \(.*/, ''))
    assert.deepEqual([...new Set(completed)], completed, 'a node was recorded twice')
  }
})

for (const [way, leave, expected] of [
  ['told to end', (child: ChildProcess) => child.kill('SIGTERM'), 143],
  ['interrupted', (child: ChildProcess) => child.kill('SIGINT'), 130],
  ['whose terminal is closed', (child: ChildProcess) => child.kill('SIGHUP'), 129],
  ['whose reader has left', (child: ChildProcess) => child.stdout?.destroy(), 141],
] as const) {
  test(`a demo ${way} leaves no server behind that it has started`, async (t) => {
    const server = await startServer()
    t.after(server.remove)
    await server.stop()
    const child = spawn(process.execPath, ['--no-warnings', join(repository, 'demo/run.ts')], {
      cwd: repository,
      env: server.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.after(() => child.kill('SIGKILL'))
    await new Promise<void>((runs) => {
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.includes('… ')) runs()
      })
    })

    leave(child)
    const code = await new Promise((done) => child.once('exit', done))

    assert.equal(code, expected)
    await assert.rejects(fetch(`${server.url}/healthz`))
    // The directory is free, and what was begun goes on.
    await server.start()
    const flow = await server.client()
    const { items } = await flow.workflows.list({ search: 'ticket report' })
    assert.equal(items.length, 1)
  })
}

test('Ctrl-C stops the server cleanly, and it starts again on the same data', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const flow = await server.client()
  const before = await flow.components.list()

  const code = await server.stop()
  await server.start()

  assert.equal(code, 0)
  assert.deepEqual(await flow.components.list(), before)
})

test('a second server is refused the data directory of the first', async (t) => {
  const server = await startServer()
  t.after(server.remove)

  const second = spawn(process.execPath, ['--no-warnings', 'server/src/main.ts'], {
    cwd: repository,
    env: { ...server.environment, PORT: '0' },
  })
  let told = ''
  second.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    told += chunk
  })
  const code = await new Promise((done) => second.once('exit', done))

  assert.equal(code, 1)
  assert.match(told, /is in use by another Flow/)
  assert.ok(told.includes(server.directory))
})
