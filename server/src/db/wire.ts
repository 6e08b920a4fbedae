/** PostgreSQL's wire protocol 3.0, as far as an embedded session needs it: statements into bytes, answers into rows.
 *  Pure; it knows neither worker nor queue. See "Message Formats" in PostgreSQL's documentation. */

import { DatabaseFault } from './faults.ts'
import type { Encoded, Parse } from './values.ts'

const CODE = {
  parse: 0x50, // P
  bind: 0x42, // B
  describe: 0x44, // D
  execute: 0x45, // E
  sync: 0x53, // S
  query: 0x51, // Q
  close: 0x43, // C
}

export type Field = { name: string; oid: number }

/** Messages to the server, one behind the other, until `take` fetches them all at once. */
export class Outgoing {
  #bytes = Buffer.allocUnsafe(16_384)
  #at = 0

  get isEmpty(): boolean {
    return this.#at === 0
  }

  /** The bytes so far, in a buffer of exactly their size, as a message to another thread needs it. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#at)
    taken.set(this.#bytes.subarray(0, this.#at))
    this.#at = 0
    if (this.#bytes.length > 1 << 20) this.#bytes = Buffer.allocUnsafe(16_384)
    return taken
  }

  parse(name: string, text: string): void {
    const start = this.#begin(CODE.parse)
    this.#text(name)
    this.#text(text)
    this.#int16(0)
    this.#end(start)
  }

  describe(name: string): void {
    const start = this.#begin(CODE.describe)
    this.#byte(CODE.sync) // 'S' for a statement
    this.#text(name)
    this.#end(start)
  }

  closeStatement(name: string): void {
    const start = this.#begin(CODE.close)
    this.#byte(CODE.sync)
    this.#text(name)
    this.#end(start)
  }

  bind(name: string, encoded: readonly Encoded[]): void {
    const start = this.#begin(CODE.bind)
    this.#text('')
    this.#text(name)
    this.#int16(encoded.length)
    for (const value of encoded) this.#int16(typeof value === 'object' && value !== null ? 1 : 0)
    this.#int16(encoded.length)
    for (const value of encoded) this.#value(value)
    this.#int16(0)
    this.#end(start)
  }

  execute(): void {
    const start = this.#begin(CODE.execute)
    this.#text('')
    this.#int32(0)
    this.#end(start)
  }

  sync(): void {
    this.#end(this.#begin(CODE.sync))
  }

  script(text: string): void {
    const start = this.#begin(CODE.query)
    this.#text(text)
    this.#end(start)
  }

  #begin(code: number): number {
    this.#byte(code)
    const start = this.#at
    this.#int32(0)
    return start
  }

  #end(start: number): void {
    this.#bytes.writeInt32BE(this.#at - start, start)
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  #int16(value: number): void {
    this.#reserve(2)
    this.#at = this.#bytes.writeUInt16BE(value, this.#at)
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#at = this.#bytes.writeInt32BE(value, this.#at)
  }

  #text(value: string): void {
    this.#reserve(value.length * 3 + 1)
    this.#at += this.#bytes.write(value, this.#at)
    this.#bytes[this.#at++] = 0
  }

  #value(value: Encoded): void {
    if (value === null) {
      this.#int32(-1)
      return
    }
    if (typeof value !== 'string') {
      this.#int32(value.length)
      this.#reserve(value.length)
      this.#at += value.copy(this.#bytes, this.#at)
      return
    }
    this.#reserve(value.length * 3 + 4)
    const length = this.#bytes.write(value, this.#at + 4)
    this.#int32(length)
    this.#at += length
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }
}

/** Who listens to the server's messages. */
export interface Receiver {
  parsed(): void
  fields(fields: Field[] | undefined): void
  row(bytes: Buffer, at: number): void
  completed(tag: string): void
  failed(fault: DatabaseFault): void
  /** `I` idle, `T` in a transaction, `E` in one that has failed. Ends an exchange. */
  ready(status: string): void
  notified(channel: string, payload: string): void
}

/** Reads whole messages; the worker never sends half a one. */
export function receive(bytes: Buffer, receiver: Receiver): void {
  let at = 0
  while (at < bytes.length) {
    const code = bytes[at]
    const body = at + 5
    at += 1 + bytes.readUInt32BE(at + 1)
    switch (code) {
      case 0x44: // D
        receiver.row(bytes, body)
        break
      case 0x43: // C
        receiver.completed(bytes.toString('latin1', body, at - 1))
        break
      case 0x5a: // Z
        receiver.ready(String.fromCharCode(bytes[body] ?? 0))
        break
      case 0x31: // 1
        receiver.parsed()
        break
      case 0x54: // T
        receiver.fields(readFields(bytes, body))
        break
      case 0x6e: // n
        receiver.fields(undefined)
        break
      case 0x45: // E
        receiver.failed(readFault(bytes, body))
        break
      case 0x41: {
        // A
        const channel = readText(bytes, body + 4)
        receiver.notified(channel.text, readText(bytes, channel.end).text)
        break
      }
    }
  }
}

/** One row as an object, its columns read by `parsers`. */
export function readRow(bytes: Buffer, at: number, fields: Field[], parsers: Parse[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  let offset = at + 2
  for (let i = 0; i < fields.length; i++) {
    const length = bytes.readInt32BE(offset)
    offset += 4
    // Both lists are as long as the row: the server said so in the description.
    const name = (fields[i] as Field).name
    if (length === -1) {
      row[name] = null
      continue
    }
    row[name] = (parsers[i] as Parse)(bytes.toString('utf8', offset, offset + length))
    offset += length
  }
  return row
}

/** How many rows a command changed, from its tag: `INSERT 0 5`, `UPDATE 3`. */
export function changedBy(tag: string): number {
  const count = Number(tag.slice(tag.lastIndexOf(' ') + 1))
  return Number.isNaN(count) ? 0 : count
}

function readFields(bytes: Buffer, body: number): Field[] {
  const fields: Field[] = []
  let at = body + 2
  for (let left = bytes.readUInt16BE(body); left > 0; left--) {
    const { text: name, end } = readText(bytes, at)
    fields.push({ name, oid: bytes.readUInt32BE(end + 6) })
    at = end + 18
  }
  return fields
}

const faultFields: Record<string, string> = {
  C: 'code',
  M: 'message',
  D: 'detail',
  H: 'hint',
  n: 'constraint',
  t: 'table',
  c: 'column',
  V: 'severity',
}

function readFault(bytes: Buffer, body: number): DatabaseFault {
  const said: Record<string, string> = {}
  for (let at = body; bytes[at] !== 0; ) {
    const name = faultFields[String.fromCharCode(bytes[at] ?? 0)]
    const { text, end } = readText(bytes, at + 1)
    if (name) said[name] = text
    at = end
  }
  return new DatabaseFault({ code: 'XX000', message: 'PostgreSQL gave no reason.', ...said })
}

function readText(bytes: Buffer, at: number): { text: string; end: number } {
  const zero = bytes.indexOf(0, at)
  return { text: bytes.toString('utf8', at, zero), end: zero + 1 }
}
