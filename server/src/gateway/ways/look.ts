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
const ROLE = '"role"'

/** Of a chat: the values of deltas that are strings, but for the role. */
function deltasIn(events: string): Written {
  let bytes = 0
  let deltas = 0
  for (let at = events.indexOf(DELTA); at >= 0; at = events.indexOf(DELTA, at)) {
    at = events.indexOf('{', at + DELTA.length) + 1
    if (at === 0) break
    const before = bytes
    let isValue = false
    let isRole = false
    for (let depth = 1; depth > 0 && at < events.length; at += 1) {
      const byte = events.charCodeAt(at)
      if (opens(byte)) depth += 1
      else if (closes(byte)) depth -= 1
      if (byte === COLON) isValue = true
      else if (byte === COMMA || opens(byte)) isValue = false
      if (byte !== QUOTE) continue
      const start = at
      at = endOfText(events, at + 1)
      if (!isValue) isRole = at - start === 5 && events.startsWith(ROLE, start)
      else if (!isRole) bytes += at - start - 1
    }
    if (bytes > before) deltas += 1
  }
  return { bytes, deltas }
}

/** Where the string that begins here has its closing quote. */
function endOfText(json: string, from: number): number {
  let at = from
  while (at < json.length && json.charCodeAt(at) !== QUOTE) at += json.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at
}

const keys: Partial<Record<MouthName, string[]>> = {
  chat: ['"content":"', '"arguments":"', '"reasoning_content":"', '"reasoning":"', '"refusal":"'],
  completions: ['"text":"'],
  responses: ['"delta":"', '"text":"'],
  messages: ['"text":"', '"thinking":"', '"partial_json":"'],
}

/** The values of what a format calls its text. */
export function textIn(mouth: MouthName, json: string): Written {
  let bytes = 0
  let deltas = 0
  for (const key of keys[mouth] ?? []) {
    for (let at = json.indexOf(key); at >= 0; at = json.indexOf(key, at)) {
      at += key.length
      const start = at
      at = endOfText(json, at)
      bytes += at - start
      if (at > start) deltas += 1
    }
  }
  return { bytes, deltas }
}
