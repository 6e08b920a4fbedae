import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultOf, isTimezone, lastUntil, nextAfter } from './schedule.ts'

/** What comes after `after`, up to `until`, in UTC. */
function timesOf(cron: string, timezone: string, after: string, until: string): string[] {
  const times: string[] = []
  let at = nextAfter(cron, timezone, new Date(after))
  while (at && at <= new Date(until)) {
    times.push(at.toISOString().slice(0, 16))
    at = nextAfter(cron, timezone, at)
  }
  return times
}

test('a daily time in the hour that spring leaves out comes once, at the end of the gap', () => {
  // At 01:00Z on 29 March the clocks of Berlin go from 02:00 to 03:00.
  assert.deepEqual(timesOf('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00Z', '2026-03-31T00:00Z'), [
    '2026-03-28T01:30',
    '2026-03-29T01:00',
    '2026-03-30T00:30',
  ])
  // At 07:00Z on 8 March those of New York do, and by half an hour at 15:30Z on 3 October those of Lord Howe.
  assert.deepEqual(timesOf('30 2 * * *', 'America/New_York', '2026-03-08T00:00Z', '2026-03-10T00:00Z'), [
    '2026-03-08T07:00',
    '2026-03-09T06:30',
  ])
  assert.deepEqual(timesOf('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00Z', '2026-10-05T00:00Z'), [
    '2026-10-03T15:30',
    '2026-10-04T15:15',
  ])
})

test('a daily time in the hour that autumn repeats comes once, the first time', () => {
  assert.deepEqual(timesOf('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-26T12:00Z'), [
    '2026-10-25T00:30',
    '2026-10-26T01:30',
  ])
  assert.deepEqual(timesOf('30 1 * * *', 'America/New_York', '2026-11-01T00:00Z', '2026-11-03T00:00Z'), [
    '2026-11-01T05:30',
    '2026-11-02T06:30',
  ])
  assert.deepEqual(timesOf('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00Z', '2026-04-06T00:00Z'), [
    '2026-04-04T14:45',
    '2026-04-05T15:15',
  ])
})

test('whoever looks in the second of two equal hours waits for the next day', () => {
  const after = new Date('2026-10-25T01:10:00Z')

  assert.equal(nextAfter('30 2 * * *', 'Europe/Berlin', after)?.toISOString(), '2026-10-26T01:30:00.000Z')
})

test('an hourly schedule comes in each real hour, whatever the clocks do', () => {
  const night = ['2026-03-28T23:30', '2026-03-29T00:30', '2026-03-29T01:30', '2026-03-29T02:30']
  assert.deepEqual(timesOf('30 * * * *', 'Europe/Berlin', '2026-03-28T23:00Z', '2026-03-29T03:00Z'), night)

  const long = ['2026-10-24T23:00', '2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00', '2026-10-25T03:00']
  assert.deepEqual(timesOf('0 * * * *', 'Europe/Berlin', '2026-10-24T22:30Z', '2026-10-25T03:30Z'), long)
  assert.deepEqual(timesOf('@hourly', 'Europe/Berlin', '2026-10-24T22:30Z', '2026-10-25T03:30Z'), long)
})

test('hours that are named and skipped are not lost, and those that are repeated come once', () => {
  assert.deepEqual(timesOf('*/15 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-29T12:00Z'), [
    '2026-03-29T01:00',
  ])
  assert.deepEqual(timesOf('0 1-4 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-29T12:00Z'), [
    '2026-03-29T00:00',
    '2026-03-29T01:00',
    '2026-03-29T02:00',
  ])
  assert.deepEqual(timesOf('*/30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-25T12:00Z'), [
    '2026-10-25T00:00',
    '2026-10-25T00:30',
  ])
})

test('every minute is every minute, through all the changes of two years, in every kind of zone', () => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Asia/Kolkata']
  for (const zone of zones) {
    let from = Temporal.Instant.from('2026-01-01T00:00Z').toZonedDateTimeISO(zone)
    for (;;) {
      const change = from.getTimeZoneTransition('next')
      if (!change || change.epochMilliseconds > Date.parse('2028-01-01')) break
      from = change
      const first = change.epochMilliseconds - 90 * 60_000
      let at: Date | undefined = new Date(first)
      for (let minute = 1; minute <= 180; minute++) {
        at = nextAfter('* * * * *', zone, at as Date)
        assert.equal(at?.getTime(), first + minute * 60_000, `${zone} ${at?.toISOString()}`)
      }
    }
  }
})

