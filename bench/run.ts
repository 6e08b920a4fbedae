/** Runs the benches: `npm run bench` for all, `npm run bench -- edge start` for some. Each prints figures of its own
 *  run and ratios between them: the machine's speed falls out of a ratio. What begins with `--` is for the benches:
 *  `--peers` lets them install and measure others, too. */

import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { basename } from 'node:path'

const given = process.argv.slice(2)
const options = given.filter((word) => word.startsWith('--'))
const wanted = given.filter((word) => !word.startsWith('--'))
const all = globSync('*.ts', { cwd: import.meta.dirname }).map((file) => basename(file, '.ts'))
const benches = all.filter((name) => name !== 'run' && name !== 'measure').sort()
const unknown = wanted.filter((name) => !benches.includes(name))
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}. There are ${benches.join(', ')}.`)
  process.exit(2)
}

let failed = false
for (const name of wanted.length > 0 ? wanted : benches) {
  console.log(`\n# ${name}\n`)
  const { status } = spawnSync(process.execPath, ['--no-warnings', `${import.meta.dirname}/${name}.ts`, ...options], {
    stdio: 'inherit',
  })
  failed ||= status !== 0
  // Broken off by a key, not by a fault.
  if (status === null) break
}
process.exit(failed ? 1 : 0)
