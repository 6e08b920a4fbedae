/** A client that costs next to nothing: a process of its own with so many bare connections, each with one request after
 *  the other. It does what it is ordered to and answers how long each took, and how long until the first byte. */

import { connect, type Socket } from 'node:net'
import { quantile } from '../measure.ts'

export type LoadOrder = {
  port: number
  path: string
  headers: Record<string, string>
  body: object
  connections: number
  /** Whichever comes first. */
  seconds: number
  requests?: number
}
export type LoadAnswer = {
  requests: number
  seconds: number
  p50_ms: number
  p99_ms: number
  first_p50_ms: number
  first_p99_ms: number
}

function load(order: LoadOrder): Promise<LoadAnswer> {
  const body = JSON.stringify(order.body)
  const headers = { host: `127.0.0.1:${order.port}`, 'content-type': 'application/json', ...order.headers }
  const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body) })
  const request = `POST ${order.path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
  const took: number[] = []
  const first: number[] = []
  const began = performance.now()
  const until = began + order.seconds * 1000
  let left = order.requests ?? Number.POSITIVE_INFINITY

  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(order.port, '127.0.0.1')
      socket.setNoDelay(true)
      const next = () => {
        if (left <= 0 || performance.now() > until) return void socket.end(resolve)
        left -= 1
        ask(socket, request, (first_ms, took_ms) => {
          first.push(first_ms)
          took.push(took_ms)
          next()
        })
      }
      socket.on('error', reject)
      socket.on('connect', next)
      socket.on('close', () => reject(new Error('the connection was closed in the middle')))
    })
  return Promise.all(Array.from({ length: order.connections }, one)).then(() => ({
    requests: took.length,
    seconds: (performance.now() - began) / 1000,
    p50_ms: quantile(took, 0.5),
    p99_ms: quantile(took, 0.99),
    first_p50_ms: quantile(first, 0.5),
    first_p99_ms: quantile(first, 0.99),
  }))
}

const LAST = Buffer.from('0\r\n\r\n')

/** Asks once; what comes is looked at only for its end. */
function ask(socket: Socket, request: string, done: (first_ms: number, took_ms: number) => void): void {
  const began = performance.now()
  let first_ms = 0
  let head = ''
  /** How many bytes are missing; -1: the end is marked. */
  let missing = 0
  socket.removeAllListeners('data')
  socket.on('data', (bytes: Buffer) => {
    if (first_ms === 0) {
      head += bytes.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 200')) return void socket.destroy(new Error(head.slice(0, 600)))
      const length = /\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1]
      missing = length === undefined ? -1 : Number(length) - (head.length - end - 4)
      // A stream has begun with its first event, not with its head.
      if (head.length > end + 4) first_ms = performance.now() - began
      else if (missing === -1) return
    } else if (missing > 0) missing -= bytes.length
    const isOver = missing < 0 ? bytes.subarray(-LAST.length).equals(LAST) : missing === 0
    if (isOver) done(first_ms, performance.now() - began)
  })
  socket.write(request)
}

process.send?.('ready')
process.on('message', (order: LoadOrder) => {
  load(order).then(
    (answer) => process.send?.(answer),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
