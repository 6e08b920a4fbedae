/** Dies at every boundary of every pattern, on each database there is, and writes docs/crash-matrix.md. `npm run
 *  crash-matrix`, which takes its time; the tests die a few of these deaths each time (crash.test.ts). Behind it the
 *  names of databases say on which alone; with other words only the patterns are run whose names have one of them, and
 *  nothing is written. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { Database } from '../db/db.ts'
import { testModes } from '../db/testing.ts'
import { crashPatterns } from './crash-patterns-testing.ts'
import { crashRounds, type Row } from './crash-rounds-testing.ts'

const place = new URL('../../../docs/crash-matrix.md', import.meta.url)
const headings: Record<Database['mode'], string> = {
  embedded: '## On the embedded database',
  postgres: '## On PostgreSQL',
}
const head = `# The crash matrix

Each workflow below is run again and again by a process that is killed (\`kill -9\`) at one of its writings, and finished
by the next process. A writing is what is committed as one. For each there are three deaths: when all of it is said and
the commit is not sent, while the commit is on its way, and when it has been answered. Whoever is waited for (people,
callers) answers in between; his answers, the claims of processes, rests and the ends of children are writings like any
other.

Each execution is then compared with one that nobody interrupted.

- **lost**: what was accepted (an execution, an answer, a child) and did not come to its end, or is not there.
- **repeated**: a node, an item of a map or an attempt that was recorded and whose code was called again; a child or a
  task that was opened twice; an answer that was taken twice; an event after the end of its node; an execution that was
  billed twice.
- **different**: a status, result, error or task that is not what it is without interruption.

This page is printed by \`npm run crash-matrix\`, on PostgreSQL too where \`FLOW_TEST_DATABASE_URL\` names one.
`

const rowOf = ({ pattern, writings, deaths, faults: { lost, repeated, different } }: Row) =>
  `| ${pattern.name} | ${writings} | ${deaths} | ${lost.length} | ${repeated.length} | ${different.length} |`

function sectionOf(mode: Database['mode'], rows: Row[]): string {
  const count = (of: (row: Row) => number) => rows.reduce((sum, row) => sum + of(row), 0)
  const sums = [
    count((row) => row.writings),
    count((row) => row.deaths),
    count(({ faults }) => faults.lost.length),
    count(({ faults }) => faults.repeated.length),
    count(({ faults }) => faults.different.length),
  ]
  return `${headings[mode]}

| pattern | writings | deaths | lost | repeated | different |
|---|---|---|---|---|---|
${rows.map(rowOf).join('\n')}
| **all** | ${sums.join(' | ')} |
`
}

/** What was printed of a database that is not here now. */
function sectionBefore(mode: Database['mode']): string {
  const text = readFileSync(place, { encoding: 'utf8', flag: 'a+' })
  return text.split(/^(?=## )/m).find((section) => section.startsWith(headings[mode])) ?? ''
}

const modes = ['embedded', 'postgres'] as const
const said = process.argv.slice(2).map((word) => word.toLowerCase())
const only = modes.filter((mode) => said.includes(mode))
const words = said.filter((word) => modes.every((mode) => mode !== word))
const wanted = crashPatterns.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.toLowerCase().includes(word)),
)
const sections = new Map<Database['mode'], string>()
for (const mode of only.length > 0 ? only : modes) {
  if (!testModes.includes(mode)) continue
  const { rows, left } = await crashRounds(
    mode,
    (deaths) => deaths,
    wanted,
    (row) => console.log(rowOf(row)),
  )
  sections.set(mode, sectionOf(mode, rows))
  console.log(sections.get(mode))
  const faults = rows.flatMap((row) => Object.values(row.faults).flat())
  if (Object.values(left).some((count) => count !== 0)) faults.push(`in the end there is left ${JSON.stringify(left)}`)
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
}
if (words.length === 0) {
  const printed = modes.map((mode) => sections.get(mode) ?? sectionBefore(mode))
  writeFileSync(place, `${[head, ...printed.filter(Boolean)].join('\n').trimEnd()}\n`)
}
