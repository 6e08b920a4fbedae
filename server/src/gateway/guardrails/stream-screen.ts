/** Guardrails over a stream, in the client's format. What only looks delays nothing, not even the end. What blocks or redacts by patterns
 *  holds back what could still become a match, SPAN_MAX characters of each lane at most, and the arguments of a call until
 *  they are complete. What looks at the answer as a whole and may block or change it holds all of it back to its end.
 *
 *  Small events are looked at at once. A long one is passed through its lanes twice: first to know what there is to look
 *  at, which is then done in turns, and again to tell what has come of it. */

import type { JsonObject, MouthName } from '../hub.ts'
import { eventOf } from '../mouths/openai.ts'
import type { StreamPiece } from '../providers/provider.ts'
import { parsed } from '../providers/read.ts'
import { EventReader } from '../ways/sse.ts'
import { type StreamEvent, throughLanes } from './events.ts'
import { tooMuchFor } from './findings.ts'
import { type Looking, lookAt, type Part, within } from './guard.ts'
import {
  HELD_MAX,
  type Mark,
  Rehearsal,
  RewritingLanes,
  ScreeningLanes,
  type Through,
  type Told,
} from './stream-lanes.ts'
import { turns } from './turns.ts'

export class StreamScreen {
  readonly #part: Part
  readonly #mouth: MouthName
  readonly #looking: Looking
  readonly #lanes: ScreeningLanes
  readonly #reader = new EventReader()
  /** Held to the end. */
  readonly #held: Told = []
  readonly #holder: Part['wholes'][number]['guardrail'] | undefined
  #held_characters = 0
  #number: number | undefined
  #busy: Promise<void> | undefined
  #noting: Promise<void> | undefined

  constructor(part: Part, mouth: MouthName, looking: Looking) {
    this.#part = part
    this.#mouth = mouth
    this.#looking = looking
    this.#lanes = new ScreeningLanes(part, looking)
    this.#holder = part.wholes.find(({ guardrail }) => guardrail.action !== 'flag')?.guardrail
  }

  /** As long as something is being looked at. */
  get busy(): Promise<void> | undefined {
    return this.#busy
  }

  /** From the end on, where what only flags looks at the whole: until it has. */
  get noting(): Promise<void> | undefined {
    return this.#noting
  }

  /** What the client is told for this; often nothing. Throws a `Blocked`. A promise where it is long, or comes behind what
   *  is. */
  push(piece: string | Buffer): string | Promise<string> {
    const told = this.#busy ? this.#busy.then(() => this.#push(piece)) : this.#push(piece)
    if (!(told instanceof Promise)) return told
    const done = () => {
      if (this.#busy === busy) this.#busy = undefined
    }
    const busy = told.then(done, done)
    this.#busy = busy
    return told
  }

  /** The rest; a promise where something must be waited for. */
  end(last: string | Buffer): string | Promise<string> {
    return after(this.push(last), (told) =>
      after(
        this.#look(0, (lanes) => lanes.rest(''), []),
        (rest) => this.#finish(told, rest),
      ),
    )
  }

  #push(piece: string | Buffer): string | Promise<string> {
    if (piece.length === 0) return ''
    const pieces = this.#reader.push(typeof piece === 'string' ? Buffer.from(piece) : piece)
    let told = ''
    for (const [at, one] of pieces.entries()) {
      const events = this.#read(one)
      if (events instanceof Promise) return this.#pushSlowly(told, events, pieces.slice(at))
      told += this.#tell(one, events)
    }
    return told
  }

  async #pushSlowly(before: string, first: Promise<Told>, pieces: StreamPiece[]): Promise<string> {
    let told = before
    for (const [at, one] of pieces.entries()) told += this.#tell(one, await (at === 0 ? first : this.#read(one)))
    return told
  }

  #read({ event, data }: StreamPiece): Told | Promise<Told> {
    const value = parsed(data)
    const isEvent = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isEvent) {
      const one = { event, data: value }
      return this.#look(data.length, (lanes) => throughLanes(this.#mouth, one, lanes), [one])
    }
    const mark = `${event === null ? '' : `event: ${event}\n`}data: ${data}\n\n`
    return this.#look(0, (lanes) => [...lanes.rest(''), { mark }], [{ mark }])
  }

  /** `unlooked`: what is told where it cannot be looked at, and may pass. */
  #look(length: number, through: Through, unlooked: Told): Told | Promise<Told> {
    const { slice, screeners } = this.#part
    const looked = <Value>(look: () => Value, otherwise: Value) => within(this.#part, this.#looking, look, otherwise)
    if (screeners.length === 0) return looked(() => through(this.#lanes), unlooked)
    const isShort = length <= slice && turns.hasRoom && !looked(() => this.#lanes.endsLong(through), false)
    if (isShort) return looked(() => turns.atOnce(() => through(this.#lanes)), unlooked)
    return new Rehearsal(this.#lanes).perform(through).then((perform) => looked(perform, unlooked))
  }

  #tell({ data }: StreamPiece, events: Told): string {
    if (!this.#holder) return events.map((event) => this.#textOf(event)).join('')
    this.#held.push(...events)
    this.#held_characters += data.length
    if (this.#held_characters > HELD_MAX) throw tooMuchFor(this.#holder, 'output')
    return ''
  }

  #finish(told: string, rest: Told): string | Promise<string> {
    if (this.#holder) this.#held.push(...rest)
    const text = this.#holder ? '' : told + rest.map((event) => this.#textOf(event)).join('')
    const { wholes } = this.#part
    if (wholes.length === 0) return text
    if (this.#lanes.is_too_much) {
      for (const { guardrail } of wholes) this.#looking.findings.add(guardrail, 'unchecked', 'output')
      return text
    }
    const looked = lookAt(wholes, this.#lanes.looked, this.#looking)
    if (this.#holder) return looked.then((changed) => this.#release(changed))
    this.#noting = looked.then(() => {})
    return text
  }

  /** What was held, with what is to be told instead of its texts. */
  #release(changed: Map<string, string>): string {
    const lanes = changed.size > 0 ? new RewritingLanes(this.#lanes.texts, changed) : undefined
    return this.#held
      .flatMap((one) => ('mark' in one || !lanes ? [one] : throughLanes(this.#mouth, one, lanes)))
      .map((one) => this.#textOf(one))
      .join('')
  }

  #textOf(one: StreamEvent | Mark): string {
    if ('mark' in one) return one.mark
    const text = eventOf(this.#numbered(one.data))
    return one.event === null ? text : `event: ${one.event}\n${text}`
  }

  /** Events that bear a number bear the next one. */
  #numbered(data: JsonObject): JsonObject {
    if (typeof data.sequence_number !== 'number') return data
    this.#number = this.#number === undefined ? data.sequence_number : this.#number + 1
    return { ...data, sequence_number: this.#number }
  }
}

/** Goes on at once where nothing has to be waited for. */
const after = <Value, Next>(value: Value | Promise<Value>, next: (value: Value) => Next | Promise<Next>) =>
  value instanceof Promise ? value.then(next) : next(value)
