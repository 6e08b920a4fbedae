/** Stories of people who are asked, who answer, and who pass it on. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PlatformClient } from '@flow/sdk'
import { contextOf, newId } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { edge, statuses, until, workflow } from './testing.ts'
import { arrive, close } from './waits.ts'

const { platform, clock, client } = await testFlow()

type At = { workflow_id: string; execution_id: string; node_id: string }
const executionOf = ({ workflow_id, execution_id }: At) => ({ workflow_id, execution_id })

/** Begins a workflow that asks, and waits until it does. */
async function asking(
  alice: PlatformClient,
  task: object,
  around: { nodes?: object[]; edges?: object[]; output?: unknown } = {},
) {
  const made = await workflow(alice, {
    nodes: [
      { id: 'ask', type: 'human_task', title: 'Is {{ input.customer }} to be refunded?', ...task },
      ...(around.nodes ?? []),
    ],
    edges: around.edges ?? [],
    ...('output' in around ? { output: around.output } : {}),
  })
  const { id } = await alice.workflows.execute({ workflow_id: made.id, input: { customer: 'Ada' } })
  const at: At = { workflow_id: made.id, execution_id: id, node_id: 'ask' }
  await until(
    () => alice.workflows.getExecution(executionOf(at)),
    ({ nodes }) => nodes.some((node) => node.id === 'ask' && node.status === 'waiting'),
  )
  return at
}

const taskOf = async (alice: PlatformClient, { execution_id, node_id }: At) => {
  const { items } = await alice.tasks.list({ execution_id })
  const task = items.find((one) => one.node_id === node_id)
  assert.ok(task)
  return task
}
const ended = (alice: PlatformClient, at: At) =>
  until(
    () => alice.workflows.getExecution(executionOf(at)),
    ({ completed_at }) => completed_at !== null,
  )
