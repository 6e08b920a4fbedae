import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEvent } from '@flow/contract/audit'
import { newId } from '../context.ts'
import { raw, type Sql, sql } from '../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import { note, sealAudit, startSealer } from './audit.ts'

type Told = Awaited<ReturnType<TestOrganization['alice']['audit']['verify']>>

/** Notes `count` events of one organization, each in a transaction of its own, all at the same time. */
async function noteMany(organization_id: string, count: number): Promise<void> {
  const { platform } = await testFlow()
  const actor = { kind: 'user', id: newId(), name: 'Alice' }
  const event = { event_type: 'tests.note', action: 'note', resource_type: 'test', outcome: 'success' as const }
  await Promise.all(
    Array.from({ length: count }, (_, i) =>
      platform.database.of(organization_id).tx(async (db) => {
        const timestamp = platform.clock.now().toISOString()
        await note(db, { ...event, organization_id, actor, timestamp, metadata: { i, nested: { b: 1.5, a: 'ü' } } })
      }),
    ),
  )
}

/** As somebody who owns the database: no policy, no trigger and no missing right stops them. */
async function asOwner(...statements: Sql[]): Promise<void> {
  const { platform } = await testFlow()
  await platform.database.platform.tx(async (db) => {
    await db.run(raw('set local role none'))
    await db.run(raw('set local session_replication_role = replica'))
    for (const statement of statements) assert.notEqual(await db.run(statement), 0, 'the tampering changed nothing')
  })
}

/** An organization with ten chained events; `tamper` gets their ids in the order of the chain. */
async function tampered(tamper: (organization_id: string, event_ids: string[]) => Promise<void>): Promise<Told> {
  const { alice, organization_id } = await newOrganization()
  const { platform } = await testFlow()
  await noteMany(organization_id, 10)
  assert.equal((await alice.audit.verify()).valid, true)
  const chain = await platform.database
    .of(organization_id)
    .many<{ event_id: string }>(
      sql`select event_id from audit_chain where organization_id = ${organization_id} order by seq`,
    )

  await tamper(
    organization_id,
    chain.map((link) => link.event_id),
  )
  return alice.audit.verify()
}

test('an operation leaves an event that says who did what, where from and with which request', async () => {
  const { alice, admin, organization_id, workspace_id } = await newOrganization()
  const request_id = newId()
  const made = await alice.organizations.createWorkspace({ name: 'Claims', slug: 'claims' }, { request_id })

  const { items, total } = await alice.audit.list({ resource_id: made.id })
  assert.equal(total, 1)
  const [event] = items as [AuditEvent]
  assert.equal(event.event_type, 'organizations.create_workspace')
  assert.equal(event.action, 'create_workspace')
  assert.equal(event.resource_type, 'workspace')
  assert.equal(event.outcome, 'success')
  assert.equal(event.actor_kind, 'api_key')
  assert.equal(event.user_id, admin.user_id)
  assert.equal(event.request_id, request_id)
  assert.equal(event.workspace_id, workspace_id)
  assert.equal((await alice.audit.list({ actor: admin.user_id, action: 'create_workspace' })).total, 1)
  assert.notEqual(organization_id, workspace_id)
})

test('a refusal is noted, and what was rolled back leaves no success', async () => {
  const { alice, member } = await newOrganization()
  const viewer = await member('viewer')
  await alice.organizations.createWorkspace({ name: 'Claims', slug: 'claims' })
  await assert.rejects(viewer.client.organizations.createWorkspace({ name: 'Mine', slug: 'mine' }), {
    code: 'FORBIDDEN',
  })
  await assert.rejects(alice.organizations.createWorkspace({ name: 'Claims', slug: 'claims' }), { code: 'CONFLICT' })

  const failures = await alice.audit.list({
    event_type: 'organizations.create_workspace',
    outcome: 'failure',
    order: 'asc',
  })
  assert.deepEqual(
    failures.items.map((event) => event.metadata.code),
    ['FORBIDDEN', 'CONFLICT'],
  )
  assert.equal(failures.items[0]?.user_id, viewer.user_id)
  const successes = await alice.audit.list({ event_type: 'organizations.create_workspace', outcome: 'success' })
  assert.equal(successes.total, 1)
})

