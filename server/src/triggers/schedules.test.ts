import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newOrganization, testFlow } from '../testing.ts'
import { until } from '../workflows/testing.ts'
import { echo, executionsOf } from './testing.ts'
import { fireDue, startScheduler } from './triggers.ts'

/** The scheduled times of a workflow's executions. */
async function timesOf(alice: Parameters<typeof executionsOf>[0], workflow_id: string): Promise<string[]> {
  const executions = await executionsOf(alice, workflow_id)
  return executions.map(({ trigger }) => trigger.scheduled_for ?? '')
}

/** Puts the clock forward to this time. It goes on from there. */
async function goTo(time: Date | string): Promise<void> {
  const { clock } = await testFlow()
  clock.advance((new Date(time).getTime() - clock.now().getTime()) / 1000)
}

/** The first time after now at which a cron expression would say so, by the preview of a trigger. */
async function armed(alice: Parameters<typeof executionsOf>[0], workflow_id: string) {
  const { next_at, next_times } = await alice.triggers.get({ workflow_id })
  assert.ok(next_at)
  return { next_at, next_times }
}

test('a schedule starts an execution at its time, with its input and the time', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', {
    cron: '0 9 * * *',
    input: { report: 'daily', at: '{{ scheduled_for }}' },
  })
  const { next_at, next_times } = await armed(alice, id)
  assert.equal(next_times.length, 5)
  assert.equal(next_times[0], next_at)

  await fireDue(platform)
  assert.deepEqual(await timesOf(alice, id), [], 'nothing fires before its time')
  await goTo(next_at)
  await fireDue(platform)
  await fireDue(platform)

  const [execution, ...more] = await executionsOf(alice, id)
  assert.deepEqual(more, [])
  assert.deepEqual(execution?.input, { report: 'daily', at: next_at })
  assert.deepEqual(execution?.trigger, { type: 'schedule', by: null, scheduled_for: next_at })
  const after = await alice.triggers.get({ workflow_id: id })
  assert.equal(after.next_at, next_times[1])
  assert.ok(after.last_fired_at)
})

test('what a schedule starts runs to its end, by itself', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', { cron: '* * * * * *' })
  const scheduler = startScheduler(platform)

  const [execution] = await until(
    () => executionsOf(alice, id),
    ([first]) => first?.status === 'completed',
  )
  await scheduler.stop()

  assert.deepEqual(execution?.output, {})
})

test('a daily schedule in Berlin fires once on both nights when the clocks change', async () => {
  const { platform, clock } = await testFlow()
  const { alice } = await newOrganization()
  const year = clock.now().getUTCFullYear() + 1
  const sunday = (month: number) => {
    const last = new Date(Date.UTC(year, month + 1, 0))
    return new Date(last.getTime() - last.getUTCDay() * 86_400_000)
  }
  for (const [night, first] of [
    [sunday(2), '01:00'],
    [sunday(9), '00:30'],
  ] as const) {
    await goTo(new Date(night.getTime() - 12 * 3_600_000))
    const { id } = await echo(alice, 'schedule', { cron: '30 2 * * *', timezone: 'Europe/Berlin' })
    const day = night.toISOString().slice(0, 10)
    for (const time of ['00:29', '00:31', '01:01', '01:31', '02:31']) {
      await goTo(`${day}T${time}:00Z`)
      await fireDue(platform)
    }

    assert.deepEqual(await timesOf(alice, id), [`${day}T${first}:00.000Z`])
  }
})

test('times that passed while Flow stood still are skipped, stand for one, or come all', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const made = await Promise.all(
    ['skip', 'one', 'all'].map((missed) => echo(alice, 'schedule', { cron: '0 */2 * * *', missed })),
  )
  const [skip, one, all] = made.map(({ id }) => id) as [string, string, string]
  const { next_at } = await armed(alice, one)
  const at = (hours: number) => new Date(Date.parse(next_at) + hours * 3_600_000).toISOString()

  await goTo(at(7))
  await fireDue(platform)

  assert.deepEqual(await timesOf(alice, skip), [])
  assert.deepEqual(await timesOf(alice, one), [at(6)])
  assert.deepEqual(await timesOf(alice, all), [at(0), at(2), at(4), at(6)])
  for (const id of [skip, one, all]) assert.equal((await armed(alice, id)).next_at, at(8))
})

test('of very many missed times a hundred come', async () => {
  const { platform, clock } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', { cron: '* * * * *', missed: 'all' })
  const { next_at } = await armed(alice, id)

  clock.advance(86_400)
  await fireDue(platform)

  const times = await timesOf(alice, id)
  assert.equal(times.length, 100)
  assert.equal(times[0], next_at)
  assert.ok((await armed(alice, id)).next_at > clock.now().toISOString())
})