const statusOf = async (alice: PlatformClient, at: At) => (await taskOf(alice, at)).status
const refusedBy = (code: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === code

const form = {
  type: 'object',
  properties: { refund: { type: 'boolean' }, amount: { type: 'number', minimum: 1 } },
  required: ['refund'],
  additionalProperties: false,
}

test('whoever is asked finds it in the inbox, answers, and the execution goes on with the answer', async () => {
  const { alice, member } = await newOrganization()
  const [bob, carol] = [await member('solution_builder'), await member('solution_builder')]
  const at = await asking(
    alice,
    { form, assignees: [bob.email.toUpperCase(), '{{ "dora@example.com" }}'], description: 'Of {{ input.customer }}' },
    { nodes: [{ id: 'told', type: 'transform', output: '{{ nodes.ask.output }}' }], edges: [edge('ask', 'told')] },
  )

  const inbox = await bob.client.tasks.list({ assignee: 'me' })
  const [task] = inbox.items
  assert.ok(task)
  assert.equal(inbox.total, 1)
  assert.equal((await carol.client.tasks.list({ assignee: 'me' })).total, 0)
  assert.equal((await carol.client.tasks.list({ assignee: bob.email })).total, 1)
  assert.equal((await carol.client.tasks.list({ assignee: bob.user_id })).total, 1)
  assert.equal(task.title, 'Is Ada to be refunded?')
  assert.equal(task.description, 'Of Ada')
  assert.deepEqual([task.status, task.due_at, task.is_overdue, task.form], ['open', null, false, form])
  assert.deepEqual(task.assignees, [bob.email, 'dora@example.com'])
  assert.deepEqual(await bob.client.tasks.get({ task_id: task.id }), task)

  await assert.rejects(
    bob.client.tasks.complete({ ...at, data: { amount: 0, reason: 'none' } }),
    (error: Error & { code?: string; details?: { field: string }[] }) => {
      assert.equal(error.code, 'VALIDATION_ERROR')
      assert.deepEqual(error.details?.map(({ field }) => field).sort(), ['data.amount', 'data.reason', 'data.refund'])
      return true
    },
  )
  const answer = { refund: true, amount: 12.5 }
  const completed = await bob.client.tasks.complete({ ...at, data: answer })
  assert.deepEqual([completed.status, completed.data, completed.completed_by], ['completed', answer, bob.user_id])
  assert.deepEqual((await ended(alice, at)).output, answer)
  assert.equal((await bob.client.tasks.list({ assignee: 'me', status: 'open' })).total, 0)
  await assert.rejects(alice.tasks.complete({ ...at, data: answer }), (error: Error) => {
    assert.ok(refusedBy('CONFLICT')(error))
    assert.ok(error.message.startsWith(`It was completed by ${bob.email} at 20`), error.message)
    return true
  })
  const { items: notes } = await alice.audit.list({ resource_id: at.execution_id })
  assert.deepEqual(
    notes.map(({ event_type, outcome }) => `${event_type} ${outcome}`).filter((note) => note.startsWith('tasks.')),
    ['tasks.complete failure', 'tasks.complete success', 'tasks.complete failure'],
  )
})

test('a viewer who is asked may answer, and another viewer may only look', async () => {
  const { alice, member } = await newOrganization()
  const [bob, carol] = [await member('viewer'), await member('viewer')]
  const at = await asking(alice, { assignees: [bob.user_id] })

  await assert.rejects(carol.client.tasks.complete({ ...at, data: {} }), refusedBy('FORBIDDEN'))
  assert.equal((await taskOf(carol.client, at)).status, 'open')
  await bob.client.tasks.complete({ ...at, data: {} })
  assert.equal((await ended(alice, at)).status, 'completed')
})

test('who has the role of the task in its workspace may answer, and others only if they are admins', async () => {
  const { alice, member, workspace_id } = await newOrganization()
  const elsewhere = await alice.organizations.createWorkspace({ name: 'Elsewhere', slug: 'elsewhere' })
  const here = await member({ role: 'security_auditor', scope: 'workspace', scope_id: workspace_id })
  const there = await member('viewer', { role: 'security_auditor', scope: 'workspace', scope_id: elsewhere.id })
  const [first, second] = [
    await asking(alice, { role: 'security_auditor' }),
    await asking(alice, { role: 'security_auditor' }),
  ]

  assert.equal((await here.client.tasks.list({ assignee: 'me' })).total, 2)
  assert.equal((await there.client.tasks.list({ assignee: 'me' })).total, 0)
  await assert.rejects(there.client.tasks.complete({ ...first, data: {} }), refusedBy('FORBIDDEN'))
  await here.client.tasks.complete({ ...first, data: {} })
  await alice.tasks.complete({ ...second, data: {} })
})

test('where nobody is named, whoever may run workflows may answer', async () => {
  const { alice, member } = await newOrganization()
  const [builder, viewer] = [await member('solution_builder'), await member('viewer')]
  const at = await asking(alice, {})

  await assert.rejects(viewer.client.tasks.complete({ ...at, data: {} }), refusedBy('FORBIDDEN'))
  await builder.client.tasks.complete({ ...at, data: { any: ['thing'] } })
  assert.deepEqual((await ended(alice, at)).output, { any: ['thing'] })
})

test('assignees that come to nobody fail the node: they do not leave it to everybody', async () => {
  const { alice } = await newOrganization()
  const { id } = await workflow(alice, {
    nodes: [{ id: 'ask', type: 'human_task', title: 'Who?', assignees: ['{{ input.approvers }}'] }],
  })

  const end = await alice.workflows.execute({ workflow_id: id, input: { approvers: [] } }, { wait: 30 })

  assert.equal(end.error?.code, 'NO_ASSIGNEES')
})

test('whoever may not read workflows sees the tasks that they are asked to answer, and no others', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('billing_manager')
  const [mine, other] = [await asking(alice, { assignees: [bob.email] }), await asking(alice, {})]
  const otherTask = await taskOf(alice, other)

  const { items } = await bob.client.tasks.list()
  assert.deepEqual(
    items.map(({ execution_id }) => execution_id),
    [mine.execution_id],
  )
  await assert.rejects(bob.client.tasks.get({ task_id: otherTask.id }), refusedBy('NOT_FOUND'))
  await assert.rejects(bob.client.tasks.complete({ ...other, data: {} }), refusedBy('FORBIDDEN'))
  await bob.client.tasks.complete({ ...mine, data: {} })
})

