/** What is measured and logged of customers' runs, and the spans of their calls of models, told to the operator's collector by OTLP over HTTP, some seconds
 *  later: this is the room's door. It is beside the runs: nothing waits for it, what the collector does not take for
 *  long is dropped, and what a process had not told yet when it was killed is lost. Without a collector nothing is
 *  kept. What is measured, and of which runs, is the rooms' matter above. */

import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { type Clock, newId } from '../context.ts'
import type { GuardedFetch } from '../fetch.ts'
import { type LogLine, logsRequest, metricsRequest, type Span, spansRequest } from './otlp.ts'
import { type Outcome, openQueue } from './queue.ts'
import { AllSeries, type Labels, type Metric, type Place, seriesLimits } from './series.ts'

export type { LogLine, Span } from './otlp.ts'
export { type Labels, type Metric, type Place, seriesLimits } from './series.ts'

export type Telemetry = {
  /** False when a workspace has too many series: then it is not measured. */
  measure(at: Place, metric: Metric, value: number, labels: Labels): boolean
  log(line: LogLine): void
  /** Spans that belong together; they are made only if somebody is told. */
  trace(spans: () => Span[]): void
  /** Tells what there is now; does not throw. */
  flush(): Promise<void>
  close(): Promise<void>
}

const FLUSH_MS = 10_000
export const logLimits = {
  /** Lines and characters that wait to be told. */
  lines: 10_000,
  characters: 8 * 1024 * 1024,
  /** Of one request. */
  batch: 1000,
} as const

export const spanLimits = {
  /** Spans and characters of their values that wait to be told. */
  spans: 20_000,
  characters: 8 * 1024 * 1024,
  /** Of one request; so many are not kept waiting. */
  batch: 500,
} as const

type Parts = { config: Pick<Config, 'otlp_endpoint' | 'otlp_headers'>; fetch: GuardedFetch; clock: Clock; log: Logger }

export function openTelemetry(parts: Parts): Telemetry {
  const { otlp_endpoint, otlp_headers } = parts.config
  if (!otlp_endpoint) return silent
  const { clock, log } = parts
  const instance_id = newId()
  const all = new AllSeries()
  const now = () => clock.now().getTime()
  let flushing: Promise<void> | undefined

  const send = async (path: string, body: object): Promise<Outcome> => {
    const headers = { ...otlp_headers, 'content-type': 'application/json' }
    try {
      const response = await parts.fetch(`${otlp_endpoint}${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      })
      await response.body?.cancel()
      if (response.ok) return 'taken'
      // By the OTLP specification these may be sent again, and others may not.
      return [429, 502, 503, 504].includes(response.status) ? 'later' : 'refused'
    } catch (err) {
      log.debug({ err }, 'the collector does not answer')
      return 'later'
    }
  }

  const lines = openQueue<LogLine>(
    { items: logLimits.lines, ...logLimits },
    ({ text }) => text.length,
    (batch) => send('/v1/logs', logsRequest(batch, instance_id)),
  )
  const spans = openQueue<Span>({ items: spanLimits.spans, ...spanLimits }, sizeOf, (batch) =>
    send('/v1/traces', spansRequest(batch, instance_id)),
  )

  const flushLogs = async () => {
    const dropped = await lines.flush()
    if (dropped > 0) log.warn({ dropped }, 'lines of logs did not reach the collector')
  }

  const flushSpans = async () => {
    const dropped = await spans.flush()
    if (dropped > 0) log.warn({ dropped }, 'spans of calls did not reach the collector')
  }

  const flushMetrics = async () => {
    const series = all.list(now())
    if (series.length === 0) return
    const outcome = await send('/v1/metrics', metricsRequest(series, instance_id, now()))
    if (outcome === 'refused') log.warn({ series: series.length }, 'the collector refused metrics')
  }

  const flush = (): Promise<void> => {
    flushing ??= Promise.all([flushLogs(), flushMetrics(), flushSpans()])
      .then(() => undefined)
      .finally(() => {
        flushing = undefined
      })
    return flushing
  }
  const timer = setInterval(() => void flush(), FLUSH_MS).unref()

  return {
    measure: (at, metric, value, labels) => all.measure(at, metric, value, labels, now()),
    log: lines.put,
    trace(made) {
      for (const span of made()) spans.put(span)
      if (spans.isFilled) void flushSpans()
    },
    flush,
    async close() {
      clearInterval(timer)
      await flushing
      await flush()
    },
  }
}

const silent: Telemetry = {
  measure: () => true,
  log: () => {},
  trace: () => {},
  flush: async () => {},
  close: async () => {},
}

const sizeOf = ({ attributes }: Span): number =>
  Object.values(attributes).reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length : 0), 0)

/** How long the values of labels may be. */
export const isShort = (value: string): boolean => value.length <= seriesLimits.label
