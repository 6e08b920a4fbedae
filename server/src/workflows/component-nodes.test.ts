import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { ComponentType } from '@flow/contract/components'
import { FlowError, type PlatformClient } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'

await testFlow({ FLOW_ALLOWED_HOSTS: 'localhost' })

const made = (alice: PlatformClient, type: ComponentType, slug: string, config: Record<string, unknown>) =>
  alice.components.create({ type, name: slug, slug, config: config as never })

const flow = (alice: PlatformClient, slug: string, nodes: object[], edges: object[] = []) =>
  alice.workflows.create({ name: slug, slug, nodes: nodes as never, edges: edges as never })

const run = async (alice: PlatformClient, workflow_id: string, input: unknown) =>
  alice.workflows.execute({ workflow_id, input: input as never }, { wait: 30 })

test('a transform node runs a component, pinned with all that it needs', async () => {
  const { alice, workspace_id } = await newOrganization()
  const code = 'export const main = () => 0; export const tell = ({ input, context }) => ({ n: input.n, context })'
  const block = await made(alice, 'code_block', 'teller', { language: 'javascript', code })
  await made(alice, 'schema', 'has-n', { fields: [{ name: 'n', type: 'integer', required: true }] })
  await made(alice, 'transform', 'told', {
    function_ref: 'teller#tell',
    input_schema_ref: 'has-n',
    requires_context: true,
  })
  const direct = await flow(alice, 'direct', [{ id: 'told', type: 'transform', component_ref: 'told' }])

  const good = await run(alice, direct.id, { n: 1 })
  const bad = await run(alice, direct.id, { n: 'x' })

  assert.deepEqual(good.output, {
    n: 1,
    context: { workspace_id, execution_id: good.id, workflow_id: direct.id, node_id: 'told' },
  })
  assert.deepEqual([bad.error?.code, bad.error?.node_id], ['INVALID_INPUT', 'told'])
  const other = 'export const tell = () => "changed"'
  await alice.components.update({ component_id: block.id, config: { language: 'javascript', code: other } })
  const of = { workflow_id: direct.id, execution_id: good.id, from_node: 'told' }
  const again = await alice.workflows.retryExecution(of, { wait: 30 })
  assert.equal((again.output as { n?: number } | null)?.n, 1, 'what is pinned is not what was edited since')
  assert.equal((await run(alice, direct.id, { n: 1 })).output, 'changed')
})

test('a validation node runs a rule over a batch, and its severity decides', async () => {
  const { alice } = await newOrganization()
  const rule = { rule_type: 'range', field: 'n', config: { min: 0 } }
  await made(alice, 'validation', 'strict', { ...rule, threshold: 0.9 })
  await made(alice, 'validation', 'lenient', { ...rule, severity: 'warning' })
  const of = (id: string, component_ref: string, on_invalid = 'fail') =>
    flow(alice, id, [{ id: 'check', type: 'validation', component_ref, on_invalid }])
  const [strict, lenient, told] = [
    await of('strict-flow', 'strict'),
    await of('lenient-flow', 'lenient'),
    await of('told-flow', 'strict', 'report'),
  ]
  const batch = [{ n: 1 }, { n: -1 }]

  assert.deepEqual((await run(alice, strict.id, [{ n: 1 }])).output, [{ n: 1 }])
  const failed = await run(alice, strict.id, batch)
  assert.equal(failed.error?.message, '1 of 2 are not valid: /1: -1 is less than 0.')
  assert.deepEqual((await run(alice, lenient.id, batch)).output, batch)
  assert.deepEqual((await run(alice, told.id, batch)).output, {
    valid: false,
    severity: 'error',
    threshold: 0.9,
    checked: 2,
    passed: 1,
    failed: 1,
    pass_rate: 0.5,
    errors: [{ place: '/1', message: '-1 is less than 0.' }],
    value: batch,
  })
})

test('a transform node has a template or a component, and what it names has to be there', async () => {
  const { alice } = await newOrganization()
  await made(alice, 'transform', 'known', { expression: 1 })
  const refused = async (node: object) => {
    const error = await flow(alice, 'wrong', [{ id: 'a', type: 'transform', ...node }]).catch(
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof FlowError, String(error))
    return error.details.map(({ field }) => field)
  }

  assert.deepEqual(await refused({}), ['nodes[0].output'])
  assert.deepEqual(await refused({ output: 1, component_ref: 'known' }), ['nodes[0].output'])
  assert.deepEqual(await refused({ component_ref: 'unknown' }), ['nodes[0].component_ref'])
  const { id } = await flow(alice, 'right', [{ id: 'a', type: 'transform', component_ref: 'known' }])
  await assert.rejects(alice.components.publish({ component_id: id }), { code: 'CONFLICT' })
})

test('a prompt node renders its prompt, and fails with the variables that are missing', async () => {
  const { alice } = await newOrganization()
  await made(alice, 'transform', 'loud', { expression: { loud: '{{ input.name.upperAscii() }}' } })
  await made(alice, 'prompt', 'greet', { system_message: 'Greet {{loud}}.', dynamic_function_refs: ['loud'] })
  const { id } = await flow(alice, 'greets', [{ id: 'p', type: 'prompt', component_ref: 'greet' }])

  assert.deepEqual((await run(alice, id, { name: 'Ada' })).output, {
    messages: [{ role: 'system', content: 'Greet ADA.' }],
  })
  const failed = await run(alice, id, {})
  assert.deepEqual([failed.error?.code, failed.error?.node_id], ['EXPRESSION_FAILED', 'p'])
  await made(alice, 'prompt', 'plain', { system_message: '{{a}} {{b.c}}' })
  const plain = await flow(alice, 'plain-flow', [{ id: 'p', type: 'prompt', component_ref: 'plain' }])
  assert.equal((await run(alice, plain.id, {})).error?.message, 'Variables are missing: "a", "b.c".')
})

