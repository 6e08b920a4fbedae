/** The SQL of traces: calls that are over, and what was asked and answered in them. */

import { type Db, sql } from '../db/db.ts'
import type { CallRecord } from './policy.ts'

/** Characters of the name of a model: clients send what they like. */
const NAME_MAX = 300

/** A call that is over, and what it cost. */
export type Settlement = CallRecord & { nanocredits: number }

/** Writes calls of any number of organizations, which takes a handle of the platform, or of one, with the handle of
 *  that one; in the caller's transaction, if there is one. What was written before is not written again. */
export async function insertCalls(db: Db, calls: readonly Settlement[]): Promise<void> {
  if (calls.length === 0) return
  await db.send(sql`
    with kept as (
      insert into gateway_call_contents (call_id, organization_id, request, answer)
      select * from unnest(${contents(calls, ({ id }) => id)}::uuid[],
        ${contents(calls, ({ caller }) => caller.organization_id)}::uuid[],
        ${contents(calls, ({ request }) => request && storable(request))}::text[],
        ${contents(calls, ({ answer }) => answer && storable(answer))}::text[])
      on conflict do nothing)
    insert into gateway_calls
    select * from json_populate_recordset(null::gateway_calls, ${jsonOf(calls.map(rowOf))}::json)
    on conflict do nothing`)
}

const contents = <Value>(calls: readonly Settlement[], pick: (call: Settlement) => Value): Value[] =>
  calls.flatMap((call) => (call.request === null && call.answer === null ? [] : [pick(call)]))

const rowOf = ({ caller, usage, request: _, answer: __, ...call }: Settlement) => ({
  ...call,
  ...caller,
  model: call.model.slice(0, NAME_MAX),
  input_tokens: usage.input,
  cached_tokens: usage.cached,
  cache_written_tokens: usage.cache_written,
  output_tokens: usage.output,
  reasoning_tokens: usage.reasoning,
})

/** JSON that the database can read: it knows no character zero and no half characters; clients and providers do. */
function jsonOf(rows: object[]): string {
  const text = JSON.stringify(rows)
  if (!/\\u(?:0000|d[89a-f])/.test(text)) return text
  return JSON.stringify(rows, (_, value) => (typeof value === 'string' ? storable(value) : value))
}

const storable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()
