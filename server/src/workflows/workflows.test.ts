import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import { newOrganization, testFlow } from '../testing.ts'
import { block, context, edge, node, run, statuses, until, workflow } from './testing.ts'

test('a workflow runs people’s code over its input, and shows what became of each node', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'double', 'export const main = ({ n }) => ({ n: n * 2 })')

  const end = await run(
    alice,
    {
      workflow_type: 'sequential',
      nodes: [node('a', 'double'), node('b', 'double', { label: 'Once more' })],
      output: { result: '{{ nodes.b.output.n }}', said: 'got {{ nodes.b.output.n }}' },
    },
    { n: 3 },
  )

  assert.equal(end.status, 'completed')
  assert.deepEqual(end.output, { result: 12, said: 'got 12' })
  assert.deepEqual(
    end.nodes.map(({ id, label, status, attempt, input, output }) => ({ id, label, status, attempt, input, output })),
    [
      { id: 'a', label: null, status: 'completed', attempt: 1, input: { n: 3 }, output: { n: 6 } },
      { id: 'b', label: 'Once more', status: 'completed', attempt: 1, input: { n: 6 }, output: { n: 12 } },
    ],
  )
})

test('the types of workflows give what their ends give', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'add', 'export const main = ({ n }) => ({ n: n + 1 })')
  const nodes = [node('a', 'add'), node('b', 'add')]

  const single = await run(alice, { workflow_type: 'single', nodes: [node('a', 'add')] }, { n: 1 })
  const sequential = await run(alice, { workflow_type: 'sequential', nodes }, { n: 1 })
  const parallel = await run(alice, { workflow_type: 'parallel', nodes }, { n: 1 })
  const graph = await run(alice, { nodes, edges: [edge('b', 'a')] }, { n: 1 })

  const outputs = [single, sequential, parallel, graph].map(({ output }) => output)
  assert.deepEqual(outputs, [{ n: 2 }, { n: 3 }, { a: { n: 2 }, b: { n: 2 } }, { n: 3 }])
})

test('a graph branches by conditions and meets again', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')
  const definition = {
    vars: { limit: 10 },
    nodes: [
      node('sort', 'pass'),
      { id: 'is_big', type: 'condition', condition: 'nodes.sort.output.n > vars.limit' },
      node('big', 'pass', { input: { size: 'big' } }),
      node('small', 'pass', { input: { size: 'small' } }),
      node('urgent', 'pass', { input: { urgent: true } }),
      node('report', 'pass'),
    ],
    edges: [
      edge('sort', 'is_big'),
      edge('is_big', 'big', { condition: 'nodes.is_big.output' }),
      edge('is_big', 'small', { condition: '!nodes.is_big.output' }),
      edge('sort', 'urgent', { condition: "priority in ['high', 'urgent']" }),
      edge('big', 'report'),
      edge('small', 'report'),
      edge('urgent', 'report'),
    ],
  }
  const { id } = await workflow(alice, definition)
  const execute = (input: JsonValue) => alice.workflows.execute({ workflow_id: id, input }, { wait: 60 })

  const calm = await execute({ n: 3, priority: 'low' })
  assert.deepEqual(calm.output, { small: { size: 'small' } })
  assert.deepEqual(statuses(calm), {
    sort: 'completed',
    is_big: 'completed',
    big: 'skipped',
    small: 'completed',
    urgent: 'skipped',
    report: 'completed',
  })
  const hectic = await execute({ n: 30, priority: 'urgent' })
  assert.deepEqual(hectic.output, { big: { size: 'big' }, urgent: { urgent: true } })
  const nameless = await execute({ n: 30 })
  assert.equal(nameless.status, 'failed')
  assert.match(nameless.error?.message ?? '', /edge from "sort" to "urgent": There is no variable "priority"/)
  assert.equal(nameless.error?.node_id, 'sort')
})

test('a definition that is not sound is refused with every fault at its place', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')

  const refused = workflow(alice, {
    nodes: [
      node('a', 'pass'),
      node('a', 'nowhere'),
      node('c', 'pass', { input: '{{ nodes.gone.output }}' }),
      node('d', 'pass@9.9.9'),
    ],
    edges: [edge('a', 'c'), edge('c', 'd', { condition: '1 +' }), edge('d', 'c')],
  })

  await assert.rejects(refused, (error: { code: string; details: { field: string }[] }) => {
    assert.equal(error.code, 'VALIDATION_ERROR')
    const fields = error.details.map(({ field }) => field).sort()
    assert.deepEqual(fields, [
      'edges[1].condition',
      'nodes[1].component_ref',
      'nodes[1].id',
      'nodes[2]',
      'nodes[2].input',
      'nodes[3].component_ref',
    ])
    return true
  })
})

