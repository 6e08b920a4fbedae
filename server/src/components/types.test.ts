import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ComponentType } from '@flow/contract/components'
import { FlowError, type PlatformClient } from '@flow/sdk'
import { newOrganization } from '../testing.ts'

const faultsOf = async (doing: Promise<unknown>, code = 'VALIDATION_ERROR') => {
  const error = await doing.then(
    () => assert.fail('it was not refused'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof FlowError, String(error))
  assert.equal(error.code, code, error.message)
  return Object.fromEntries(error.details.map(({ field, message }) => [field, message]))
}

const made = (alice: PlatformClient, type: ComponentType, slug: string, config: Record<string, unknown>) =>
  alice.components.create({ type, name: slug, slug, config: config as never })

const block = (alice: PlatformClient, slug: string, code: string) =>
  made(alice, 'code_block', slug, { language: 'javascript', code })

/** What the component gives for an input; throws its error. */
async function given(alice: PlatformClient, component_id: string, input: unknown) {
  const { runs } = await alice.components.test({ component_id, input: input as never })
  const [run] = runs
  if (run?.error) throw Object.assign(new Error(run.error.message), { code: run.error.code })
  return run?.output as never
}

test('a transform by an expression makes JSON of JSON, and its examples are run', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.transforms.create({
    name: 'Greeting',
    slug: 'greeting',
    config: {
      expression: { greeting: 'Hello {{ input.name }}', adult: '{{ input.age >= 18 }}' },
      examples: [
        { input: { name: 'Ada', age: 36 }, output: { greeting: 'Hello Ada', adult: true } },
        { input: { name: 'Bo', age: 7 }, output: { greeting: 'Hello Bo', adult: true } },
      ],
    },
  })

  const tested = await alice.components.test({ component_id: id })

  assert.equal(tested.passed, false)
  assert.deepEqual(
    tested.runs.map(({ example, passed }) => [example, passed]),
    [
      [0, true],
      [1, false],
    ],
  )
  assert.deepEqual(tested.runs[1]?.differences, [{ path: 'output.adult', kind: 'changed', before: true, after: false }])
  const faults = await faultsOf(alice.components.publish({ component_id: id }), 'CONFLICT')
  assert.deepEqual(faults, { 'config.examples[1]': 'It gives something else at "output.adult".' })
  assert.deepEqual(await given(alice, id, { name: 'Cy', age: 18 }), { greeting: 'Hello Cy', adult: true })
})

test('a transform by code keeps to its schemas, and is told where it runs', async () => {
  const { alice, workspace_id } = await newOrganization()
  await block(alice, 'text-tools', 'export const main = () => 0; export const upper = ({ text }) => text.toUpperCase()')
  await block(alice, 'where', 'export const main = ({ input, context }) => ({ ...input, at: context.workspace_id })')
  await made(alice, 'schema', 'has-text', { fields: [{ name: 'text', type: 'string', required: true }] })
  const upper = await made(alice, 'transform', 'upper', {
    function_ref: 'text-tools#upper',
    input_schema_ref: 'has-text',
  })
  const where = await made(alice, 'transform', 'told', { codeblock_ref: 'where', requires_context: true })
  const wrong = await made(alice, 'transform', 'wrong', {
    function_ref: 'text-tools#upper',
    output_schema_ref: 'has-text',
  })
  const lost = await made(alice, 'transform', 'lost', { function_ref: 'text-tools#lower' })

  assert.equal(await given(alice, upper.id, { text: 'abc' }), 'ABC')
  assert.deepEqual(await given(alice, where.id, { a: 1 }), { a: 1, at: workspace_id })
  await assert.rejects(given(alice, upper.id, { text: 1 }), { code: 'INVALID_INPUT' })
  await assert.rejects(given(alice, wrong.id, { text: 'abc' }), { code: 'INVALID_OUTPUT' })
  await assert.rejects(given(alice, lost.id, { text: 'abc' }), { code: 'NO_ENTRY_POINT' })
})

