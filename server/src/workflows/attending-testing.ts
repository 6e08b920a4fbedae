/** What goes on around executions in the crash tests: whoever they wait for answers, time jumps over their rests, and
 *  what has become of them is told. A node whose id begins with `never` is not answered, and its time does not come;
 *  one that begins with `silent` is not answered until its time has come. */

import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonValue } from '@flow/contract/common'
import { type Context, contextOf } from '../context.ts'
import { type Db, sql } from '../db/db.ts'
import { answerTask, callAddress, refused } from './answering-testing.ts'
import { callbacksOf } from './callbacks.ts'
import { snapshotOf } from './snapshot.ts'

const LOOK_MS = 5
/** What has not ended after so long never will. */
const PATIENCE_MS = 120_000

/** Until all executions have ended, and whatever was opened for them is closed; or until it is plain that they won't. */
export async function attend(ctx: Context, log: string, skip: (until: string) => void): Promise<void> {
  const db = ctx.platform.database.platform
  const until = performance.now() + PATIENCE_MS
  while (performance.now() < until) {
    const resting = await unfinished(db)
    if (resting.length === 0 && (await leftOf(db)).tasks === 0) return
    // What has come to rest waits for others; what has not may yet ask for more.
    for (const one of resting.filter(({ status }) => status === 'waiting')) await answer(ctx, log, one, skip)
    await sleep(LOOK_MS)
  }
}

type Unfinished = { id: string; organization_id: string; workflow_id: string; snapshot: string; status: string }
const unfinished = (db: Db) =>
  db.many<Unfinished>(sql`
    select id, organization_id, workflow_id, snapshot, status from executions where completed_at is null order by id`)

async function answer(ctx: Context, log: string, one: Unfinished, skip: (until: string) => void): Promise<void> {
  const { platform } = ctx
  const db = platform.database.platform
  const { id: execution_id, workflow_id } = one
  const waiting = await db.many<{ node_id: string; due_at: string | null }>(sql`
    select node_id, due_at from execution_nodes
    where execution_id = ${execution_id} and status in ('waiting', 'retrying') order by node_id`)
  const { graph } = await snapshotOf(db, one.organization_id, one.snapshot)
  const callbacks = callbacksOf(platform, graph, execution_id)
  for (const { node_id } of waiting) {
    if (/^(never|silent)/.test(node_id)) continue
    const address = callbacks[node_id]
    const isFirst = address
      ? await callAddress(platform, address, { n: 5 }).then(() => true, refused)
      : await answerTask(contextOf(platform, ctx.db, ctx), { workflow_id, execution_id, node_id }, { n: 5 })
    if (isFirst) appendFileSync(log, `answered ${execution_id}:${node_id}\n`)
  }
  if (waiting.some(({ node_id }) => node_id.startsWith('never'))) return
  const [next] = waiting.flatMap(({ due_at }) => due_at ?? []).sort()
  if (next) skip(next)
}

/** An execution or a child of it, and its place: the nodes that led to it, with their attempts. */
export type Tree = {
  id: string
  place: string
  status: string
  output: JsonValue
  error: { code: string; node_id: string | null } | null
  completed_at: string | null
  nodes: Record<string, string>
  events: { seq: number; type: string; node_id: string | null }[]
  tasks: string[]
}

type Told = Omit<Tree, 'place' | 'nodes' | 'events' | 'tasks'> & {
  parent_execution_id: string | null
  parent_node_id: string
  parent_attempt: number
}

export async function treeOf(db: Db, root_id: string): Promise<Tree[]> {
  const rows = await db.many<Told>(sql`
    with recursive tree as (
      select e.* from executions e where e.id = ${root_id}
      union all select e.* from executions e join tree t on e.parent_execution_id = t.id
    )
    select id, status, output, error, completed_at, parent_execution_id, parent_node_id, parent_attempt
    from tree order by id`)
  const places = new Map<string, string>()
  const trees: Tree[] = []
  for (const { parent_execution_id, parent_node_id, parent_attempt, error, ...row } of rows) {
    const parent = places.get(parent_execution_id ?? '')
    const place = parent === undefined ? '' : `${parent}/${parent_node_id}:${parent_attempt}`
    places.set(row.id, place)
    trees.push({
      ...row,
      error: error && { code: error.code, node_id: error.node_id },
      place,
      ...(await partsOf(db, row)),
    })
  }
  return trees
}

async function partsOf(db: Db, { id }: { id: string }): Promise<Pick<Tree, 'nodes' | 'events' | 'tasks'>> {
  const [nodes, events, tasks] = await Promise.all([
    db.many<{ node_id: string; status: string }>(sql`
      select node_id, status from execution_nodes where execution_id = ${id} order by node_id`),
    db.many<Tree['events'][number]>(sql`
      select seq, type, node_id from execution_events where execution_id = ${id} order by seq`),
    db.many<{ told: string }>(sql`
      select node_id || ':' || attempt || ' ' || status as told from tasks where execution_id = ${id} order by told`),
  ])
  const statuses = Object.fromEntries(nodes.map(({ node_id, status }) => [node_id, status]))
  return { nodes: statuses, events, tasks: tasks.map(({ told }) => told) }
}

/** Those that nobody else began, after this one. */
export async function treesAfter(db: Db, after: string): Promise<Tree[][]> {
  const roots = await db.many<{ id: string }>(sql`
    select id from executions where parent_execution_id is null and id > ${after} order by id`)
  return Promise.all(roots.map(({ id }) => treeOf(db, id)))
}

/** What must be nothing in the end: what nobody will ever look at again, and what was billed too often or never. */
export type Left = { executions: number; tasks: number; unbilled: number; claims: number }

export const leftOf = (db: Db): Promise<Left> =>
  db.one<Left>(sql`
    select (select count(*)::int from executions where completed_at is null) as executions,
      (select count(*)::int from tasks where status = 'open') as tasks,
      (select count(*)::int from executions where started_at is not null and completed_at is not null)
        - (select count(*)::int from ledger where service_type = 'workflow_run') as unbilled,
      (select count(*)::int from engine_claims where lane = 'executions') as claims`)