test('an input that does not fit the schema is refused, with the field', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')
  const input_schema = {
    type: 'object',
    required: ['csv'],
    properties: { csv: { type: 'string' }, rows: { type: 'array', items: { type: 'number' } } },
  }
  const { id } = await workflow(alice, { input_schema, nodes: [node('a', 'pass')] })

  const execute = (input: JsonValue) => alice.workflows.execute({ workflow_id: id, input })
  await assert.rejects(execute({}), {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'input', message: "It must have required property 'csv'." }],
  })
  await assert.rejects(execute({ csv: 'x', rows: [1, 'two'] }), {
    code: 'VALIDATION_ERROR',
    details: [{ field: 'input.rows[1]', message: 'It must be number.' }],
  })
})

test('a map calls a block for each item, and its results come in order', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'square',
    'export const main = async ({ n, of }) => { await new Promise((r) => setTimeout(r, (n * 7) % 13)); return { square: n * n, of } }',
  )
  const end = await run(
    alice,
    {
      workflow_type: 'single',
      nodes: [
        {
          id: 'each',
          type: 'map',
          component_ref: 'square',
          items: '{{ input.list }}',
          concurrency: 5,
          input: { n: '{{ item }}', of: '{{ size(input.list) + index }}' },
        },
      ],
    },
    { list: [5, 4, 3, 2, 1, 0] },
  )

  assert.deepEqual(
    end.output,
    [25, 16, 9, 4, 1, 0].map((square, i) => ({ square, of: 6 + i })),
  )
  assert.deepEqual(end.nodes[0]?.items, { total: 6, completed: 6, failed: 0 })
})

test('a failed item fails the map, or leaves null in its place', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'picky', "export const main = (n) => { if (n === 3) throw new Error('not three'); return n }")
  const map = (more: object) => ({
    workflow_type: 'single',
    nodes: [{ id: 'each', type: 'map', component_ref: 'picky', items: '{{ input }}', ...more }],
  })

  const failed = await run(alice, map({}), [1, 2, 3, 4])
  assert.equal(failed.status, 'failed')
  assert.deepEqual(failed.error, { code: 'CODE_FAILED', message: 'Item 2: Error: not three (line 1)', node_id: 'each' })
  const skipped = await run(alice, map({ on_item_error: 'skip' }), [1, 2, 3, 4])
  assert.deepEqual(skipped.output, [1, 2, null, 4])
  assert.deepEqual(skipped.nodes[0]?.items, { total: 4, completed: 3, failed: 1 })
  const empty = await run(alice, map({}), [])
  assert.deepEqual(empty.output, [])
  const noList = await run(alice, map({}), { a: 1 })
  assert.equal(noList.error?.code, 'NOT_A_LIST')
  const tooMany = await run(alice, map({}), new Array(10_001).fill(1))
  assert.equal(tooMany.error?.code, 'TOO_MANY_ITEMS')
})

test('a map over five thousand items ends with all of them', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'next', 'export const main = (n) => n + 1')
  const list = Array.from({ length: 5000 }, (_, i) => i)
  const end = await run(
    alice,
    {
      workflow_type: 'single',
      nodes: [{ id: 'each', type: 'map', component_ref: 'next', items: '{{ input }}', concurrency: 20 }],
    },
    list,
  )
  assert.deepEqual(
    end.output,
    list.map((n) => n + 1),
  )
})

test('a node is tried again as often as it may be, each attempt with a key of its own', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'third',
    `${context}; export const main = async () => { const at = await context(); if (at.attempt < 3) throw new Error('attempt ' + at.attempt); return at }`,
  )
  const retry = { max_attempts: 3, backoff_seconds: 0.01 }

  const end = await run(alice, { workflow_type: 'single', nodes: [node('a', 'third', { retry })] })
  assert.equal(end.status, 'completed')
  assert.equal(end.nodes[0]?.attempt, 3)
  assert.deepEqual(end.output, {
    execution_id: end.id,
    workflow_id: end.workflow_id,
    node_id: 'a',
    attempt: 3,
    idempotency_key: `${end.id}:a:3`,
  })
  const failed = await run(alice, {
    workflow_type: 'single',
    nodes: [node('a', 'third', { retry: { ...retry, max_attempts: 2 } })],
  })
  assert.deepEqual(failed.error, { code: 'CODE_FAILED', message: 'Error: attempt 2 (line 1)', node_id: 'a' })
})

