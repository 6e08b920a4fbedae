import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import type { PlatformClient } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'
import { block, node, run } from './testing.ts'

type Attribute = { key: string; value: { stringValue: string } }
type Point = { attributes: Attribute[]; asDouble?: number; count?: string; sum?: number }
type Metric = {
  name: string
  sum?: { dataPoints: Point[] }
  gauge?: { dataPoints: Point[] }
  histogram?: { dataPoints: Point[] }
}
type LogRecord = { severityText: string; body: { stringValue: string }; attributes: Attribute[]; traceId?: string }

const told: { path: string | undefined; body: string }[] = []
let refusals = 0
const collector = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  const isRefused = refusals > 0
  refusals -= isRefused ? 1 : 0
  if (!isRefused) told.push({ path: request.url, body })
  response.writeHead(isRefused ? 503 : 200).end('{}')
})
await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
after(() => collector.close())
const flow = await testFlow({
  FLOW_ALLOWED_HOSTS: '127.0.0.1',
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
})

/** What the collector knows of a workspace. */
async function knownOf(workspace_id: string) {
  await flow.platform.telemetry.flush()
  const of = <Group extends { resource: { attributes: Attribute[] } }>(path: string, name: string) =>
    told
      .filter((one) => one.path === path)
      .map(({ body }) => (JSON.parse(body) as Record<string, Group[]>)[name] ?? [])
      .flatMap((groups) =>
        groups.filter(({ resource }) => resource.attributes.at(-1)?.value.stringValue === workspace_id),
      )
  type Metrics = { resource: { attributes: Attribute[] }; scopeMetrics: { metrics: Metric[] }[] }
  type Logs = { resource: { attributes: Attribute[] }; scopeLogs: { logRecords: LogRecord[] }[] }
  const metrics = of<Metrics>('/v1/metrics', 'resourceMetrics').at(-1)?.scopeMetrics[0]?.metrics ?? []
  const logs = of<Logs>('/v1/logs', 'resourceLogs').flatMap(({ scopeLogs }) => scopeLogs[0]?.logRecords ?? [])
  return { metrics, logs }
}

const observing = (alice: PlatformClient, config: Record<string, JsonValue>) =>
  alice.observability.create({ name: 'Seen', slug: 'seen', config: config as never })

const refusal = `const refusal = (call) => call.then(() => 'none', ({ code, details }) => [code, details[0]?.field ?? ''].join(' '))\n`

test('code records the metrics that its observability component declares, the same in every language', async () => {
  const { alice, workspace_id } = await newOrganization()
  const metric = (name: string, type: string, more: object = {}) => ({ name, type, labels: ['shop'], ...more })
  const custom_metrics = [
    metric('orders', 'counter'),
    metric('load', 'gauge'),
    metric('size', 'histogram', { buckets: [1, 10] }),
  ]
  await observing(alice, { metric_config: { custom_metrics } as never })
  await block(
    alice,
    'measures',
    `${refusal}export const main = async () => {
    await flow.metrics.record({ name: 'orders', labels: { shop: 'a' } })
    await flow.metrics.record({ name: 'load', value: -1.5 })
    await flow.metrics.record({ name: 'size', value: 4 })
    return Promise.all([
      flow.metrics.record({ name: 'none' }), flow.metrics.record({ name: 'orders', value: -1 }),
      flow.metrics.record({ name: 'orders', labels: { other: 'b' } }), flow.metrics.record({ name: 'orders', value: 'x' }),
      flow.metrics.record({ name: 'orders', labels: { shop: 'x'.repeat(300) } }),
    ].map(refusal))
  }`,
  )
  await block(alice, 'python', "def main(): flow.metrics.record(name='orders', value=2, labels={'shop': 'a'})", {
    language: 'python',
  })

  const first = await run(alice, { nodes: [node('js', 'measures')], observability_ref: 'seen' })
  await run(alice, { nodes: [node('py', 'python')], observability_ref: 'seen' })
  const unseen = await run(alice, { nodes: [node('js', 'python')] })

  assert.deepEqual(first.output, [
    'NOT_FOUND ',
    'VALIDATION_ERROR value',
    'VALIDATION_ERROR labels.other',
    'VALIDATION_ERROR value',
    'VALIDATION_ERROR labels.shop',
  ])
  assert.equal(unseen.status, 'completed')
  const { metrics } = await knownOf(workspace_id)
  const points = (name: string) => {
    const { sum, gauge, histogram } = metrics.find((one) => one.name === name) ?? {}
    return (sum ?? gauge ?? histogram)?.dataPoints[0]
  }
  assert.deepEqual([points('orders')?.asDouble, points('load')?.asDouble, points('size')?.sum], [3, -1.5, 4])
  assert.deepEqual(points('orders')?.attributes, [{ key: 'shop', value: { stringValue: 'a' } }])
  const counted = metrics.filter(({ name }) => name === 'flow.workflow.executions').map(({ sum }) => sum?.dataPoints[0])
  assert.deepEqual(
    counted.map((point) => [point?.asDouble, point?.attributes[1]?.value.stringValue]),
    [
      [1, 'completed'],
      [1, 'completed'],
    ],
  )
})