test('a key that is narrowed answers nothing without the scope to write', async () => {
  const { alice, organization_id } = await newOrganization()
  const at = await asking(alice, {})
  const keyOf = async (...scopes: ('organization.read' | 'solutions.read' | 'solutions.write')[]) => {
    const { key } = await alice.organizations.createApiKey({ name: 'Narrow', scopes })
    return client(key, { org_id: organization_id })
  }
  const [blind, reader, writer] = [
    await keyOf('organization.read'),
    await keyOf('organization.read', 'solutions.read'),
    await keyOf('organization.read', 'solutions.write'),
  ]

  assert.equal((await blind.tasks.list()).total, 0)
  assert.equal((await reader.tasks.list()).total, 1)
  await assert.rejects(reader.tasks.complete({ ...at, data: {} }), refusedBy('FORBIDDEN'))
  await writer.tasks.complete({ ...at, data: {} })
})

test('a task is passed on to members, who are asked instead', async () => {
  const { alice, member } = await newOrganization()
  const [bob, carol, dora] = [await member('viewer'), await member('viewer'), await member('viewer')]
  const at = await asking(alice, { assignees: [bob.email] })
  await alice.users.update({ user_id: dora.user_id, status: 'suspended' })

  await assert.rejects(
    carol.client.tasks.delegate({ ...at, assignees: [carol.email] }),
    refusedBy('FORBIDDEN'),
    'who is not asked cannot take it',
  )
  await assert.rejects(
    bob.client.tasks.delegate({ ...at, assignees: [carol.email, dora.email, newId()] }),
    (error: Error & { details?: { field: string }[] }) => {
      assert.deepEqual(
        error.details?.map(({ field }) => field),
        ['assignees[1]', 'assignees[2]'],
      )
      return true
    },
  )
  const delegated = await bob.client.tasks.delegate({
    ...at,
    assignees: [carol.user_id, carol.email],
    note: 'You know her.',
  })
  assert.deepEqual(delegated.assignees, [carol.email])
  const [delegation, ...others] = delegated.delegations
  assert.equal(others.length, 0)
  assert.deepEqual([delegation?.by, delegation?.from, delegation?.to], [bob.user_id, [bob.email], [carol.email]])
  assert.equal(delegation?.note, 'You know her.')
  await assert.rejects(bob.client.tasks.complete({ ...at, data: {} }), refusedBy('FORBIDDEN'))
  await carol.client.tasks.complete({ ...at, data: {} })
  await assert.rejects(alice.tasks.delegate({ ...at, assignees: [bob.email] }), refusedBy('CONFLICT'))
})

test('a task that expires takes the error edge of its node, and cannot be answered any more', async () => {
  const { alice } = await newOrganization()
  const at = await asking(
    alice,
    { due_seconds: 3 * 86_400, on_due: 'expire', on_error: 'route', retry: { max_attempts: 3 } },
    {
      nodes: [{ id: 'late', type: 'transform', output: '{{ nodes.ask.error.code }}' }],
      edges: [edge('ask', 'late', { on: 'error' })],
    },
  )

  clock.advance(3 * 86_400)
  const end = await ended(alice, at)

  assert.deepEqual([end.status, end.output], ['completed', 'EXPIRED'])
  await until(
    () => statusOf(alice, at),
    (status) => status === 'expired',
  )
  await assert.rejects(alice.tasks.complete({ ...at, data: {} }), refusedBy('CONFLICT'))
  assert.equal((await alice.tasks.list({ execution_id: at.execution_id })).total, 1)
})

test('a task that is kept is overdue after its time, and can be answered all the same', async () => {
  const { alice } = await newOrganization()
  const at = await asking(alice, { due_seconds: 3600 })
  await asking(alice, {})
  assert.equal((await alice.tasks.list({ overdue: 'true' })).total, 0)

  clock.advance(3601)

  const { items } = await alice.tasks.list({ overdue: 'true' })
  assert.deepEqual(
    items.map(({ execution_id, is_overdue, status }) => [execution_id, is_overdue, status]),
    [[at.execution_id, true, 'open']],
  )
  const sorted = await alice.tasks.list({ sort: 'due_at', order: 'asc' })
  assert.deepEqual(
    sorted.items.map(({ due_at }) => due_at !== null),
    [true, false],
  )
  const completed = await alice.tasks.complete({ ...at, data: {} })
  assert.equal(completed.is_overdue, false)
  assert.equal((await ended(alice, at)).status, 'completed')
})