test('several schedulers that look at the same moment fire each time once', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const made = await Promise.all([1, 2, 3].map(() => echo(alice, 'schedule', { cron: '0 * * * *' })))
  const { next_at } = await armed(alice, made[0]?.id ?? '')

  await goTo(next_at)
  await Promise.all([1, 2, 3, 4].map(() => fireDue(platform)))

  for (const { id } of made) assert.deepEqual(await timesOf(alice, id), [next_at])
})

test('a schedule that is switched off or deleted does not fire, and fires again when it is on', async () => {
  const { platform, clock } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', { cron: '0 * * * *' })
  const { id: gone } = await echo(alice, 'schedule', { cron: '0 * * * *' })
  await alice.workflows.update({ workflow_id: id, trigger_config: { cron: '0 * * * *', enabled: false } })
  await alice.workflows.remove({ workflow_id: gone })
  assert.equal((await alice.triggers.get({ workflow_id: id })).next_at, null)

  clock.advance(7200)
  await fireDue(platform)
  assert.deepEqual(await timesOf(alice, id), [])
  await alice.workflows.update({ workflow_id: id, trigger_config: { cron: '0 * * * *' } })
  const { next_at } = await armed(alice, id)
  await goTo(next_at)
  await fireDue(platform)

  assert.deepEqual(await timesOf(alice, id), [next_at])
})

test('a change of something else does not pass over a time that is due', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', { cron: '0 * * * *' })
  const { next_at } = await armed(alice, id)

  await goTo(next_at)
  await alice.workflows.update({ workflow_id: id, name: 'Another name' })
  await fireDue(platform)

  assert.deepEqual(await timesOf(alice, id), [next_at])
})

test('what is published is armed, and the draft no longer', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const { id } = await echo(alice, 'schedule', { cron: '0 * * * *', input: 'first' })
  await alice.components.publish({ component_id: id })
  await alice.workflows.update({ workflow_id: id, trigger_type: 'manual', trigger_config: {} })
  const { next_at } = await armed(alice, id)
  await goTo(next_at)
  await fireDue(platform)
  assert.equal((await executionsOf(alice, id)).length, 1)

  await alice.components.publish({ component_id: id })

  assert.equal((await alice.triggers.get({ workflow_id: id })).type, 'manual')
})

test('a schedule whose workflow refuses to start says so, and goes on', async () => {
  const { platform } = await testFlow()
  const { alice } = await newOrganization()
  const input_schema = { type: 'object', required: ['name'] }
  const { id } = await echo(alice, 'schedule', { cron: '0 * * * *' }, { input_schema })
  const { next_at, next_times } = await armed(alice, id)

  await goTo(next_at)
  await fireDue(platform)

  const { last_error, next_at: then } = await alice.triggers.get({ workflow_id: id })
  assert.equal(last_error?.code, 'VALIDATION_ERROR')
  assert.equal(then, next_times[1])
  assert.deepEqual(await executionsOf(alice, id), [])
})

test('what is wrong with a trigger is named by its field', async () => {
  const { alice } = await newOrganization()
  const cases: [string, object, string][] = [
    ['schedule', {}, 'trigger_config.cron'],
    ['schedule', { cron: '61 * * * *' }, 'trigger_config.cron'],
    ['schedule', { cron: '0 0 30 2 *' }, 'trigger_config.cron'],
    ['schedule', { cron: '@daily', timezone: 'Berlin' }, 'trigger_config.timezone'],
    ['schedule', { cron: '@daily', input: { at: '{{ input.at }}' } }, 'trigger_config.input.at'],
    ['schedule', { cron: '@daily', path: 'x' }, 'trigger_config.path'],
    ['webhook', { path: 'Orders' }, 'trigger_config.path'],
    ['webhook', { path: 'a//b' }, 'trigger_config.path'],
    ['webhook', { path: 'a', timestamp_header: 'x-time' }, 'trigger_config.timestamp_header'],
    ['webhook', { path: 'a', signature: 'standard', id_header: 'x-id' }, 'trigger_config.id_header'],
    ['event', { events: ['workflow.exploded'] }, 'trigger_config.events[0]'],
    ['event', { events: ['workflow.failed'], filter: 'event.' }, 'trigger_config.filter'],
    ['event', { events: ['workflow.failed'], filter: '"text"' }, 'trigger_config.filter'],
  ]
  for (const [type, config, field] of cases) {
    await assert.rejects(echo(alice, type, config as never), (error: { details?: { field: string }[] }) => {
      assert.deepEqual(
        error.details?.map((each) => each.field),
        [field],
        JSON.stringify(config),
      )
      return true
    })
  }
})

test('whoever may only look reads a trigger and sets no secret', async () => {
  const { alice, member } = await newOrganization()
  const { client: viewer } = await member('viewer')
  const { id } = await echo(alice, 'schedule', { cron: '@daily' })

  assert.equal((await viewer.triggers.get({ workflow_id: id })).type, 'schedule')
  await assert.rejects(viewer.triggers.setSecret({ workflow_id: id }), { code: 'FORBIDDEN' })
})
