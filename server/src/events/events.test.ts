import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { until } from '../workflows/testing.ts'
import {
  dropInterest,
  emit,
  type Heard,
  keepInterest,
  type News,
  onEvent,
  startDispatcher,
  wantedOf,
} from './events.ts'
import * as store from './store.ts'

/** What the listeners of these tests have heard; a listener that is told to throw does so first. */
const heard: Heard[] = []
const toThrow = new Map<string, number>()
onEvent('test', async (_, told) => {
  for (const { listener_id } of told) {
    const left = toThrow.get(listener_id) ?? 0
    toThrow.set(listener_id, left - 1)
    if (left > 0) throw new Error('not now')
  }
  heard.push(...told)
})
const heardBy = (id: string) => heard.filter(({ listener_id }) => listener_id === id).map(({ event }) => event)

async function newListener(event_types: Parameters<typeof keepInterest>[3], workspace_id: string | null = null) {
  const { organization_id, workspace_id: own } = await newOrganization()
  const { platform, clock } = await testFlow()
  const listener_id = newId()
  const db = platform.database.of(organization_id)
  const at = { db, organization_id, workspace_id }
  await keepInterest(at, 'test', listener_id, event_types)
  const tell = (news = published('1.0.0'), depth = 0) =>
    emit({ ...at, workspace_id: own, now: platform.clock.now().toISOString() }, [news], depth)
  return { listener_id, at, own, tell, platform, clock }
}

const published = (version: string): News => ({
  type: 'component.published',
  data: { component_id: newId(), type: 'schema', slug: 'one', workspace_id: newId(), version },
})

test('an event is heard once by each listener, however many of its wishes meet it, in order', async () => {
  const { listener_id, at, tell } = await newListener(['component.published', 'component.*', '*'])
  const other = newId()
  await keepInterest(at, 'test', other, ['*'])

  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await tell(published(version), 2)
  await until(
    async () => [...heardBy(listener_id), ...heardBy(other)],
    (all) => all.length === 6,
  )

  for (const id of [listener_id, other]) {
    const events = heardBy(id)
    assert.deepEqual(
      events.map(({ data }) => 'version' in data && data.version),
      ['1.0.0', '1.1.0', '1.2.0'],
    )
    assert.ok(events.every(({ depth, organization_id }) => depth === 2 && organization_id === at.organization_id))
  }
})

test('what a transaction does not keep is told to nobody', async () => {
  const { listener_id, at, own, tell } = await newListener(['*'])
  const now = new Date(0).toISOString()
  await at.db
    .tx(async (db) => {
      await emit({ ...at, db, workspace_id: own, now }, [published('0.0.1')])
      throw new Error('rolled back')
    })
    .catch(() => {})
  await tell(published('0.0.2'))

  await until(
    async () => heardBy(listener_id),
    ({ length }) => length > 0,
  )

  assert.deepEqual(
    heardBy(listener_id).map(({ data }) => 'version' in data && data.version),
    ['0.0.2'],
  )
})

test('what nobody wants, or nobody any longer, or nobody in this workspace, is not written', async () => {
  const elsewhere = await newListener(['*'], newId())
  const changed = await newListener(['*'])
  const gone = await newListener(['*'])
  await keepInterest(changed.at, 'test', changed.listener_id, ['workflow.*'])
  await dropInterest(gone.at, 'test', gone.listener_id)
  const { database } = elsewhere.platform
  const next = () => database.platform.one<{ seq: number }>(sql`select nextval('platform_events_seq_seq') as seq`)
  const { seq } = await next()

  for (const { tell } of [elsewhere, changed, gone]) await tell()

  assert.equal((await next()).seq, seq + 1)
})

test("a listener that can't take an event keeps it from nobody else, and is asked again", async () => {
  const { listener_id, at, tell, clock, platform } = await newListener(['*'])
  const well = newId()
  await keepInterest(at, 'test', well, ['*'])
  // Once with the others, then alone.
  toThrow.set(listener_id, 2)

  await tell()
  await until(
    async () => heardBy(well),
    ({ length }) => length === 1,
  )
  const left = sql`select listener_id, failures from platform_events where organization_id = ${at.organization_id}`
  // What became of the others' turn is there when it is committed, a moment after they have heard.
  const kept = await until(
    () => platform.database.platform.many<{ failures: number }>(left),
    (rows) => rows.some(({ failures }) => failures > 0),
  )
  assert.deepEqual(kept, [{ listener_id, failures: 1 }])
  clock.advance(5)
  await until(
    async () => heardBy(listener_id),
    ({ length }) => length === 1,
  )

  assert.equal(heardBy(well).length, 1)
  // What is heard is gone when it is committed, a moment later.
  await until(
    () => platform.database.platform.many(left),
    ({ length }) => length === 0,
  )
})

test('several dispatchers share the work: each event is heard once all the same', async () => {
  const { listener_id, tell, platform } = await newListener(['*'])
  const others = [startDispatcher(platform), startDispatcher(platform)]

  await Promise.all(Array.from({ length: 300 }, () => tell()))
  await until(
    async () => heardBy(listener_id),
    ({ length }) => length >= 300,
  )
  for (const other of others) await other.stop()

  assert.equal(new Set(heardBy(listener_id).map(({ id }) => id)).size, 300)
  assert.equal(heardBy(listener_id).length, 300)
})

test('that an organization has a listener is known at once, also where another process has written it', async () => {
  const { platform } = await testFlow()
  const [here, elsewhere] = [await newOrganization(), await newOrganization()]
  const isWanted = wantedOf(platform.database)
  await until(
    async () => isWanted(elsewhere.organization_id),
    (wanted) => !wanted,
  )
  const at = ({ organization_id, workspace_id }: { organization_id: string; workspace_id: string }) => ({
    db: platform.database.of(organization_id),
    organization_id,
    workspace_id,
  })

  await keepInterest(at(here), 'test', newId(), ['*'])
  assert.ok(isWanted(here.organization_id))
  // As another process would, this one is told by the database alone.
  await store.keep(at(elsewhere), 'test', newId(), ['*'])
  await store.spread(platform.database.platform, elsewhere.organization_id)
  await until(
    async () => isWanted(elsewhere.organization_id),
    (wanted) => wanted,
  )
})
