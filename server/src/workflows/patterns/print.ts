/** Writes docs/workflow-patterns.md; a test fails when it is stale. */

import { writeFileSync } from 'node:fs'
import { missing, patterns } from './catalogue.ts'
import type { Missing, Pattern } from './pattern.ts'

export const place = new URL('../../../../docs/workflow-patterns.md', import.meta.url)

const linkOf = ({ number, name, chapter }: Missing | Pattern) =>
  `[${name}](http://www.workflowpatterns.com/patterns/control/${chapter}/wcp${number}.php)`

export function printPatterns(): string {
  const direct = patterns.filter(({ support }) => support === 'direct').length
  const rows = patterns.map((one) => `| ${one.number} | ${linkOf(one)} | ${one.support} | ${one.by} |`)
  const rest = missing.map((one) => `| ${one.number} | ${linkOf(one)} | ${one.reason} |`)
  return `# Workflow patterns

The 43 control-flow patterns of the [Workflow Patterns initiative](http://www.workflowpatterns.com) (N. Russell,
A. H. M. ter Hofstede, W. M. P. van der Aalst, N. Mulyar: *Workflow Control-Flow Patterns: A Revised View*, BPM Center
Report BPM-06-22, 2006), and what expresses each of them here. Every row of the first table is a workflow in
\`server/src/workflows/patterns/\` that the tests run to its end, checking its result and which of its nodes ran. This
page is printed from them (\`node server/src/workflows/patterns/print.ts\`).

*direct* (${direct}): a word of the model is the pattern. *composed* (${patterns.length - direct}): several are put together for it; the limit of
that is said.

| | pattern | | by |
|---|---|---|---|
${rows.join('\n')}

## What cannot be expressed

| | pattern | why |
|---|---|---|
${rest.join('\n')}
`
}

if (import.meta.main) writeFileSync(place, printPatterns())