test('a schedule by the wall comes on each day of two years exactly once', () => {
  for (const zone of ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata']) {
    for (const cron of ['0 0 * * *', '30 1 * * *', '15 2 * * *', '0 3 * * *']) {
      const days = new Set<string>()
      let at = nextAfter(cron, zone, new Date('2026-01-01T00:00:00Z'))
      let count = 0
      while (at && at < new Date('2028-01-01T00:00:00Z')) {
        days.add(Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone).toPlainDate().toString())
        count += 1
        at = nextAfter(cron, zone, at)
      }
      assert.equal(count, days.size, `${cron} in ${zone}`)
      assert.ok(count >= 729, `${cron} in ${zone}: ${count}`)
    }
  }
})

test('a day that a zone left out altogether counts at its end', () => {
  // Samoa went from 29 to 31 December 2011 over the date line.
  assert.deepEqual(timesOf('0 12 30 12 *', 'Pacific/Apia', '2011-12-01T00:00Z', '2012-01-31T00:00Z'), [
    '2011-12-30T10:00',
  ])
})

test('seconds, names and nicknames are understood', () => {
  const after = new Date('2026-01-01T00:00:00Z')
  assert.equal(nextAfter('*/20 * * * * *', 'UTC', after)?.toISOString(), '2026-01-01T00:00:20.000Z')
  assert.equal(nextAfter('0 9 * JUN MON-FRI', 'UTC', after)?.toISOString(), '2026-06-01T09:00:00.000Z')
  assert.equal(nextAfter('@weekly', 'UTC', after)?.toISOString(), '2026-01-04T00:00:00.000Z')
  assert.equal(nextAfter('0 0 29 2 *', 'UTC', after)?.toISOString(), '2028-02-29T00:00:00.000Z')
  // Both days restricted: either one, as in every cron.
  assert.equal(nextAfter('0 0 13 * FRI', 'UTC', after)?.toISOString(), '2026-01-02T00:00:00.000Z')
  assert.equal(nextAfter('0 0 * * 7', 'UTC', after)?.toISOString(), '2026-01-04T00:00:00.000Z')
})

test('what is no schedule is told in a sentence', () => {
  const faults: [string, RegExp][] = [
    ['', /five fields/],
    ['* * *', /here are 3/],
    ['0 0 0 1 1 * 2030', /here are 7/],
    ['61 * * * *', /can't be read/],
    ['* 24 * * *', /can't be read/],
    ['a b c d e', /can't be read/],
    ['0 0 30 2 *', /No day there is/],
    ['@reboot', /@daily/],
    ['? * * * *', /can't be read at "\?"/],
    ['2026-01-01T00:00:00', /here are 1/],
  ]
  for (const [cron, expected] of faults) assert.match(faultOf(cron) ?? 'no fault', expected, cron)
  for (const cron of ['* * * * *', '@daily', '*/5 8-18 * * MON-FRI', '0 0 L * *', '30 0 12 * * 1#2']) {
    assert.equal(faultOf(cron), undefined, cron)
  }
})

test('a time zone is a place, not an offset', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires']) assert.ok(isTimezone(name), name)
  for (const name of ['', '+02:00', 'Berlin', 'Europe/Berlin\0', 'Mars/Olympus']) assert.ok(!isTimezone(name), name)
})

test('the last of a million missed times is found without counting them', () => {
  const from = new Date('2026-01-01T00:00:00Z')
  const cases: [string, string, string][] = [
    ['* * * * * *', '2026-02-01T12:34:56.789Z', '2026-02-01T12:34:56.000Z'],
    ['0 0 1 * *', '2027-06-15T00:00:00Z', '2027-06-01T00:00:00.000Z'],
    ['0 0 1 * *', '2026-01-15T00:00:00Z', '2026-01-01T00:00:00.000Z'],
    ['0 0 29 2 *', '2033-01-01T00:00:00Z', '2032-02-29T00:00:00.000Z'],
    ['* * * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000Z'],
  ]
  for (const [cron, until, expected] of cases) {
    assert.equal(lastUntil(cron, 'UTC', from, new Date(until)).toISOString(), expected, cron)
  }
})
