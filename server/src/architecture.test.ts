/** The map of the house, kept true: which room may open which door, where the environment, the clock and the network
 *  are, how long a file may be. Each failure is a sentence that says what to do. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

/** From top to bottom, and in a row from left to right: a room imports from its right and from below, so there are no
 *  circles. */
const rows = [
  ['main', 'serve', 'welcome', 'housekeeping'],
  ['app', 'offers', 'platform'],
  ['solutions', 'triggers'],
  ['workflows'],
  ['gateway'],
  ['state', 'secrets'],
  ['components'],
  ['webhooks', 'organizations', 'auth', 'users', 'keys', 'billing', 'audit', 'events'],
  ['http', 'engine', 'sandbox', 'expressions', 'schedule', 'mail', 'telemetry', 'rewrap', 'seal', 'fetch'],
  ['db', 'asking', 'failure', 'shape', 'answer', 'context', 'config'],
]
/** Files of a room that others may import besides its door (`<room>/<room>.ts`), each for a reason. */
const sideDoors: Record<string, string> = {
  'db/db.ts': 'the shape of the database, without an engine',
  'db/page.ts': 'the one way to read a page',
  'db/group-commit.ts': 'many writes in one transaction',
  'db/boss.ts': 'the queue library, in a transaction of ours',
  'db/connect.ts': 'opens either engine',
  'db/faults.ts': 'what the database throws',
  'organizations/first.ts': 'the first start',
  'http/idempotency.ts': 'old keys are forgotten by the housekeeping',
  'workflows/tasks.ts': 'serves the tasks of people, which are a domain of their own',
  'components/workflow-rules.ts': 'what a workflow means, for the room that runs it',
  'components/trigger-rules.ts': 'what a trigger means, for the room that fires it',
  'components/triggers.ts': 'what is armed, for the room that fires it',
}
const LINES_MAX = 400

const source = new URL('.', import.meta.url).pathname
const files = globSync('**/*.ts', { cwd: source }).filter(
  (file) => !/(\.test|testing(-\w+)?)\.ts$/.test(file) && !file.includes('hostile/'),
)
const text = (file: string) => readFileSync(join(source, file), 'utf8')
const roomOf = (file: string) => file.split('/')[0]?.replace(/\.ts$/, '') ?? ''
const rowOf = (room: string) => rows.findIndex((row) => row.includes(room))
/** The place in reading order. */
const placeOf = (room: string) => rows.flat().indexOf(room)

type Import = { from: string; to: string; type_only: boolean }

function importsOf(file: string): Import[] {
  return [...text(file).matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+'(\.[^']+)'/gms)].map(
    ([, type, path = '']) => ({
      from: file,
      to: relative(source, join(source, dirname(file), path)),
      type_only: type !== undefined,
    }),
  )
}

const imports = files.flatMap(importsOf)

test('every room has its place on the map', () => {
  const strangers = [...new Set(files.map(roomOf))].filter((room) => rowOf(room) < 0)
  assert.deepEqual(strangers, [], 'Give these rooms a row in the table of this test and in ARCHITECTURE.md.')
})

test('a room opens doors to its right and below, never above', () => {
  const climbs = imports
    // The context names the types of what it carries; a type runs nothing.
    .filter(({ from, type_only }) => !(type_only && (roomOf(from) === 'context' || roomOf(from) === 'http')))
    .filter(({ to }) => !to.startsWith('..'))
    .filter(({ from, to }) => placeOf(roomOf(to)) < placeOf(roomOf(from)))
  assert.deepEqual(
    climbs.map(({ from, to }) => `${from} may not import ${to}`),
    [],
  )
})

test("a room comes in through another's door", () => {
  const windows = imports.filter(({ from, to }) => {
    const [room = '', file] = to.split('/')
    if (file === undefined || room === roomOf(from) || to.startsWith('..')) return false
    if (['app', 'offers', 'serve'].includes(roomOf(from)) && room === 'http') return false
    return to !== `${room}/${room}.ts` && !(to in sideDoors)
  })
  assert.deepEqual(
    windows.map(({ from, to }) => `${from} imports ${to}, which is not the door of its room`),
    [],
  )
})

test('only config.ts reads the environment', () => {
  const readers = files.filter((file) => file !== 'config.ts' && /\bprocess\.env\b/.test(text(file)))
  assert.deepEqual(readers, [])
})

test('outgoing calls go through the guarded fetch', () => {
  const callers = files.filter(
    (file) =>
      file !== 'fetch.ts' &&
      /(?<![\w.])fetch\(|from 'undici'|from 'node:https'|from 'node:dns|globalThis\.fetch/.test(text(file)),
  )
  assert.deepEqual(callers, [])
})

test('time comes from the clock', () => {
  const readers = files.filter(
    (file) => file !== 'context.ts' && !file.startsWith('sandbox/') && /Date\.now\(|new Date\(\)/.test(text(file)),
  )
  assert.deepEqual(readers, [], 'Take the time from ctx.now or from the clock of the platform.')
})

/** Once in a process. */
const assignedOnce = ['db/embedded.ts', 'db/embedded-worker.ts', 'db/synced-files.ts', 'solutions/flowchart-thread.ts']

test('no function is assigned to a property while calls are served', () => {
  const assigned =
    /(?<!^\s*(?:const|let) .*)(?:\.#?\w+|\]) \??\??= (?:async )?(?:function\b|\([^()]*\)(?:: [^=]+)? =>|\w+ =>)/m
  const keepers = files.filter((file) => !assignedOnce.includes(file) && assigned.test(text(file)))
  assert.deepEqual(
    keepers,
    [],
    'V8 makes such a function old at once, so that it keeps all that it can see until the next full collection: ' +
      'write a method, or give the function a name first.',
  )
})

test('a file can be read in one sitting', () => {
  const long = files
    .filter((file) => text(file).split('\n').length > LINES_MAX)
    .filter((file) => !/^ ?\* {2}Long because /m.test(text(file)))
  assert.deepEqual(long, [], `Split what has more than ${LINES_MAX} lines, or say in its head "Long because …".`)
})

test('every table of an organization has row-level security', () => {
  const migrations = globSync('db/migrations/*.sql', { cwd: source }).map(text).join('\n')
  const tables = [...migrations.matchAll(/create table (\w+) \(([\s\S]*?)\n\);/g)]
  const bare = tables.filter(([, , body = '']) => /\borganization_id\b/.test(body)).map(([, name = '']) => name)
  const open = bare.filter((name) => !new RegExp(`flow_tenant\\('${name}'\\)`).test(migrations))
  assert.deepEqual(open, [], "Call flow_tenant('table') for these tables.")
})
