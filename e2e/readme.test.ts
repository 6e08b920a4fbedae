/** What README.md prints works as printed: its examples run, in their order, against a server started for them. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { repository, startServer } from './server.ts'

const run = promisify(execFile)
const readme = await readFile(join(repository, 'README.md'), 'utf8')

function fences(language: string, heading: string): string {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading)) ?? ''
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))]
    .map(([, text]) => text)
    .join('\n')
}

test('the examples with curl work as printed', async (t) => {
  const server = await startServer()
  t.after(server.remove)
  const script = fences('sh', 'Five minutes with curl').replaceAll('http://localhost:8080', server.url)

  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: repository, env: server.environment })

  assert.match(stdout, /"email":"ada@example\.com"/)
  assert.match(stdout, /^event: execution\.completed$/m)
  const words = readme.split(/\s+/).filter(Boolean).length
  assert.ok(stdout.trimEnd().endsWith(`{ words: ${words}, is_long: ${words > 1000} }`), stdout.slice(-300))
})

test('the example with the SDK works as printed', async (t) => {
  const server = await startServer()
  const program_path = join(repository, 'e2e', `readme-example-${process.pid}.ts`)
  t.after(async () => {
    await server.remove()
    await rm(program_path, { force: true })
  })
  const program = fences('ts', 'The same with the SDK')
    .replaceAll('http://localhost:8080', server.url)
    .replaceAll('.flow/', `${server.directory}/`)
  await writeFile(program_path, program)

  const { stdout } = await run(process.execPath, ['--no-warnings', program_path], {
    cwd: repository,
    env: server.environment,
  })

  assert.match(stdout, /execution\.completed/)
  assert.ok(stdout.trimEnd().endsWith(`[ 'DURABLE', 'AND', 'QUICK' ]`), stdout)
})

test('every file that the documents name exists', async () => {
  for (const document of ['README.md', 'ARCHITECTURE.md', 'STYLE.md', 'CHANGELOG.md']) {
    const text = await readFile(join(repository, document), 'utf8')
    for (const [, path = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      await assert.doesNotReject(
        readFile(join(repository, path)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'EISDIR') throw error
        }),
        `${document} names ${path}`,
      )
    }
  }
})