test('bad code fails its node, which says why, and nothing else', async () => {
  const { alice } = await newOrganization()
  const cases: [string, string, object?][] = [
    ['export const main = () => { throw new TypeError("no") }', 'CODE_FAILED'],
    ['export const main = () => { for (;;) {} }', 'TIMEOUT', { timeout_seconds: 1 }],
    ['export const main = () => 10n', 'NOT_JSON'],
    ['export const main = (', 'SYNTAX'],
    ['export const other = () => 1', 'NO_ENTRY_POINT'],
    [
      'export const main = () => { const all = []; for (;;) all.push(new Array(1e6).fill(all.length)) }',
      'OUT_OF_MEMORY',
    ],
    ["export const main = () => 'x'.repeat(5_000_000)", 'OUTPUT_TOO_LARGE'],
    ['export const main = () => new Promise(() => {})', 'NEVER_RESOLVES'],
    ["export const main = () => { for (let i = 0; i < 1e5; i++) console.log('x'.repeat(1000)); return 1 }", ''],
    ['export const main = () => ({ text: "a\\u0000b\\ud800" })', ''],
    ['export const main = () => { throw new Error("a\\u0000b\\ud800") }', 'CODE_FAILED'],
  ]
  const ends = await Promise.all(
    cases.map(async ([code, , more = {}], i) => {
      await block(alice, `bad-${i}`, code, { memory_mb: 64, ...more })
      return run(alice, { workflow_type: 'single', nodes: [node('only', `bad-${i}`)] })
    }),
  )
  for (const [i, end] of ends.entries()) {
    const [code, wanted] = cases[i] ?? []
    assert.equal(end.error?.code ?? '', wanted, `${code}: ${JSON.stringify(end.error)}`)
    assert.equal(end.error?.node_id ?? 'only', 'only')
    assert.equal(end.status, wanted === '' ? 'completed' : 'failed')
  }
})

test('schemas of a code block are kept to', async () => {
  const { alice } = await newOrganization()
  const schemas = {
    input_schema: { type: 'object', required: ['n'] },
    output_schema: { type: 'object', properties: { n: { type: 'integer' } } },
  }
  await block(alice, 'half', 'export const main = ({ n }) => ({ n: n / 2 })', schemas)
  const definition = { workflow_type: 'single', nodes: [node('a', 'half')] }

  assert.equal((await run(alice, definition, { n: 4 })).status, 'completed')
  const [noInput, noOutput] = [await run(alice, definition, {}), await run(alice, definition, { n: 3 })]
  assert.deepEqual([noInput.error?.code, noOutput.error?.code], ['INVALID_INPUT', 'INVALID_OUTPUT'])
  assert.match(noOutput.error?.message ?? '', /\/n must be integer/)
})

test('a failure ends the execution, or is gone on from, or is routed', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'fail', "export const main = () => { throw new Error('no') }")
  await block(alice, 'slow', 'export const main = () => new Promise((r) => setTimeout(() => r(1), 20000))')
  await block(alice, 'pass', 'export const main = (input) => ({ got: input })')

  const fail = await run(alice, { workflow_type: 'parallel', nodes: [node('a', 'fail'), node('b', 'slow')] })
  assert.deepEqual([fail.status, statuses(fail)], ['failed', { a: 'failed', b: 'cancelled' }])
  const nodes = (on_error: string) => [node('a', 'fail', { on_error }), node('b', 'pass'), node('c', 'pass')]
  const goesOn = await run(alice, { nodes: nodes('continue'), edges: [edge('a', 'b'), edge('b', 'c')] })
  assert.deepEqual(
    [goesOn.status, goesOn.output, statuses(goesOn)],
    ['completed', { got: { got: null } }, { a: 'failed', b: 'completed', c: 'completed' }],
  )
  const routed = await run(alice, { nodes: nodes('route'), edges: [edge('a', 'b'), edge('a', 'c', { on: 'error' })] })
  assert.deepEqual(statuses(routed), { a: 'failed', b: 'skipped', c: 'completed' })
  assert.deepEqual(routed.output, { c: { got: { code: 'CODE_FAILED', message: 'Error: no (line 1)', node_id: 'a' } } })
})

test('the first of several may be enough', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'after', 'export const main = ({ ms }) => new Promise((r) => setTimeout(() => r(ms), ms))')
  await block(alice, 'pass', 'export const main = (input) => input')
  const end = await run(alice, {
    nodes: [
      node('fast', 'after', { input: { ms: 1 } }),
      node('slow', 'after', { input: { ms: 300 } }),
      node('first', 'pass', { join: 'any' }),
    ],
    edges: [edge('fast', 'first'), edge('slow', 'first')],
  })
  assert.deepEqual(end.output, { fast: 1 })
  assert.deepEqual(statuses(end), { fast: 'completed', slow: 'completed', first: 'completed' })
})