test('of a change the fields that it set are told, and no value', async () => {
  const { alice } = await newOrganization()
  const { id } = await alice.gateway.providers.create({
    ...{ name: 'ours', kind: 'openai', base_url: 'https://api.example.com/v1', skip_test: true },
    headers: { 'x-token': 'a secret value' },
  })
  await alice.gateway.providers.update({
    ...{ provider_id: id, models: ['gpt-5'], headers: { 'x-token': 'a secret too' }, skip_test: true },
  })
  await alice.gateway.providers.remove({ provider_id: id })

  const { items } = await alice.audit.list({ resource_id: id, order: 'asc' })

  assert.deepEqual(
    items.map(({ action, metadata }) => [action, metadata]),
    [
      ['create', {}],
      ['update', { fields: ['headers', 'models', 'skip_test'] }],
      ['remove', {}],
    ],
  )
  assert.doesNotMatch(JSON.stringify(items), /a secret/)
})

test('the filters of time take the beginning and leave the end', async () => {
  const { alice } = await newOrganization()
  const { clock } = await testFlow()
  await alice.organizations.createWorkspace({ name: 'First', slug: 'first' })
  clock.advance(60)
  await alice.organizations.createWorkspace({ name: 'Second', slug: 'second' })

  const { items } = await alice.audit.list({ action: 'create_workspace', order: 'asc' })
  const [first, second] = items as [AuditEvent, AuditEvent]
  const before = await alice.audit.list({ action: 'create_workspace', from: first.timestamp, to: second.timestamp })
  assert.deepEqual(
    before.items.map((event) => event.event_id),
    [first.event_id],
  )
  assert.equal((await alice.audit.list({ action: 'create_workspace', from: second.timestamp })).total, 1)
})

test('the export holds every event of the list once, the earliest first', async () => {
  const { alice, organization_id } = await newOrganization()
  await noteMany(organization_id, 2300)
  let text = ''
  for await (const piece of alice.audit.export({ event_type: 'tests.note' })) text += piece

  const lines = text.trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as AuditEvent)
  assert.equal(new Set(events.map((event) => event.event_id)).size, 2300)
  assert.deepEqual(
    events,
    events.toSorted((a, b) => (a.timestamp + a.event_id < b.timestamp + b.event_id ? -1 : 1)),
  )
  const { items, total } = await alice.audit.list({ event_type: 'tests.note', order: 'asc', limit: 1 })
  assert.equal(total, 2300)
  assert.deepEqual(events[0], items[0])
})

test('writers and two sealers at the same time make one whole chain', async () => {
  const { alice, organization_id } = await newOrganization()
  const { platform } = await testFlow()
  await Promise.all([
    noteMany(organization_id, 700),
    sealAudit(platform),
    sealAudit(platform),
    noteMany(organization_id, 700),
  ])
  await Promise.all([sealAudit(platform), sealAudit(platform)])

  const told = await alice.audit.verify()
  assert.deepEqual(told, { valid: true, events: 1400, pending: 0, head: told.head, first_broken: null })
})

test('an event that was changed is found', async () => {
  const told = await tampered((_, ids) =>
    asOwner(sql`update audit_events set outcome = 'failure' where event_id = ${ids[3]}`),
  )
  assert.equal(told.valid, false)
  assert.equal(told.first_broken?.reason, 'changed')
  assert.equal(told.first_broken?.seq, 4)
})

test('a change deep in the metadata is found', async () => {
  const told = await tampered((_, ids) =>
    asOwner(
      sql`update audit_events set metadata = jsonb_set(metadata, '{nested,a}', '"u"') where event_id = ${ids[0]}`,
    ),
  )
  assert.equal(told.first_broken?.reason, 'changed')
  assert.equal(told.first_broken?.seq, 1)
})

test('an event that was taken out is found', async () => {
  const told = await tampered((_, ids) => asOwner(sql`delete from audit_events where event_id = ${ids[9]}`))
  assert.equal(told.first_broken?.reason, 'missing')
  assert.equal(told.first_broken?.seq, 10)
})

test('an event that was taken out with its link is found', async () => {
  const told = await tampered((_, ids) =>
    asOwner(
      sql`delete from audit_events where event_id = ${ids[4]}`,
      sql`delete from audit_chain where event_id = ${ids[4]}`,
    ),
  )
  assert.equal(told.first_broken?.reason, 'gap')
  assert.equal(told.first_broken?.seq, 5)
})

test('a gap that was closed by moving the links up is found', async () => {
  const told = await tampered((organization_id, ids) =>
    asOwner(
      sql`delete from audit_events where event_id = ${ids[4]}`,
      sql`delete from audit_chain where event_id = ${ids[4]}`,
      sql`update audit_chain set seq = seq + 1000 where organization_id = ${organization_id} and seq > 5`,
      sql`update audit_chain set seq = seq - 1001 where organization_id = ${organization_id} and seq > 1000`,
    ),
  )
  assert.equal(told.first_broken?.reason, 'changed')
  assert.equal(told.first_broken?.seq, 5)
})

