import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ComponentType } from '@flow/contract/components'
import { FlowError, type PlatformClient } from '@flow/sdk'
import { newOrganization } from '../testing.ts'

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
