/** A look at events that pass, without reading them: whether there is something to read, and how much was written. The
 *  bytes come as a string with one character for each (latin1), which is cheaper to look through than a Buffer. */

import type { MouthName } from '../hub.ts'

const BRACE = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c

const chat = ['"error"', '"usage":{', '"usage": {']
/** Where one of these stands there is something to read. In what is said their quotes would be escaped. */
const telling: Partial<Record<MouthName, string[]>> = {
  chat,
  completions: chat,
  messages: ['"error"', '"usage"', '"message_stop"'],
  responses: ['"response.completed"', '"response.failed"', '"response.incomplete"', '"error"'],
}

/** Whether each event ends like JSON, and none tells usage, an error or an end. */
export function isPlain(mouth: MouthName, events: string): boolean {
  for (let end = events.indexOf('\n\n'); end >= 0; end = events.indexOf('\n\n', end + 2)) {
    if (events.charCodeAt(end - 1) !== BRACE) return false
  }
  if (!events.endsWith('\n\n')) return false
  for (const mark of telling[mouth] ?? []) if (events.includes(mark)) return false
  return true
}

export type Written = { bytes: number; deltas: number }

export const writtenIn = (mouth: MouthName, events: string): Written =>
  mouth === 'chat' ? deltasIn(events) : textIn(mouth, events)

/** Behind these ends what a delta has open. */
const opens = (byte: number) => byte === 0x7b || byte === 0x5b
const closes = (byte: number) => byte === BRACE || byte === 0x5d
const DELTA = '"delta":'

/** By which names a delta has text, and where it counts: thoughts are told under two or three names by some hosts, and
 *  are the same ones. */
const places: Record<string, 0 | 1 | 2 | 3> = {
  content: 0,
  arguments: 0,
  refusal: 0,
  transcript: 0,
  reasoning: 1,
  thinking: 1,
  reasoning_content: 2,
  text: 3,
  summary: 3,
}

/** Of a chat: what is text in deltas. */
function deltasIn(events: string): Written {
  let bytes = 0
  let deltas = 0
  for (let at = events.indexOf(DELTA); at >= 0; at = events.indexOf(DELTA, at)) {
    at = events.indexOf('{', at + DELTA.length) + 1
    if (at === 0) break
    const sizes: [number, number, number, number] = [0, 0, 0, 0]
    let isValue = false
    let place: 0 | 1 | 2 | 3 | undefined
    for (let depth = 1; depth > 0 && at < events.length; at += 1) {
      const byte = events.charCodeAt(at)
      if (opens(byte)) depth += 1
      else if (closes(byte)) depth -= 1
      if (byte === COLON) isValue = true
      else if (byte === COMMA || opens(byte)) isValue = false
      if (byte !== QUOTE) continue
      const start = at + 1
      at = endOfText(events, start)
      if (!isValue) place = places[events.slice(start, at)]
      else if (place !== undefined) sizes[place] += at - start
    }
    const [said, ...thoughts] = sizes
    const size = said + Math.max(...thoughts)
    bytes += size
    if (size > 0) deltas += 1
  }
  return { bytes, deltas }
}

/** Where the string that begins here has its closing quote. */
function endOfText(json: string, from: number): number {
  let at = from
  while (at < json.length && json.charCodeAt(at) !== QUOTE) at += json.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at
}

/** What a format calls its text; those in one list are names for the same. */
const names: Partial<Record<MouthName, string[][]>> = {
  chat: [['"content"'], ['"arguments"'], ['"refusal"'], ['"reasoning_content"', '"reasoning"']],
  completions: [['"text"']],
  responses: [['"delta"'], ['"text"']],
  messages: [['"text"'], ['"thinking"'], ['"partial_json"']],
}

/** The values of what a format calls its text. */
export function textIn(mouth: MouthName, json: string): Written {
  let bytes = 0
  let deltas = 0
  for (const same of names[mouth] ?? []) {
    let most: Written = NOTHING
    for (const name of same) {
      const written = valuesOf(name, json)
      if (written.bytes > most.bytes) most = written
    }
    bytes += most.bytes
    deltas += most.deltas
  }
  return { bytes, deltas }
}

const NOTHING: Written = { bytes: 0, deltas: 0 }

function valuesOf(name: string, json: string): Written {
  let at = json.indexOf(name)
  if (at < 0) return NOTHING
  let bytes = 0
  let deltas = 0
  for (; at >= 0; at = json.indexOf(name, at)) {
    at += name.length
    const start = textBehind(json, at)
    if (start < 0) continue
    at = endOfText(json, start)
    bytes += at - start
    if (at > start) deltas += 1
  }
  return { bytes, deltas }
}

/** Where the text begins whose name ends here; below zero: no text follows. JSON may have spaces around a colon. */
function textBehind(json: string, end: number): number {
  let at = blankEnd(json, end)
  if (json.charCodeAt(at) !== COLON) return -1
  at = blankEnd(json, at + 1)
  return json.charCodeAt(at) === QUOTE ? at + 1 : -1
}

function blankEnd(json: string, from: number): number {
  let at = from
  while (at < json.length && json.charCodeAt(at) <= 0x20) at += 1
  return at
}
