/** The SQL of traces: calls that are over, and what was asked and answered in them. */

import { isUtf8 } from 'node:buffer'
import type { Page } from '@flow/contract/common'
import type { GatewayCall, GatewayCallSummary, gatewayCalls } from '@flow/contract/gateway-calls'
import type { Parsed } from '@flow/contract/operation'
import type { Scope } from '../../context.ts'
import { type Db, raw, type Sql, sql, texts } from '../../db/db.ts'
import { page } from '../../db/page.ts'
import type { CallRecord } from '../policies/policy.ts'

/** Characters of the name of a model: clients send what they like. */
const NAME_MAX = 300

/** Of organizations that have never said how long. */
const RETENTION_DAYS = 30

type Tenant = Pick<Scope, 'db' | 'organization_id'>

/** A call that is over, and what it cost. */
export type Settlement = { record: CallRecord; nanocredits: number }

/** Writes calls of any number of organizations, which takes a handle of the platform, or of one, with the handle of
 *  that one; in the caller's transaction, if there is one. What was written before is not written again. */
export async function insertCalls(db: Db, calls: readonly Settlement[]): Promise<void> {
  if (calls.length === 0) return
  const kept: CallRecord[] = []
  for (const { record } of calls) if (record.request !== null || record.answer !== null) kept.push(record)
  await db.send(sql`
    with kept as (
      insert into gateway_call_contents (call_id, organization_id, request, answer)
      select * from unnest(${kept.map(({ id }) => id)}::uuid[],
        ${kept.map(({ caller }) => caller.organization_id)}::uuid[],
        ${texts(kept.map(({ request }) => content(request)))}::text[],
        ${texts(kept.map(({ answer }) => content(answer)))}::text[])
      on conflict do nothing)
    insert into gateway_calls
    select * from json_populate_recordset(null::gateway_calls, ${jsonOf(calls.map(rowOf))}::json)
    on conflict do nothing`)
}

const rowOf = ({ record: call, nanocredits }: Settlement) => ({
  id: call.id,
  organization_id: call.caller.organization_id,
  workspace_id: call.caller.workspace_id,
  user_id: call.caller.user_id,
  key_id: call.caller.key_id,
  agent_id: call.caller.agent_id,
  workflow_id: call.caller.workflow_id,
  execution_id: call.caller.execution_id,
  request_id: call.request_id,
  mouth: call.mouth,
  model: call.model.slice(0, NAME_MAX),
  provider: call.provider,
  provider_model: call.provider_model,
  status: call.status,
  http_status: call.http_status,
  fault: call.fault,
  is_stream: call.is_stream,
  cache: call.cache,
  is_estimated: call.is_estimated,
  attempts: call.attempts,
  findings: call.findings,
  nanocredits,
  started_at: call.started_at,
  first_chunk_ms: call.first_chunk_ms,
  duration_ms: call.duration_ms,
  traceparent: call.traceparent,
  input_tokens: call.usage.input,
  cached_tokens: call.usage.cached,
  cache_written_tokens: call.usage.cache_written,
  output_tokens: call.usage.output,
  reasoning_tokens: call.usage.reasoning,
})

/** JSON that the database can read: it knows no character zero and no half characters; clients and providers do. */
function jsonOf(rows: object[]): string {
  const text = JSON.stringify(rows)
  if (!/\\u(?:0000|d[89a-f])/.test(text)) return text
  return JSON.stringify(rows, (_, value) => (typeof value === 'string' ? storable(value) : value))
}

/** Bytes go as they came; what the database would refuse in them is read first. */
function content(text: string | Buffer | null): string | Buffer | null {
  if (text === null || (typeof text !== 'string' && isUtf8(text) && !text.includes(0))) return text
  return storable(text.toString())
}

const storable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()

export type Listed = Parsed<(typeof gatewayCalls)['list']>

const columns = raw(`c.id, c.workspace_id, c.user_id, c.key_id, c.agent_id, c.workflow_id, c.execution_id, c.request_id,
  c.mouth, c.model, c.provider, c.provider_model, c.status, c.http_status, c.fault as error, c.is_stream, c.cache,
  json_build_object('input_tokens', c.input_tokens, 'cached_tokens', c.cached_tokens,
    'cache_written_tokens', c.cache_written_tokens, 'output_tokens', c.output_tokens,
    'reasoning_tokens', c.reasoning_tokens) as usage,
  c.is_estimated, c.nanocredits / 1e9::float8 as credits, c.started_at, c.first_chunk_ms, c.duration_ms`)

