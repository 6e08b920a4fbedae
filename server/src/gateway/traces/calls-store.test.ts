/** Calls as they are written: whole batches, of whomever. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../../context.ts'
import { sql } from '../../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../../testing.ts'
import type { CallRecord } from '../policies/policy.ts'
import { insertCalls } from './calls-store.ts'
import { callAs } from './calls-testing.ts'

const { platform } = await testFlow()
const { database } = platform

const callOf = ({ organization_id, workspace_id, admin }: TestOrganization, more: Partial<CallRecord>) =>
  callAs({ organization_id, workspace_id, user_id: admin.user_id, key_id: null }, more)

const settled = (record: CallRecord) => ({ record, nanocredits: 7 })

type Row = { id: string; model: string; request: string | null; output_tokens: number; attempts: unknown[] }
const written = ({ organization_id }: TestOrganization) =>
  database.of(organization_id).many<Row>(sql`
    select c.id, c.model, c.output_tokens, c.attempts, t.request
    from gateway_calls c left join gateway_call_contents t on t.call_id = c.id`)

test('a batch of calls of several organizations is written at once, and each sees its own', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const calls = [callOf(one, {}), callOf(two, { request: null }), callOf(one, { answer: '"1"' })]
  await insertCalls(database.platform, calls.map(settled))

  const [first, second, third] = calls
  assert.deepEqual(new Set((await written(one)).map(({ id }) => id)), new Set([first?.id, third?.id]))
  const [row] = await written(two)
  assert.deepEqual(row, {
    id: second?.id,
    model: 'flow/echo',
    request: null,
    output_tokens: 4,
    attempts: second?.attempts,
  })
})

test('what is written again is there once, and what is rolled back is not there', async () => {
  const one = await newOrganization()
  const call = callOf(one, {})
  const failing = database.platform.tx(async (db) => {
    await insertCalls(db, [settled(call)])
    throw new Error('undone')
  })
  await assert.rejects(failing, /undone/)
  assert.deepEqual(await written(one), [])

  for (const batch of [[call], [call, callOf(one, {})], []]) {
    await database.platform.tx((db) => insertCalls(db, batch.map(settled)))
  }
  assert.equal((await written(one)).length, 2)
})

test('no client spoils the batch of others with what the database cannot hold', async () => {
  const one = await newOrganization()
  const id = newId()
  const fault = { type: 'x', code: null, message: 'zero \0 and half \ud800' }
  const odd = callOf(one, { id, model: `a\0${'b'.repeat(100_000)}`, request: '"\0"', answer: '"\\u0000"', fault })
  await insertCalls(database.platform, [odd, callOf(one, {})].map(settled))

  const row = (await written(one)).find((each) => each.id === id)
  assert.equal(row?.request, '"\ufffd"')
  assert.ok(row?.model.startsWith('a\ufffdb'))
  assert.ok(row?.model.length < 1000)
})

test('an organization’s own handle writes for nobody else', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  await assert.rejects(insertCalls(database.of(one.organization_id), [settled(callOf(two, { request: null }))]))
  assert.deepEqual(await written(two), [])
})
