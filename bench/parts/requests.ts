/** Requests over bare sockets: no HTTP but where a message ends. One comes after the other on each connection, which is
 *  how all that are measured ask. */

import { createServer, type Socket } from 'node:net'

/** `path` is the first line of the request, `body` its bytes as they came, a character for each. */
export type Asked = { socket: Socket; path: string; body: string }

/** Listens, and tells its port to whoever forked it; ends with them. */
export function serve(answer: (asked: Asked) => void): void {
  const server = createServer((socket) => {
    let text = ''
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    socket.on('data', (bytes: string) => {
      text += bytes
      const end = text.indexOf('\r\n\r\n')
      if (end < 0 || !isWhole(text, end)) return
      const asked = { socket, path: text.slice(0, text.indexOf('\r\n')), body: text.slice(end + 4) }
      text = ''
      answer(asked)
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    process.send?.(typeof address === 'object' ? address?.port : 0)
  })
  process.on('disconnect', () => process.exit(0))
}

/** Whether a message is there to its end; `end`: that of its head. */
export function isWhole(text: string, end: number): boolean {
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? -1)
  return length >= 0 ? text.length >= end + 4 + length : text.endsWith(LAST_CHUNK)
}

export const LAST_CHUNK = '0\r\n\r\n'
