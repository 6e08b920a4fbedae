/** How two JSON values differ, by field. A list whose items have names of their own (`id`, `name`, or `source` and
 *  `target`) is compared by those, so that what was put in before an item does not change it; any other by place.
 *  Values without a difference give no change, and only those. */

import type { JsonValue } from '@flow/contract/common'
import type { Change } from '@flow/contract/components'

/** How many changes are told. Two long lists without anything in common would otherwise have no end of them. */
export const CHANGES_MAX = 1000

/** The first thousand changes. */
export const differences = (before: unknown, after: unknown, path = ''): Change[] =>
  compare(before as JsonValue, after as JsonValue, path)
    .take(CHANGES_MAX)
    .toArray()

function* compare(before: JsonValue, after: JsonValue, path: string): Generator<Change, undefined> {
  if (Array.isArray(before) && Array.isArray(after)) return yield* compareLists(before, after, path)
  if (isObject(before) && isObject(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    for (const name of names) yield* compareOne(own(before, name), own(after, name), fieldOf(path, name))
    return
  }
  if (before !== after) yield { path, kind: 'changed', before, after }
}

function* compareLists(before: JsonValue[], after: JsonValue[], path: string): Generator<Change, undefined> {
  const [old, young] = [keyed(before), keyed(after)]
  if (!old || !young) {
    const length = Math.max(before.length, after.length)
    for (let i = 0; i < length; i += 1) yield* compareOne(before[i], after[i], `${path}[${i}]`)
    return
  }
  const keys = new Set([...old.keys(), ...young.keys()])
  for (const key of keys) yield* compareOne(old.get(key), young.get(key), `${path}[${key}]`)
  const stayed = [...old.keys()].filter((key) => young.has(key))
  const now = [...young.keys()].filter((key) => old.has(key))
  const isMoved = stayed.some((key, i) => key !== now[i])
  if (isMoved) yield { path, kind: 'moved', before: stayed, after: now }
}

function* compareOne(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  path: string,
): Generator<Change, undefined> {
  if (before === undefined) {
    if (after !== undefined) yield { path, kind: 'added', after }
    return
  }
  if (after === undefined) yield { path, kind: 'removed', before }
  else yield* compare(before, after, path)
}

/** The items of a list by their names, if all of them have one, and each another. */
function keyed(list: JsonValue[]): Map<string, JsonValue> | undefined {
  for (const nameOf of [byId, byEnds, byName]) {
    const items = new Map<string, JsonValue>()
    for (const item of list) {
      const name = isObject(item) ? nameOf(item) : undefined
      if (name !== undefined) items.set(name, item)
    }
    if (items.size === list.length) return items
  }
}

type Item = Record<string, JsonValue>
const byId = ({ id }: Item) => (typeof id === 'string' ? id : undefined)
const byName = ({ name }: Item) => (typeof name === 'string' ? name : undefined)
const byEnds = ({ source, target, on }: Item) =>
  typeof source === 'string' && typeof target === 'string'
    ? `${source} → ${target}${on === 'error' ? ' on error' : ''}`
    : undefined

const fieldOf = (path: string, name: string): string => {
  if (!/^[A-Za-z_$][\w$-]*$/.test(name)) return `${path}[${JSON.stringify(name)}]`
  return path === '' ? name : `${path}.${name}`
}

const own = (of: Item, name: string): JsonValue | undefined => (Object.hasOwn(of, name) ? of[name] : undefined)

const isObject = (value: JsonValue): value is Item =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
