/** What is told of runs: settings that others refer to. */

import type { FieldError } from '@flow/contract/common'
import type { ObservabilityConfig } from '@flow/contract/components/observability'
import type { Kind } from './kind.ts'

export const observability: Kind<ObservabilityConfig> = {
  faults: ({ metric_config: { custom_metrics } }) =>
    custom_metrics.flatMap((metric, i): FieldError[] => {
      const fault = (field: string, message: string): FieldError[] => [
        { field: `config.metric_config.custom_metrics[${i}].${field}`, message },
      ]
      const { name, type, labels, buckets } = metric
      const first = custom_metrics.findIndex((other) => other.name === name)
      const isAscending = buckets?.every((bound, at) => at === 0 || bound > (buckets[at - 1] ?? bound)) ?? true
      return [
        ...(first < i ? fault('name', `custom_metrics[${first}] has the same name.`) : []),
        ...(new Set(labels).size < labels.length ? fault('labels', 'A label is named twice.') : []),
        ...(buckets && type !== 'histogram' ? fault('buckets', 'Only a histogram has buckets.') : []),
        ...(isAscending ? [] : fault('buckets', 'Each bound must be more than the one before.')),
      ]
    }),
  cannotRun: () => 'This is a setting that others refer to: there is nothing to run.',
}
