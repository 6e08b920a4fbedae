/** Passwords: Argon2id, and only its hash is kept. A hash costs 19 MiB and some 15 ms of a core, so two run at a time,
 *  some wait, and more are sent away; a wave of sign-ins never takes the machine from everybody else. */

import { hash, verify } from '@node-rs/argon2'
import { unavailable } from '../failure.ts'

/** OWASP's first recommendation for Argon2id. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const COST_TEXT = '$argon2id$v=19$m=19456,t=2,p=1$'
/** Of random bytes that nobody has: compared with where there is no account, so that it takes as long. */
const NOBODYS_HASH = '$argon2id$v=19$m=19456,t=2,p=1$0ID9X62gPO4C3n6FnjhLLw$b2t0YQkj8idkR6qEyqTTwvmG3s29qPZiDMGf6oLyoB8'

const AT_A_TIME = 2
const WAITING_MAX = 64
const BYTES_MAX = 1024

let running = 0
const waiting: (() => void)[] = []

/** The hash to store. The library's own default algorithm is Argon2id. */
export const hashPassword = (password: string): Promise<string> => inTurn(() => hash(bytesOf(password), cost))

/** Whether it is the password behind the hash. Without a hash the answer is no, after the same time. */
export async function verifyPassword(stored: string | null | undefined, password: string): Promise<boolean> {
  const bytes = bytesOf(password)
  // What is longer was never accepted; it still takes its turn, and no longer than any other.
  const right = await inTurn(() =>
    verify(stored ?? NOBODYS_HASH, bytes.length > BYTES_MAX ? bytes.subarray(0, BYTES_MAX) : bytes),
  )
  return right && stored !== null && stored !== undefined && bytes.length <= BYTES_MAX
}

/** Whether the hash was made at another cost than today's, so that the next sign-in should replace it. */
export const isOutdated = (stored: string): boolean => !stored.startsWith(COST_TEXT)

// One text, however a keyboard composes it (RFC 8265, section 4).
const bytesOf = (password: string) => Buffer.from(password.normalize('NFC'), 'utf8')

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running >= AT_A_TIME) {
    if (waiting.length >= WAITING_MAX) throw unavailable('Too many sign-ins at the same moment. Try again shortly.', 2)
    await new Promise<void>((go) => waiting.push(go))
  } else {
    running += 1
  }
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    // The place is handed on, so that nobody who comes in between takes it.
    if (next) next()
    else running -= 1
  }
}
