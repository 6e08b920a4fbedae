/** Observability: what is told of runs, where to and for how long. */

import { z } from 'zod'

export const MetricName = z
  .string()
  .max(200)
  .regex(/^[a-zA-Z_][a-zA-Z0-9_.]*$/, 'Use letters, digits, "_" and ".", beginning with a letter.')

export const CustomMetric = z.strictObject({
  name: MetricName,
  type: z.enum(['counter', 'gauge', 'histogram']),
  description: z.string().max(500).default(''),
  labels: z
    .array(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,99}$/, 'Use letters, digits and "_".'))
    .max(20)
    .default([]),
  buckets: z.array(z.number()).min(1).max(100).optional().describe('Of a histogram: upper bounds, ascending.'),
})

export const ObservabilityConfig = z
  .strictObject({
    trace_config: z
      .strictObject({
        enabled: z.boolean().default(true),
        sample_rate: z.number().min(0).max(1).default(1).describe('The share of runs that are traced.'),
        include_inputs: z.boolean().default(false),
        include_outputs: z.boolean().default(false),
        include_tool_calls: z.boolean().default(true),
        propagate_context: z.boolean().default(true).describe('Whether calls outside carry `traceparent`.'),
      })
      .prefault({}),
    metric_config: z
      .strictObject({
        enabled: z.boolean().default(true),
        custom_metrics: z.array(CustomMetric).max(100).default([]),
      })
      .prefault({}),
    log_config: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
        include_prompts: z.boolean().default(false),
        include_tool_results: z.boolean().default(false),
        structured: z.boolean().default(true),
        retention_days: z.int().min(1).max(3650).default(30),
      })
      .prefault({}),
  })
  .meta({ id: 'ObservabilityConfig' })
export type ObservabilityConfig = z.infer<typeof ObservabilityConfig>
