/** Metrics as they are added up: each name with each set of labels is a series. What is kept is bounded for each
 *  workspace and for all, and forgotten when nobody has measured for long. Nothing here reaches outside. */

export type MetricKind = 'counter' | 'gauge' | 'histogram'
export type Metric = { name: string; type: MetricKind; description: string; unit?: string; buckets?: readonly number[] }
/** Whose it is. */
export type Place = { organization_id: string; workspace_id: string }
export type Labels = Readonly<Record<string, string>>

export type Series = Place & {
  metric: Metric
  labels: Labels
  /** In milliseconds since 1970. */
  since: number
  touched: number
  value: number
  /** Of a histogram. */
  count: number
  counts: number[]
}

export const seriesLimits = {
  series_per_workspace: 1000,
  series: 20_000,
  /** Characters of the value of a label. */
  label: 200,
  idle_ms: 3_600_000,
} as const

/** Those that OpenTelemetry has for whoever says nothing. */
const BUCKETS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000]

export const boundsOf = ({ buckets = BUCKETS }: Metric): readonly number[] => buckets

export class AllSeries {
  readonly #byKey = new Map<string, Series>()
  readonly #counts = new Map<string, number>()

  /** False when there are too many already. */
  measure(at: Place, metric: Metric, value: number, labels: Labels, now: number): boolean {
    const series = this.#of(at, metric, labels, now)
    if (!series) return false
    series.touched = now
    if (metric.type === 'gauge') series.value = value
    else series.value += value
    if (metric.type !== 'histogram') return true
    const bounds = boundsOf(series.metric)
    const found = bounds.findIndex((bound) => value <= bound)
    const bucket = found < 0 ? bounds.length : found
    series.count += 1
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
    return true
  }

  #of(at: Place, metric: Metric, labels: Labels, now: number): Series | undefined {
    const { organization_id, workspace_id } = at
    // Of a metric that was changed, what is measured from then on is another one.
    const key = JSON.stringify([workspace_id, metric, Object.entries(labels).sort()])
    const known = this.#byKey.get(key)
    if (known) return known
    const count = this.#counts.get(workspace_id) ?? 0
    if (count >= seriesLimits.series_per_workspace || this.#byKey.size >= seriesLimits.series) return undefined
    const counts = metric.type === 'histogram' ? boundsOf(metric).map(() => 0) : []
    const made = { organization_id, workspace_id, metric, labels, since: now, touched: now, value: 0, count: 0, counts }
    if (metric.type === 'histogram') made.counts.push(0)
    this.#byKey.set(key, made)
    this.#counts.set(workspace_id, count + 1)
    return made
  }

  /** All that there are, without those that nobody has measured for long. */
  list(now: number): Series[] {
    for (const [key, { workspace_id, touched }] of this.#byKey) {
      if (now - touched < seriesLimits.idle_ms) continue
      this.#byKey.delete(key)
      const left = (this.#counts.get(workspace_id) ?? 1) - 1
      if (left > 0) this.#counts.set(workspace_id, left)
      else this.#counts.delete(workspace_id)
    }
    return [...this.#byKey.values()]
  }
}
