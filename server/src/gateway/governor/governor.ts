/** The governor: who may call, how often, and for how much. It admits from memory what fits into what is leased to this
 *  process (account.ts, rate.ts, slots.ts), fetches more when it does not (takes.ts), and writes what was used into the
 *  ledger a moment after the answer (till.ts).
 *
 *  Guarantees: no hard budget is passed, by any number of processes; each call that was admitted has one line in the
 *  ledger, or, if its process died before that was written, is paid for by the line of what that process had leased. */

import type { Platform } from '../../context.ts'
import { DatabaseUnavailable } from '../../db/faults.ts'
import { stopping } from '../faults.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Caller, Estimate, Governor, Policy, Ticket } from '../policies/policy.ts'
import { Book } from './book.ts'
import { openHolder } from './holder.ts'
import type { Plan } from './plan.ts'
import { away, full } from './refusing.ts'
import { type Held, reserve } from './reserving.ts'
import { openTakes, type Taker } from './takes.ts'
import { LeaseTicket } from './ticket.ts'
import { type Era, openTill } from './till.ts'

const LOOK_MS = 1_000
/** So long a call waits for what it lacks. */
const WAIT_MS = 3_000
const CLOSE_MS = 5_000

export type OpenGovernor = Governor & { close(): Promise<void> }

export function openGovernor(platform: Pick<Platform, 'database' | 'log' | 'clock'>): OpenGovernor {
  const { database, log, clock } = platform
  let books = new Map<string, Book>()
  let era: Era = { isLost: false }
  const holder = openHolder(platform, {
    lost() {
      era.isLost = true
      era = { isLost: false }
      books = new Map()
    },
  })
  const takes = openTakes(database, holder)
  const till = openTill(platform, holder)
  const now = () => clock.now().getTime()
  let isClosing = false

  const bookOf = (policy: Policy): Book => {
    const known = books.get(policy.organization_id)
    if (known) return known
    const book = new Book(clock, policy)
    books.set(policy.organization_id, book)
    return book
  }
  const takeInBackground = (taker: Taker) => {
    takes.round(taker).catch((err: unknown) => log.warn({ err }, 'nothing more could be leased for calls'))
  }
  const ticketOf = (plan: Plan, held: Held): Ticket => {
    for (const { account } of held.accounts) if (account.isLow) takeInBackground(account)
    for (const { rates } of held.meters) for (const rate of rates) if (rate.isLow) takeInBackground(rate)
    return new LeaseTicket(plan, held, era, now, till.put)
  }

  const fetched = async (policy: Policy, caller: Caller, estimates: Estimate[], first: Taker[]): Promise<Ticket> => {
    let lacking = first
    for (let rounds = 1; ; rounds += 1) {
      const isHere = await within(Promise.all(lacking.map((taker) => takes.round(taker).catch(notFetched))))
      if (!isHere) for (const taker of lacking) taker.failed()
      const plan = bookOf(policy).planOf(policy, caller)
      const held = reserve(plan, estimates, now(), rounds)
      if (!('lacking' in held)) return ticketOf(plan, held)
      if (!isHere) throw away()
      lacking = held.lacking
    }
  }

  /** That the database is away is no surprise. */
  const notFetched = (err: unknown) => {
    if (!(err instanceof DatabaseUnavailable)) log.error({ err }, 'what a call needs could not be leased')
    throw err
  }

  const timer = setInterval(() => {
    for (const [organization_id, book] of books) {
      for (const taker of book.look()) takeInBackground(taker)
      if (book.isIdle) books.delete(organization_id)
    }
  }, LOOK_MS).unref()

  return {
    admit(policy, caller, _call, estimates) {
      if (isClosing) throw new Refusal(stopping)
      if (till.isFull) throw full()
      const plan = bookOf(policy).planOf(policy, caller)
      const held = reserve(plan, estimates, now(), 0)
      return 'lacking' in held ? fetched(policy, caller, estimates, held.lacking) : ticketOf(plan, held)
    },
    async close() {
      isClosing = true
      clearInterval(timer)
      const isWritten = await till.close(CLOSE_MS)
      if (!isWritten) log.error('calls were not written; what was leased for them counts as spent')
      // What is not written must stay leased, so that it is not lost.
      if (isWritten) await holder.leave()
    },
  }
}

/** Whether it is done in time, and done well. */
function within(work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), WAIT_MS)
    const done = (isWell: boolean) => () => {
      clearTimeout(timer)
      resolve(isWell)
    }
    work.then(done(true), done(false))
  })
}
