/** Calls as a collector of traces hears of them, over OTLP. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import type { PlatformClient } from '@flow/sdk'
import { newOrganization, type TestOrganization, testFlow } from '../../testing.ts'
import { block, node, until } from '../../workflows/testing.ts'
import { openUpstream, refuses, says } from '../call/upstream-testing.ts'

type Attribute = { key: string; value: Record<string, unknown> }
type Span = {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  status: { code?: number; message?: string }
  attributes: Attribute[]
}
type Told = { resource: { attributes: Attribute[] }; scopeSpans: { spans: Span[] }[] }

const told: { span: Span; organization_id: unknown }[] = []
let refusals = 0
const collector = createServer((request, response) => {
  let text = ''
  request.on('data', (chunk) => {
    text += chunk
  })
  request.on('end', () => {
    const isOurs = request.url === '/v1/traces'
    const isRefused = isOurs && refusals > 0
    refusals -= isRefused ? 1 : 0
    if (isOurs && !isRefused) {
      for (const { resource, scopeSpans } of JSON.parse(text).resourceSpans as Told[]) {
        const { 'flow.organization_id': organization_id } = valuesOf(resource)
        for (const span of scopeSpans.flatMap(({ spans }) => spans)) told.push({ span, organization_id })
      }
    }
    response.statusCode = isRefused ? 503 : 200
    response.end('{}')
  })
})
await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
after(() => collector.close())
const { platform, fetch } = await testFlow({
  FLOW_ALLOWED_HOSTS: '127.0.0.1',
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
})

function valuesOf({ attributes }: { attributes: Attribute[] }): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

const say = (content: string, more: object = {}) => ({
  model: 'flow/echo',
  messages: [{ role: 'user', content }],
  ...more,
})
async function ask(api_key: string, body: object, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch('/api/v1/gateway/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'x-api-key': api_key, 'content-type': 'application/json', ...headers },
  })
  await response.text()
}
/** All that has been told of the organization, calls first. */
async function spansOf({ organization_id }: TestOrganization): Promise<Span[]> {
  await platform.telemetry.flush()
  const own = told.filter((one) => one.organization_id === organization_id).map(({ span }) => span)
  const isCall = ({ name }: Span) => !name.startsWith('attempt ')
  return [...own.filter(isCall), ...own.filter((span) => !isCall(span))]
}
const provider = (alice: PlatformClient, name: string, base_url: string) =>
  alice.gateway.providers.create({ name, kind: 'openai', base_url, key: `sk-${name}-secret`, skip_test: true })

test('a call is a span in the client’s trace, each attempt one below it, and the provider is told of its attempt', async () => {
  const made = await newOrganization()
  const { alice, admin } = made
  const [one, two] = [await openUpstream(refuses(500)), await openUpstream(says('Hello.'))]
  await provider(alice, 'one', one.base_url)
  await provider(alice, 'two', two.base_url)
  const targets = [
    { provider: 'one', model: 'm' },
    { provider: 'two', model: 'm' },
  ]
  await alice.gateway.routes.create({ name: 'both', targets, attempts_max: 1 })
  const [trace, parent] = ['a'.repeat(32), 'b'.repeat(16)]
  refusals = 1
  await ask(admin.api_key, say('A secret of mine.', { model: 'both' }), { traceparent: `00-${trace}-${parent}-01` })

  await spansOf(made)
  // The collector said that it could not just then.
  const [call = assert.fail(), first, second, ...others] = await spansOf(made)
  assert.equal(others.length, 0)
  assert.deepEqual([call.traceId, call.parentSpanId, call.name, call.kind], [trace, parent, 'chat both', 3])
  const { items } = await until(
    () => alice.gateway.calls.list(),
    ({ items }) => items.length > 0,
  )
  const { 'flow.credits': credits, ...values } = valuesOf(call)
  assert.ok(Number(credits) > 0)
  assert.equal(Number(credits), items[0]?.credits)
  assert.deepEqual(values, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': 'both',
    'gen_ai.response.model': 'm',
    'gen_ai.usage.input_tokens': '7',
    'gen_ai.usage.output_tokens': '3',
    'flow.call_id': items[0]?.id,
    'flow.request_id': items[0]?.request_id,
    'flow.user_id': admin.user_id,
    'flow.key_id': items[0]?.key_id,
    'flow.provider': 'two',
    'flow.status': 'completed',
    'flow.cache': 'off',
    'http.response.status_code': '200',
  })
  assert.deepEqual(
    [first, second].map((span) => [span?.traceId, span?.parentSpanId, span?.name, span?.status.code]),
    [
      [trace, call.spanId, 'attempt one/m', 2],
      [trace, call.spanId, 'attempt two/m', undefined],
    ],
  )
  for (const [upstream, span] of [
    [one, first],
    [two, second],
  ] as const) {
    assert.equal(upstream.got[0]?.headers.traceparent, `00-${trace}-${span?.spanId}-01`)
    assert.ok(BigInt(span?.startTimeUnixNano ?? 0) >= BigInt(call.startTimeUnixNano))
    assert.ok(BigInt(span?.endTimeUnixNano ?? 0) <= BigInt(call.endTimeUnixNano))
  }
  assert.ok(!JSON.stringify([call, first, second]).includes('secret'))
})