/** Of one workspace, or of all. */
export const listCalls = (
  at: Tenant,
  workspace_id: string | undefined,
  input: Listed,
): Promise<Page<GatewayCallSummary>> =>
  page<GatewayCallSummary>(at.db, {
    select: sql`${columns}, json_array_length(c.attempts) as attempts`,
    from: sql`gateway_calls c`,
    where: [
      sql`c.organization_id = ${at.organization_id}`,
      ...(workspace_id ? [sql`c.workspace_id = ${workspace_id}`] : []),
      ...conditionsOf(input),
    ],
    sortable: {
      started_at: 'c.started_at',
      duration_ms: 'c.duration_ms',
      credits: 'c.nanocredits',
      tokens: '(c.input_tokens + c.output_tokens)',
    },
    id: 'c.id',
    parameters: input,
  })

function conditionsOf(input: Listed): Sql[] {
  const { status, model, credits_min, duration_ms_min, started_after, started_before, is_stream } = input
  return [
    ...equal(input, ['provider', 'mouth', 'request_id', 'cache'], raw('text')),
    ...equal(input, ['user_id', 'key_id', 'agent_id', 'workflow_id', 'execution_id'], raw('uuid')),
    // Said so that the index over what went wrong serves it.
    ...(status && !status.includes('completed') ? [sql`c.status <> 'completed'`] : []),
    ...(status ? [sql`c.status = any(${status}::text[])`] : []),
    ...(model === undefined ? [] : [sql`(c.model = ${model} or c.provider || '/' || c.provider_model = ${model})`]),
    ...(is_stream === undefined ? [] : [sql`c.is_stream = ${is_stream}`]),
    ...(started_after ? [sql`c.started_at > ${started_after}`] : []),
    ...(started_before ? [sql`c.started_at < ${started_before}`] : []),
    ...(credits_min === undefined ? [] : [sql`c.nanocredits >= ${credits_min * 1e9}::float8`]),
    ...(duration_ms_min === undefined ? [] : [sql`c.duration_ms >= ${duration_ms_min}::float8`]),
  ]
}

type Named = 'provider' | 'mouth' | 'request_id' | 'cache'
type Identified = 'user_id' | 'key_id' | 'agent_id' | 'workflow_id' | 'execution_id'

const equal = (input: Listed, names: (Named | Identified)[], type: Sql): Sql[] =>
  names.flatMap((name) => (input[name] === undefined ? [] : [sql`${raw(`c.${name}`)} = ${input[name]}::${type}`]))

export type FoundCall = Omit<GatewayCall, 'content' | 'request' | 'answer'>

export const findCall = (at: Tenant, call_id: string): Promise<FoundCall | undefined> =>
  at.db.maybe<FoundCall>(sql`
    select ${columns}, c.attempts, c.findings, c.traceparent,
      c.started_at + make_interval(days => coalesce(s.retention_days, ${RETENTION_DAYS})) as expires_at
    from gateway_calls c left join gateway_settings s on s.organization_id = c.organization_id
    where c.organization_id = ${at.organization_id} and c.id = ${call_id}`)

/** As text of JSON. */
export type Content = { request: string | null; answer: string | null }

export const findContent = (at: Tenant, call_id: string): Promise<Content | undefined> =>
  at.db.maybe<Content>(sql`
    select request, answer from gateway_call_contents
    where organization_id = ${at.organization_id} and call_id = ${call_id}`)

const BATCH = 1000

/** Removes some whose time is over, as their organization has set it now, with what was said in them. */
export const removeExpired = (db: Db, now: string): Promise<number> =>
  db.run(sql`
    with gone as materialized (
      select c.id from organizations o
      left join gateway_settings s on s.organization_id = o.id
      cross join lateral (
        select e.id from gateway_calls e
        where e.organization_id = o.id
          and e.started_at <= ${now}::timestamptz - make_interval(days => coalesce(s.retention_days, ${RETENTION_DAYS}))
        order by e.started_at limit ${BATCH} for update skip locked) c
      limit ${BATCH}
    ), contents as (delete from gateway_call_contents where call_id in (select id from gone))
    delete from gateway_calls where id in (select id from gone)`)
