/** Schedules: when a cron expression comes next, in a time zone, over every change of its clocks. Croner reads the
 *  expression and knows its calendar; what a clock that is put forward or back means is decided here.
 *
 *  An expression that leaves the hour open (`0 * * * *`) follows real time: whenever the clock shows a time that fits,
 *  twice where it shows it twice. One that names hours (`30 2 * * *`) means the day as people live it: a time that the
 *  clock skips counts at the end of the gap, once, and a time that it shows twice counts the first time. */

import { Cron } from 'croner'

const FIELDS = /^[\d*,/\-A-Za-z#+]+$/
/** The names that cron gives to the usual schedules. */
const nicknames = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']
/** Where a search begins that asks whether there is any time at all. */
const ANY_DAY = new Date('2026-01-01T00:00:00Z')

/** What is wrong with an expression; nothing when it can be scheduled. */
export function faultOf(cron: string): string | undefined {
  const fields = fieldsOf(cron)
  if (fields.length === 1 && cron.startsWith('@')) {
    return nicknames.includes(cron.toLowerCase()) ? undefined : `It may be one of ${nicknames.join(', ')}.`
  }
  if (fields.length < 5 || fields.length > 6) {
    const names = 'minute, hour, day of the month, month, day of the week'
    return `It has five fields (${names}) or six, with seconds in front; here are ${fields.length}.`
  }
  const strange = fields.find((field) => !FIELDS.test(field))
  if (strange !== undefined) return `It can't be read at "${strange}".`
  try {
    return clockless(cron).nextRun(ANY_DAY) ? undefined : 'No day there is fits it.'
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error)
    return `It can't be read: ${reason}${reason.endsWith('.') ? '' : '.'}`
  }
}

/** Whether this is a time zone by its name in the IANA database, such as `Europe/Berlin`. */
export function isTimezone(name: string): boolean {
  try {
    // Offsets such as "+02:00" are no places: their clocks never change, and people would expect that they do.
    return /^[A-Za-z]/.test(name) && new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

/** The first time after `after`; undefined when there is none. */
export function nextAfter(cron: string, timezone: string, after: Date): Date | undefined {
  return leavesHourOpen(cron) ? nextInRealTime(cron, timezone, after) : nextOnTheClock(cron, timezone, after)
}

/** The last time at or before `until`, given that `from` is one. Found by halving, so that a schedule by the second
 *  that paused for a month costs no million steps. */
export function lastUntil(cron: string, timezone: string, from: Date, until: Date): Date {
  let last = from
  let high = until.getTime()
  for (;;) {
    const next = nextAfter(cron, timezone, last)
    if (!next || next > until) return last
    last = next
    const middle = nextAfter(cron, timezone, new Date(Math.floor((last.getTime() + high) / 2)))
    if (middle && middle <= until) last = middle
    else high = Math.floor((last.getTime() + high) / 2)
  }
}

const fieldsOf = (cron: string): string[] => cron.trim().split(/\s+/)

function leavesHourOpen(cron: string): boolean {
  const hour = fieldsOf(cron).at(-4) ?? cron.trim().toLowerCase()
  return ['*', '*/1', '0-23', '@hourly'].includes(hour)
}

/** The expression on a clock that is never changed: what it gives is to be read as the time on a wall. */
const clockless = (cron: string) => new Cron(cron.trim(), { timezone: 'UTC', mode: '5-or-6-parts' })

/** From one change of the clocks to the next, the wall is a fixed way ahead of UTC. */
function nextInRealTime(cron: string, timezone: string, after: Date): Date | undefined {
  const wall = clockless(cron)
  let from = after.getTime()
  let stretch = zoned(timezone, from)
  for (;;) {
    const ahead_ms = stretch.offsetNanoseconds / 1e6
    const next = wall.nextRun(new Date(from + ahead_ms))
    if (!next) return undefined
    const at = next.getTime() - ahead_ms
    const change = stretch.getTimeZoneTransition('next')
    if (!change || at < change.epochMilliseconds) return new Date(at)
    stretch = change
    // The moment of the change counts with the clock that it brings.
    from = change.epochMilliseconds - 1
  }
}

/** Times on the wall in their order; none of them comes before another one in real time. */
function nextOnTheClock(cron: string, timezone: string, after: Date): Date | undefined {
  const wall = clockless(cron)
  let from = wallOf(zoned(timezone, after.getTime()))
  for (;;) {
    const next = wall.nextRun(new Date(from))
    if (!next) return undefined
    const at = instantOf(timezone, next)
    if (at > after.getTime()) return new Date(at)
    from = next.getTime()
  }
}

const zoned = (timezone: string, ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone)

/** What the wall shows, as if it were UTC. */
const wallOf = (time: Temporal.ZonedDateTime): number => time.epochMilliseconds + time.offsetNanoseconds / 1e6

/** When the wall shows this: the first time, or the end of the gap in which it never does. */
function instantOf(timezone: string, wall: Date): number {
  const time = Temporal.PlainDateTime.from(wall.toISOString().slice(0, -1)).toZonedDateTime(timezone)
  if (wallOf(time) === wall.getTime()) return time.epochMilliseconds
  return time.getTimeZoneTransition('previous')?.epochMilliseconds ?? time.epochMilliseconds
}
