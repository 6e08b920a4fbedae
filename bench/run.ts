/** Runs the benches: `npm run bench` for all, `npm run bench -- edge start` for some. Each prints figures of its own
 *  run and ratios between them: the machine's speed falls out of a ratio. What begins with `--` is an option: `--peers`
 *  lets benches install and measure others, too; `--write` puts what this run has printed into docs/performance.md, in
 *  the place of what stood there of the same benches. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, totalmem } from 'node:os'
import { basename, join } from 'node:path'

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

const HEAD = `# How fast it is

Each section is what its bench has printed, in a run of its own. The clients, Flow and PostgreSQL share the cores of one
machine. Seconds depend on the machine; what counts are the ratios, each taken in the same run.
`

const machine = describeMachine()
console.log(machine)
const sections = new Map<string, string>()
let failed = false
for (const name of wanted.length > 0 ? wanted : benches) {
  console.log(`\n# ${name}\n`)
  const { printed, code } = await run(name)
  const how = `Printed by \`npm run bench -- ${[name, ...options].join(' ')}\`, on ${machine}.`
  sections.set(name, `## ${name}\n\n${await headOf(name)}\n\n${how}\n\n${markdown(printed)}\n`)
  failed ||= code !== 0
  // Broken off by a key, not by a fault.
  if (code === null) break
}
if (options.includes('--write') && !failed) await writePage()
process.exit(failed ? 1 : 0)

async function run(name: string): Promise<{ printed: string; code: number | null }> {
  const child = spawn(process.execPath, ['--no-warnings', join(import.meta.dirname, `${name}.ts`), ...options], {
    stdio: ['inherit', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
    process.stdout.write(text)
  })
  // It is told by the terminal, too, and cleans up; this one waits for it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  const [code] = (await once(child, 'close')) as [number | null]
  return { printed, code }
}

function describeMachine(): string {
  const gib = Math.round(totalmem() / 1024 ** 3)
  const load = (loadavg()[0] ?? 0).toFixed(1)
  const { platform, arch, version } = process
  return `${availableParallelism()} cores, ${gib} GiB, ${platform} ${arch}, Node ${version.slice(1)}; load ${load} at the start`
}

/** What a bench says of itself in its first comment. */
async function headOf(name: string): Promise<string> {
  const text = await readFile(join(import.meta.dirname, `${name}.ts`), 'utf8')
  const [, head = ''] = /^\/\*\*([\s\S]*?)\*\//.exec(text) ?? []
  return head.replace(/^ \* {0,2}/gm, '').trim()
}

/** Tables stand apart from the lines around them. */
function markdown(printed: string): string {
  return printed
    .trim()
    .replace(/^(?!\|)(.+)\n(?=\|)/gm, '$1\n\n')
    .replace(/^(\|.*)\n(?!\|)(?=.)/gm, '$1\n\n')
}

async function writePage(): Promise<void> {
  const place = join(import.meta.dirname, '../docs/performance.md')
  const [, ...before] = (await readFile(place, 'utf8')).split(/^(?=## )/m)
  const kept = before.map((section) => [/^## (\S+)/.exec(section)?.[1] ?? '', `${section.trimEnd()}\n`] as const)
  const page = [HEAD, ...new Map([...kept, ...sections]).values()]
  await writeFile(place, page.join('\n'))
}
