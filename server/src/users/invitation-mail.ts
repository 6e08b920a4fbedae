/** The e-mail of an invitation, a durable run: it goes out when the invitation is committed and not before, and a mail
 *  server that is down, or this process going down, delays it and loses nothing. An invitation that was accepted,
 *  withdrawn, sent again or has run out in the meantime is not mailed. */

import { defineRun } from '../engine/engine.ts'
import * as store from './store.ts'

export type InvitationMail = {
  invitation_id: string
  /** Lets somebody in, so the queue keeps it sealed. */
  link_sealed: string
}

/** What the link is sealed for. */
export const boundTo = (invitation_id: string): string => `invitation:${invitation_id}`

/** Tried for some fifteen hours. */
const retry = { max_attempts: 40, backoff_seconds: 2, max_backoff_seconds: 1800 }

export const mailInvitation = defineRun<InvitationMail>({
  name: 'users.mail_invitation',
  retry,
  async work(ctx, { invitation_id, link_sealed }) {
    const { mail, seal } = ctx.platform
    const letter = await store.letter(ctx, invitation_id, ctx.now)
    if (!letter) return

    const link = seal.open(link_sealed, boundTo(invitation_id))
    await mail.send({ to: letter.email, subject: subjectOf(letter), text: textOf(letter, link) })
    await store.markSent(ctx, invitation_id, ctx.now)
  },
})

const subjectOf = (letter: store.Letter) => `${letter.inviter} invites you to ${letter.organization_name} on Flow`

const textOf = ({ inviter, organization_name, message, expires_at }: store.Letter, link: string) =>
  [
    `${inviter} invites you to work in "${organization_name}" on Flow.`,
    ...(message ? [message] : []),
    `Accept the invitation here:\n${link}`,
    `The link is good until ${expires_at.slice(0, 16).replace('T', ' ')} UTC, once.`,
    "If you don't know the sender, do nothing.",
  ].join('\n\n')