test('a transform has one way to work, of parts that are there', async () => {
  const { alice } = await newOrganization()
  const creating = (config: Record<string, unknown>) => faultsOf(made(alice, 'transform', 'transform', config))

  assert.deepEqual(Object.keys(await creating({})), ['config.expression'])
  assert.deepEqual(Object.keys(await creating({ expression: 1, codeblock_ref: 'nowhere' })), [
    'config.expression',
    'config.codeblock_ref',
  ])
  assert.deepEqual(Object.keys(await creating({ expression: { a: '{{ inptu.x }}', b: '{{ context }}' } })), [
    'config.expression.a',
    'config.expression.b',
  ])
  assert.deepEqual(await creating({ expression: 1, input_schema_ref: 'nowhere' }), {
    'config.input_schema_ref': 'There is no schema "nowhere" in this workspace.',
  })
})

test('a validation tells for each record of a batch what is wrong, against its threshold', async () => {
  const { alice } = await newOrganization()
  const rule = async (slug: string, config: Record<string, unknown>) =>
    (await made(alice, 'validation', slug, config)).id
  const age = await rule('age', {
    rule_type: 'range',
    field: 'person.age',
    config: { min: 0, exclusive_max: 150 },
    threshold: 0.5,
  })

  const batch = [{ person: { age: 30 } }, { person: { age: 150 } }, { person: {} }, { person: { age: 'old' } }]

  assert.deepEqual(await given(alice, age, batch), {
    valid: true,
    severity: 'error',
    threshold: 0.5,
    checked: 4,
    passed: 2,
    failed: 2,
    pass_rate: 0.5,
    failures: [
      { index: 1, message: '150 is not less than 150.' },
      { index: 3, message: 'It is not a number.' },
    ],
  })
  const failures = async (id: string, input: unknown) =>
    ((await given(alice, id, input)) as { failures: { index: number; message: string }[] }).failures.map(
      ({ index }) => index,
    )
  const there = await rule('there', { rule_type: 'not_null', field: 'a', config: { allow_empty: false } })
  assert.deepEqual(await failures(there, [{ a: 0 }, { a: null }, {}, { a: '' }, { a: [] }, 7]), [1, 2, 3, 4, 5])
  const unique = await rule('unique', { rule_type: 'unique', config: { ignore_case: true } })
  assert.deepEqual(await failures(unique, ['a', 'b', 'A', null, null, { x: 1, y: 2 }, { y: 2, x: 1 }]), [2, 6])
  const code = await rule('code', { rule_type: 'pattern', config: { pattern: '^[A-Z]{2}\\d+$' } })
  assert.deepEqual(await failures(code, ['AB1', 'ab1', null, 5]), [1, 3])
  const custom = await rule('custom', { config: { expression: 'value.total == record.a + record.b' } })
  assert.deepEqual(await failures(custom, [{ a: 1, b: 2, total: 3 }, { a: 1, b: 2, total: 4 }, {}]), [1, 2])
  const huge = await alice.components.test({ component_id: code, input: new Array(10_001).fill('AB1') })
  assert.equal(huge.runs[0]?.error?.code, 'INVALID_INPUT')
})

test('a validation can be code or a schema, and its examples say what they expect', async () => {
  const { alice } = await newOrganization()
  await block(
    alice,
    'checks',
    `export const main = () => true
     export const even = ({ value, config, index }) => ({ valid: value % config.by === 0, message: 'no ' + index })
     export const odd = () => 'yes'`,
  )
  await made(alice, 'schema', 'has-id', { fields: [{ name: 'id', type: 'integer', required: true }] })
  const even = await alice.validations.create({
    name: 'Even',
    slug: 'even',
    config: {
      validator_ref: 'checks#even',
      config: { by: 2 },
      severity: 'warning',
      examples: [
        { input: 2, expected: true },
        { input: [2, 3], expected: { valid: false, failures: [{ index: 1, message: 'no 1' }] } },
        { input: 3, expected: true },
      ],
    },
  })
  const shaped = await made(alice, 'validation', 'shaped', { validator_ref: 'has-id' })
  const odd = await made(alice, 'validation', 'odd', { validator_ref: 'checks#odd' })

  const { runs } = await alice.components.test({ component_id: even.id })

  assert.deepEqual(
    runs.map(({ passed, differences }) => [passed, differences.map(({ path }) => path)]),
    [
      [true, []],
      [true, []],
      [false, ['output.valid']],
    ],
  )
  const result = (await given(alice, shaped.id, [{ id: 1 }, { id: 'x' }])) as { failures: unknown[] }
  assert.deepEqual(result.failures, [{ index: 1, message: '/id must be integer.' }])
  await assert.rejects(given(alice, odd.id, 1), { code: 'INVALID_OUTPUT' })
})