test('two events that changed places are found', async () => {
  const other = newId()
  const told = await tampered((_, ids) =>
    asOwner(
      sql`update audit_chain set event_id = ${other} where event_id = ${ids[2]}`,
      sql`update audit_chain set event_id = ${ids[2]} where event_id = ${ids[6]}`,
      sql`update audit_chain set event_id = ${ids[6]} where event_id = ${other}`,
    ),
  )
  assert.equal(told.first_broken?.reason, 'changed')
  assert.equal(told.first_broken?.seq, 3)
})

test('an event that was put in past the product is found, with a link of its own and without', async () => {
  const columns = raw(`organization_id, workspace_id, event_type, "timestamp", actor, actor_kind, actor_name, user_id,
    actor_ip, resource_type, resource_id, action, outcome, request_id, metadata`)
  const forged = newId()
  const forge = (as: string, id = '') => sql`
    insert into audit_events (event_id, ${columns})
    select ${as}, ${columns} from audit_events where event_id = ${id}`

  const bare = await tampered((_, ids) => asOwner(forge(forged, ids[0])))
  assert.equal(bare.first_broken?.reason, 'unchained')
  assert.equal(bare.first_broken?.event_id, forged)

  const other = newId()
  const linked = await tampered((organization_id, ids) =>
    asOwner(
      forge(other, ids[0]),
      sql`insert into audit_chain (organization_id, seq, event_id, hash)
        select ${organization_id}, 11, ${other}, hash from audit_chain where event_id = ${ids[9]}`,
    ),
  )
  assert.equal(linked.first_broken?.reason, 'changed')
  assert.equal(linked.first_broken?.seq, 11)
})

test('an end that was cut off and written anew is found with the head of an earlier verification', async () => {
  const { alice, organization_id } = await newOrganization()
  await noteMany(organization_id, 10)
  const { head } = await alice.audit.verify()
  assert.ok(head)
  assert.equal((await alice.audit.verify({ head })).valid, true)

  await asOwner(
    sql`delete from audit_chain where organization_id = ${organization_id} and seq > 8`,
    sql`delete from audit_events e where organization_id = ${organization_id}
      and not exists (select from audit_chain c where c.event_id = e.event_id)`,
  )
  assert.equal((await alice.audit.verify()).valid, true)
  assert.equal((await alice.audit.verify({ head })).first_broken?.reason, 'rewritten')

  await noteMany(organization_id, 5)
  const anew = await alice.audit.verify({ head })
  assert.equal(anew.first_broken?.reason, 'rewritten')
  assert.equal(anew.first_broken?.seq, 10)
})

test('the server itself can neither change nor delete what it noted', async () => {
  const { organization_id } = await newOrganization()
  const { platform } = await testFlow()
  await noteMany(organization_id, 1)
  for (const table of ['audit_events', 'audit_chain', 'ledger', 'credit_purchases']) {
    for (const attempt of [
      `delete from ${table}`,
      `update ${table} set organization_id = organization_id`,
      `truncate ${table}`,
    ]) {
      await assert.rejects(platform.database.platform.run(raw(attempt)), { code: '42501' }, attempt)
    }
  }
})

test('the owner of the tables is stopped by a trigger', async () => {
  const { platform } = await testFlow()
  for (const attempt of ['delete from audit_events', 'truncate ledger', 'truncate organizations cascade']) {
    const asked = platform.database.platform.tx(async (db) => {
      await db.run(raw('set local role none'))
      await db.run(raw(attempt))
    })
    await assert.rejects(asked, /only grows/, attempt)
  }
})

test('an organization sees no events of another', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  await noteMany(one.organization_id, 3)

  assert.equal((await two.alice.audit.list({ event_type: 'tests.note' })).total, 0)
  assert.equal((await two.alice.audit.verify()).events, 0)
  const { platform } = await testFlow()
  const seen = await platform.database
    .of(two.organization_id)
    .many(sql`select from audit_events where organization_id = ${one.organization_id}`)
  assert.equal(seen.length, 0)
})

test('the sealer chains in the background until it is stopped', async () => {
  const { organization_id } = await newOrganization()
  const { platform } = await testFlow()
  await noteMany(organization_id, 3)
  const sealer = startSealer(platform)
  const waiting = () =>
    platform.database.platform.many(sql`select from audit_pending where organization_id = ${organization_id}`)
  while ((await waiting()).length > 0) await sleep(50)
  await sealer.stop()
})
