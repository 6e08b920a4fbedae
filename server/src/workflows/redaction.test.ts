/** What schemas mark as secret is told nowhere: not in executions, nodes, events, timelines, lists and messages to
 *  others, nor in the log. But it is given to code, and to children. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import type { Execution } from '@flow/contract/workflows'
import { symbols } from 'pino'
import { sql } from '../db/db.ts'
import { secretFieldsOf } from '../expressions/expressions.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { Redaction } from './redaction.ts'
import { block, edge, node, run, until, workflow } from './testing.ts'

const { platform } = await testFlow({ FLOW_LOG_LEVEL: 'trace' })
/** What the platform logs, instead of on the console. */
const logged: string[] = []
Object.assign(platform.log, { [symbols.streamSym]: { write: (line: string) => logged.push(line) } })

const KEY = 'sk-live-9f8e7d6c5b4a'
const secret = { type: 'string', 'x-secret': true }
const marked = { type: 'object', properties: { key: secret, plain: {} } }

const learnt = (...texts: string[]) => {
  const redaction = new Redaction()
  redaction.learn(secretFieldsOf({ items: { writeOnly: true } }), texts)
  return redaction
}

test('a secret is replaced wherever it stands to the letter, by itself or inside of a text', () => {
  const redaction = learnt(KEY)

  assert.deepEqual(redaction.tell({ a: KEY, b: [`Bearer ${KEY}!`], [`key ${KEY}`]: 1, c: 'sk-live' }), {
    a: '[secret]',
    b: ['Bearer [secret]!'],
    'key [secret]': 1,
    c: 'sk-live',
  })
})

test('a secret is recognised inside of JSON and of addresses, too', () => {
  const redaction = learnt('pass "word"/ä')

  assert.equal(redaction.tell(JSON.stringify({ a: 'pass "word"/ä' })), '{"a":"[secret]"}')
  assert.equal(redaction.tell(`https://x.test/?p=${encodeURIComponent('pass "word"/ä')}`), 'https://x.test/?p=[secret]')
  assert.equal(redaction.tell(`${new URLSearchParams({ p: 'pass "word"/ä' })}&q=1`), 'p=[secret]&q=1')
})

test('where secrets overlap nothing of either is left', () => {
  assert.equal(learnt('abcdefgh', 'efghijkl').tell('-abcdefghijkl-'), '-[secret]-')
  assert.equal(learnt('[secret]', 'secret').tell('a secret'), 'a [secret]')
})

test('a message that was cut off in the midst of a secret does not tell its beginning', () => {
  assert.equal(learnt(KEY).message(`no such key: ${KEY.slice(0, 12)}`), 'no such key: [secret]')
  assert.equal(learnt(KEY).message(`no such key: ${KEY.slice(0, 12)} (line 3)`), 'no such key: [secret] (line 3)')
})

test('words of fewer than six characters are hidden where they are marked, and nowhere else', () => {
  assert.equal(learnt('short').tell('a short text'), 'a short text')
})

test('with more than a hundred secrets every text is hidden', () => {
  const redaction = learnt(...Array.from({ length: 101 }, (_, i) => `secret number ${i}`))

  assert.deepEqual(redaction.tell({ a: 'something else', b: 'no', c: 1 }), { a: '[secret]', b: 'no', c: 1 })
  assert.equal(redaction.message('something else'), '[secret]')
})

/** An execution of a new workflow whose input has a key. */
const runWith = (alice: Parameters<typeof run>[0], more: object, input: JsonValue = { key: KEY, plain: 'open' }) =>
  run(alice, { input_schema: marked, ...more }, input)

const assertHidden = (told: unknown, about: string) => assert.ok(!JSON.stringify(told).includes('sk-live'), about)

test('an execution tells neither the secrets of its input nor what carries them on, and its code gets them all the same', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'measure',
    'export const main = ({ token }) => ({ length: token.length, echo: "<" + token + ">" })',
  )
  const ended = await runWith(alice, {
    nodes: [
      node('a', 'measure', { input: { token: '{{ input.key }}' } }),
      { id: 'b', type: 'transform', output: { sent: 'Bearer {{ input.key }}', plain: '{{ input.plain }}' } },
    ],
    edges: [edge('a', 'b')],
    output: { length: '{{ nodes.a.output.length }}', all: '{{ nodes.b.output }}' },
  })

  assertHidden(ended, 'the answer')
  assert.deepEqual(ended.input, { key: '[secret]', plain: 'open' })
  assert.deepEqual(ended.nodes[0]?.input, { token: '[secret]' })
  assert.deepEqual(ended.nodes[0]?.output, { length: KEY.length, echo: '<[secret]>' })
  assert.deepEqual(ended.output, { length: KEY.length, all: { sent: 'Bearer [secret]', plain: 'open' } })
  assertHidden(await alice.workflows.getExecution(at(ended)), 'the execution')
  assertHidden(await alice.workflows.getExecution({ ...at(ended), node: 'b' }), 'a node alone')
})