test('a validation whose rule makes no sense is refused when it is saved', async () => {
  const { alice } = await newOrganization()
  const fields = async (config: Record<string, unknown>) =>
    Object.keys(await faultsOf(made(alice, 'validation', 'validation', config)))

  assert.deepEqual(await fields({ rule_type: 'range' }), ['config.config.min'])
  assert.deepEqual(await fields({ rule_type: 'range', config: { min: 2, max: 1 } }), ['config.config.min'])
  assert.deepEqual(await fields({ rule_type: 'range', config: { min: '2', step: 1 } }), [
    'config.config.min',
    'config.config.step',
  ])
  assert.deepEqual(await fields({ rule_type: 'pattern', config: { pattern: '(?=x)' } }), ['config.config.pattern'])
  assert.deepEqual(await fields({}), ['config.config.expression'])
  assert.deepEqual(await fields({ config: { expression: 'valeu > 1' } }), ['config.config.expression'])
  assert.deepEqual(await fields({ rule_type: 'unique', validator_ref: 'nothing' }), ['config.validator_ref'])
  assert.deepEqual(await fields({ rule_type: 'not_null', field: 'a..b' }), ['config.field'])
})

test('a prompt puts variables in once, and names all that are missing', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'clock', 'export const main = ({ name }) => ({ today: "Monday", name: "overridden", of: name })')
  await made(alice, 'transform', 'shout', { expression: { loud: '{{ input.name.upperAscii() }}' } })
  const { id } = await alice.prompts.create({
    name: 'Welcome',
    slug: 'welcome',
    config: {
      system_message: 'You greet {{ name }} on {{today}}. Write \\{{ as it is.',
      static_templates: [{ role: 'user', content: '{{loud}}: {{order.lines.0.sku}} {{order}} {{nothing}}' }],
      dynamic_function_refs: ['clock', 'shout'],
    },
  })

  const order = { lines: [{ sku: '{{name}}' }] }

  assert.deepEqual(await given(alice, id, { name: 'Ada', order, nothing: null }), {
    messages: [
      { role: 'system', content: 'You greet Ada on Monday. Write {{ as it is.' },
      { role: 'user', content: 'ADA: {{name}} {"lines":[{"sku":"{{name}}"}]} ' },
    ],
  })
  await assert.rejects(given(alice, id, { name: 'Ada' }), {
    code: 'MISSING_VARIABLES',
    message: 'Variables are missing: "order.lines.0.sku", "order", "nothing".',
  })
  await assert.rejects(given(alice, id, 'Ada'), { code: 'INVALID_INPUT' })
})

test('a prompt that cannot be read is refused when it is saved', async () => {
  const { alice } = await newOrganization()
  const creating = (config: Record<string, unknown>) => faultsOf(made(alice, 'prompt', 'prompt', config))

  assert.deepEqual(Object.keys(await creating({})), ['config.system_message'])
  const faults = await creating({
    system_message: 'Hello {{ name',
    static_templates: [
      { role: 'user', content: '{{ name | upper }}' },
      { role: 'user', content: '{{ name }}' },
    ],
    dynamic_function_refs: ['not-there'],
  })
  assert.deepEqual(Object.keys(faults), [
    'config.system_message',
    'config.static_templates[0].content',
    'config.dynamic_function_refs[0]',
  ])
  assert.deepEqual(Object.keys(await creating({ system_message: 'x'.repeat(10_001) })), ['config.system_message'])
})