test('a task ends with its execution, and with its node', async () => {
  const { alice } = await newOrganization()
  const cancelled = await asking(alice, {})
  await alice.workflows.cancelExecution(executionOf(cancelled))
  await assert.rejects(alice.tasks.complete({ ...cancelled, data: {} }), refusedBy('CONFLICT'))
  await until(
    () => statusOf(alice, cancelled),
    (status) => status === 'cancelled',
  )

  const at = await asking(
    alice,
    {},
    {
      nodes: [
        { id: 'other', type: 'human_task', title: 'Or so?' },
        { id: 'first', type: 'transform', output: '{{ nodes.ask.output }}', join: 'any', cancels: ['ask', 'other'] },
      ],
      edges: [edge('ask', 'first'), edge('other', 'first')],
    },
  )
  const other = { ...at, node_id: 'other' }
  await until(
    () => alice.tasks.list({ execution_id: at.execution_id, status: 'open' }),
    ({ total }) => total === 2,
  )
  await alice.tasks.complete({ ...at, data: { answer: 1 } })
  const end = await ended(alice, at)
  assert.deepEqual(statuses(end), { ask: 'completed', other: 'cancelled', first: 'completed' })
  await assert.rejects(alice.tasks.complete({ ...other, data: {} }), refusedBy('CONFLICT'))
  await until(
    () => statusOf(alice, other),
    (status) => status === 'cancelled',
  )
})

test('another attempt of the node opens another task, which the end of the one before leaves alone', async () => {
  const { alice, admin, organization_id, workspace_id } = await newOrganization()
  const at = await asking(alice, { timeout_seconds: 3600, retry: { max_attempts: 2, backoff_seconds: 0.01 } })

  clock.advance(3600)
  const { items } = await until(
    () => alice.tasks.list({ execution_id: at.execution_id, order: 'asc' }),
    ({ items }) => items.length === 2 && items[0]?.status === 'expired',
  )

  assert.deepEqual(
    items.map(({ attempt, status }) => [attempt, status]),
    [
      [1, 'expired'],
      [2, 'open'],
    ],
  )
  // As it comes when the queue is slow, or its process had ended.
  const { user_id } = admin
  const actor = { kind: 'user' as const, id: user_id, user_id, name: 'Alice', organization_id, grants: [] }
  const ctx = contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
  const ending = { execution_id: at.execution_id, nodes: [{ node_id: 'ask', attempt: 1 }] }
  await close(ctx, { ...ending, task_status: 'expired' })

  const completed = await alice.tasks.complete({ ...at, data: { n: 2 } })
  assert.equal(completed.attempt, 2)
  assert.deepEqual((await ended(alice, at)).output, { n: 2 })
})

test('of answers that come at once one counts, and the others are told whose', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('solution_builder')
  for (let round = 0; round < 5; round += 1) {
    const at = await asking(alice, {})
    const answers = await Promise.allSettled(
      [alice, bob.client, alice, bob.client].map((client, n) => client.tasks.complete({ ...at, data: { n } })),
    )
    const accepted = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []))
    assert.equal(accepted.length, 1)
    for (const refusal of refused) assert.match(refusal.message, /^It was completed by \S+@example\.com at 20/)
    assert.deepEqual((await ended(alice, at)).output, accepted[0]?.data)
  }
})

const late = {
  nodes: [{ id: 'late', type: 'transform', output: 'too late' }],
  edges: [edge('ask', 'late', { on: 'error' })],
  output: { answer: '{{ nodes.ask.output }}', late: '{{ nodes.late.output }}' },
}