const at = ({ workflow_id, id: execution_id }: Execution) => ({ workflow_id, execution_id })

test('an execution is answered without its secrets when it is accepted, and when that is answered again', async () => {
  const { fetch } = await testFlow()
  const { alice, admin } = await newOrganization()
  const { id } = await workflow(alice, { input_schema: marked, nodes: [{ id: 'w', type: 'wait', seconds: 3600 }] })
  const post = () =>
    fetch(`/api/v1/workflows/${id}/execute`, {
      method: 'POST',
      headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json', 'idempotency-key': 'once' },
      body: JSON.stringify({ input: { key: KEY } }),
    })

  const answers = [await (await post()).text(), await (await post()).text()]
  for (const answer of answers) assert.match(answer, /"input":\{"key":"\[secret\]"\}/)
  assert.equal(answers[0], answers[1])
})

test("what a code block's own schemas mark is hidden in its node, and where it goes from there", async () => {
  const { alice } = await newOrganization()
  await block(alice, 'sign-in', `export const main = () => ({ token: '${KEY}', user: 'ada' })`, {
    output_schema: markedBy('token'),
  })
  await block(alice, 'use', 'export const main = ({ token }) => "used " + token', { input_schema: markedBy('token') })
  const ended = await run(alice, {
    workflow_type: 'sequential',
    nodes: [
      node('in', 'sign-in'),
      node('use', 'use'),
      { id: 'on', type: 'transform', output: ['{{ nodes["in"].output }}'] },
    ],
  })

  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  assertHidden(ended, 'the execution')
  assert.deepEqual(
    ended.nodes.map(({ output }) => output),
    [{ token: '[secret]', user: 'ada' }, 'used [secret]', [{ token: '[secret]', user: 'ada' }]],
  )
  for (const { id } of ended.nodes) assertHidden(await alice.workflows.getExecution({ ...at(ended), node: id }), id)
})

const markedBy = (name: string) => ({ type: 'object', properties: { [name]: secret } })

test('items of a map are hidden by the schema of its code block', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'mint', 'export const main = (n) => ({ n, token: "sk-live-number-" + n })', {
    output_schema: markedBy('token'),
  })
  const ended = await run(alice, { nodes: [{ id: 'all', type: 'map', component_ref: 'mint', items: '{{ [1, 2] }}' }] })

  assert.deepEqual(ended.output, [
    { n: 1, token: '[secret]' },
    { n: 2, token: '[secret]' },
  ])
})

test('an error that quotes a secret is told without it, wherever it is told', async () => {
  const { alice, organization_id } = await newOrganization()
  await alice.webhooks.create({ url: 'https://hooks.invalid/flow', events: ['workflow.failed'] })
  await block(alice, 'refuse', 'export const main = ({ token }) => { throw new Error("bad key " + token) }')
  const child = await workflow(alice, {
    slug: 'refusing',
    input_schema: marked,
    nodes: [
      node('a', 'refuse', { input: { token: '{{ input.key }}' }, retry: { max_attempts: 2, backoff_seconds: 0 } }),
    ],
  })
  const failed = await alice.workflows.execute({ workflow_id: child.id, input: { key: KEY } }, { wait: 60 })
  const nodes = [{ id: 'child', type: 'workflow', component_ref: 'refusing', input: { key: '{{ input.key }}' } }]
  const parent = await runWith(alice, { nodes })

  assert.equal(failed.error?.message, 'Error: bad key [secret] (line 1)')
  assert.match(parent.error?.message ?? '', /bad key \[secret\]/)
  for (const ended of [failed, parent]) {
    assertHidden(ended, 'the execution')
    const events = []
    for await (const event of alice.workflows.events(at(ended))) events.push(event)
    assertHidden(events, 'its events')
    assertHidden(await alice.workflows.timeline(at(ended)), 'its timeline')
  }
  assertHidden(await alice.workflows.listAllExecutions(), 'the list')
  const db = platform.database.of(organization_id)
  const delivered = await until(
    () => db.many(sql`select payload from webhook_deliveries`),
    (rows) => rows.length === 3,
  )
  assertHidden(delivered, 'what listeners are told')
  const kept = sql`
    select error::text from executions union all select error::text from execution_nodes
    union all select details::text from execution_events union all select error::text from execution_arrivals`
  assertHidden(await db.many(kept), 'errors as they are kept')
})