test('a schema makes sense field by field, and its examples fit', async () => {
  const { alice } = await newOrganization()
  const field = (more: Record<string, unknown>) => ({ name: 'a', type: 'string', ...more })
  const faults = await faultsOf(
    made(alice, 'schema', 'senseless', {
      fields: [
        field({ validators: [{ type: 'min', value: 1 }] }),
        field({ validators: [{ type: 'pattern', value: '(' }] }),
        field({
          name: 'c',
          validators: [
            { type: 'min_length', value: 'x' },
            { type: 'format', value: 'email' },
          ],
        }),
        { name: 'd', type: 'integer', enum: [1, 'two'], default: 3 },
        {
          name: 'e',
          type: 'integer',
          validators: [
            { type: 'min', value: 1 },
            { type: 'min', value: 2 },
          ],
        },
      ],
    }),
  )

  assert.deepEqual(Object.keys(faults), [
    'config.fields[0].validators[0]',
    'config.fields[1].name',
    'config.fields[1]',
    'config.fields[2].validators[0]',
    'config.fields[3].enum[1]',
    'config.fields[3].default',
    'config.fields[4].validators[1]',
  ])
  const examples = [{ a: 'x' }, { a: 1 }, { a: 'x', b: 1 }]
  assert.deepEqual(await faultsOf(made(alice, 'schema', 'shown', { fields: [field({})], examples })), {
    'config.examples[1]': 'It does not fit: /a must be string.',
    'config.examples[2]': 'It does not fit: it must NOT have additional properties ("b").',
  })
  const { id } = await made(alice, 'schema', 'plain', { fields: [field({ required: true })], examples: [{ a: 'x' }] })
  assert.equal((await alice.components.test({ component_id: id })).passed, true)
  assert.deepEqual(await given(alice, id, {}), {
    valid: false,
    errors: [{ place: '', message: "must have required property 'a'" }],
  })
})

test('fields become a JSON Schema and Python, and a JSON Schema becomes fields', async () => {
  const { alice } = await newOrganization()
  const fields = [
    { name: 'id', type: 'integer', required: true, validators: [{ type: 'min', value: 1 }] },
    { name: 'class', type: 'string', description: 'Its "kind".', enum: ['a', 'b'], default: 'a' },
  ] as const

  const forms = await alice.components.convertSchema({ name: 'Thing', fields: structuredClone(fields) as never })

  assert.deepEqual(forms.json_schema, {
    type: 'object',
    properties: {
      id: { type: 'integer', minimum: 1 },
      class: { type: 'string', description: 'Its "kind".', enum: ['a', 'b'], default: 'a' },
    },
    required: ['id'],
    additionalProperties: false,
  })
  assert.match(forms.pydantic, /^class Thing\(BaseModel\):$/m)
  assert.match(forms.pydantic, /^ {4}id: int = Field\(\.\.\., ge=1\)$/m)
  assert.match(
    forms.pydantic,
    /^ {4}class_: Literal\["a", "b"\] = Field\("a", alias="class", description="Its \\"kind\\"."\)$/m,
  )
  assert.match(forms.typed_dict, /^ {8}"class": NotRequired\[Literal\["a", "b"\]\],$/m)
  const back = await alice.components.convertSchema({ json_schema: forms.json_schema })
  assert.deepEqual(back.fields, forms.fields)
  const faults = await faultsOf(
    alice.components.convertSchema({
      json_schema: {
        type: 'object',
        properties: { a: { type: ['string', 'null'] }, b: { type: 'array', items: {} } },
        required: ['c'],
        anyOf: [],
      },
    }),
  )
  assert.deepEqual(Object.keys(faults), [
    'json_schema.anyOf',
    'json_schema.properties.a.type',
    'json_schema.properties.b.items',
    'json_schema.required',
  ])
  await faultsOf(alice.components.convertSchema({}))
})

