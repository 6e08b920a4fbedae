import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { BadConfig } from '../config.ts'
import { createSeal } from '../seal.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { openSecret, sealSecret, wrapSecrets } from './secrets.ts'
import * as store from './store.ts'
import { echo } from './testing.ts'

test("a webhook's secret is wrapped again under a new master key, and opens for its own workflow only", async () => {
  const { platform } = await testFlow()
  const { alice, organization_id, workspace_id } = await newOrganization()
  const { id: workflow_id } = await echo(alice, 'webhook', { path: 'sealed' })
  const [old, next] = [1, 2].map(() => randomBytes(32).toString('base64')) as [string, string]
  const withKeys = (keys: string) => ({ ...platform, seal: createSeal(keys) })
  const at = { db: platform.database.of(organization_id), organization_id, workspace_id }
  const place = { organization_id, workflow_id }
  await store.keepSecret(at, workflow_id, sealSecret(withKeys(old), place, 'a secret of sixteen'))

  await assert.rejects(wrapSecrets(withKeys(next)), BadConfig)
  assert.equal(await wrapSecrets(withKeys(`${next},${old}`)), 1)
  assert.equal(await wrapSecrets(withKeys(`${next},${old}`)), 0)

  const { secret } = (await store.find(at, workflow_id)) ?? {}
  assert.equal(openSecret(withKeys(next), place, secret ?? ''), 'a secret of sixteen')
  const elsewhere = { organization_id, workflow_id: organization_id }
  assert.throws(() => openSecret(withKeys(next), elsewhere, secret ?? ''))
})
