/** Stories of the types of nodes that call nobody's code: what each gives, refuses and survives. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { FlowError } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'
import { block, edge, node, run, statuses, until, workflow } from './testing.ts'

const { clock, fetch } = await testFlow({ FLOW_ALLOWED_HOSTS: 'localhost' })

/** A server outside: `/status/503` answers 503, `/flaky` the first time 503, everything else what it was sent. */
type Seen = { method?: string; url?: string; headers: IncomingMessage['headers']; body: string }
const seen: Seen[] = []
const outside = createServer(async (request, response) => {
  const chunks = await request.toArray()
  const { method, url, headers } = request
  seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
  const isFlaky = url === '/flaky' && seen.filter((one) => one.url === '/flaky').length === 1
  const status = isFlaky ? 503 : Number(/^\/status\/(\d+)/.exec(url ?? '')?.[1] ?? 200)
  response.writeHead(status, { 'content-type': 'application/json', 'set-cookie': 'session=1', 'x-told': 'yes' })
  response.end(JSON.stringify({ method, url }))
})
outside.listen(0, 'localhost')
await once(outside, 'listening')
after(() => outside.close())
const address = `http://localhost:${(outside.address() as AddressInfo).port}`

test('an http node sends what it is told, once for each attempt, and gives the answer', async () => {
  const { alice } = await newOrganization()
  const ended = await run(
    alice,
    {
      nodes: [
        {
          id: 'call',
          type: 'http',
          method: 'POST',
          url: `${address}/orders/{{ input.id }}`,
          query: { tag: '{{ input.tags }}', none: null },
          headers: { authorization: 'Bearer {{ input.token }}' },
          body: { amount: '{{ input.amount * 2.0 }}' },
        },
      ],
    },
    { id: 7, tags: ['a b', 'c'], token: 'abc', amount: 4 },
  )

  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  const { status, headers, body } = ended.output as { status: number; headers: Record<string, string>; body: unknown }
  assert.deepEqual({ status, body }, { status: 200, body: { method: 'POST', url: '/orders/7?tag=a+b&tag=c' } })
  assert.equal(headers['x-told'], 'yes')
  assert.equal(headers['set-cookie'], undefined)
  const sent = seen.find(({ url }) => url?.startsWith('/orders/7'))
  assert.equal(sent?.headers.authorization, 'Bearer abc')
  assert.equal(sent?.body, '{"amount":8}')
  assert.equal(sent?.headers['idempotency-key'], `${ended.id}:call:1`)
})

test('an answer that may pass is tried again, one that stays is not, and both can be an output', async () => {
  const { alice } = await newOrganization()
  const call = (path: string, more: object = {}) => ({
    nodes: [
      { id: 'call', type: 'http', url: `${address}${path}`, retry: { max_attempts: 3, backoff_seconds: 0 }, ...more },
    ],
  })

  const flaky = await run(alice, call('/flaky'))
  assert.equal(flaky.status, 'completed')
  assert.equal(flaky.nodes[0]?.attempt, 2)

  const missing = await run(alice, call('/status/404'))
  assert.equal(missing.error?.code, 'HTTP_STATUS')
  assert.equal(missing.nodes[0]?.attempt, 1)

  const passed = await run(alice, call('/status/404', { on_status: 'pass' }))
  assert.equal((passed.output as { status: number }).status, 404)
})

test('an http node reaches no private address, whatever an expression makes of it', async () => {
  const { alice } = await newOrganization()
  for (const url of ['http://127.0.0.1:1/', 'http://169.254.169.254/latest', 'file:///etc/passwd', 'no address']) {
    const ended = await run(alice, { nodes: [{ id: 'call', type: 'http', url: '{{ input.url }}' }] }, { url })
    assert.equal(ended.error?.code, 'ADDRESS_REFUSED', url)
  }
})