test('what code prints goes to the collector from its level on, without what is secret', async () => {
  const { alice, workspace_id } = await newOrganization()
  await observing(alice, { log_config: { level: 'warn', include_prompts: true, include_tool_results: true } as never })
  const input_schema = { type: 'object', properties: { token: { type: 'string', writeOnly: true } } }
  const code = `export const main = ({ token }) => { console.log('low'); console.warn('high ' + token); console.error('x') }`
  await block(alice, 'prints', code, { input_schema })
  refusals = 1

  const execution = await run(
    alice,
    { nodes: [node('say', 'prints')], observability_ref: 'seen' },
    { token: 'abcdef-12' },
  )
  await flow.platform.telemetry.flush()
  const { logs } = await knownOf(workspace_id)

  assert.deepEqual(
    logs.map(({ severityText, body }) => [severityText, body.stringValue]),
    [
      ['WARN', 'high [secret]'],
      ['ERROR', 'x'],
    ],
  )
  assert.equal(logs[0]?.traceId, execution.id.replaceAll('-', ''))
  assert.equal(logs[0]?.attributes.find(({ key }) => key === 'flow.node.id')?.value.stringValue, 'say')
})

test('prompts and results of tools are logged when that is wished for, and lines have no attributes otherwise', async () => {
  const { alice, workspace_id } = await newOrganization()
  const log_config = { include_prompts: true, include_tool_results: true, structured: false }
  await observing(alice, { log_config: log_config as never, metric_config: { enabled: false } as never })
  await alice.prompts.create({ name: 'Greet', slug: 'greet', config: { system_message: 'Greet {{name}}.' } })
  await block(alice, 'block', 'export const main = () => ({ done: true })')
  const config = { implementation_type: 'codeblock', implementation_ref: 'block' } as const
  await alice.tools.create({ name: 'Tool', slug: 'tool', config })
  const nodes = [
    { id: 'p', type: 'prompt', component_ref: 'greet' },
    { id: 't', type: 'tool', component_ref: 'tool', input: {} },
  ]

  const { id } = await run(alice, { nodes, workflow_type: 'sequential', observability_ref: 'seen' }, { name: 'Ada' })

  const { logs, metrics } = await knownOf(workspace_id)
  assert.deepEqual(
    logs.map(({ body, attributes }) => [body.stringValue, attributes]),
    [
      [`${id} p: {"messages":[{"role":"system","content":"Greet Ada."}]}`, []],
      [`${id} t: {"done":true}`, []],
    ],
  )
  assert.deepEqual(metrics, [])
})

test('the lines of an item of a map are told without its secrets', async () => {
  const { alice, workspace_id } = await newOrganization()
  await observing(alice, {})
  const input_schema = { type: 'object', properties: { token: { type: 'string', writeOnly: true } } }
  await block(alice, 'each', "export const main = ({ token }) => { console.log('seen ' + token) }", { input_schema })
  const many = { id: 'many', type: 'map', component_ref: 'each', items: '{{ input.all }}' }

  await run(alice, { nodes: [many], observability_ref: 'seen' }, { all: [{ token: 'first-secret' }] })

  const { logs } = await knownOf(workspace_id)
  assert.deepEqual(
    logs.map(({ body }) => body.stringValue),
    ['seen [secret]'],
  )
})
