/** What Prometheus reads: requests by operation and status, and what the process itself costs. */

import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'

export type Metrics = {
  registry: Registry
  request(operation: string, status: number, seconds: number): void
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'flow_' })
  const seconds = new Histogram({
    name: 'flow_http_request_duration_seconds',
    help: 'How long requests took, by operation.',
    labelNames: ['operation'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers: [registry],
  })
  const total = new Counter({
    name: 'flow_http_requests_total',
    help: 'How many requests were answered, by operation and status.',
    labelNames: ['operation', 'status'],
    registers: [registry],
  })
  return {
    registry,
    request(operation, status, took) {
      seconds.labels(operation).observe(took)
      total.labels(operation, String(status)).inc()
    },
  }
}