/** The execution and the task say what whoever answered was told. */
async function assertAgrees(alice: PlatformClient, at: At, answer: object | undefined) {
  const { output } = await ended(alice, at)
  assert.deepEqual(output, answer ? { answer, late: null } : { answer: null, late: 'too late' })
  const wanted = answer ? 'completed' : 'expired'
  await until(
    () => statusOf(alice, at),
    (status) => status === wanted,
  )
}

test('an answer and the end of its time meet: what was acknowledged counts', async () => {
  const { alice, organization_id } = await newOrganization()
  const outcomes: boolean[] = []
  for (let round = 0; round < 24; round += 1) {
    const at = await asking(alice, { due_seconds: 86_400, on_due: 'expire', on_error: 'route' }, late)
    const error = { code: 'EXPIRED', message: 'Nobody answered.', node_id: 'ask' }
    const waiting = { organization_id, execution_id: at.execution_id, node_id: 'ask', attempt: 1 }
    const expire = () =>
      platform.database.platform.tx((db) =>
        arrive(platform.engine, db, waiting, { error, now: clock.now().toISOString() }),
      )
    const complete = async () => {
      // First one then the other, and then ever closer to each other.
      await sleep(round === 0 ? 200 : 0)
      return alice.tasks.complete({ ...at, data: { round } })
    }
    const [expired, answered] = await Promise.allSettled([
      sleep(round === 1 ? 200 : round / 3).then(expire),
      complete(),
    ])

    const isAnswered = answered.status === 'fulfilled'
    assert.deepEqual(expired, { status: 'fulfilled', value: !isAnswered })
    await assertAgrees(alice, at, isAnswered ? { round } : undefined)
    outcomes.push(isAnswered)
  }
  assert.deepEqual(outcomes.slice(0, 2), [false, true])
})

test('answers around the second in which tasks expire are kept or refused, and never both', async () => {
  const { alice } = await newOrganization()
  const made = await workflow(alice, {
    ...late,
    nodes: [
      { id: 'ask', type: 'human_task', title: 'Quick', due_seconds: 1, on_due: 'expire', on_error: 'route' },
      ...late.nodes,
    ],
  })
  const race = async (n: number) => {
    const { id } = await alice.workflows.execute({ workflow_id: made.id })
    const at: At = { workflow_id: made.id, execution_id: id, node_id: 'ask' }
    const { items } = await until(
      () => alice.tasks.list({ execution_id: id }),
      ({ items }) => items.length === 1,
    )
    const due = Date.parse(items[0]?.due_at ?? '')
    await sleep(due - clock.now().getTime() - 60 + 4 * n)
    const answer = await alice.tasks.complete({ ...at, data: { n } }).catch((error: unknown) => {
      assert.ok(refusedBy('CONFLICT')(error), String(error))
    })
    await assertAgrees(alice, at, answer ? { n } : undefined)
  }
  await Promise.all(Array.from({ length: 24 }, (_, n) => race(n)))
})

test('a task of days is held by no process while it waits', async () => {
  const { alice } = await newOrganization()
  const at = await asking(alice, { due_seconds: 30 * 86_400, on_due: 'expire' })

  await until(
    () => alice.workflows.getExecution(executionOf(at)),
    ({ status }) => status === 'waiting',
  )
  await until(
    () => platform.database.platform.many(sql`select from engine_claims where run_id = ${at.execution_id}`),
    (claims) => claims.length === 0,
  )
  assert.equal((await taskOf(alice, at)).status, 'open')
})

test("nobody finds, answers or passes on another organization's task", async () => {
  const { alice } = await newOrganization()
  const { alice: mallory } = await newOrganization()
  const at = await asking(alice, {})
  const { id } = await taskOf(alice, at)

  assert.equal((await mallory.tasks.list({ execution_id: at.execution_id })).total, 0)
  await assert.rejects(mallory.tasks.get({ task_id: id }), refusedBy('NOT_FOUND'))
  await assert.rejects(mallory.tasks.complete({ ...at, data: {} }), refusedBy('NOT_FOUND'))
  await assert.rejects(mallory.tasks.delegate({ ...at, assignees: ['a@example.com'] }), refusedBy('NOT_FOUND'))
  await assert.rejects(alice.tasks.complete({ ...at, node_id: 'none', data: {} }), refusedBy('NOT_FOUND'))
})