test('a call of no trace begins one; one that is not sampled is not told; what failed says why', async () => {
  const made = await newOrganization()
  const { admin } = made
  await ask(admin.api_key, say('x', { model: 'flow/nothing' }))
  await ask(admin.api_key, say('x'), { traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00` })
  await ask(admin.api_key, say('x'), { traceparent: 'nonsense' })

  const [failed, fine, attempt, ...others] = await spansOf(made)
  assert.equal(others.length, 0)
  assert.deepEqual([failed?.parentSpanId, failed?.status.code], [undefined, 2])
  assert.equal(valuesOf(failed ?? assert.fail())['error.type'], 'model_not_found')
  assert.match(failed?.status.message ?? '', /flow\/nothing/)
  assert.deepEqual([fine?.parentSpanId, fine?.status.code, attempt?.parentSpanId], [undefined, undefined, fine?.spanId])
  assert.notEqual(fine?.traceId, failed?.traceId)
})

type Observed = { trace_config: { [name: string]: JsonValue } }
const untraced: (Observed | undefined)[] = [
  undefined,
  { trace_config: { sample_rate: 0 } },
  { trace_config: { enabled: false } },
]

/** Executes code that calls a model, in a workflow with this observability; gives the node's span, if it has one. */
async function execute(made: TestOrganization, model: string, observed?: Observed): Promise<string> {
  const { alice } = made
  if (observed) await alice.observability.create({ name: 'Seen', slug: 'seen', config: observed })
  const code = `export const main = ({ word }) => flow.gateway.chatCompletion(
    { model: '${model}', messages: [{ role: 'user', content: 'Say ' + word }] })`
  const input_schema = { type: 'object', properties: { word: { type: 'string', writeOnly: true } } }
  await block(alice, 'asks', code, { input_schema })
  const { id: workflow_id } = await alice.workflows.create({
    name: 'Asks',
    slug: 'asks-a-model',
    input_schema,
    nodes: [node('asking', 'asks', { input: { word: '{{ input.word }}' } })],
    ...(observed ? { observability_ref: 'seen' } : {}),
  })
  const execution = await alice.workflows.execute({ workflow_id, input: { word: 'the-hidden-word' } }, { wait: 30 })
  assert.equal(execution.status, 'completed')
  return execution.id
}

test('what code of an execution calls is in the trace of its node, without what is secret there', async () => {
  const made = await newOrganization()
  const upstream = await openUpstream(says('the-hidden-word it is'))
  await provider(made.alice, 'one', upstream.base_url)
  const observed = { trace_config: { include_inputs: true, include_outputs: true } }
  const execution_id = await execute(made, 'one/m', observed)

  const spans = await until(
    () => spansOf(made),
    (all) => all.length >= 4,
  )
  const asking = spans.find(({ name }) => name === 'asking')
  const call = spans.find(({ name }) => name === 'chat one/m') ?? assert.fail()
  assert.deepEqual([call.traceId, call.parentSpanId], [execution_id.replaceAll('-', ''), asking?.spanId])
  const { items } = await made.alice.gateway.calls.list({ execution_id })
  const [listed = assert.fail()] = items
  const values = valuesOf(call)
  assert.deepEqual(
    [values['flow.execution_id'], values['flow.workflow_id'], values['flow.call_id']],
    [execution_id, listed.workflow_id, listed.id],
  )
  assert.ok(listed.workflow_id)
  assert.match(String(values['flow.input']), /"content":"Say \[secret\]"/)
  assert.match(String(values['flow.output']), /\[secret\] it is/)
  assert.match(String(upstream.got[0]?.headers.traceparent), new RegExp(`^00-${call.traceId}-[0-9a-f]{16}-01$`))
  const kept = await made.alice.gateway.calls.get({ call_id: listed.id })
  assert.equal(kept.content, 'kept')
  assert.ok(!JSON.stringify([spans, kept]).includes('hidden-word'))
  // The model was told, of course.
  assert.ok(JSON.stringify(upstream.got[0]?.body).includes('Say the-hidden-word'))
})

test('an execution that is not to be told of outside has its calls in its trace, and the provider hears nothing of it', async () => {
  const made = await newOrganization()
  const upstream = await openUpstream(says('Hello.'))
  await provider(made.alice, 'one', upstream.base_url)
  const execution_id = await execute(made, 'one/m', { trace_config: { propagate_context: false } })

  const spans = await until(
    () => spansOf(made),
    (all) => all.length >= 4,
  )
  const call = spans.find(({ name }) => name === 'chat one/m') ?? assert.fail()
  assert.equal(call.traceId, execution_id.replaceAll('-', ''))
  const { 'flow.input': input, 'flow.output': output } = valuesOf(call)
  assert.deepEqual([input, output], [undefined, undefined])
  assert.equal(upstream.got[0]?.headers.traceparent, undefined)
})

test('what an execution calls that is not traced is not told, and yet is listed', async () => {
  for (const observed of untraced) {
    const made = await newOrganization()
    const execution_id = await execute(made, 'flow/echo', observed)
    const { items } = await until(
      () => made.alice.gateway.calls.list({ execution_id }),
      ({ total }) => total > 0,
    )
    assert.equal(items[0]?.status, 'completed')
    assert.deepEqual(await spansOf(made), [])
  }
})