test('a tool runs what it stands for, with arguments that fit', async () => {
  const { alice } = await newOrganization()
  await block(alice, 'adder', 'export const main = ({ a, b }) => a + b; export const twice = ({ a }) => 2 * a')
  const parameters = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] }
  const add = await alice.tools.create({
    name: 'Add',
    slug: 'add',
    config: {
      implementation_type: 'codeblock',
      implementation_ref: 'adder',
      parameters,
      examples: [{ input: { a: 1, b: 2 }, output: 3 }],
    },
  })
  const twice = await made(alice, 'tool', 'twice', {
    implementation_type: 'function',
    implementation_ref: 'adder#twice',
  })
  const inside = await made(alice, 'tool', 'inside', {
    implementation_type: 'api_endpoint',
    implementation_ref: 'GET http://127.0.0.1:1/orders/{id}',
  })

  assert.equal((await alice.components.test({ component_id: add.id })).passed, true)
  assert.equal(await given(alice, twice.id, { a: 4 }), 8)
  await assert.rejects(given(alice, add.id, { a: 'x' }), { code: 'INVALID_INPUT' })
  await assert.rejects(given(alice, inside.id, { id: '1' }), { code: 'ADDRESS_REFUSED' })
  await assert.rejects(given(alice, inside.id, { id: '..' }), { code: 'INVALID_INPUT' })
  await assert.rejects(given(alice, inside.id, {}), { code: 'INVALID_INPUT' })
})

test('a tool that nothing here could call is kept, not published, with the reason', async () => {
  const { alice } = await newOrganization()
  for (const implementation_type of ['mcp', 'connector_operation']) {
    const config = { implementation_type, implementation_ref: 'some-where' }
    const { id } = await made(alice, 'tool', implementation_type.replace('_', '-'), config)

    const faults = await faultsOf(alice.components.publish({ component_id: id }), 'CONFLICT')

    assert.deepEqual(Object.keys(faults), ['config.implementation_type'])
    await assert.rejects(alice.components.test({ component_id: id, input: {} }), { code: 'CONFLICT' })
  }
  const creating = (config: Record<string, unknown>) => faultsOf(made(alice, 'tool', 'tool', config))
  const refused = async (implementation_type: string, implementation_ref: string, more = {}) =>
    Object.keys(await creating({ implementation_type, implementation_ref, ...more }))
  assert.deepEqual(await refused('codeblock', 'nowhere'), ['config.implementation_ref'])
  assert.deepEqual(await refused('function', 'nowhere'), ['config.implementation_ref'])
  assert.deepEqual(await refused('api_endpoint', 'https://example.com'), ['config.implementation_ref'])
  assert.deepEqual(await refused('api_endpoint', 'GET https://{host}/x'), ['config.implementation_ref'])
  assert.deepEqual(await refused('mcp', 'server/tool', { parameters: { type: 'objekt' } }), [
    'config.parameters',
    'config.parameters.type',
  ])
})

