/** Letters to people, over SMTP. One is sent or the promise rejects; trying again is the business of the durable run
 *  that sends it. Without FLOW_SMTP_URL nothing is sent and `configured` says so. */

import { createTransport } from 'nodemailer'
import type { Logger } from 'pino'
import type { Config } from './config.ts'

/** Plain text, so that what a person wrote into it can't become markup. */
export type Letter = { to: string; subject: string; text: string }

export type Mail = {
  readonly configured: boolean
  /** Resolves when the mail server has taken the letter. Rejects when it can't be reached or refuses. */
  send(letter: Letter): Promise<void>
  close(): void
}

const CONNECT_SECONDS = 10
const SILENCE_SECONDS = 30

export function createMail(config: Pick<Config, 'smtp_url' | 'mail_from'>, log: Logger): Mail {
  const { smtp_url, mail_from } = config
  if (!smtp_url) {
    const send = async () => {
      throw new Error('no mail server is configured (FLOW_SMTP_URL)')
    }
    return { configured: false, send, close: () => undefined }
  }

  const transport = createTransport({
    url: smtp_url,
    connectionTimeout: CONNECT_SECONDS * 1000,
    greetingTimeout: CONNECT_SECONDS * 1000,
    socketTimeout: SILENCE_SECONDS * 1000,
    // A letter is text: nothing in it may make the server read a file or fetch an address.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    configured: true,
    async send({ to, subject, text }) {
      const sent = await transport.sendMail({ from: mail_from, to: { name: '', address: to }, subject, text })
      if (sent.rejected.length > 0) throw new Error('the mail server refused the recipient')
      log.info({ message_id: sent.messageId }, 'a letter was sent')
    },
    close: () => transport.close(),
  }
}
