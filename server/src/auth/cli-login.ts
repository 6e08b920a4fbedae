/** The browser login of a command line, after RFC 8628. States: `pending` → `approved` (`decide`) → gone with the
 *  tokens (`poll`), or → `denied` (`decide`); ten minutes after its beginning it is expired.
 *
 *  Two secrets that never meet: the person types a short code, which opens nothing by itself; the command line polls
 *  with a long one, which the person never sees. Whoever looks over a shoulder gets no tokens. */

import { createHmac, randomInt } from 'node:crypto'
import type { CliLoginPoll, CliLoginRequest, StartedCliLogin } from '@flow/contract/auth'
import { newId, type Platform } from '../context.ts'
import { conflict, notFound } from '../failure.ts'
import { fingerprintOf } from '../keys/keys.ts'
import * as store from './cli-store.ts'
import * as sessions from './session-store.ts'
import { later, newSecret, noteSignIn, type SignInContext, signIn } from './sessions.ts'

const LIVES_SECONDS = 600
const INTERVAL_SECONDS = 5
/** No vowels, so that no words come out; no letters that look alike (RFC 8628, section 6.1). 20^8 codes. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'

export const verificationUrl = (platform: Platform) => `${platform.config.public_url}/device`

export async function start(ctx: SignInContext, client_name: string): Promise<StartedCliLogin> {
  const { platform, now, address } = ctx
  const letters = Array.from({ length: 8 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
  const user_code = spelt(letters)
  const request = {
    id: newId(),
    client_name,
    address,
    interval_seconds: INTERVAL_SECONDS,
    expires_at: later(now, LIVES_SECONDS),
    created_at: now,
  }
  const secret = newSecret('flc_')
  const hashes = { user_code_hash: codeHash(platform, user_code), secret_hash: fingerprintOf(secret) }
  await store.insert(platform.database.platform, { ...request, ...hashes })
  return {
    id: request.id,
    secret,
    user_code,
    verification_url: verificationUrl(platform),
    verification_url_complete: `${verificationUrl(platform)}?user_code=${user_code}`,
    expires_at: request.expires_at,
    interval_seconds: INTERVAL_SECONDS,
  }
}

/** Which command line asks. */
export async function find(platform: Platform, user_code: string, now: string): Promise<CliLoginRequest> {
  const found = await store.byCode(platform.database.platform, codeHash(platform, user_code), now)
  if (!found) throw notFound('login request', spelt(user_code))
  return shown(found, user_code)
}

/** Approves it as the member, or turns it away. `isNoted`: the edge notes the operation that asked. */
export async function decide(
  ctx: SignInContext,
  user_code: string,
  status: 'approved' | 'denied',
  { member, is_bound, isNoted }: { member: sessions.Member; is_bound: boolean; isNoted: boolean },
): Promise<CliLoginRequest> {
  const { platform, now } = ctx
  const hash = codeHash(platform, user_code)
  const decided = await platform.database.platform.tx(async (db) => {
    const decision = { status, user_id: member.user.id, organization_id: member.organization_id, is_bound }
    const request = await store.decide(db, hash, decision, now)
    if (request && !isNoted) {
      const metadata = { client_name: request.client_name, client_address: request.address }
      await noteSignIn(
        ctx,
        db,
        member,
        status === 'approved' ? 'approve_cli_login' : 'deny_cli_login',
        'success',
        metadata,
      )
    }
    return request
  })
  if (decided) return shown(decided, user_code)

  const before = await find(platform, user_code, now)
  throw conflict(`This login was ${before.status} already.`)
}

/** What became of it; the tokens, once. */
export async function poll(ctx: SignInContext, request_id: string, secret: string): Promise<CliLoginPoll> {
  const { platform, now } = ctx
  const approved = await platform.database.platform.tx(
    async (db): Promise<CliLoginPoll | (sessions.Member & { is_bound: boolean })> => {
      const request = await store.lock(db, request_id, fingerprintOf(secret))
      if (!request) throw notFound('login request', request_id)
      const { interval_seconds, polled_at } = request
      const answer = (status: CliLoginPoll['status'], seconds = interval_seconds) => ({
        status,
        interval_seconds: seconds,
        tokens: null,
      })

      if (request.expires_at <= now) return answer('expired')
      if (request.status === 'denied') return answer('denied')
      if (request.status === 'pending') {
        const isTooSoon = polled_at !== null && Date.parse(now) - Date.parse(polled_at) < interval_seconds * 1000
        const seconds = interval_seconds + (isTooSoon ? 5 : 0)
        await store.notePoll(db, request.id, now, seconds)
        return answer(isTooSoon ? 'slow_down' : 'pending', seconds)
      }
      await store.remove(db, request.id)
      // Whoever approved may have been suspended since.
      const members = await sessions.memberships(db, request.user_id ?? '', !request.is_bound)
      const member = members.find((each) => each.organization_id === request.organization_id)
      return member ? { ...member, is_bound: request.is_bound ?? true } : answer('denied')
    },
  )
  if ('status' in approved) return approved

  const { is_bound, ...member } = approved
  const tokens = await signIn(ctx, { member, method: 'cli', is_bound })
  return { status: 'approved', interval_seconds: INTERVAL_SECONDS, tokens }
}

const shown = ({ client_name, address, status, created_at, expires_at }: store.CliLogin, user_code: string) => ({
  user_code: spelt(user_code),
  client_name,
  address,
  status,
  created_at,
  expires_at,
})

/** As people read it: `BCDF-GHJK`. */
function spelt(user_code: string): string {
  const letters = user_code.toUpperCase().replace(/[^A-Z]/g, '')
  return `${letters.slice(0, 4)}-${letters.slice(4)}`
}

const codeHash = (platform: Platform, user_code: string) =>
  createHmac('sha256', platform.seal.derive('codes of CLI logins')).update(spelt(user_code)).digest()
