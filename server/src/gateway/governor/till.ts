/** What was settled, on its way into the database: a batch at a time, in one transaction the lines of the ledger, the
 *  traces, what is spent of budgets and what is leased less. A batch whose end nobody learned is written again, and what
 *  was written before is not written twice: a line has the id of its call.
 *
 *  Until then it is in memory, and paid for by what is leased. */

import type { Logger } from 'pino'
import { enter, type Line } from '../../billing/billing.ts'
import type { Database, Db } from '../../db/db.ts'
import { DatabaseFault } from '../../db/faults.ts'
import type { CallRecord } from '../policies/policy.ts'
import { insertCalls } from '../traces/calls-store.ts'
import type { Account } from './account.ts'
import type { Holder } from './holder.ts'
import * as store from './store.ts'

/** A lease that was given up is paid for already: calls of that time cost nothing more. */
export type Era = { isLost: boolean }

export type Settling = {
  record: CallRecord
  /** `provider/model` of who answered. */
  model: string | null
  nanocredits: number
  /** Who pays. */
  accounts: Account[]
  settled_at: string
  era: Era
}

/** So many are written at once; when more have come meanwhile, so many more: a batch costs about the same. */
const BATCH_USUAL = 250
const BATCH_MAX = 1_000
const BATCH_CHARACTERS_MAX = 8 * 1024 * 1024
const WAIT_MS = 50
const AGAIN_MS = 500
/** What waits is bounded: contents are let go first, then nobody is admitted any more. */
const CHARACTERS_MAX = 64 * 1024 * 1024
const ENTRIES_MAX = 50_000

export type Till = {
  put(entry: Settling): void
  readonly isFull: boolean
  /** Writes all that is there, for so long at most. Whether it is written. */
  close(deadline_ms: number): Promise<boolean>
}

