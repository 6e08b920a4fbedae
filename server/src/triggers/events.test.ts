import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { until, workflow } from '../workflows/testing.ts'
import { echo, executionsOf } from './testing.ts'

/** What happens and what it leads to are written together, so this holds for good once it holds. */
async function isQuiet(): Promise<boolean> {
  const { platform } = await testFlow()
  const { count } = await platform.database.platform.one<{ count: number }>(sql`
    select (select count(*) from platform_events)::int
      + (select count(*) from executions where completed_at is null)::int as count`)
  return count === 0
}

const ended = (executions: { completed_at: string | null }[]) =>
  executions.length > 0 && executions.every(({ completed_at }) => completed_at !== null)

test('the end of one workflow starts another one, with the event as its input', async () => {
  const { alice } = await newOrganization()
  const other = await newOrganization()
  const first = await echo(alice, 'manual', {})
  const second = await echo(alice, 'event', { events: ['workflow.completed'] })
  const foreign = await echo(other.alice, 'event', { events: ['*'] })
  const { id } = await alice.workflows.execute({ workflow_id: first.id }, { wait: 30 })

  const [execution, ...more] = await until(() => executionsOf(alice, second.id), ended)

  assert.deepEqual(more, [])
  const input = execution?.input as { id: string; type: string; data: Record<string, unknown> }
  assert.equal(input.type, 'workflow.completed')
  assert.equal(input.data.execution_id, id)
  assert.deepEqual(execution?.trigger, {
    type: 'event',
    by: null,
    event_id: input.id,
    event_type: 'workflow.completed',
    causes: [first.id],
  })
  assert.deepEqual(await executionsOf(other.alice, foreign.id), [])
})

test('only events that meet the filter count', async () => {
  const { alice } = await newOrganization()
  const failing = await echo(alice, 'manual', {}, { output: '{{ input.missing }}' })
  const listener = await echo(alice, 'event', {
    events: ['workflow.failed', 'workflow.completed'],
    filter: 'event.data.status == "failed" && event.data.error.code != ""',
    input: { failed: '{{ event.data.workflow_id }}' },
  })
  const silent = await echo(alice, 'event', { events: ['workflow.*'], filter: 'event.data.no_such_field == 1' })
  const fine = await echo(alice, 'manual', {})
  await alice.workflows.execute({ workflow_id: fine.id }, { wait: 30 })
  await alice.workflows.execute({ workflow_id: failing.id }, { wait: 30 })

  const executions = await until(() => executionsOf(alice, listener.id), ended)

  assert.deepEqual(
    executions.map(({ input }) => input),
    [{ failed: failing.id }],
  )
  assert.deepEqual(await executionsOf(alice, silent.id), [])
})

test('what a workflow has led to never sets it off, by whatever way', async () => {
  const { alice } = await newOrganization()
  const events = ['workflow.completed']
  const [ping, pong, other] = await Promise.all([1, 2, 3].map(() => echo(alice, 'event', { events })))
  assert.ok(ping && pong && other)
  const parent = await workflow(alice, {
    trigger_type: 'event',
    trigger_config: { events, filter: `event.data.workflow_id == "${ping.id}"` },
    nodes: [{ id: 'child', type: 'workflow', component_ref: ping.id }],
  })
  await alice.workflows.execute({ workflow_id: ping.id }, { wait: 30 })

  await until(isQuiet, Boolean)

  const counts = await Promise.all(
    [ping, parent, pong, other].map(async ({ id }) => (await executionsOf(alice, id)).length),
  )
  // ping by hand and as the child of the parent, which its own child does not set off again. The two others by ping,
  // by the child, by the parent, and each of these times by one another once more.
  assert.deepEqual(counts, [2, 1, 6, 6])
})

test('a chain of executions that set each other off ends after eight', async () => {
  const { alice } = await newOrganization()
  const first = await echo(alice, 'manual', {})
  const chain = [first]
  for (let i = 0; i < 9; i++) {
    const filter = `event.data.workflow_id == "${chain.at(-1)?.id}"`
    chain.push(await echo(alice, 'event', { events: ['workflow.completed'], filter }))
  }
  await alice.workflows.execute({ workflow_id: first.id }, { wait: 30 })

  const last = chain.at(-1)?.id ?? ''
  await until(async () => (await alice.triggers.get({ workflow_id: last })).last_error, Boolean)

  const counts = await Promise.all(chain.map(async ({ id }) => (await executionsOf(alice, id)).length))
  assert.deepEqual(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0])
  const [eighth] = await executionsOf(alice, chain[8]?.id ?? '')
  assert.deepEqual(
    eighth?.trigger.causes?.toSorted(),
    chain
      .slice(0, 8)
      .map(({ id }) => id)
      .toSorted(),
  )
})

test('a workflow that no longer listens hears nothing', async () => {
  const { alice } = await newOrganization()
  const source = await echo(alice, 'manual', {})
  const off = await echo(alice, 'event', { events: ['*'] })
  const gone = await echo(alice, 'event', { events: ['*'] })
  const witness = await echo(alice, 'event', {
    events: ['workflow.completed'],
    filter: `event.data.workflow_id == "${source.id}"`,
  })
  await alice.workflows.update({ workflow_id: off.id, trigger_config: { events: ['*'], enabled: false } })
  await alice.workflows.remove({ workflow_id: gone.id })
  await alice.workflows.execute({ workflow_id: source.id }, { wait: 30 })

  await until(() => executionsOf(alice, witness.id), ended)

  assert.deepEqual(await executionsOf(alice, off.id), [])
})

test('the publication of a component is an event, too', async () => {
  const { alice } = await newOrganization()
  const listener = await echo(alice, 'event', { events: ['component.published'], input: '{{ event.data.slug }}' })
  const { id } = await workflow(alice, { slug: 'told', nodes: [{ id: 'one', type: 'condition', condition: 'true' }] })
  await alice.components.publish({ component_id: id })

  const [execution] = await until(() => executionsOf(alice, listener.id), ended)

  assert.equal(execution?.input, 'told')
})
