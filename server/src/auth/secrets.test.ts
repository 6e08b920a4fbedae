import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import test, { after, before } from 'node:test'
import { BadConfig } from '../config.ts'
import { createSeal } from '../seal.ts'
import * as auth from './auth.ts'
import { openSecrets } from './secrets.ts'
import { type AuthTest, openAuthTest } from './testing.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const newKey = () => randomBytes(32).toString('base64')

test('a start with both keys wraps every secret again, and then the old key is not needed', async () => {
  const [old, next] = [newKey(), newKey()]
  const withKeys = (keys: string) => t.anotherReplica({ seal: createSeal(keys) })
  const first = withKeys(old)
  await openSecrets(first)
  const person = await t.newPerson()
  const tokens = await auth.login({ ...t.stranger(), platform: first }, person)
  const actor = await auth.authenticate(first, { bearer: tokens.access_token, address: '' })
  const settings = {
    issuer: 'https://id.example',
    client_id: 'flow',
    client_secret: 'secret',
    domains: ['rewrap.example'],
  }
  await auth.setSso({ ...t.contextOf(actor), platform: first }, { org_id: person.organization_id, ...settings })

  await assert.rejects(openSecrets(withKeys(next)), BadConfig)
  assert.equal(await openSecrets(withKeys(`${next},${old}`)), 2)
  assert.equal(await openSecrets(withKeys(`${next},${old}`)), 0)

  const renewed = withKeys(next)
  assert.equal(await openSecrets(renewed), 0)
  await auth.authenticate(renewed, { bearer: tokens.access_token, address: '' })
  await auth.refresh({ ...t.stranger(), platform: renewed }, { refresh_token: tokens.refresh_token })
  await assert.rejects(openSecrets(first), BadConfig)
})
