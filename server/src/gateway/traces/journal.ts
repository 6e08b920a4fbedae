/** Calls that had no leave, on their way into the database: in batches, a moment later. They cost nothing, so their
 *  traces may get lost: those that had leave are written together with what they cost (governor/till.ts). What waits is
 *  bounded. While the database is away the contents of calls are let go first, then calls, which is logged; what the
 *  process had not written when it was killed is lost. */

import type { Platform } from '../../context.ts'
import { DatabaseUnavailable } from '../../db/faults.ts'
import type { CallRecord } from '../policies/policy.ts'
import { insertCalls } from './calls-store.ts'

export type Journal = {
  note(call: CallRecord): void
  /** Writes what there is, if the database takes it. */
  close(): Promise<void>
}

export const journalLimits = {
  /** Calls, and characters of their contents, that wait to be written. */
  calls: 20_000,
  characters: 32 * 1024 * 1024,
  /** Of one statement. */
  batch_calls: 200,
  batch_characters: 8 * 1024 * 1024,
} as const

const GATHER_MS = 50
const PAUSE_MS = 1_000

export function openJournal({ database, log }: Pick<Platform, 'database' | 'log'>): Journal {
  let waiting: CallRecord[] = []
  let characters = 0
  let dropped = 0
  let isClosing = false
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined

  const soon = (ms: number) => {
    if (isClosing || timer) return
    timer = setTimeout(() => {
      timer = undefined
      void write()
    }, ms)
  }

  const write = (): Promise<void> => {
    writing ??= writeAll().finally(() => {
      writing = undefined
    })
    return writing
  }

  const writeAll = async () => {
    while (waiting.length > 0) {
      const batch = firstOf(waiting)
      waiting = waiting.slice(batch.length)
      try {
        dropped += await insert(batch)
        characters -= sizeOf(batch)
      } catch (err) {
        waiting = [...batch, ...waiting]
        log.warn({ err, waiting: waiting.length }, 'calls of the gateway could not be written yet')
        return soon(PAUSE_MS)
      }
    }
    if (dropped > 0) log.error({ dropped }, 'calls of the gateway were not written')
    dropped = 0
  }

  /** How many the database refuses for what is in them. */
  const insert = async (batch: CallRecord[]): Promise<number> => {
    try {
      await insertCalls(
        database.platform,
        batch.map((record) => ({ record, nanocredits: 0 })),
      )
      return 0
    } catch (err) {
      if (isPassing(err)) throw err
      if (batch.length > 1) {
        let refused = 0
        for (const one of batch) refused += await insert([one])
        return refused
      }
      log.error({ err, call_id: batch[0]?.id }, 'a call of the gateway cannot be written')
      return 1
    }
  }

  return {
    note(call) {
      if (waiting.length >= journalLimits.calls) {
        dropped += 1
        return
      }
      const size = sizeOf([call])
      const hasRoom = characters + size <= journalLimits.characters
      waiting.push(hasRoom ? call : { ...call, request: null, answer: null })
      characters += hasRoom ? size : 0
      if (waiting.length >= journalLimits.batch_calls && !timer) void write()
      else soon(GATHER_MS)
    },
    async close() {
      isClosing = true
      clearTimeout(timer)
      await writing
      await write()
      const left = dropped + waiting.length
      if (left > 0) log.error({ dropped: left }, 'calls of the gateway were not written')
    },
  }
}

const sizeOf = (calls: CallRecord[]): number =>
  calls.reduce((sum, { request, answer }) => sum + (request?.length ?? 0) + (answer?.length ?? 0), 0)

function firstOf(waiting: CallRecord[]): CallRecord[] {
  let room: number = journalLimits.batch_characters
  const end = waiting.findIndex((call, index) => {
    room -= sizeOf([call])
    return index > 0 && (room < 0 || index >= journalLimits.batch_calls)
  })
  return end < 0 ? waiting : waiting.slice(0, end)
}

/** The database is away or going down, and the same may be written later. */
const isPassing = (err: unknown): boolean =>
  err instanceof DatabaseUnavailable || !(err instanceof Error && 'code' in err && /^(22|23|42|54)/.test(`${err.code}`))