const parameters = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] }
const toolOf = (id: string) => [{ id: 'use', type: 'tool', component_ref: id }]

test('a tool node calls the code that it stands for, pinned, with arguments that fit', async () => {
  const { alice } = await newOrganization()
  const code = 'export const main = ({ n }) => n + 1; export const twice = ({ n }) => n * 2'
  const block = await made(alice, 'code_block', 'count', { language: 'javascript', code })
  await made(alice, 'tool', 'next', { implementation_type: 'codeblock', implementation_ref: 'count', parameters })
  await made(alice, 'tool', 'twice', { implementation_type: 'function', implementation_ref: 'count#twice', parameters })
  const next = await flow(alice, 'next-flow', toolOf('next'))
  const twice = await flow(alice, 'twice-flow', toolOf('twice'))

  const good = await run(alice, next.id, { n: 20 })
  const bad = await run(alice, next.id, { n: 'x' })

  assert.deepEqual([good.output, (await run(alice, twice.id, { n: 20 })).output], [21, 40])
  assert.deepEqual([bad.error?.code, bad.error?.node_id], ['INVALID_INPUT', 'use'])
  await alice.components.update({
    component_id: block.id,
    config: { language: 'javascript', code: 'export const main = () => "changed"' },
  })
  const of = { workflow_id: next.id, execution_id: good.id, from_node: 'use' }
  assert.equal((await alice.workflows.retryExecution(of, { wait: 30 })).output, 21)
})

test('a tool node begins a workflow as a child, which ends with it', async () => {
  const { alice } = await newOrganization()
  await flow(alice, 'child', [{ id: 'one', type: 'transform', output: '{{ input.n + 1.0 }}' }])
  await flow(alice, 'slow', [{ id: 'pause', type: 'wait', seconds: 3600 }])
  for (const ref of ['child', 'slow']) {
    await made(alice, 'tool', `to-${ref}`, { implementation_type: 'workflow', implementation_ref: ref, parameters })
  }
  const parent = await flow(alice, 'parent', toolOf('to-child'))
  const [waiting] = toolOf('to-slow')
  const waits = await flow(alice, 'waits', [{ ...waiting, timeout_seconds: 3600 }])

  const ended = await run(alice, parent.id, { n: 1 })
  const bad = await run(alice, parent.id, {})
  const begun = await alice.workflows.execute({ workflow_id: waits.id, input: { n: 1 } }, { wait: 1 })
  const cancelled = await alice.workflows.cancelExecution({ workflow_id: waits.id, execution_id: begun.id })

  assert.deepEqual([ended.status, ended.output], ['completed', 2])
  assert.ok(ended.nodes[0]?.child_execution_id)
  assert.equal(bad.error?.code, 'INVALID_INPUT')
  assert.equal(begun.waiting_for[0]?.kind, 'child')
  const children = () => alice.workflows.listAllExecutions({ parent_execution_id: begun.id })
  assert.equal(cancelled.status, 'cancelled')
  while ((await children()).items[0]?.status !== 'cancelled');
})

test('a tool node calls an address by the guarded fetch, once for each attempt', async () => {
  const { alice } = await newOrganization()
  const keys: unknown[] = []
  const outside = createServer((request, response) => {
    keys.push(request.headers['idempotency-key'])
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ url: request.url }))
  }).listen(0, 'localhost')
  await once(outside, 'listening')
  after(() => outside.close())
  const at = `http://localhost:${(outside.address() as AddressInfo).port}`
  const endpoint = (slug: string, implementation_ref: string) =>
    made(alice, 'tool', slug, { implementation_type: 'api_endpoint', implementation_ref, parameters })
  await endpoint('order', `POST ${at}/orders/{n}`)
  await endpoint('inside', 'GET http://127.0.0.1:1/{n}')
  const order = await flow(alice, 'order-flow', toolOf('order'))
  const inside = await flow(alice, 'inside-flow', toolOf('inside'))

  const { id, output } = await run(alice, order.id, { n: 7 })

  assert.deepEqual(output, { status: 200, body: { url: '/orders/7' } })
  assert.deepEqual(keys, [`${id}:use:1`])
  assert.equal((await run(alice, inside.id, { n: 7 })).error?.code, 'ADDRESS_REFUSED')
})

test('a tool whose room is not there fails its node, and what a tool marks as secret is not told', async () => {
  const { alice } = await newOrganization()
  await made(alice, 'tool', 'remote', { implementation_type: 'mcp', implementation_ref: 'server/tool' })
  const remote = await flow(alice, 'remote-flow', toolOf('remote'))
  await made(alice, 'code_block', 'echo', { language: 'javascript', code: 'export const main = (input) => input' })
  const secret = { type: 'object', properties: { token: { type: 'string', writeOnly: true } } }
  const config = { implementation_type: 'codeblock', implementation_ref: 'echo', parameters: secret }
  await made(alice, 'tool', 'hushed', config)
  const hushed = await flow(alice, 'hushed-flow', toolOf('hushed'))

  assert.equal((await run(alice, remote.id, {})).error?.code, 'NOT_AVAILABLE')
  assert.deepEqual((await run(alice, hushed.id, { token: 'abcdef-123456' })).nodes[0]?.input, { token: '[secret]' })
  const refused = await flow(alice, 'wrong', toolOf('echo')).catch((thrown: unknown) => thrown)
  assert.ok(refused instanceof FlowError)
  assert.deepEqual(
    refused.details.map(({ field }) => field),
    ['nodes[0].component_ref'],
  )
})
