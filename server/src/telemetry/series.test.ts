import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logsRequest, metricsRequest } from './otlp.ts'
import { AllSeries, type Metric, seriesLimits } from './series.ts'

const at = (workspace_id: string) => ({ organization_id: 'o', workspace_id })
const orders: Metric = { name: 'orders', type: 'counter', description: 'Orders.' }
const sizes: Metric = { name: 'sizes', type: 'histogram', description: '', buckets: [1, 10] }

test('counters add up, gauges keep the last value, histograms count by their bounds', () => {
  const all = new AllSeries()
  for (const value of [1, 2]) all.measure(at('w'), orders, value, { shop: 'a' }, 1000)
  all.measure(at('w'), orders, 5, { shop: 'b' }, 1000)
  for (const value of [3, 2]) all.measure(at('w'), { ...orders, type: 'gauge' }, value, {}, 1000)
  for (const value of [1, 2, 10, 11]) all.measure(at('w'), sizes, value, {}, 1000)
  assert.deepEqual(
    all.list(1000).map(({ value, counts }) => [value, counts]),
    [
      [3, []],
      [5, []],
      [2, []],
      [24, [1, 2, 1]],
    ],
  )
})

test('a workspace has so many series and no more, and those that nobody measures make room', () => {
  const all = new AllSeries()
  const measure = (workspace: string, i: number, now: number) =>
    all.measure(at(workspace), orders, 1, { i: `${i}` }, now)
  for (let i = 0; i < seriesLimits.series_per_workspace; i++) assert.ok(measure('many', i, 0))
  assert.equal(measure('many', -1, 0), false)
  assert.equal(measure('many', 0, 0), true)
  assert.equal(measure('few', 0, seriesLimits.idle_ms - 1), true)
  assert.equal(all.list(seriesLimits.idle_ms).length, 1)
  assert.equal(measure('many', -1, seriesLimits.idle_ms), true)
})

test('what is told has the form of OTLP, each workspace as a resource of its own', () => {
  const all = new AllSeries()
  all.measure(at('a'), orders, 1, { shop: 'x' }, 1000)
  all.measure(at('b'), sizes, 2, {}, 1500)
  const { resourceMetrics } = metricsRequest(all.list(2000), 'i', 2000) as {
    resourceMetrics: { resource: { attributes: unknown[] }; scopeMetrics: { metrics: unknown[] }[] }[]
  }
  assert.equal(resourceMetrics.length, 2)
  assert.deepEqual(resourceMetrics[0]?.resource.attributes.at(-1), {
    key: 'flow.workspace_id',
    value: { stringValue: 'a' },
  })
  const point = { attributes: [], startTimeUnixNano: '1500000000', timeUnixNano: '2000000000' }
  assert.deepEqual(resourceMetrics[1]?.scopeMetrics[0]?.metrics[0], {
    name: 'sizes',
    description: '',
    unit: '',
    histogram: {
      aggregationTemporality: 2,
      dataPoints: [{ ...point, count: '1', sum: 2, bucketCounts: ['0', '1', '0'], explicitBounds: [1, 10] }],
    },
  })
  const line = { ...at('a'), at: 1.5, level: 'warn' as const, text: 'Hm.', attributes: { n: '1' } }
  const logs = logsRequest([line], 'i') as { resourceLogs: { scopeLogs: { logRecords: unknown[] }[] }[] }
  assert.deepEqual(logs.resourceLogs[0]?.scopeLogs[0]?.logRecords[0], {
    timeUnixNano: '2000000',
    severityNumber: 13,
    severityText: 'WARN',
    body: { stringValue: 'Hm.' },
    attributes: [{ key: 'n', value: { stringValue: '1' } }],
  })
})