test('models, observability and state are settings: checked, published, not run', async () => {
  const { alice } = await newOrganization()
  const model = await alice.models.create({
    name: 'Fast',
    slug: 'fast',
    config: { model: 'openai/gpt-4o-mini', provider: 'openai', temperature: 0.2, fallbacks: ['anthropic/claude'] },
  })
  const seen = await alice.observability.create({
    name: 'Seen',
    slug: 'seen',
    config: { metric_config: { custom_metrics: [{ name: 'orders', type: 'histogram', buckets: [1, 5, 10] }] } },
  })
  const memory = await alice.states.create({
    name: 'Memory',
    slug: 'memory',
    config: { schema_definition: { properties: { count: { type: 'integer' } } }, initial_values: { count: 0 } },
  })

  assert.equal(seen.config.log_config.retention_days, 30)
  assert.equal(seen.config.trace_config.sample_rate, 1)
  for (const { id } of [model, seen, memory]) {
    assert.equal((await alice.components.publish({ component_id: id })).status, 'published')
    await assert.rejects(alice.components.test({ component_id: id, input: {} }), { code: 'CONFLICT' })
  }
  const fields = async (type: ComponentType, config: Record<string, unknown>) =>
    Object.keys(await faultsOf(made(alice, type, 'wrong', config)))
  assert.deepEqual(
    await fields('model', {
      model: 'openai/gpt',
      provider: 'mistral',
      parameters: { top_p: 1 },
      fallbacks: ['openai/gpt'],
    }),
    ['config.provider', 'config.parameters.top_p', 'config.fallbacks[0]'],
  )
  assert.deepEqual(await fields('model', { model: 'gpt', temperature: 3, timeout_seconds: 601 }), [
    'config.model',
    'config.temperature',
    'config.timeout_seconds',
  ])
  const metric = { name: 'm', type: 'counter', labels: ['a', 'a'], buckets: [2, 1] }
  assert.deepEqual(await fields('observability', { metric_config: { custom_metrics: [metric] } }), [
    'config.metric_config.custom_metrics[0].labels',
    'config.metric_config.custom_metrics[0].buckets',
  ])
  assert.deepEqual(
    await fields('state', {
      schema_definition: { properties: { count: { type: 'integer' } }, additionalProperties: false },
      initial_values: { count: 'x', other: 1 },
    }),
    ['config.initial_values.count', 'config.initial_values.other'],
  )
  assert.deepEqual(await fields('state', { persistence: 'none', initial_values: { a: 1 } }), ['config.initial_values'])
})

test('an agent is kept with what it is made of, and published only when something can run it', async () => {
  const { alice } = await newOrganization()
  const parts = [
    await made(alice, 'model', 'fast', { model: 'openai/gpt-4o-mini' }),
    await made(alice, 'prompt', 'hello', { system_message: 'Hello.' }),
  ]
  for (const { id } of parts) await alice.components.publish({ component_id: id })
  const faults = await faultsOf(
    made(alice, 'agent', 'lost', { model_ref: 'hello', prompt_ref: 'fast', tool_refs: ['none'], state_ref: 'none' }),
  )
  assert.deepEqual(Object.keys(faults), [
    'config.model_ref',
    'config.tool_refs[0]',
    'config.prompt_ref',
    'config.state_ref',
  ])

  const { id } = await made(alice, 'agent', 'helper', { model_ref: 'fast', prompt_ref: 'hello' })

  assert.deepEqual(Object.keys(await faultsOf(alice.components.publish({ component_id: id }), 'CONFLICT')), ['type'])
  await assert.rejects(alice.components.test({ component_id: id, input: 'Hi' }), { code: 'CONFLICT' })
  await assert.rejects(alice.components.remove({ component_id: (await alice.models.list()).items[0]?.id ?? '' }), {
    code: 'CONFLICT',
  })
})

test('a test runs code once, with its log, its time and its memory, and bills that alone', async () => {
  const { alice } = await newOrganization()
  const code = `export const main = ({ n }) => { console.log('n is', n); if (n > 2) throw new Error('too much'); return n }`
  const { id } = await alice.codeBlocks.create({
    name: 'Count',
    slug: 'count',
    config: { language: 'javascript', code, examples: [{ input: { n: 1 }, output: 1 }] },
  })
  const before = (await alice.billing.listTransactions({})).total

  const { runs, passed, version } = await alice.components.test({ component_id: id, input: { n: 3 } })

  const [run] = runs
  assert.equal(version, 'draft')
  assert.equal(passed, false)
  assert.equal(run?.error?.code, 'CODE_FAILED')
  assert.equal(run?.error?.line, 1)
  assert.deepEqual(
    run?.logs.map(({ message }) => message),
    ['n is 3'],
  )
  assert.ok((run?.duration_ms ?? 0) > 0)
  assert.ok((run?.memory_bytes ?? 0) > 0)
  const after = await alice.billing.listTransactions({})
  assert.equal(after.total, before + 1)
  assert.equal(after.items[0]?.service_type, 'code_run')
  assert.equal(after.items[0]?.resource_id, id)
  assert.equal((await alice.components.test({ component_id: id })).passed, true)
  await alice.components.publish({ component_id: id, version: '1.0.0' })
  assert.equal((await alice.components.test({ component_id: id, version: '1.0.0' })).version, '1.0.0')
  await assert.rejects(alice.components.test({ component_id: id, version: '2.0.0' }), { code: 'NOT_FOUND' })
})

