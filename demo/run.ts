/** Runs the demo: the ticket report over `demo/tickets.csv`, against the server that is running, or against one that
 *  it starts and stops itself: however the demo ends, that server has ended before. `npm run demo -- other.csv` takes
 *  another file. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { type FlowEvent, PlatformClient } from '@flow/sdk'

type Admin = { api_key: string }
type NodeEvent = { node_id: string | null; duration_ms?: number; error?: { message: string } }

const { FLOW_DATA_DIR = './.flow', FLOW_API_KEY, PORT = '8080', FLOW_URL = `http://localhost:${PORT}` } = process.env
const file = process.argv[2] ?? new URL('./tickets.csv', import.meta.url)

/** A server that is killed meanwhile is back within half a minute. */
const RETRIES = 8

/** Ours, not one that was running. */
let server: ChildProcess | undefined
let isEnding = false

const { SIGINT, SIGTERM, SIGHUP, SIGPIPE } = constants.signals
for (const [signal, number] of Object.entries({ SIGINT, SIGTERM, SIGHUP })) process.on(signal, () => end(128 + number))
// Whoever read what is printed has left, as `head` does.
process.stdout.on('error', () => end(128 + SIGPIPE))
process.on('uncaughtException', fail)
process.on('exit', () => server?.kill('SIGTERM'))

try {
  if (!(await answers())) await startServer()
  await run()
  await end(0)
} catch (error) {
  fail(error)
}

function fail(error: unknown): void {
  if (!isEnding) console.error(error instanceof Error ? error.message : error)
  void end(1)
}

/** Ends the demo, after the server that it has started. */
async function end(code: number): Promise<void> {
  if (isEnding) return
  isEnding = true
  if (server && server.exitCode === null && server.signalCode === null) {
    const hasEnded = new Promise((ended) => server?.once('exit', ended))
    server.kill('SIGTERM')
    await hasEnded
  }
  process.exit(code)
}

async function run(): Promise<void> {
  const flow = new PlatformClient({ base_url: FLOW_URL, auth_token: await apiKey(), max_retries: RETRIES })
  const csv = await readFile(file, 'utf8')
  const lines = csv.split('\n').length - 2
  console.log(`${lines} lines of tickets go to the workflow "ticket-report" at ${FLOW_URL}.\n`)

  const { items } = await flow.workflows.list({ search: 'ticket report', limit: 1 })
  const workflow = items.find(({ slug }) => slug === 'ticket-report')
  if (!workflow) throw new Error('The workflow "ticket-report" is not there: it is seeded at the first start.')
  const began = performance.now()
  const execution = await flow.workflows.execute({ workflow_id: workflow.id, input: { csv } })
  for await (const event of flow.workflows.events({ workflow_id: workflow.id, execution_id: execution.id })) tell(event)

  const end = await flow.workflows.getExecution({ workflow_id: workflow.id, execution_id: execution.id })
  if (end.status !== 'completed') throw new Error(`The execution is ${end.status}: ${end.error?.message}`)
  console.log(
    `\nThe report, after ${Math.round(performance.now() - began)} ms:\n${JSON.stringify(end.output, null, 2)}`,
  )
}

function tell({ event, data }: FlowEvent<NodeEvent>): void {
  const took = data.duration_ms === undefined ? '' : ` (${Math.round(data.duration_ms)} ms)`
  if (event === 'node.started') console.log(`  … ${data.node_id}`)
  if (event === 'node.completed') console.log(`  ✓ ${data.node_id}${took}`)
  if (event === 'node.skipped') console.log(`  – ${data.node_id} was not needed`)
  if (event === 'node.failed') console.log(`  ✗ ${data.node_id}: ${data.error?.message}`)
}

async function answers(): Promise<boolean> {
  return fetch(`${FLOW_URL}/readyz`).then(
    (response) => response.ok,
    () => false,
  )
}

async function startServer(): Promise<void> {
  console.log('No server answers; one is started for the demo.')
  const main = new URL('../server/src/main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [main], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { FLOW_LOG_LEVEL: 'warn', ...process.env },
  })
  server = child
  for (let tries = 0; tries < 300; tries += 1) {
    if (await answers()) return
    if (child.exitCode !== null) throw new Error('The server did not start.')
    await new Promise((go) => setTimeout(go, 100))
  }
  throw new Error('The server did not answer within 30 seconds.')
}

/** The first key, which the start left in the data directory; or the one in the environment. */
async function apiKey(): Promise<string> {
  if (FLOW_API_KEY) return FLOW_API_KEY
  const path = resolve(FLOW_DATA_DIR, 'admin.json')
  const text = await readFile(path, 'utf8').catch(() => {
    throw new Error(`Set FLOW_API_KEY: there is no first key in ${path}.`)
  })
  return (JSON.parse(text) as Admin).api_key
}
