/** A small question to a provider outside of any call: sent once, its answer collected whole. Which models it has, how
 *  many tokens a text is. */

import { broken, faultOf } from '../providers/faults.ts'
import { type Outgoing, ProviderFault } from '../providers/provider.ts'
import type { AnswerHeaders, Flight, Send } from './forward.ts'

export type Whole = { status: number; headers: AnswerHeaders; text: string }

type Most = { wait_ms: number; bytes: number }

/** Rejects with a `ProviderFault` where there is no whole answer in time. `name`: the provider's. */
export function askWhole(send: Send, outgoing: Outgoing, name: string, most: Most): Promise<Whole> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    const known = { status: 0, headers: {} as AnswerHeaders, length: 0 }
    // An address or a header that cannot be sent is refused before `send` returns.
    let flight: Flight | undefined
    const fail = (thrown: ProviderFault) => {
      clearTimeout(timer)
      flight?.abort()
      reject(thrown)
    }
    const late = faultOf(504, `${name} did not answer within ${most.wait_ms} ms.`, { code: 'upstream_timeout' })
    const timer = setTimeout(() => fail(new ProviderFault(late)), most.wait_ms)
    flight = send(outgoing, 1, {
      name,
      sent: () => {},
      head: (status, headers) => Object.assign(known, { status, headers }),
      chunk: (piece) => {
        known.length += piece.length
        pieces.push(piece)
        if (known.length > most.bytes) fail(broken(`${name} answered with too much.`, 'upstream_malformed'))
      },
      end: () => {
        clearTimeout(timer)
        resolve({ status: known.status, headers: known.headers, text: Buffer.concat(pieces).toString() })
      },
      fail: (fault) => fail(new ProviderFault(fault)),
    })
  })
}
