/** Guardrails over a stream, in the client's format. What only looks delays nothing, not even the end. What blocks or redacts by patterns
 *  holds back what could still become a match, SPAN_MAX characters of each lane at most, and the arguments of a call until
 *  they are complete. What looks at the answer as a whole and may block or change it holds all of it back to its end.
 *
 *  Small events are looked at at once. A long one is passed through its lanes twice: first to know what there is to look
 *  at, which is then done in turns, and again to tell what has come of it. */

import type { Budget } from '../../expressions/expressions.ts'
import type { Json, JsonObject, MouthName } from '../hub.ts'
import { eventOf } from '../mouths/openai.ts'
import type { StreamPiece } from '../providers/provider.ts'
import { parsed } from '../providers/read.ts'
import { EventReader } from '../ways/sse.ts'
import { type Lanes, type Spot, type StreamEvent, throughLanes } from './events.ts'
import { chainOf, type Filter } from './filters.ts'
import { tooMuchFor } from './findings.ts'
import { type Looking, lookAt, newBudget, type Part, slowly, within } from './guard.ts'
import { mapArguments, mapTexts, type Visit } from './texts.ts'
import { turns } from './turns.ts'

/** Characters of a stream that are held back, in events to tell and in arguments that are not complete. */
export const HELD_MAX = 4 * 1024 * 1024

/** Characters of texts that came whole and are known when they come again. */
const KNOWN_MAX = 64 * 1024

/** Of a stream: choices, blocks and calls, each with its texts. */
export const LANES_MAX = 4096

/** What passes as it is: a mark of the end. */
type Mark = { mark: string }
type Told = (StreamEvent | Mark)[]
type Through = (lanes: Lanes) => Told
type Lane = { spot: Spot; filter: Filter; arguments: string; told: string }

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

class ScreeningLanes implements Lanes {
  readonly #part: Part
  readonly #looking: Looking
  readonly #budget: Budget = newBudget()
  readonly #open = new Map<string, Lane>()
  readonly #wholes = new Set<string>()
  /** All lanes that there were, with what was told of each. */
  readonly texts = new Map<string, Lane>()
  /** Arguments are waited for only where they may be changed or blocked. */
  readonly #strictest: Part['screeners'][number]['guardrail'] | undefined
  #waiting_characters = 0
  readonly #isCollecting: boolean
  /** For texts that come whole. */
  #alone: Filter | undefined
  #told_characters = 0
  /** Some hosts tell what they have found again with each event. */
  readonly #known = new Map<string, string>()
  #known_characters = 0
  /** What was found in long texts, until it is told. */
  readonly #ahead = new Map<string, string>()

  constructor(part: Part, looking: Looking) {
    this.#part = part
    this.#looking = looking
    this.#strictest = part.screeners.find(({ guardrail }) => guardrail.action !== 'flag')?.guardrail
    this.#isCollecting = part.wholes.length > 0
  }

  /** More than is kept to be looked at as a whole. */
  get is_too_much(): boolean {
    return this.#told_characters > HELD_MAX
  }

