/** The one session of an embedded database, as an ordered exchange of messages: what is asked first is answered
 *  first, and any number of questions may be under way. Statements are prepared once and known by their text;
 *  after a change of the schema all of them are forgotten, because their result columns may have changed. */

import pg from 'pg'
import type { Answer, Reading } from './adapter.ts'
import type { Sql } from './db.ts'
import type { DatabaseFault } from './faults.ts'
import { type Encoded, encodeAll, type Parse, parserOf, refuseNul } from './values.ts'
import { changedBy, type Field, Outgoing, type Receiver, readRow, receive } from './wire.ts'

const STATEMENTS_MAX = 500
const schemaChange = /^(CREATE|ALTER|DROP) /

type Prepared = { name: string; fields: Field[] | undefined; isReady: boolean }

type Exchange = {
  reading: Reading
  prepared: Prepared | undefined
  text: string
  fields: Field[]
  parsers: Parse[]
  answers: Answer[]
  rows: Answer['rows']
  fault: Error | undefined
  hasLimit: boolean
  resolve: (answers: Answer[]) => void
  reject: (fault: Error) => void
}

export class Conversation implements Receiver {
  /** The server's word after the last exchange: `I` idle, `T` in a transaction, `E` in a failed one. */
  status = 'I'
  /** How many exchanges there were: tells whether there may be anything to tidy up. */
  answered = 0
  onNotification: (channel: string, payload: string) => void = () => {}

  #send: (bytes: Uint8Array<ArrayBuffer>) => void
  #outgoing = new Outgoing()
  #isScheduled = false
  #underWay: Exchange[] = []
  /** When the exchange at the head became it, or when the last one ended. */
  #headSince = performance.now()
  #statements = new Map<string, Prepared>()
  #prepared_count = 0
  #isStale = false

  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send
  }

  get isQuiet(): boolean {
    return this.#underWay.length === 0
  }

  /** When the last answer came, if nothing is under way. */
  get quietSince(): number {
    return this.#headSince
  }

  /** Milliseconds the statement at the head has been running, if it is one with a limit. */
  runningFor(now: number): number {
    return this.#underWay[0]?.hasLimit ? now - this.#headSince : 0
  }

  async query(statement: Sql, reading: Reading = 'wire', hasLimit = true): Promise<Answer> {
    const encoded = encodeAll(statement)
    const answers = await this.#exchange(reading, statement.text, hasLimit, (exchange) => {
      this.#write(exchange, encoded)
    })
    // A statement's exchange has one answer; an empty statement has none.
    return answers[0] ?? { rows: [], changed: 0, command: '' }
  }

  script(text: string, reading: Reading = 'wire', hasLimit = true): Promise<Answer[]> {
    refuseNul(text)
    return this.#exchange(reading, text, hasLimit, () => this.#outgoing.script(text))
  }

  /** The engine's bytes: whole messages, in the order of the questions. */
  received(bytes: Buffer): void {
    receive(bytes, this)
  }

  /** Ends the conversation: nothing under way will be answered. What ran at that moment may fail differently. */
  fail(fault: Error, running = fault): void {
    const [head, ...others] = this.#underWay
    this.#underWay = []
    head?.reject(running)
    for (const exchange of others) exchange.reject(fault)
  }

  #exchange(reading: Reading, text: string, hasLimit: boolean, write: (exchange: Exchange) => void): Promise<Answer[]> {
    return new Promise((resolve, reject) => {
      const exchange: Exchange = {
        reading,
        prepared: undefined,
        text,
        fields: [],
        parsers: [],
        answers: [],
        rows: [],
        fault: undefined,
        hasLimit,
        resolve,
        reject,
      }
      write(exchange)
      if (this.#underWay.length === 0) this.#headSince = performance.now()
      this.#underWay.push(exchange)
      this.#schedule()
    })
  }

  /** What is asked in one turn of the loop travels as one message: waking the worker costs more than a statement. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#send(this.#outgoing.take())
    })
  }

  #write(exchange: Exchange, encoded: Encoded[]): void {
    const known = this.#statements.get(exchange.text)
    if (known?.isReady) {
      exchange.prepared = known
      if (known.fields) this.#describe(exchange, known.fields)
      this.#outgoing.bind(known.name, encoded)
    } else {
      // A statement that is being prepared right now may yet be refused: until then its text travels along.
      const prepared = known ? { name: '', fields: undefined, isReady: false } : this.#prepare(exchange.text)
      exchange.prepared = prepared
      this.#outgoing.parse(prepared.name, exchange.text)
      this.#outgoing.describe(prepared.name)
      this.#outgoing.bind(prepared.name, encoded)
    }
    this.#outgoing.execute()
    this.#outgoing.sync()
  }

  #prepare(text: string): Prepared {
    if (this.#statements.size >= STATEMENTS_MAX) {
      const [oldest] = this.#statements
      if (oldest) {
        this.#statements.delete(oldest[0])
        this.#outgoing.closeStatement(oldest[1].name)
      }
    }
    const prepared: Prepared = { name: `s${++this.#prepared_count}`, fields: undefined, isReady: false }
    this.#statements.set(text, prepared)
    return prepared
  }

  #describe(exchange: Exchange, fields: Field[]): void {
    exchange.fields = fields
    exchange.parsers = fields.map(({ oid }) =>
      exchange.reading === 'wire' ? parserOf(oid) : pg.types.getTypeParser(oid),
    )
  }

  parsed(): void {}

  fields(fields: Field[] | undefined): void {
    const exchange = this.#underWay[0]
    if (!exchange) return
    if (exchange.prepared) {
      exchange.prepared.fields = fields
      exchange.prepared.isReady = true
    }
    if (fields) this.#describe(exchange, fields)
  }

  row(bytes: Buffer, at: number): void {
    const exchange = this.#underWay[0]
    if (!exchange || exchange.fault) return
    try {
      exchange.rows.push(readRow(bytes, at, exchange.fields, exchange.parsers))
    } catch (fault) {
      exchange.fault = fault instanceof Error ? fault : new Error(String(fault))
    }
  }

  completed(tag: string): void {
    const exchange = this.#underWay[0]
    if (!exchange) return
    exchange.answers.push({ rows: exchange.rows, changed: changedBy(tag), command: tag })
    exchange.rows = []
    if (schemaChange.test(tag)) this.#isStale = true
  }

  failed(fault: DatabaseFault): void {
    const exchange = this.#underWay[0]
    if (!exchange) return
    exchange.fault ??= fault
    if (exchange.prepared && !exchange.prepared.isReady) this.#statements.delete(exchange.text)
    if (fault.code === '0A000' || fault.code === '26000') this.#isStale = true
  }

  ready(status: string): void {
    this.status = status
    const exchange = this.#underWay.shift()
    this.#headSince = performance.now()
    if (this.#isStale && status !== 'E') this.#forget()
    if (!exchange) return
    this.answered++
    if (exchange.fault) exchange.reject(exchange.fault)
    exchange.resolve(exchange.answers)
  }

  notified(channel: string, payload: string): void {
    this.onNotification(channel, payload)
  }

  /** Plans made before the schema changed may describe columns that are gone. */
  #forget(): void {
    this.#isStale = false
    if (this.#statements.size === 0) return
    this.#statements.clear()
    this.script('deallocate all').catch(() => {})
  }
}