export function openTill({ database, log }: { database: Database; log: Logger }, holder: Holder): Till {
  const waiting: Settling[] = []
  let characters = 0
  let writing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let batch_max = BATCH_MAX
  let withTraces = true
  /** Nobody learned whether it was written: it is written again as it is, so that nothing new is told by what is old. */
  let inDoubt: Settling[] | undefined

  const later = (ms: number) => {
    timer ??= setTimeout(() => {
      timer = undefined
      writing ??= write().finally(() => {
        writing = undefined
        if (waiting.length > 0) later(isWell ? 0 : AGAIN_MS)
      })
    }, ms)
  }
  let isWell = true

  const write = async () => {
    while (waiting.length > 0) {
      const batch = inDoubt ?? firstOf(waiting, batch_max)
      try {
        const isWritten = await writeBatch({ database, holder }, batch, withTraces)
        inDoubt = undefined
        isWell = true
        if (!isWritten) continue
        for (const { accounts, nanocredits } of batch) for (const account of accounts) account.written(nanocredits)
      } catch (err) {
        isWell = false
        inDoubt = isRefused(err) ? undefined : batch
        if (inDoubt) return
        if (!isHopeless(batch)) {
          log.error({ err, call_id: batch[0]?.record.id }, 'calls could not be written; they are tried one by one')
          withTraces = batch.length > 1
          batch_max = 1
          continue
        }
        // What it cost stays leased, and counts as spent.
        log.error({ err, line: batch.map(lineOf) }, 'a call cannot be written; the others go on')
      }
      waiting.splice(0, batch.length)
      for (const entry of batch) characters -= sizeOf(entry)
      batch_max = withTraces ? Math.min(BATCH_MAX, batch_max * 2) : 1
      withTraces = true
    }
  }
  /** What cannot be stored is found by writing it alone; then its trace is let go. */
  const isHopeless = (batch: Settling[]) => batch.length === 1 && !withTraces

  return {
    put(entry) {
      const size = sizeOf(entry)
      const hasRoom = characters + size <= CHARACTERS_MAX
      if (hasRoom) characters += size
      waiting.push(hasRoom ? entry : { ...entry, record: { ...entry.record, request: null, answer: null } })
      if (isWell && waiting.length >= BATCH_USUAL) {
        clearTimeout(timer)
        timer = undefined
        if (!writing) later(0)
        return
      }
      if (!writing) later(isWell ? WAIT_MS : AGAIN_MS)
    },
    get isFull() {
      return waiting.length >= ENTRIES_MAX
    },
    async close(deadline_ms) {
      const until = performance.now() + deadline_ms
      while ((waiting.length > 0 || writing) && performance.now() < until) {
        if (!writing) later(0)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      clearTimeout(timer)
      return waiting.length === 0
    },
  }
}

/** Another write would be refused, too. */
const isRefused = (err: unknown): boolean => err instanceof DatabaseFault && /^(22|23)/.test(err.code)

const sizeOf = ({ record }: Settling): number => (record.request?.length ?? 0) + (record.answer?.length ?? 0)

/** Of one era, so many and so much of it. */
function firstOf(waiting: Settling[], most: number): Settling[] {
  const isLost = waiting[0]?.era.isLost
  let room = BATCH_CHARACTERS_MAX
  const end = waiting.findIndex((entry, index) => {
    room -= sizeOf(entry)
    return index > 0 && (index >= most || room < 0 || entry.era.isLost !== isLost)
  })
  return waiting.slice(0, end < 0 ? waiting.length : end)
}

type Parts = { database: Database; holder: Holder }

/** False: it must be looked at again, since what it was paid from was given up. */
async function writeBatch({ database, holder }: Parts, batch: Settling[], withTraces: boolean): Promise<boolean> {
  const isLost = batch[0]?.era.isLost === true
  const isPaying = !isLost && batch.some(({ nanocredits }) => nanocredits > 0)
  const holder_id = isPaying ? await holder.here() : undefined
  const isWritten = await database.platform.tx(async (db) => {
    if (holder_id && !(await store.isHolding(db, holder_id))) return false
    const isNew = (await enter(db, batch.map(lineOf))) > 0
    if (!isNew) return true
    if (withTraces) await insertCalls(db, batch.map(tracedOf))
    if (holder_id) await spend(db, holder_id, batch)
    return true
  })
  if (!isWritten && holder_id) holder.lost(holder_id)
  return isWritten
}

const billed = ({ era, nanocredits }: Settling): number => (era.isLost ? 0 : nanocredits)

const tracedOf = (entry: Settling) => ({ record: entry.record, nanocredits: billed(entry) })

function lineOf(entry: Settling): Line {
  const { record, model, settled_at } = entry
  const { caller, usage } = record
  const name = (model ?? record.model).replaceAll('\0', '').toWellFormed().slice(0, NAME_MAX)
  return {
    id: record.id,
    organization_id: caller.organization_id,
    workspace_id: caller.workspace_id,
    user_id: caller.user_id,
    service_type: 'llm_call',
    resource_type: 'model',
    resource_id: name,
    model: name,
    agent_id: caller.agent_id ?? null,
    workflow_id: caller.workflow_id ?? null,
    usage_quantity: usage.input + usage.output,
    nanocredits: billed(entry),
    request_id: record.request_id,
    created_at: settled_at,
  }
}

/** Clients send what they like. */
const NAME_MAX = 300

async function spend(db: Db, holder_id: string, batch: Settling[]): Promise<void> {
  const leases = new Map<string, { organization_id: string; account: string; nanocredits: number }>()
  const sums = new Map<string, store.Spent>()
  for (const { record, model, nanocredits, accounts, settled_at } of together(batch)) {
    for (const { organization_id, name } of accounts) {
      const key = `${organization_id} ${name}`
      const sum = leases.get(key)
      if (sum) sum.nanocredits += nanocredits
      else leases.set(key, { organization_id, account: name, nanocredits })
    }
    const { organization_id, workspace_id, user_id, key_id } = record.caller
    const day = settled_at.slice(0, 10)
    const subjects = { organization: organization_id, workspace: workspace_id, user: user_id, key: key_id, model }
    for (const [kind, subject_id] of Object.entries(subjects)) {
      if (subject_id !== null) store.addTo(sums, { organization_id, kind, subject_id, day, nanocredits })
    }
  }
  if (leases.size > 0) await store.settleLeases(db, holder_id, [...leases.values()])
  if (sums.size > 0) await store.addSpend(db, [...sums.values()])
}

/** Calls in a row that the same caller made of the same model on the same day, as one: there are few others. */
function together(batch: Settling[]): Settling[] {
  const all: Settling[] = []
  for (const one of batch) {
    if (one.nanocredits === 0) continue
    const last = all.at(-1)
    const isSame =
      last?.record.caller === one.record.caller &&
      last.model === one.model &&
      last.accounts.length === one.accounts.length &&
      last.accounts.every((account, i) => account === one.accounts[i]) &&
      last.settled_at.slice(0, 10) === one.settled_at.slice(0, 10)
    if (last && isSame) last.nanocredits += one.nanocredits
    else all.push({ ...one })
  }
  return all
}
