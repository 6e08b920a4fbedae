/** The least that a proxy costs in Node without HTTP: bare sockets on both sides, and nothing looked at but where messages
 *  end. No proxy for the world, which sends what it likes: a floor. It is told the provider's port. */

import { connect, type Socket } from 'node:net'
import { isWhole, LAST_CHUNK, serve } from './requests.ts'

const provider = Number(process.argv[2])
const idle: Line[] = []

/** A connection to the provider, for one call at a time. */
class Line {
  readonly socket: Socket
  #client: Socket | undefined
  #text = ''
  #isStream = false

  constructor() {
    this.socket = connect(provider, '127.0.0.1')
    this.socket.setNoDelay(true)
    this.socket.setEncoding('latin1')
    this.socket.on('error', () => {})
    this.socket.on('data', (bytes: string) => this.#heard(bytes))
  }

  ask(client: Socket, path: string, body: string): void {
    this.#client = client
    this.socket.write(`${path}\r\nhost: provider\r\ncontent-length: ${body.length}\r\n\r\n${body}`, 'latin1')
  }

  #heard(bytes: string): void {
    this.#client?.write(bytes, 'latin1')
    if (!this.#isEnd(bytes)) return
    this.#text = ''
    this.#isStream = false
    idle.push(this)
  }

  /** Of a stream only the last bytes count. */
  #isEnd(bytes: string): boolean {
    if (this.#isStream) return bytes.endsWith(LAST_CHUNK)
    this.#text += bytes
    const end = this.#text.indexOf('\r\n\r\n')
    if (end < 0) return false
    this.#isStream = this.#text.includes('chunked')
    return isWhole(this.#text, end)
  }
}

serve(({ socket, path, body }) => (idle.pop() ?? new Line()).ask(socket, path, body))
