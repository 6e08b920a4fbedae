import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'
import { until } from './testing.ts'
import { isTraced, spanIdOf, traceIdOf } from './tracing-rules.ts'

type Attribute = { key: string; value: Record<string, unknown> }
type Span = {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  status: { code?: number; message?: string }
  attributes: Attribute[]
  links?: { traceId: string; spanId: string }[]
  startTimeUnixNano: string
  endTimeUnixNano: string
}

const traces: { spans: Span[]; resource: Attribute[]; authorization: string | undefined }[] = []
const called: (string | undefined)[] = []
let refusals = 0
const collector = createServer((request, response) => {
  let text = ''
  request.on('data', (chunk) => {
    text += chunk
  })
  request.on('end', () => {
    if (request.url === '/orders') called.push(request.headers.traceparent as string | undefined)
    // Metrics and logs come here, too, some seconds later.
    if (request.url !== '/v1/traces') {
      response.end('{}')
      return
    }
    const [first] = JSON.parse(text).resourceSpans
    const isRefused = refusals > 0
    refusals -= isRefused ? 1 : 0
    if (!isRefused) {
      const { authorization } = request.headers
      traces.push({ spans: first.scopeSpans[0].spans, resource: first.resource.attributes, authorization })
    }
    response.statusCode = isRefused ? 503 : 200
    response.end('{}')
  })
})
await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
const address = collector.address()
const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
const flow = testFlow({
  FLOW_ALLOWED_HOSTS: '127.0.0.1',
  OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/`,
  OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret',
})
after(() => collector.close())

const traceOf = (execution_id: string) =>
  until(
    async () => traces.filter(({ spans }) => spans[0]?.traceId === traceIdOf(execution_id)),
    (found) => found.length > 0,
  )
const valuesOf = ({ attributes }: { attributes: Attribute[] }) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const nodes = [
  { id: 'call', type: 'http' as const, url: `${url}/orders` },
  { id: 'fail', type: 'validation' as const, schema: { type: 'string' } },
]

test('an execution is traced with its nodes, and what it calls is told which trace it belongs to', async () => {
  await flow
  const { alice, organization_id } = await newOrganization()
  await alice.observability.create({
    name: 'Seen',
    slug: 'seen',
    config: { trace_config: { include_inputs: true }, log_config: { retention_days: 3 } },
  })
  const { id: workflow_id } = await alice.workflows.create({
    name: 'Traced',
    slug: 'traced',
    workflow_type: 'sequential',
    nodes,
    observability_ref: 'seen',
  })
  refusals = 1

  const { id } = await alice.workflows.execute({ workflow_id, input: { n: 1 } }, { wait: 30 })

  const [{ spans, resource, authorization } = assert.fail()] = await traceOf(id)
  const [root, call, fail] = spans
  assert.equal(authorization, 'Bearer secret')
  assert.equal(valuesOf({ attributes: resource })['flow.organization_id'], organization_id)
  assert.deepEqual(
    spans.map(({ name, parentSpanId }) => [name, parentSpanId]),
    [
      ['workflow', undefined],
      ['call', root?.spanId],
      ['fail', root?.spanId],
    ],
  )
  const told = valuesOf(root ?? assert.fail())
  assert.deepEqual(
    [told['flow.workflow_id'], told['flow.status'], told['flow.input']],
    [workflow_id, 'failed', '{"n":1}'],
  )
  assert.equal(told['flow.output'], undefined)
  assert.equal(fail?.status.code, 2)
  assert.equal(valuesOf(fail ?? assert.fail())['error.type'], 'INVALID_INPUT')
  assert.equal(call?.spanId, spanIdOf(id, 'call', 1))
  assert.deepEqual(called.splice(0), [`00-${traceIdOf(id)}-${call?.spanId}-01`])
  assert.ok(BigInt(root?.endTimeUnixNano ?? 0) >= BigInt(root?.startTimeUnixNano ?? 0))
  const { platform } = await flow
  const kept = await platform.database.platform.one<{ retention_days: number }>({
    text: 'select retention_days from executions where id = $1',
    values: [id],
  })
  assert.equal(kept.retention_days, 3)
})

test('a child leads to the node that began it; what is not sampled, or not observed, is not told', async () => {
  await flow
  const { alice } = await newOrganization()
  const observability = (slug: string, sample_rate: number, propagate_context = false) =>
    alice.observability.create({ name: slug, slug, config: { trace_config: { sample_rate, propagate_context } } })
  await observability('all-of-it', 1)
  await observability('none-of-it', 0)
  const made = (slug: string, nodes: object[], observability_ref?: string) =>
    alice.workflows.create({ name: slug, slug, nodes: nodes as never, observability_ref })
  const execute = async (workflow_id: string) => (await alice.workflows.execute({ workflow_id }, { wait: 30 })).id
  await made('the-child', [{ id: 'one', type: 'condition', condition: 'true' }], 'all-of-it')
  const parent = await made('the-parent', [{ id: 'begins', type: 'workflow', component_ref: 'the-child' }], 'all-of-it')
  const calls = [nodes[0] ?? {}]
  const silent = await made('silent', calls, 'none-of-it')
  const plain = await made('plain', calls)

  const unseen = [await execute(silent.id), await execute(plain.id)]
  const id = await execute(parent.id)

  await traceOf(id)
  const child = await until(
    async () => traces.find(({ spans }) => spans[0]?.links?.[0]?.traceId === traceIdOf(id)),
    (found) => found !== undefined,
  )
  assert.equal(child?.spans[0]?.links?.[0]?.spanId, spanIdOf(id, 'begins', 1))
  assert.deepEqual(called.splice(0), [undefined, undefined])
  const seen = new Set(traces.map(({ spans }) => spans[0]?.traceId))
  assert.deepEqual(
    unseen.filter((one) => seen.has(traceIdOf(one))),
    [],
  )
})

test('a trace tells what an execution tells: nothing that is secret', async () => {
  await flow
  const { alice } = await newOrganization()
  const config = { trace_config: { include_inputs: true, include_outputs: true } }
  await alice.observability.create({ name: 'Open', slug: 'open', config })
  const { id: workflow_id } = await alice.workflows.create({
    name: 'Secretive',
    slug: 'secretive',
    input_schema: { type: 'object', properties: { key: { type: 'string', writeOnly: true } } },
    nodes: [{ id: 'carry', type: 'transform', output: { header: 'Bearer {{ input.key }}' } }],
    observability_ref: 'open',
  })
  const { id } = await alice.workflows.execute({ workflow_id, input: { key: 'sk-live-0815' } }, { wait: 30 })

  const [{ spans } = assert.fail()] = await traceOf(id)
  const [root, carry] = spans.map(valuesOf)
  assert.deepEqual(
    [root?.['flow.input'], root?.['flow.output'], carry?.['flow.output']],
    ['{"key":"[secret]"}', '{"header":"Bearer [secret]"}', '{"header":"Bearer [secret]"}'],
  )
  assert.ok(!JSON.stringify(spans).includes('sk-live'))
})

test('of many executions the share that is wanted is traced', () => {
  const of = (sample_rate: number) => ({ trace_config: { enabled: true, sample_rate } }) as never
  const ids = Array.from({ length: 4000 }, () => crypto.randomUUID())
  const share = (rate: number) => ids.filter((id) => isTraced(id, of(rate))).length / ids.length

  assert.equal(share(0), 0)
  assert.equal(share(1), 1)
  assert.ok(Math.abs(share(0.25) - 0.25) < 0.05)
})
