/** A receiver of webhooks for the stories: a real HTTP server in the process, which keeps what it is sent and answers
 *  what the story says. */

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'

export type Received = {
  path: string
  headers: IncomingHttpHeaders & Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>
  body: string
  type: string
  data: Record<string, unknown>
}

export type Receiver = {
  url: string
  received: Received[]
  /** How it answers from now on. */
  answer: (response: ServerResponse, request: Received) => void
  /** Waits until so many messages have come. */
  count(of: number): Promise<Received[]>
}

export async function openReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    const { type, data } = JSON.parse(body)
    const one = { path: request.url ?? '', headers: request.headers as Received['headers'], body, type, data }
    received.push(one)
    receiver.answer(response, one)
  })
  const receiver: Receiver = {
    url: '',
    received,
    answer: (response) => response.end('thanks'),
    async count(of) {
      while (received.length < of) await sleep(5)
      return received
    },
  }
  await once(server.listen(0, '127.0.0.1'), 'listening')
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return receiver
}

/** Whether the message is signed with this secret, at the time that it names. */
export function isSignedBy(secret: string, { headers, body }: Received): boolean {
  const at = new Date(Number(headers['webhook-timestamp']) * 1000)
  const signature = new Webhook(secret).sign(headers['webhook-id'], at, body)
  return headers['webhook-signature'].split(' ').includes(signature)
}
