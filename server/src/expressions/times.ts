/** Timestamps and durations as CEL has them: nanoseconds, from the year 1 to 9999. */

import { ExpressionFault } from './fault.ts'

const NANOS = 1_000_000_000n
const EARLIEST = -62_135_596_800n * NANOS
const LATEST = 253_402_300_800n * NANOS - 1n
const LONGEST = 2n ** 63n - 1n

export class Timestamp {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    if (nanos < EARLIEST || nanos > LATEST) throw new ExpressionFault('The time is outside of the years 1 to 9999.')
    this.nanos = nanos
  }

  toString(): string {
    const fraction = ((this.nanos % NANOS) + NANOS) % NANOS
    const whole = new Date(Number((this.nanos - fraction) / 1_000_000n)).toISOString().slice(0, 19)
    return `${whole}${fractionText(fraction)}Z`
  }
}

export class Duration {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    if (nanos < -LONGEST || nanos > LONGEST) throw new ExpressionFault('The duration is longer than 292 years.')
    this.nanos = nanos
  }

  toString(): string {
    const size = this.nanos < 0n ? -this.nanos : this.nanos
    return `${this.nanos < 0n ? '-' : ''}${size / NANOS}${fractionText(size % NANOS)}s`
  }
}

function fractionText(nanos: bigint): string {
  return nanos === 0n ? '' : `.${nanos.toString().padStart(9, '0').replace(/0+$/, '')}`
}

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/

/** An RFC 3339 time such as `2026-01-31T08:00:00Z`. */
export function parseTimestamp(text: string): Timestamp {
  const [, day, time, fraction = '', zone = ''] = RFC_3339.exec(text) ?? []
  const ms = Date.parse(`${day}T${time}${zone.toUpperCase()}`)
  // `Date` reads the 31st of February as the 3rd of March.
  const exists = day !== undefined && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
  if (Number.isNaN(ms) || !exists)
    throw new ExpressionFault(`"${text.slice(0, 50)}" is not a time such as 2026-01-31T08:00:00Z.`)
  return new Timestamp(BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0')))
}

const unitNanos: Record<string, bigint> = {
  h: 3600n * NANOS,
  m: 60n * NANOS,
  s: NANOS,
  ms: 1_000_000n,
  us: 1000n,
  µs: 1000n,
  ns: 1n,
}

/** Numbers with units, such as `1h30m` or `-1.5s`. */
export function parseDuration(text: string): Duration {
  const [, sign, rest = ''] = /^([+-]?)((?:\d+(?:\.\d*)?(?:h|ms|m|s|us|µs|ns))+|0)$/.exec(text) ?? []
  if (rest === '' || text.length > 100)
    throw new ExpressionFault(`"${text.slice(0, 50)}" is not a duration such as 1h30m.`)
  let nanos = 0n
  for (const [, whole = '0', fraction = '', unit = ''] of rest.matchAll(/(\d+)(?:\.(\d*))?(ms|us|µs|ns|h|m|s)/g)) {
    const size = unitNanos[unit] ?? 0n
    nanos += BigInt(whole) * size
    if (fraction) nanos += (BigInt(fraction) * size) / 10n ** BigInt(fraction.length)
  }
  return new Duration(sign === '-' ? -nanos : nanos)
}

export type TimePart =
  | 'year'
  | 'month'
  | 'date'
  | 'weekday'
  | 'year_day'
  | 'hours'
  | 'minutes'
  | 'seconds'
  | 'milliseconds'

/** A part of the time as a clock in `zone` shows it: an IANA name or an offset such as `+02:00`. Months and days
 *  count as CEL counts them. */
export function partOf(time: Timestamp, part: TimePart, zone = 'UTC'): bigint {
  const ms = Number(((time.nanos % NANOS) + NANOS) % NANOS) / 1_000_000
  if (part === 'milliseconds') return BigInt(Math.floor(ms))
  const shown = new Date(localMs(time, zone))
  switch (part) {
    case 'year':
      return BigInt(shown.getUTCFullYear())
    case 'month':
      return BigInt(shown.getUTCMonth())
    case 'date':
      return BigInt(shown.getUTCDate())
    case 'weekday':
      return BigInt(shown.getUTCDay())
    case 'year_day':
      return BigInt(Math.floor((shown.getTime() - yearStart(shown)) / 86_400_000))
    case 'hours':
      return BigInt(shown.getUTCHours())
    case 'minutes':
      return BigInt(shown.getUTCMinutes())
    case 'seconds':
      return BigInt(shown.getUTCSeconds())
  }
}

function yearStart(date: Date): number {
  const start = new Date(0)
  start.setUTCFullYear(date.getUTCFullYear(), 0, 1)
  return start.getTime()
}

/** The milliseconds that a UTC clock would have to show what the clock in the zone shows. */
function localMs(time: Timestamp, zone: string): number {
  const ms = Number((time.nanos - (((time.nanos % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n)
  if (zone === 'UTC' || zone === '') return ms
  const [, sign, hours, minutes] = /^([+-]?)(\d{2}):(\d{2})$/.exec(zone) ?? []
  if (hours !== undefined) return ms + (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
  const parts = Object.fromEntries(
    formatterOf(zone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const local = new Date(0)
  local.setUTCFullYear(parts.year ?? 0, (parts.month ?? 1) - 1, parts.day ?? 1)
  local.setUTCHours(parts.hour ?? 0, parts.minute ?? 0, parts.second ?? 0)
  return local.getTime()
}

const formatters = new Map<string, Intl.DateTimeFormat>()

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone)
  if (known) return known
  try {
    const numeric = 'numeric'
    const formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    })
    formatters.set(zone, formatter)
    return formatter
  } catch {
    throw new ExpressionFault(`There is no time zone "${zone.slice(0, 50)}".`)
  }
}
