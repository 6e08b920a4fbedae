/** The texts of a stream in their lanes, as guardrails see them: looked at as they come, or in turns where they are long, and
 *  told with other texts in the place of those that were changed when all was there. */

import type { Budget } from '../../expressions/expressions.ts'
import type { Json } from '../hub.ts'
import type { Lanes, Spot, StreamEvent } from './events.ts'
import { chainOf, type Filter } from './filters.ts'
import { tooMuchFor } from './findings.ts'
import { type Looking, newBudget, type Part, slowly, within } from './guard.ts'
import { mapArguments, mapTexts, type Visit } from './texts.ts'

/** Characters of a stream that are held back, in events to tell and in arguments that are not complete. */
export const HELD_MAX = 4 * 1024 * 1024

/** Characters of texts that came whole and are known when they come again. */
const KNOWN_MAX = 64 * 1024

/** Of a stream: choices, blocks and calls, each with its texts. */
export const LANES_MAX = 4096

/** What passes as it is: a mark of the end. */
export type Mark = { mark: string }
export type Told = (StreamEvent | Mark)[]
export type Through = (lanes: Lanes) => Told
type Lane = { spot: Spot; filter: Filter; arguments: string; told: string }

/** A lane is one text, but arguments are read as the JSON that they are. */
const mapLane = ({ spot, told }: Lane, visit: Visit): string =>
  spot.is_arguments ? mapArguments(told, visit) : visit(told, [])

const noted = (texts: Set<string>, text: string): string => {
  texts.add(text)
  return text
}

export class ScreeningLanes implements Lanes {
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
    const texts = new Set<string>()
    const visit = (text: string) => noted(texts, text)
    for (const lane of lanes) within(this.#part, this.#looking, () => void mapLane(lane, visit), undefined)
    for (const text of this.#wholes) texts.add(text)
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
    within(this.#part, this.#looking, () => map((text) => noted(texts, text)), undefined)
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
export class Rehearsal {
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
export class RewritingLanes implements Lanes {
  readonly #texts: Map<string, Lane>
  readonly #changed: Map<string, string>
  /** What is still to be told in the place of a lane's texts. */
  readonly #rewritten = new Map<string, string | undefined>()

  constructor(texts: Map<string, Lane>, changed: Map<string, string>) {
    this.#texts = texts
    this.#changed = changed
  }

  piece({ lane }: Spot, text: string): string {
    if (!this.#rewritten.has(lane)) this.#rewritten.set(lane, this.#rewrite(this.#texts.get(lane)))
    const other = this.#rewritten.get(lane)
    if (other === undefined) return text
    this.#rewritten.set(lane, '')
    return other
  }

  rest(): StreamEvent[] {
    return []
  }

  whole(value: Json): Json {
    return mapTexts(value, this.#other)
  }

  /** Undefined: it stays as it is. */
  #rewrite(lane: Lane | undefined): string | undefined {
    const other = lane && mapLane(lane, this.#other)
    return other === lane?.told ? undefined : other
  }

  readonly #other = (text: string): string => this.#changed.get(text) ?? text
}
