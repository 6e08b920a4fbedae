/** The rounds of the crash tests. Each begins an execution in a process that dies at one of its writings; the process
 *  of the next round finishes it, then begins its own. What has become of each is compared with one that nobody
 *  interrupted, and what was called and recorded is counted. */

import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Database } from '../db/db.ts'
import type { Left, Tree } from './attending-testing.ts'
import { blocks, type CrashPattern, children, crashPatterns } from './crash-patterns-testing.ts'
import { live, type Made, prepare } from './crash-testing.ts'
import type { Death } from './dying-testing.ts'
import type { Told } from './process-testing.ts'

/** What must not be, in sentences. */
export type Faults = {
  /** What was accepted and did not come to its end, or came twice. */
  lost: string[]
  /** What was recorded and done again. */
  repeated: string[]
  /** What ended otherwise than without interruption. */
  different: string[]
}
export type Row = { pattern: CrashPattern; writings: number; deaths: number; faults: Faults }

/** How each ends that nobody interrupts: its tree, how many writings it takes, which calls of code it makes. */
export type Undisturbed = { tree: Tree[]; writings: number; calls: Set<string> }
/** The execution that a process began and died in, or outlived. */
type Round = { row: Row; about: string; begun: string | undefined }

export const noDeath: Death = { at: Infinity, when: 'after' }
const none = (): Faults => ({ lost: [], repeated: [], different: [] })

/** `choose`: which of the deaths of a pattern are died. `tell`: is told of each pattern when the next one begins. */
export async function crashRounds(
  mode: Database['mode'],
  choose: (deaths: Death[], pattern: CrashPattern) => Death[],
  patterns = crashPatterns,
  tell: (row: Row) => void = () => {},
): Promise<{ rows: Row[]; left: Left }> {
  const made = await prepareAll(mode)
  const undisturbed = await withoutDeath(made, patterns)

  const rounds = patterns.flatMap((pattern) => {
    const writings = undisturbed.get(pattern)?.writings ?? 0
    const row: Row = { pattern, writings, deaths: 0, faults: none() }
    return choose(deathsIn(writings), pattern).map((death) => ({ row, death }))
  })
  let after = lastOf([...undisturbed.values()].map(({ tree }) => tree))
  let before: Round | undefined
  for (const { row, death } of rounds) {
    const begin = [{ ...orderOf(made, row.pattern), death }]
    const { told, was_killed } = await live({ ...made, finish: { after }, begin })
    const ended = treesIn(told)
    const begun = told.flatMap((one) => ('begun' in one ? [one.begun] : []))[0]
    if (before) await judge(made, before, treeOf(before, ended, begun), undisturbed)
    if (before && before.row !== row) tell(before.row)
    before = { row, about: `${row.pattern.name}, killed ${death.when} writing ${death.at}`, begun }
    if (was_killed) row.deaths += 1
    after = lastOf(ended) || after
    if (was_killed) continue
    // It came to its end before it came to its death.
    if (begun === undefined) throw new Error(`${before.about}: the process ended by itself`)
    await judge(made, before, treeOf(before, ended), undisturbed)
    before = undefined
  }
  const { told } = await live({ ...made, finish: { after } })
  if (before) await judge(made, before, treeOf(before, treesIn(told)), undisturbed)
  const left = told.flatMap((one) => ('left' in one ? [one.left] : []))[0]
  if (!left) throw new Error('the last process did not say what is left')
  await made.remove()
  return { rows: [...new Set(rounds.map(({ row }) => row))], left }
}

/** The execution of a round. One whose caller was not answered is whatever the next process finds beside its own. */
const treeOf = ({ begun }: Round, ended: Tree[][], own?: string): Tree[] | undefined =>
  ended.find(([root]) => (begun === undefined ? root?.id !== own : root?.id === begun))

/** A database with all patterns in it. */
export function prepareAll(mode: Database['mode']): Promise<Made> {
  const workflows = Object.fromEntries(crashPatterns.map(({ slug, definition }) => [slug, definition]))
  const { crash = {}, ...others } = { ...workflows, ...children }
  return prepare(mode, blocks, crash, others)
}

/** Runs each of the patterns once, and nobody dies. */
export async function withoutDeath(made: Made, patterns: CrashPattern[]): Promise<Map<CrashPattern, Undisturbed>> {
  const begin = patterns.map((pattern) => ({ ...orderOf(made, pattern), death: noDeath }))
  const { told } = await live({ ...made, begin })
  const log = await linesOf(made)
  const ended = told.flatMap((one) => ('ended' in one ? [one] : []))
  return new Map(
    patterns.map((pattern, i) => {
      const { ended: tree = [], writings = 0 } = ended[i] ?? {}
      const [root] = tree
      if (root?.status !== 'completed' || !isDeepStrictEqual(root.output, pattern.output)) {
        throw new Error(`${pattern.name} is not what it should be: ${JSON.stringify(root)}`)
      }
      return [pattern, { tree, writings, calls: new Set(callsIn(log, tree).map(({ place }) => place)) }]
    }),
  )
}

