import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import * as audit from './audit/audit.ts'
import { openSecrets } from './auth/auth.ts'
import { BadConfig } from './config.ts'
import { raw, sql } from './db/db.ts'
import * as gateway from './gateway/gateway.ts'
import { createSeal } from './seal.ts'
import * as secrets from './secrets/secrets.ts'
import { newOrganization, testFlow } from './testing.ts'
import * as triggers from './triggers/triggers.ts'
import * as webhooks from './webhooks/webhooks.ts'

const [old, next] = [1, 2].map(() => randomBytes(32).toString('base64')) as [string, string]
const { platform } = await testFlow({ FLOW_MASTER_KEY: old })
const withKeys = (keys: string) => ({ ...platform, seal: createSeal(keys) })

/** What lives for minutes or days is opened by the older key until it has gone. */
const short = new Set(['idempotency_keys', 'sso_requests'])

test('after a rotation nothing that is kept for good needs the older master key', async () => {
  const { alice, organization_id } = await newOrganization()
  await alice.webhooks.create({ url: 'https://hooks.example.com/', events: ['*'] })
  await alice.secrets.create({ name: 'KEPT', value: 'for good' })
  const subscription = await alice.webhooks.create({ url: 'https://hooks.example.com/other', events: ['*'] })
  await alice.webhooks.rotateSecret({ subscription_id: subscription.id })
  const workflow = await alice.workflows.create({
    name: 'Signed',
    slug: 'signed',
    trigger_type: 'webhook',
    trigger_config: { path: 'signed', signature: 'standard' },
    nodes: [{ id: 'one', type: 'transform', output: 1 }],
  })
  await alice.triggers.setSecret({ workflow_id: workflow.id })
  await alice.gateway.providers.create({
    name: 'openai',
    kind: 'openai',
    base_url: 'https://api.example.com/v1',
    key: 'sk-0123456789',
    skip_test: true,
  })
  assert.equal((await alice.audit.verify()).valid, true)
  const at = { db: platform.database.of(organization_id), organization_id }
  await openSecrets(platform)
  assert.ok((await sealedWith(old)).length >= 5)

  await assert.rejects(webhooks.wrapSecrets(withKeys(next)), BadConfig)
  const both = withKeys(`${next},${old}`)
  await openSecrets(both)
  for (const room of [audit, gateway, secrets, triggers, webhooks]) {
    assert.ok((await room.wrapSecrets(both)) > 0)
    assert.equal(await room.wrapSecrets(both), 0)
  }

  assert.deepEqual(await sealedWith(old), [])
  const head = await audit.verify(
    { ...at, platform: withKeys(next), signal: new AbortController().signal } as never,
    {},
  )
  assert.equal(head.valid, true)
})

/** The columns in which something is sealed with this key. */
async function sealedWith(key: string): Promise<string[]> {
  const { key_id } = createSeal(key)
  const db = platform.database.platform
  const columns = await db.many<{ table_name: string; column_name: string }>(sql`
    select table_name, column_name from information_schema.columns
    where table_schema = 'public' and data_type = 'text' order by 1, 2`)
  const found: string[] = []
  for (const { table_name, column_name } of columns.filter(({ table_name }) => !short.has(table_name))) {
    const { count } = await db.one<{ count: number }>(sql`
      select count(*)::int as count from ${raw(table_name)} where ${raw(column_name)} like ${`v1.${key_id}.%`}`)
    if (count > 0) found.push(`${table_name}.${column_name}`)
  }
  return found
}