  get looked(): { texts: string[]; main: string[] } {
    const lanes = [...this.texts.values()]
    const texts = new Set([...lanes.map(({ told }) => told), ...this.#wholes])
    texts.delete('')
    const groups = Map.groupBy(
      lanes.filter(({ spot }) => spot.is_main),
      ({ spot }) => spot.group,
    )
    return { texts: [...texts], main: [...groups.values()].map((group) => group.map(({ told }) => told).join('')) }
  }

  piece(spot: Spot, text: string): string {
    let lane = this.#open.get(spot.lane)
    if (!lane) {
      const [first] = [...this.#part.screeners, ...this.#part.wholes]
      if (first && this.texts.size >= LANES_MAX) throw tooMuchFor(first.guardrail, 'output')
      const told = this.texts.get(spot.lane)?.told ?? ''
      lane = { spot, filter: this.#newFilter(), arguments: '', told }
      this.#open.set(spot.lane, lane)
      this.texts.set(spot.lane, lane)
    }
    if (!spot.is_arguments) return this.#tell(lane, lane.filter.push(text))
    lane.arguments += text
    this.#waiting_characters += text.length
    if (!this.#strictest) return this.#tell(lane, text)
    if (this.#waiting_characters > HELD_MAX) throw tooMuchFor(this.#strictest, 'output')
    return ''
  }

  rest(beginning: string): StreamEvent[] {
    return this.#openAt(beginning).flatMap((lane) => {
      this.#open.delete(lane.spot.lane)
      this.#waiting_characters -= lane.arguments.length
      const screened = lane.spot.is_arguments ? this.#screenArguments(lane.arguments) : lane.filter.end()
      if (lane.spot.is_arguments && !this.#strictest) return []
      const told = this.#tell(lane, screened)
      return told === '' ? [] : [lane.spot.more(told)]
    })
  }

  whole(value: Json): Json {
    return mapTexts(value, (text) => {
      const told = this.#screen(text)
      if (!this.#isCollecting || this.#wholes.has(told)) return told
      this.#told_characters += told.length
      if (!this.is_too_much) this.#wholes.add(told)
      return told
    })
  }

  /** Whether arguments come to their end that are too long to be looked at at once. */
  endsLong(through: Through): boolean {
    const { slice } = this.#part
    if (this.#waiting_characters <= slice) return false
    let characters = 0
    through({
      piece: (_spot, text) => text,
      rest: (beginning) => {
        for (const lane of this.#openAt(beginning)) characters += lane.arguments.length
        return []
      },
      whole: (value) => value,
    })
    return characters > slice
  }

  async pieceSlowly(spot: Spot, text: string): Promise<string> {
    let told = ''
    for await (const part of this.#looking.looker.slices(text, this.#part.slice)) told += this.piece(spot, part)
    return told
  }

  async restSlowly(beginning: string): Promise<StreamEvent[]> {
    for (const lane of this.#openAt(beginning)) {
      if (lane.spot.is_arguments) await this.#lookAhead((visit) => mapArguments(lane.arguments, visit))
    }
    const told = this.rest(beginning)
    this.#ahead.clear()
    return told
  }

  async wholeSlowly(value: Json): Promise<Json> {
    await this.#lookAhead((visit) => mapTexts(value, visit))
    const told = this.whole(value)
    this.#ahead.clear()
    return told
  }

  async #lookAhead(map: (visit: Visit) => void) {
    const texts = new Set<string>()
    const visit = (text: string) => {
      texts.add(text)
      return text
    }
    within(this.#part, this.#looking, () => map(visit), undefined)
    this.#alone ??= this.#newFilter()
    for (const text of texts) {
      this.#ahead.set(text, await slowly(this.#alone, text, this.#part.slice, this.#looking.looker))
    }
  }

  #openAt(beginning: string): Lane[] {
    return [...this.#open.values()].filter(({ spot }) => spot.lane.startsWith(beginning))
  }

  #screenArguments(text: string): string {
    return within(this.#part, this.#looking, () => mapArguments(text, this.#screen), text)
  }

  readonly #screen = (text: string): string => {
    const known = this.#ahead.get(text) ?? this.#known.get(text)
    if (known !== undefined) return known
    this.#alone ??= this.#newFilter()
    const told = this.#alone.push(text) + this.#alone.end()
    this.#known_characters += text.length
    if (this.#known_characters <= KNOWN_MAX) this.#known.set(text, told)
    return told
  }

  #tell(lane: Lane, text: string): string {
    if (!this.#isCollecting) return text
    this.#told_characters += text.length
    if (this.is_too_much) return text
    lane.told += text
    return text
  }

  #newFilter = (): Filter => chainOf(this.#part.screeners, 'output', this.#looking.findings, this.#budget)
}

/** Passes an event through twice: what lanes are asked for at first is done in turns, and given when they are asked again. */
class Rehearsal {
  readonly #lanes: ScreeningLanes
  readonly #acts: (() => Promise<void>)[] = []
  readonly #pieces: string[] = []
  readonly #rests: StreamEvent[][] = []
  readonly #wholes: Json[] = []

  constructor(lanes: ScreeningLanes) {
    this.#lanes = lanes
  }

  /** Gives how to tell it. */
  async perform(through: Through): Promise<() => Told> {
    try {
      through(this.#asked)
      for (const act of this.#acts) await act()
      return () => through(this.#told)
    } catch (thrown) {
      return () => {
        throw thrown
      }
    }
  }

  get #asked(): Lanes {
    return {
      piece: (spot, text) => {
        this.#acts.push(async () => void this.#pieces.push(await this.#lanes.pieceSlowly(spot, text)))
        return text
      },
      rest: (beginning) => {
        this.#acts.push(async () => void this.#rests.push(await this.#lanes.restSlowly(beginning)))
        return []
      },
      whole: (value) => {
        this.#acts.push(async () => void this.#wholes.push(await this.#lanes.wholeSlowly(value)))
        return value
      },
    }
  }

  get #told(): Lanes {
    return {
      piece: () => this.#pieces.shift() ?? '',
      rest: () => this.#rests.shift() ?? [],
      whole: () => this.#wholes.shift() ?? null,
    }
  }
}

/** Tells each lane that has another text by its first piece. */
class RewritingLanes implements Lanes {
  readonly #texts: Map<string, Lane>
  readonly #changed: Map<string, string>
  readonly #begun = new Set<string>()

  constructor(texts: Map<string, Lane>, changed: Map<string, string>) {
    this.#texts = texts
    this.#changed = changed
  }

  piece({ lane }: Spot, text: string): string {
    const other = this.#changed.get(this.#texts.get(lane)?.told ?? '')
    if (other === undefined) return text
    if (this.#begun.has(lane)) return ''
    this.#begun.add(lane)
    return other
  }

  rest(): StreamEvent[] {
    return []
  }

  whole(value: Json): Json {
    return mapTexts(value, (text) => this.#changed.get(text) ?? text)
  }
}