export const orderOf = ({ workflow_ids }: Made, { slug, input = { n: 3 } }: CrashPattern) => ({
  workflow_id: workflow_ids[slug] ?? '',
  input,
})

const deathsIn = (writings: number): Death[] =>
  Array.from({ length: writings }, (_, i) => i + 1).flatMap((at) =>
    (['before', 'during', 'after'] as const).map((when) => ({ at, when })),
  )

export const treesIn = (told: Told[]): Tree[][] => told.flatMap((one) => ('ended' in one ? [one.ended] : []))
const lastOf = (trees: Tree[][]): string =>
  trees
    .map(([root]) => root?.id ?? '')
    .sort()
    .at(-1) ?? ''
export const linesOf = async ({ log }: Made): Promise<string[]> =>
  (await readFile(log, 'utf8').catch(() => '')).split('\n')

async function judge(
  made: Made,
  { row, about, begun }: Round,
  tree: Tree[] | undefined,
  undisturbed: Map<CrashPattern, Undisturbed>,
): Promise<void> {
  const wanted = undisturbed.get(row.pattern)
  if (!wanted) throw new Error(`nobody knows how ${row.pattern.name} should end`)
  // What died before the caller was answered need not be there at all.
  const faults = tree ? await faultsOf(made, tree, wanted) : none()
  if (!tree && begun !== undefined) faults.lost.push('it was accepted, and is not there')
  for (const kind of ['lost', 'repeated', 'different'] as const) {
    row.faults[kind].push(...faults[kind].map((fault) => `${about}: ${fault}`))
  }
}

/** What must not be of an execution and its children. */
export async function faultsOf(made: Made, tree: Tree[], wanted: Undisturbed): Promise<Faults> {
  const faults = none()
  const log = await linesOf(made)
  for (const { place, id } of tree) {
    const twin = tree.find((one) => one.place === place)
    if (twin?.id !== id) faults.repeated.push(`the child at ${place} was begun twice`)
  }
  for (const expected of wanted.tree) {
    const found = tree.find(({ place }) => place === expected.place)
    if (!found) faults.lost.push(`nothing was begun at "${expected.place}"`)
    else compare(found, expected, faults)
  }
  for (const one of tree) faults.repeated.push(...repeatedIn(one, log))

  const calls = callsIn(log, tree)
  for (const { place } of calls) if (!wanted.calls.has(place)) faults.repeated.push(`${place} was called, too`)
  for (const place of wanted.calls)
    if (!calls.some((one) => one.place === place)) faults.lost.push(`${place} was not called`)
  return faults
}

function compare(found: Tree, expected: Tree, faults: Faults): void {
  const about = found.place === '' ? 'the execution' : found.place
  if (found.completed_at === null) faults.lost.push(`${about} has not ended`)
  for (const field of ['status', 'output', 'error', 'nodes', 'tasks'] as const) {
    if (isDeepStrictEqual(found[field], expected[field])) continue
    faults.different.push(`the ${field} of ${about}: ${JSON.stringify(found[field])}`)
  }
}

/** What an execution's own events and the log say was done again after it was recorded. */
function repeatedIn({ id, place, events }: Tree, log: string[]): string[] {
  const faults: string[] = []
  const ended = new Set<string>()
  for (const [i, { seq, type, node_id }] of events.entries()) {
    if (seq !== i + 1) faults.push(`event ${seq} of "${place}" comes as number ${i + 1}`)
    if (node_id !== null && ended.has(node_id)) faults.push(`${type} of ${place}/${node_id} after its end`)
    if (/^node\.(completed|failed|skipped|cancelled)$/.test(type)) ended.add(node_id ?? '')
  }
  const recorded = new Set<string>()
  for (const line of log.filter((line) => line.includes(id))) {
    const [word, key = ''] = line.split(' ')
    if (word === 'call') {
      // Of `execution:node[:item]:attempt` neither the node, nor the item, nor the attempt may be recorded.
      const parts = key.split(':')
      const again = parts.map((_, i) => parts.slice(0, i + 1).join(':')).find((part) => recorded.has(part))
      if (again) faults.push(`${key} was called when ${again} was recorded`)
    } else if (word !== 'begun') {
      const what = word === 'answered' ? line : key
      if (recorded.has(what)) faults.push(`${line}, twice`)
      recorded.add(what)
    }
  }
  return faults
}

/** The calls of code in the log, with the place of their execution instead of its id: `/child:1 one:1`. */
function callsIn(log: string[], tree: Tree[]): { place: string }[] {
  const places = new Map(tree.map(({ id, place }) => [id, place]))
  return log.flatMap((line) => {
    const [word, key = ''] = line.split(' ')
    const [id = '', ...rest] = key.split(':')
    const place = places.get(id)
    return word === 'call' && place !== undefined ? [{ place: `${place} ${rest.join(':')}` }] : []
  })
}
