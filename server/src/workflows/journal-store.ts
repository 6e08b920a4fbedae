/** The one statement by which an owner writes: it refuses whoever no longer owns the execution. */

import { type Db, json, sql } from '../db/db.ts'
import { owned } from '../engine/engine.ts'
import type { Wanted } from '../events/events.ts'
import { announcements } from './announcements.ts'
import type { EventRow, ItemRow, NodeRow, Patch } from './store.ts'

/** What an owner writes of one execution at a time. */
export type Entry = {
  execution_id: string
  organization_id: string
  token: number
  nodes: NodeRow[]
  items: ItemRow[]
  events: EventRow[]
  patch?: Patch
}

const flat = <Row, Value>(entries: Entry[], rowsOf: (entry: Entry) => Row[], pick: (row: Row, entry: Entry) => Value) =>
  entries.flatMap((entry) => rowsOf(entry).map((row) => pick(row, entry)))

/** Writes what several executions have to say, in one statement, and tells listeners: the id of each, with a dot
 *  behind it when it has ended. Gives the executions that still
 *  belong to whoever wrote; nothing is written of the others. A node whose row is final is never changed. */
export async function record(db: Db, entries: Entry[], isWanted: Wanted): Promise<Set<string>> {
  const { parts, also } = announcements(entries, isWanted)
  const nodes = <Value>(pick: (row: NodeRow, entry: Entry) => Value) => flat(entries, (entry) => entry.nodes, pick)
  const items = <Value>(pick: (row: ItemRow, entry: Entry) => Value) => flat(entries, (entry) => entry.items, pick)
  const events = <Value>(pick: (row: EventRow, entry: Entry) => Value) => flat(entries, (entry) => entry.events, pick)
  const patched = entries.flatMap(({ execution_id, patch }) => (patch ? [{ execution_id, patch }] : []))
  const patches = <Value>(pick: (patch: Patch) => Value) => patched.map(({ patch }) => pick(patch))
  const ids = entries.map(({ execution_id }) => execution_id)
  const ended = entries.flatMap(({ execution_id, patch }) => (patch?.completed_at ? [execution_id] : []))

  const rows = await db.many<{ run_id: string }>(sql`
    with owned as materialized (${owned(
      ids,
      entries.map(({ token }) => token),
    )}),
    written_nodes as (
      insert into execution_nodes as n (execution_id, organization_id, node_id, status, attempt, input, input_from,
        output, error, taken, items, spent_ms, due_at, started_at, completed_at)
      select t.execution_id, t.organization_id, t.node_id, t.status, t.attempt, t.input::json, t.input_from::jsonb,
        t.output::json, t.error::jsonb, t.taken::integer[], t.items::jsonb, t.spent_ms, t.due_at, t.started_at,
        t.completed_at
      from unnest(
        ${nodes((_, entry) => entry.execution_id)}::uuid[], ${nodes((_, entry) => entry.organization_id)}::uuid[],
        ${nodes((row) => row.node_id)}::text[], ${nodes((row) => row.status)}::text[],
        ${nodes((row) => row.attempt)}::integer[], ${nodes((row) => row.input)}::text[],
        ${nodes((row) => json(row.input_from))}::text[], ${nodes((row) => row.output)}::text[],
        ${nodes((row) => json(row.error))}::text[], ${nodes((row) => `{${row.taken.join()}}`)}::text[],
        ${nodes((row) => json(row.items))}::text[], ${nodes((row) => Math.round(row.spent_ms))}::integer[],
        ${nodes((row) => row.due_at)}::timestamptz[], ${nodes((row) => row.started_at)}::timestamptz[],
        ${nodes((row) => row.completed_at)}::timestamptz[]
      ) as t (execution_id, organization_id, node_id, status, attempt, input, input_from, output, error, taken, items,
        spent_ms, due_at, started_at, completed_at)
      join owned o on o.run_id = t.execution_id
      on conflict (execution_id, node_id) do update set status = excluded.status, attempt = excluded.attempt,
        input = excluded.input, input_from = excluded.input_from, output = excluded.output, error = excluded.error,
        taken = excluded.taken, items = excluded.items, spent_ms = excluded.spent_ms, due_at = excluded.due_at,
        started_at = excluded.started_at, completed_at = excluded.completed_at
      where n.completed_at is null
    ), written_items as (
      insert into execution_items (execution_id, organization_id, node_id, index, output, error)
      select t.execution_id, t.organization_id, t.node_id, t.index, t.output::json, t.error::jsonb
      from unnest(
        ${items((_, entry) => entry.execution_id)}::uuid[], ${items((_, entry) => entry.organization_id)}::uuid[],
        ${items((row) => row.node_id)}::text[], ${items((row) => row.index)}::integer[],
        ${items((row) => row.output)}::text[], ${items((row) => json(row.error))}::text[]
      ) as t (execution_id, organization_id, node_id, index, output, error)
      join owned o on o.run_id = t.execution_id
      on conflict do nothing
    ), written_events as (
      insert into execution_events (execution_id, organization_id, seq, type, node_id, at, details)
      select t.execution_id, t.organization_id, t.seq, t.type, t.node_id, t.at, t.details::jsonb
      from unnest(
        ${events((_, entry) => entry.execution_id)}::uuid[], ${events((_, entry) => entry.organization_id)}::uuid[],
        ${events((row) => row.seq)}::integer[], ${events((row) => row.type)}::text[],
        ${events((row) => row.node_id)}::text[], ${events((row) => row.at)}::timestamptz[],
        ${events((row) => json(row.details))}::text[]
      ) as t (execution_id, organization_id, seq, type, node_id, at, details)
      join owned o on o.run_id = t.execution_id
    ), patched as (
      update executions e set status = t.status, output = coalesce(t.output::json, e.output),
        error = coalesce(t.error::jsonb, e.error), deadline_at = coalesce(t.deadline_at, e.deadline_at),
        waiting_until = t.waiting_until, started_at = coalesce(e.started_at, t.started_at),
        completed_at = t.completed_at, expires_at = t.expires_at
      from unnest(
        ${patched.map(({ execution_id }) => execution_id)}::uuid[], ${patches((patch) => patch.status)}::text[],
        ${patches((patch) => patch.output ?? null)}::text[], ${patches((patch) => json(patch.error))}::text[],
        ${patches((patch) => patch.deadline_at ?? null)}::timestamptz[],
        ${patches((patch) => patch.waiting_until)}::timestamptz[],
        ${patches((patch) => patch.started_at ?? null)}::timestamptz[],
        ${patches((patch) => patch.completed_at ?? null)}::timestamptz[],
        ${patches((patch) => patch.expires_at ?? null)}::timestamptz[]
      ) as t (execution_id, status, output, error, deadline_at, waiting_until, started_at, completed_at, expires_at)
      join owned o on o.run_id = t.execution_id
      where e.id = t.execution_id
    )${parts}
    select o.run_id from owned o${also}`)
  const kept = new Set(rows.map((row) => row.run_id))
  tellOf(db, kept, new Set(ended))
  return kept
}

/** Ids that one notification has room for. */
const IDS_MAX = 200

/** Tells whoever follows executions. */
function tellOf(db: Db, ids: ReadonlySet<string>, ended: ReadonlySet<string>): void {
  const words = [...ids].map((id) => (ended.has(id) ? `${id}.` : id))
  for (let from = 0; from < words.length; from += IDS_MAX) {
    db.tell('flow_executions', words.slice(from, from + IDS_MAX).join(' '))
  }
}
