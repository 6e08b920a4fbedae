/** Letters about tasks, taken by a real mail server. */

import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { PlatformClient } from '@flow/sdk'
import { SMTPServer } from 'smtp-server'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { until, workflow } from './testing.ts'

type Letter = { to: string; text: string }

/** It can be out of order for as long as it is told to be. */
let isDown = false
let refused = 0
const received: Letter[] = []
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onMailFrom(_address, _session, done) {
    if (isDown) refused += 1
    done(isDown ? Object.assign(new Error('try again later'), { responseCode: 451 }) : null)
  },
  onData(stream, session, done) {
    let text = ''
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    stream.on('end', () => {
      // Quoted-printable and folded headers, undone.
      const plain = text
        .replace(/=\r\n/g, '')
        .replace(/=3D/g, '=')
        .replace(/\r\n (?=\S)/g, ' ')
      received.push({ to: session.envelope.rcptTo[0]?.address ?? '', text: plain })
      done()
    })
  },
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => new Promise<void>((resolve) => server.close(resolve)))
const { port } = server.server.address() as AddressInfo
const { platform, clock } = await testFlow({
  FLOW_SMTP_URL: `smtp://127.0.0.1:${port}`,
  FLOW_PUBLIC_URL: 'https://flow.example.com',
})

const lettersTo = (email: string) => received.filter(({ to }) => to === email)
const letters = (email: string, count: number) =>
  until(
    async () => lettersTo(email),
    (found) => found.length >= count,
  )
/** Nothing about tasks is on its way any more. */
const silence = () =>
  until(
    () =>
      platform.database.platform.many(sql`
        select from pgboss.job where data::text ~ 'workflows.(tell|mail_task|close)' and state in ('created', 'retry', 'active')`),
    (jobs) => jobs.length === 0,
  )

async function asking(alice: PlatformClient, task: object) {
  const made = await workflow(alice, { nodes: [{ id: 'ask', type: 'human_task', title: 'Refund?', ...task }] })
  const { id: execution_id } = await alice.workflows.execute({ workflow_id: made.id })
  const { items } = await until(
    () => alice.tasks.list({ execution_id }),
    ({ total }) => total > 0,
  )
  assert.ok(items[0])
  return { task: items[0], at: { workflow_id: made.id, execution_id, node_id: 'ask' } }
}

test('whoever is asked gets a letter, and another one when it is time to be reminded', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('viewer')
  const { task, at } = await asking(alice, {
    title: 'Refund\n12?',
    description: 'Ada was charged twice.',
    assignees: [bob.email, 'stranger@example.com'],
    due_seconds: 3 * 86_400,
    remind_seconds: 2 * 86_400,
  })

  const [letter] = await letters(bob.email, 1)
  assert.match(letter?.text ?? '', /^Subject: .*You are asked to answer: Refund 12\?/m)
  assert.match(letter?.text ?? '', /Ada was charged twice\./)
  assert.ok(letter?.text.includes(`It is due by ${task.due_at?.slice(0, 10)}`))
  assert.ok(letter?.text.includes(`https://flow.example.com/api/v1/tasks/${task.id}`))

  await silence()
  assert.equal(lettersTo(bob.email).length, 1)
  clock.advance(2 * 86_400)
  const [, reminder] = await letters(bob.email, 2)
  assert.match(reminder?.text ?? '', /^Subject: .*Reminder: you are asked/m)
  assert.match(reminder?.text ?? '', /still waits for your answer/)
  assert.equal(lettersTo('stranger@example.com').length, 0)
  await bob.client.tasks.complete({ ...at, data: {} })
})

test('whoever a task is passed on to is told by whom and why, and gets the reminder', async () => {
  const { alice, member } = await newOrganization()
  const [bob, carol] = [await member('viewer'), await member('viewer')]
  const { at } = await asking(alice, { assignees: [bob.email], remind_seconds: 86_400 })
  await letters(bob.email, 1)

  await bob.client.tasks.delegate({ ...at, assignees: [carol.email], note: 'I am away.' })
  const [letter] = await letters(carol.email, 1)
  assert.match(letter?.text ?? '', /Bob has passed it on to you:\r\nI am away\./)
  clock.advance(86_400)
  await letters(carol.email, 2)
  await silence()
  assert.equal(lettersTo(bob.email).length, 1)
})

test('where a role is asked, its members are told', async () => {
  const { alice, member, workspace_id } = await newOrganization()
  const elsewhere = await alice.organizations.createWorkspace({ name: 'Elsewhere', slug: 'elsewhere' })
  const [here, there] = [
    await member({ role: 'security_auditor', scope: 'workspace', scope_id: workspace_id }),
    await member({ role: 'security_auditor', scope: 'workspace', scope_id: elsewhere.id }),
  ]
  await asking(alice, { role: 'security_auditor' })

  await letters(here.email, 1)
  await silence()
  assert.equal(lettersTo(there.email).length, 0)
})

test('a task that ended before the letter could be sent is not mailed, and nobody is reminded of it', async () => {
  const { alice, member } = await newOrganization()
  const bob = await member('viewer')
  isDown = true
  const before = refused
  const { at } = await asking(alice, { assignees: [bob.email], remind_seconds: 86_400 })
  await until(
    async () => refused,
    (count) => count > before,
  )
  await alice.tasks.complete({ ...at, data: {} })
  isDown = false
  clock.advance(86_400)

  const timers = () =>
    platform.database.platform.many(sql`select from engine_timers where job::text like '%workflows.tell%'`)
  await until(timers, (rows) => rows.length === 0)
  await silence()
  assert.equal(lettersTo(bob.email).length, 0)
})

test('a mail server that is out of order delays a letter, and it comes once', async () => {
  const { alice, member } = await newOrganization()
  const [bob, carol] = [await member('viewer'), await member('viewer')]
  isDown = true
  const before = refused
  await asking(alice, { assignees: [bob.email, carol.email] })
  await until(
    async () => refused,
    (count) => count >= before + 2,
  )
  isDown = false

  await letters(bob.email, 1)
  await letters(carol.email, 1)
  await silence()
  assert.deepEqual([lettersTo(bob.email).length, lettersTo(carol.email).length], [1, 1])
})
