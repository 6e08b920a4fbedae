import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { pino } from 'pino'
import { SMTPServer } from 'smtp-server'
import { createMail } from './mail.ts'

const log = pino({ level: 'silent' })
const received: { to: string[]; text: string }[] = []
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onRcptTo: ({ address }, _session, done) => done(address.startsWith('nobody@') ? new Error('no such mailbox') : null),
  onData(stream, session, done) {
    let text = ''
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    stream.on('end', () => {
      received.push({ to: session.envelope.rcptTo.map(({ address }) => address), text })
      done()
    })
  },
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => new Promise<void>((resolve) => server.close(resolve)))
const { port } = server.server.address() as AddressInfo
const mail = createMail({ smtp_url: `smtp://127.0.0.1:${port}`, mail_from: 'Flow <flow@example.com>' }, log)

test('a letter arrives as it was written', async () => {
  assert.equal(mail.configured, true)
  await mail.send({ to: 'bob@example.com', subject: 'Grüße', text: 'Come in:\nhttps://flow.example/accept?token=abc' })
  const [letter] = received.splice(0)
  assert.deepEqual(letter?.to, ['bob@example.com'])
  assert.match(letter?.text ?? '', /^From: Flow <flow@example\.com>$/m)
  assert.match(letter?.text ?? '', /^Subject: =\?UTF-8\?Q\?Gr=C3=BC=C3=9Fe\?=$/m)
  assert.match(
    letter?.text ?? '',
    /https:\/\/flow\.example\/accept\?token=3Dabc|https:\/\/flow\.example\/accept\?token=abc/,
  )
})

test('what stands in a subject or an address adds neither a header nor a recipient', async () => {
  await mail.send({ to: 'bob@example.com', subject: 'Hello\r\nBcc: eve@example.com\r\n\r\nBody', text: 'x' })
  await mail.send({ to: 'bob@example.com, eve@example.com', subject: 'x', text: 'x' }).catch(() => undefined)
  for (const letter of received.splice(0)) {
    assert.equal(letter.to.length, 1)
    assert.doesNotMatch(letter.text, /^Bcc:/im)
  }
})

test('a recipient that the server refuses is an error', async () => {
  await assert.rejects(mail.send({ to: 'nobody@example.com', subject: 'x', text: 'x' }))
  assert.equal(received.length, 0)
})

test('a server that is not there is an error, not a silence', async () => {
  const away = createMail({ smtp_url: 'smtp://127.0.0.1:1', mail_from: 'flow@example.com' }, log)
  await assert.rejects(away.send({ to: 'bob@example.com', subject: 'x', text: 'x' }), { code: 'ESOCKET' })
})

test('without a server nothing is configured and nothing is sent', async () => {
  const none = createMail({ mail_from: 'flow@example.com' }, log)
  assert.equal(none.configured, false)
  await assert.rejects(none.send({ to: 'bob@example.com', subject: 'x', text: 'x' }), /FLOW_SMTP_URL/)
})