test('a test that is repeated under one idempotency key runs once', async () => {
  const { alice } = await newOrganization()
  const { id } = await block(alice, 'random', 'export const main = () => Math.random()')
  const options = { idempotency_key: 'the-same' }

  const first = await alice.components.test({ component_id: id, input: {} }, options)
  const second = await alice.components.test({ component_id: id, input: {} }, options)

  assert.deepEqual(second, first)
  assert.equal(
    (await alice.billing.listTransactions({})).items.filter((one) => one.service_type === 'code_run').length,
    1,
  )
})

test('what has neither an input nor examples is not tested, and a workflow is executed instead', async () => {
  const { alice } = await newOrganization()
  const { id } = await block(alice, 'blank', 'export const main = () => 1')
  const workflow = await alice.workflows.create({
    name: 'Flow',
    slug: 'flow',
    nodes: [{ id: 'one', type: 'condition', condition: 'true' }],
  })

  assert.deepEqual(Object.keys(await faultsOf(alice.components.test({ component_id: id }))), ['input'])
  await assert.rejects(alice.components.test({ component_id: workflow.id, input: {} }), /execute/)
})

test('functions of Python blocks transform, validate and give variables like any other', async () => {
  const { alice } = await newOrganization()
  const code = [
    'def main(name):',
    '    return {"loud": name.upper()}',
    'def even(value, record, index, config):',
    '    return value % config["by"] == 0',
  ].join('\n')
  const python = { language: 'python', code, examples: [{ input: { name: 'ada' }, output: { loud: 'ADA' } }] }
  const block = await made(alice, 'code_block', 'snake', python)
  const even = await made(alice, 'validation', 'even', { validator_ref: 'snake#even', config: { by: 2 } })
  const prompt = await made(alice, 'prompt', 'greet', {
    system_message: '{{name}} is {{loud}}',
    dynamic_function_refs: ['snake'],
  })
  const wrong = await made(alice, 'transform', 'wrong', { codeblock_ref: 'snake' })

  assert.equal((await alice.components.test({ component_id: block.id })).passed, true)
  const { passed, failed } = (await given(alice, even.id, [2, 3, 4])) as { passed: number; failed: number }
  assert.deepEqual([passed, failed], [2, 1])
  assert.deepEqual(await given(alice, prompt.id, { name: 'bo' }), {
    messages: [{ role: 'system', content: 'bo is BO' }],
  })
  await assert.rejects(given(alice, wrong.id, { other: 1 }), { code: 'CODE_FAILED' })
})

test('results that are too much for one answer are left out, and said to be', async () => {
  const { alice } = await newOrganization()
  const code = 'export const main = ({ n }) => new Array(n).fill(7)'
  const examples = Array.from({ length: 12 }, () => ({ input: { n: 500_000 }, output: [] }))
  const { id } = await made(alice, 'code_block', 'much', { language: 'javascript', code, examples })

  const { runs, passed } = await alice.components.test({ component_id: id })

  assert.equal(passed, false)
  assert.equal(runs.length, 12)
  assert.equal(runs[0]?.omitted, false)
  assert.equal(runs[0]?.differences.length, 1000)
  assert.deepEqual(
    [runs[11]?.omitted, runs[11]?.output, runs[11]?.differences],
    [true, null, [{ path: 'output[0]', kind: 'added' }]],
  )
})