test('a header that only the connection may set is refused when the workflow is saved', async () => {
  const { alice } = await newOrganization()
  const saved = workflow(alice, { nodes: [{ id: 'call', type: 'http', url: address, headers: { Host: 'elsewhere' } }] })
  await assert.rejects(saved, (error: FlowError) => error.code === 'VALIDATION_ERROR')
})

test('a validation passes through what fits, fails what does not, or reports it', async () => {
  const { alice } = await newOrganization()
  await alice.schemas.create({
    name: 'Order',
    slug: 'order',
    config: { fields: [{ name: 'amount', type: 'number', required: true, validators: [{ type: 'min', value: 1 }] }] },
  })
  const by = (more: object) => ({ nodes: [{ id: 'check', type: 'validation', component_ref: 'order', ...more }] })

  assert.deepEqual((await run(alice, by({}), { amount: 2 })).output, { amount: 2 })
  const failed = await run(alice, by({}), { amount: 0 })
  assert.equal(failed.error?.code, 'INVALID_INPUT')
  assert.match(failed.error?.message ?? '', /\/amount/)
  const reported = await run(alice, by({ on_invalid: 'report' }), { amount: 1, more: true })
  const { valid, errors } = reported.output as { valid: boolean; errors: unknown[] }
  assert.equal(valid, false)
  assert.equal(errors.length, 1)
})

test('a result that does not fit the schema of the workflow fails the execution', async () => {
  const { alice } = await newOrganization()
  const made = { nodes: [{ id: 'one', type: 'transform', output: '{{ input }}' }], output_schema: { type: 'string' } }
  assert.equal((await run(alice, made, 'text')).status, 'completed')
  const failed = await run(alice, made, 5)
  assert.deepEqual([failed.status, failed.error?.code], ['failed', 'INVALID_OUTPUT'])
})

test('a map tolerates as many failed items as it is told to', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'odd', 'export const main = ({ n }) => { if (n % 2 === 0) throw new Error("even"); return n }')
  const map = (max_failed_items: number) => ({
    nodes: [
      {
        id: 'each',
        type: 'map',
        component_ref: 'odd',
        items: '{{ input.list }}',
        input: { n: '{{ item }}' },
        on_item_error: 'skip',
        max_failed_items,
      },
    ],
  })
  assert.deepEqual((await run(alice, map(2), { list: [1, 2, 3, 4] })).output, [1, null, 3, null])
  assert.equal((await run(alice, map(1), { list: [1, 2, 3, 4] })).error?.code, 'ITEMS_FAILED')
})

test('a node whose part of the platform is not there yet is refused when it is saved, with what is missing', async () => {
  const { alice } = await newOrganization()
  const saved = workflow(alice, {
    nodes: [{ id: 'think', type: 'agent', component_ref: 'helper', temperature: 1 }],
  })
  await assert.rejects(saved, (error: FlowError) => {
    assert.deepEqual(error.details, [
      { field: 'nodes[0].type', message: 'Nodes of the type "agent" are not available yet: agents come later.' },
    ])
    return true
  })
})

test('faults of every type of node are told together, each at its place', async () => {
  const { alice } = await newOrganization()
  const saved = workflow(alice, {
    nodes: [
      { id: 'a', type: 'validation' },
      { id: 'b', type: 'transform', output: { x: ['{{ nodes.zzz.output }}'] } },
      { id: 'c', type: 'human_task', title: 'Say {{ input. }}', on_due: 'expire' },
      { id: 'd', type: 'transform', output: 1, join: { count: 2 }, cancels: ['d', 'nobody'] },
      { id: 'e', type: 'transform', output: '{{ callbacks.a }}', when: '1 + 1' },
    ],
    edges: [edge('a', 'b'), edge('b', 'c'), edge('c', 'd'), edge('d', 'e')],
  })
  await assert.rejects(saved, (error: FlowError) => {
    const fields = error.details.map(({ field }) => field)
    for (const field of [
      'nodes[0].schema',
      'nodes[1].output.x[0]',
      'nodes[2].title',
      'nodes[2].due_seconds',
      'nodes[3].join.count',
      'nodes[3].cancels[0]',
      'nodes[3].cancels[1]',
      'nodes[4].output',
      'nodes[4].when',
    ]) {
      assert.ok(fields.includes(field), `${field} is not among ${fields.join(', ')}`)
    }
    return true
  })
})

