import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization } from '../testing.ts'
import { until, workflow } from '../workflows/testing.ts'
import { echo, executionsOf } from './testing.ts'

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

test('a workflow is not set off by its own events, and a circle of two ends', async () => {
  const { alice } = await newOrganization()
  const events = ['workflow.completed']
  const ping = await echo(alice, 'event', { events })
  const pong = await echo(alice, 'event', { events })
  await alice.workflows.execute({ workflow_id: ping.id }, { wait: 30 })

  // pong → ping → pong …: eight executions that an event began, and the one that began by hand.
  const lastError = async () => (await alice.triggers.get({ workflow_id: pong.id })).last_error
  await until(lastError, (error) => error?.code === 'CONFLICT')

  assert.equal((await executionsOf(alice, ping.id)).length, 5)
  assert.equal((await executionsOf(alice, pong.id)).length, 4)
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
