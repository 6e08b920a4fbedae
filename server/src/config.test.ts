/** The settings that the documents name are those that there are. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BadConfig, readConfig, settings } from './config.ts'

const repository = join(import.meta.dirname, '../..')
const text = (file: string) => readFileSync(join(repository, file), 'utf8')
const named = (file: string) => new Set(text(file).match(/\b(?:FLOW_[A-Z][A-Z_]*[A-Z]|DATABASE_URL)\b/g))

test('every setting that a document or a deployment names exists', () => {
  for (const file of ['README.md', 'docs/running.md', ...globSync('deploy/*', { cwd: repository })]) {
    const unknown = [...named(file)].filter((name) => !settings.includes(name))
    assert.deepEqual(unknown, [], file)
  }
})

test('every setting stands in the table of the README', () => {
  const missing = settings.filter((name) => !new RegExp(`^\\|.*\`${name}\`.*\\|`, 'm').test(text('README.md')))
  assert.deepEqual(missing, [])
})

test('every wrong setting is named in one refusal', () => {
  const wrong = { PORT: 'many', FLOW_DURABILITY: 'never', FLOW_ADMIN_EMAIL: 'nobody' }
  assert.throws(
    () => readConfig(wrong),
    (error) => error instanceof BadConfig && Object.keys(wrong).every((name) => error.message.includes(`${name}: `)),
  )
})

test('an empty setting is one that was not given', () => {
  assert.equal(readConfig({ FLOW_LOG_LEVEL: '', DATABASE_URL: '' }).log_level, 'info')
})