test('what turns out to be secret only later is hidden in what was recorded before', async () => {
  const { alice } = await newOrganization()
  const code = `export const main = async () => {
    const { attempt } = await flow.call('context')
    if (attempt === 1) throw new Error('got ${KEY}, but no answer')
    return { token: '${KEY}' }
  }`
  await block(alice, 'late', code, { output_schema: markedBy('token') })
  const ended = await run(alice, { nodes: [node('a', 'late', { retry: { max_attempts: 2, backoff_seconds: 0 } })] })

  assert.equal(ended.status, 'completed')
  const events = []
  for await (const event of alice.workflows.events(at(ended))) events.push(event)
  const retrying = events.find(({ event }) => event === 'node.retrying')
  assert.match(retrying?.data.error?.message ?? '', /: got \[secret\], but no answer/)
  assertHidden(events, 'the events')
  assertHidden(await alice.workflows.timeline(at(ended)), 'the timeline')
})

test("what a child's schemas mark is hidden in the node of its parent", async () => {
  const { alice } = await newOrganization()
  await workflow(alice, {
    slug: 'inner',
    input_schema: marked,
    output_schema: markedBy('token'),
    nodes: [{ id: 'a', type: 'transform', output: { token: '{{ "tk-" + input.key }}' } }],
  })
  const parent = await run(
    alice,
    { nodes: [{ id: 'child', type: 'workflow', component_ref: 'inner', input: { key: '{{ input.code }}' } }] },
    { code: KEY },
  )

  assert.equal(parent.status, 'completed', JSON.stringify(parent.error))
  assertHidden(parent, 'the parent')
  assert.deepEqual(parent.nodes[0]?.output, { token: '[secret]' })
})

test('what people and callers send is hidden by the schemas of those nodes', async () => {
  const { fetch } = await testFlow()
  const { alice } = await newOrganization()
  const form = { type: 'object', properties: { pin: { type: 'string', format: 'password' } } }
  const { id: workflow_id } = await workflow(alice, {
    workflow_type: 'sequential',
    input_schema: marked,
    nodes: [
      { id: 'ask', type: 'human_task', title: 'Unlock {{ input.key }}', form },
      { id: 'call', type: 'webhook_wait', schema: markedBy('key') },
    ],
    output: ['{{ nodes.ask.output }}', '{{ nodes.call.output.body }}'],
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id, input: { key: KEY } })
  const look = () => alice.workflows.getExecution({ workflow_id, execution_id })
  const { waiting_for } = await until(look, ({ waiting_for }) => waiting_for[0]?.kind === 'task')
  const [task] = waiting_for
  assert.ok(task?.kind === 'task')
  assert.equal(task.title, 'Unlock [secret]')
  const answered = await alice.tasks.complete({ workflow_id, execution_id, node_id: 'ask', data: { pin: '1234567' } })
  assert.deepEqual(
    [answered.data, (await alice.tasks.get({ task_id: task.task_id })).data],
    [{ pin: '[secret]' }, answered.data],
  )
  assert.deepEqual((await alice.tasks.list({ execution_id })).items[0]?.data, answered.data)
  const called = await until(look, ({ waiting_for }) => waiting_for[0]?.kind === 'callback')
  const [wait] = called.waiting_for
  assert.ok(wait?.kind === 'callback' && wait.url)
  const body = JSON.stringify({ key: 'sk-live-of-the-caller' })
  await fetch(new URL(wait.url).pathname, { method: 'POST', body, headers: { 'content-type': 'application/json' } })

  const ended = await until(look, ({ completed_at }) => completed_at !== null)
  assert.deepEqual(ended.output, [{ pin: '[secret]' }, { key: '[secret]' }])
  assertHidden(ended, 'the execution')
})

test('a refusal does not quote what it could not use as a key', async () => {
  const { alice } = await newOrganization()
  const { id: workflow_id } = await workflow(alice, {
    input_schema: marked,
    concurrency: { limit: 1, key: 'int(input.key)' },
    nodes: [{ id: 'a', type: 'transform', output: 1 }],
  })

  await assert.rejects(alice.workflows.execute({ workflow_id, input: { key: KEY } }), (refused: Error) => {
    assertHidden([refused.message, refused], 'the refusal')
    return true
  })
})

test('nothing that is secret was logged', () => {
  assert.ok(logged.length > 0)
  assert.deepEqual(
    logged.filter((line) => line.includes('sk-live')),
    [],
  )
})
