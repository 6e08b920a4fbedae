import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import { newId } from '../context.ts'
import { sql } from '../db/db.ts'
import { newOrganization, testFlow } from '../testing.ts'

/** A mail server that is out of order for as long as it is told to be. */
let isDown = false
const refused: string[] = []
const received: { to: string; text: string }[] = []
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onMailFrom(_address, _session, done) {
    if (isDown) refused.push('451')
    done(isDown ? Object.assign(new Error('try again later'), { responseCode: 451 }) : null)
  },
  onData(stream, session, done) {
    let text = ''
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    stream.on('end', () => {
      // Quoted-printable, undone: soft line breaks and the equals sign.
      const plain = text.replace(/=\r\n/g, '').replace(/=3D/g, '=')
      received.push({ to: session.envelope.rcptTo[0]?.address ?? '', text: plain })
      done()
    })
  },
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => new Promise<void>((resolve) => server.close(resolve)))
const { port } = server.server.address() as AddressInfo
const { platform, client } = await testFlow({ FLOW_SMTP_URL: `smtp://127.0.0.1:${port}` })

const until = async (isSo: () => boolean | Promise<boolean>) => {
  while (!(await isSo())) await sleep(20)
}
const lettersTo = (email: string) => received.filter((letter) => letter.to === email)
const asViewer = [{ role: 'viewer' as const }]

test('an invitation goes out by e-mail, with the words of whoever invites and a link that lets in', async () => {
  const { alice } = await newOrganization('Acme')
  const email = `guest-${newId()}@example.com`
  const invited = await alice.users.invite({ email, grants: asViewer, message: 'We need your help with claims.' })
  assert.equal(invited.mail, 'queued')
  await until(async () => (await alice.users.get({ user_id: invited.id })).invitation_sent_at !== null)

  const [letter, ...others] = lettersTo(email)
  assert.equal(others.length, 0)
  assert.match(letter?.text ?? '', /^Subject: Alice invites you to Acme on Flow$/m)
  assert.match(letter?.text ?? '', /We need your help with claims\./)
  const link = /http\S+accept-invitation\?token=\S+/.exec(letter?.text ?? '')?.[0]
  assert.equal(link, invited.accept_url)
  const token = new URL(link ?? '').searchParams.get('token') ?? ''
  const tokens = await client().auth.acceptInvitation({ token, name: 'Guest', password: 'correct horse battery' })
  assert.equal((await client(tokens.access_token).users.me()).status, 'active')
})

test('a mail server that is out of order delays an invitation and does not lose it', async () => {
  const { alice } = await newOrganization()
  const email = `guest-${newId()}@example.com`
  isDown = true
  const invited = await alice.users.invite({ email, grants: asViewer })
  await until(() => refused.length > 0)
  assert.equal((await alice.users.get({ user_id: invited.id })).invitation_sent_at, null)

  isDown = false
  await until(() => lettersTo(email).length > 0)
  assert.ok(lettersTo(email)[0]?.text.includes(invited.accept_url))
})

test('an invitation that was not committed is not mailed', async () => {
  const { alice } = await newOrganization()
  const email = `guest-${newId()}@example.com`
  const grants = [{ role: 'viewer' as const, scope: 'solution' as const, scope_id: newId() }]
  await assert.rejects(alice.users.invite({ email, grants }), { code: 'VALIDATION_ERROR' })
  await alice.users.invite({ email: `next-${email}`, grants: asViewer })
  await until(() => lettersTo(`next-${email}`).length > 0)
  assert.equal(lettersTo(email).length, 0)
})

test('an invitation that was withdrawn before the mail server came back is not mailed', async () => {
  const { alice } = await newOrganization()
  const email = `guest-${newId()}@example.com`
  isDown = true
  refused.length = 0
  const withdrawn = await alice.users.invite({ email, grants: asViewer })
  await until(() => refused.length > 0)
  await alice.users.remove({ user_id: withdrawn.id })
  isDown = false

  const jobs = () =>
    platform.database.platform.many(sql`
      select from pgboss.job where data::text like '%mail_invitation%' and state in ('created', 'retry', 'active')`)
  await until(async () => (await jobs()).length === 0)
  assert.equal(lettersTo(email).length, 0)
})

test('the queue does not know the link', async () => {
  const { alice } = await newOrganization()
  isDown = true
  const invited = await alice.users.invite({ email: `guest-${newId()}@example.com`, grants: asViewer })
  const token = new URL(invited.accept_url).searchParams.get('token') ?? ''
  const jobs = await platform.database.platform.many<{ text: string }>(
    sql`select data::text as text from pgboss.job where data::text like '%mail_invitation%'`,
  )
  isDown = false
  assert.ok(jobs.length > 0)
  for (const job of jobs) assert.equal(job.text.includes(token), false)
  const stored = await platform.database.platform.many(
    sql`select from invitations i where i::text like ${`%${token}%`}`,
  )
  assert.equal(stored.length, 0)
})