test('what nobody calls in time fails its node, and goes where failures are routed', async () => {
  const { alice } = await newOrganization()
  const made = await workflow(alice, {
    nodes: [
      { id: 'answer', type: 'webhook_wait', timeout_seconds: 86_400, on_error: 'route' },
      { id: 'late', type: 'transform', output: '{{ nodes.answer.error.code }}' },
      { id: 'good', type: 'transform', output: 'good' },
    ],
    edges: [edge('answer', 'late', { on: 'error' }), edge('answer', 'good')],
    output: '{{ nodes.late.output }}',
  })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id: made.id })
  const look = () => alice.workflows.getExecution({ workflow_id: made.id, execution_id })
  await until(look, ({ status }) => status === 'waiting')

  clock.advance(86_401)
  const ended = await until(look, ({ completed_at }) => completed_at !== null)

  assert.equal(ended.output, 'TIMEOUT')
  assert.deepEqual(statuses(ended), { answer: 'failed', late: 'completed', good: 'skipped' })
})

test('workflows that call each other without an end are stopped', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'noop', 'export const main = () => 1')
  const made = await workflow(alice, { slug: 'deeper', nodes: [node('start', 'noop')] })
  await alice.workflows.update({
    workflow_id: made.id,
    nodes: [{ id: 'again', type: 'workflow', component_ref: 'deeper' }],
  })

  const ended = await alice.workflows.execute({ workflow_id: made.id }, { wait: 60 })

  assert.equal(ended.status, 'failed')
  assert.match(ended.error?.message ?? '', /call each other more than 32 deep/)
})

test('a workflow may call itself as often as its input says', async () => {
  const { alice } = await newOrganization()
  const made = await workflow(alice, { slug: 'countdown', nodes: [{ id: 'n', type: 'transform', output: 0 }] })
  await alice.workflows.update({
    workflow_id: made.id,
    nodes: [
      { id: 'n', type: 'transform', output: '{{ input.n }}' },
      {
        id: 'less',
        type: 'workflow',
        component_ref: 'countdown',
        input: { n: '{{ input.n - 1.0 }}' },
        when: 'input.n > 0.0',
      },
    ],
    edges: [edge('n', 'less')],
    output: '{{ input.n > 0.0 ? nodes.less.output + 1.0 : 0.0 }}',
  })

  const ended = await alice.workflows.execute({ workflow_id: made.id, input: { n: 5 } }, { wait: 60 })

  assert.equal(ended.output, 5)
})

test('the example in the documentation takes an order from its approval to its callback', async () => {
  const text = await readFile(new URL('../../../docs/workflows.md', import.meta.url), 'utf8')
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(text) ?? []
  const { alice } = await newOrganization()
  const definition = JSON.parse(example.replace('https://payments.example.com', address))
  const { id: workflow_id } = await alice.workflows.create(definition)

  const order = { customer: 'ada', amount: 12 }
  const { id: execution_id } = await alice.workflows.execute({ workflow_id, input: order })
  const look = () => alice.workflows.getExecution({ workflow_id, execution_id })
  await until(look, ({ status }) => status === 'waiting')
  const { when_done } = JSON.parse(seen.findLast(({ url }) => url === '/charges')?.body ?? '{}')
  const headers = { 'content-type': 'application/json' }
  await fetch(new URL(when_done).pathname, { method: 'POST', body: '"card"', headers })
  const paid = await until(look, ({ completed_at }) => completed_at !== null)
  assert.deepEqual(paid.output, { done: { status: 'paid', by: 'card' } })
})