test('a mapping that fails says which and why', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')
  const input = await run(
    alice,
    { workflow_type: 'single', nodes: [node('a', 'pass', { input: { n: '{{ input.count + 1 }}' } })] },
    { n: 1 },
  )
  assert.deepEqual(input.error, {
    code: 'EXPRESSION_FAILED',
    message: 'The input: input has no field "count" (it has: n).',
    node_id: 'a',
  })
  const output = await run(
    alice,
    { workflow_type: 'single', nodes: [node('a', 'pass')], output: '{{ nodes.a.output.x }}' },
    { n: 1 },
  )
  assert.deepEqual([output.status, output.error?.code, output.error?.node_id], ['failed', 'EXPRESSION_FAILED', null])
})

test('a wait rests without a process at work, and goes on when its time has come', async () => {
  const { clock } = await testFlow()
  const { alice } = await newOrganization()
  await block(alice, 'pass', 'export const main = (input) => input')
  const { id } = await workflow(alice, {
    workflow_type: 'sequential',
    nodes: [{ id: 'pause', type: 'wait', seconds: 30 * 86_400 }, node('after', 'pass')],
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id: id, input: { kept: [1, 2, 3] } })
  const get = () => alice.workflows.getExecution({ workflow_id: id, execution_id })

  const waiting = await until(get, ({ status }) => status === 'waiting')
  assert.deepEqual(statuses(waiting), { pause: 'waiting', after: 'pending' })
  assert.equal(waiting.nodes[0]?.waiting_until, waiting.waiting_until)
  clock.advance(31 * 86_400)
  const end = await until(get, ({ status }) => status === 'completed')
  assert.deepEqual(end.output, { kept: [1, 2, 3] })
  assert.equal(end.waiting_until, null)
})

test('a wait may name its time, and one that is over is none', async () => {
  const { alice } = await newOrganization()
  const wait = (until: string) => ({ workflow_type: 'single', nodes: [{ id: 'pause', type: 'wait', until }] })
  assert.equal((await run(alice, wait('2020-01-01T00:00:00Z'))).status, 'completed')
  assert.equal((await run(alice, wait('{{ input.at }}'), { at: '2020-01-01T00:00:00+02:00' })).status, 'completed')
  assert.equal((await run(alice, wait('{{ input.at }}'), { at: 'tomorrow' })).error?.code, 'EXPRESSION_FAILED')
})

test('an execution ends when its time is over, whatever it does', async () => {
  const { clock } = await testFlow()
  const { alice } = await newOrganization()
  await block(alice, 'slow', 'export const main = () => new Promise((r) => setTimeout(() => r(1), 20000))')
  const busy = await run(alice, { workflow_type: 'single', timeout_seconds: 1, nodes: [node('a', 'slow')] })
  assert.deepEqual([busy.status, busy.error?.code, statuses(busy)], ['timed_out', 'TIMEOUT', { a: 'cancelled' }])

  const { id } = await workflow(alice, {
    workflow_type: 'single',
    timeout_seconds: 3600,
    nodes: [{ id: 'a', type: 'wait', seconds: 86_400 }],
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id: id })
  const get = () => alice.workflows.getExecution({ workflow_id: id, execution_id })
  await until(get, ({ status }) => status === 'waiting')
  clock.advance(3601)
  assert.deepEqual(statuses(await until(get, ({ status }) => status === 'timed_out')), { a: 'cancelled' })
})

test('a node has its own time limit, and a new attempt after it', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'eager',
    `${context}; export const main = async () => { const { attempt } = await context(); if (attempt === 1) await new Promise((r) => setTimeout(r, 20000)); return attempt }`,
  )
  const end = await run(alice, {
    workflow_type: 'single',
    nodes: [node('a', 'eager', { timeout_seconds: 1, retry: { max_attempts: 2, backoff_seconds: 0 } })],
  })
  assert.deepEqual([end.status, end.output], ['completed', 2])
})

test('a list of workflows holds the workflows, by status, tag and words', async () => {
  const { alice } = await newOrganization()
  const nodes = [{ id: 'only', type: 'condition' as const, condition: 'true' }]
  await alice.codeBlocks.create({ name: 'No workflow', slug: 'none', config: { language: 'javascript', code: '1' } })
  const nightly = await alice.workflows.create({ name: 'Nightly report', slug: 'nightly', nodes, tags: ['night'] })
  const daily = await alice.workflows.create({ name: 'Daily report', slug: 'daily', nodes })
  await alice.components.publish({ component_id: daily.id })

  const all = await alice.workflows.list({ sort: 'slug', order: 'asc' })
  const published = await alice.workflows.list({ status: 'published' })
  const found = await alice.workflows.list({ search: 'report night' })

  assert.deepEqual(
    all.items.map(({ slug }) => slug),
    ['daily', 'nightly'],
  )
  assert.deepEqual(
    published.items.map(({ slug }) => slug),
    ['daily'],
  )
  assert.deepEqual(
    found.items.map(({ id }) => id),
    [nightly.id],
  )
  assert.deepEqual((await alice.workflows.list({ tag: 'night' })).items, [nightly])
})
