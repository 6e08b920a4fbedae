/** The page about components tells what is so. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ComponentType } from '@flow/contract/components'
import { newOrganization } from '../testing.ts'

test('the examples in the documentation are made, run and published, one of each type', async () => {
  const { alice } = await newOrganization()
  const page = await readFile(new URL('../../../docs/components.md', import.meta.url), 'utf8')
  const bodies = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, body = '']) => JSON.parse(body))
  const shown = new Set(bodies.map(({ type }) => type))
  assert.deepEqual(
    ComponentType.options.filter((type) => !shown.has(type)),
    ['workflow'],
  )

  for (const body of bodies) {
    const { id: component_id, type, slug } = await alice.components.create(body)
    if (body.config.examples) {
      const { passed, runs } = await alice.components.test({ component_id })
      assert.ok(passed, `${slug}: ${JSON.stringify(runs)}`)
    }
    if (type !== 'agent') assert.equal((await alice.components.publish({ component_id })).status, 'published')
  }

  const prompt = (await alice.prompts.list()).items[0]?.id ?? ''
  const input = { shop: 'Flow', customer: { name: 'Ada' }, order: { id: 7, lines: [] } }
  const [run] = (await alice.components.test({ component_id: prompt, input })).runs
  assert.deepEqual(run?.output, {
    messages: [
      { role: 'system', content: 'You write for Flow. Begin with "Dear Ada".' },
      { role: 'user', content: 'Confirm the order 7: []' },
    ],
  })
})
