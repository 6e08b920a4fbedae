/** The demo: a workflow that turns a file of support tickets into a report. It reads and checks the rows, drops what
 *  was sent twice, counts in parallel branches, escalates only when something is urgent, and merges. */

import { readFile } from 'node:fs/promises'
import type { components } from '@flow/contract/components'
import type { Input } from '@flow/contract/operation'
import type { workflows } from '@flow/contract/workflows'

type CodeBlock = Input<(typeof components)['create']>
type Workflow = Input<(typeof workflows)['create']>

const blocks = [
  ['parse-tickets', 'Parse tickets', 'Reads tickets from CSV and refuses the rows that cannot be used.'],
  ['drop-duplicates', 'Drop duplicates', 'Drops tickets that were sent twice.'],
  ['escalate', 'Escalate', 'Finds who has to be called first.'],
  ['count-by', 'Count by column', 'Counts tickets by one column.'],
  ['write-report', 'Write report', 'Puts the branches together.'],
] as const

/** The code blocks, each from its own file. */
export const codeBlocks = (): Promise<CodeBlock[]> =>
  Promise.all(
    blocks.map(async ([slug, name, description]) => ({
      type: 'code_block' as const,
      slug,
      name,
      description,
      tags: ['demo'],
      config: {
        language: 'typescript',
        code: await readFile(new URL(`./blocks/${slug}.ts`, import.meta.url), 'utf8'),
        entry_point: 'main',
        timeout_seconds: 30,
        memory_mb: 256,
      },
    })),
  )

const rows = '{{ nodes.clean.output.rows }}'
const countBy = (id: string, column: string) => ({
  id,
  type: 'code_block' as const,
  label: `Count by ${column}`,
  component_ref: 'count-by',
  input: { rows, column },
})

export const workflow: Workflow = {
  slug: 'ticket-report',
  name: 'Ticket report',
  description: 'Turns a CSV of support tickets into a report. Input: { "csv": "…" }.',
  tags: ['demo'],
  workflow_type: 'graph',
  nodes: [
    {
      id: 'parsed',
      type: 'code_block',
      label: 'Parse and validate',
      component_ref: 'parse-tickets',
      input: { csv: '{{ input.csv }}' },
    },
    {
      id: 'clean',
      type: 'code_block',
      label: 'Drop duplicates',
      component_ref: 'drop-duplicates',
      input: { rows: '{{ nodes.parsed.output.rows }}' },
    },
    { id: 'escalation', type: 'code_block', label: 'Escalate', component_ref: 'escalate', input: { rows } },
    countBy('categories', 'category'),
    countBy('channels', 'channel'),
    countBy('months', 'created_at'),
    {
      id: 'report',
      type: 'code_block',
      label: 'Write the report',
      component_ref: 'write-report',
      input: {
        parsed: {
          read: '{{ nodes.parsed.output.read }}',
          rejected: '{{ nodes.parsed.output.rejected }}',
          reasons: '{{ nodes.parsed.output.reasons }}',
        },
        clean: {
          dropped: '{{ nodes.clean.output.dropped }}',
          urgent: '{{ nodes.clean.output.urgent }}',
          high: '{{ nodes.clean.output.high }}',
          normal: '{{ nodes.clean.output.normal }}',
          low: '{{ nodes.clean.output.low }}',
        },
        escalation: '{{ nodes.escalation.output }}',
        categories: '{{ nodes.categories.output }}',
        channels: '{{ nodes.channels.output }}',
        months: '{{ nodes.months.output }}',
      },
    },
  ],
  edges: [
    { source: 'parsed', target: 'clean' },
    { source: 'clean', target: 'escalation', condition: 'nodes.clean.output.urgent > 0' },
    { source: 'clean', target: 'categories' },
    { source: 'clean', target: 'channels', condition: 'nodes.clean.output.normal + nodes.clean.output.low > 0' },
    { source: 'clean', target: 'months' },
    { source: 'escalation', target: 'report' },
    { source: 'categories', target: 'report' },
    { source: 'channels', target: 'report' },
    { source: 'months', target: 'report' },
  ],
}
