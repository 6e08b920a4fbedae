/** How two JSON values differ, by field. A list whose items have names of their own (`id`, `name`, or `source` and
 *  `target`) is compared by those, so that what was put in before an item does not change it; any other by place.
 *  Values without a difference give no change, and only those. */

import type { JsonValue } from '@flow/contract/common'
import type { Change } from '@flow/contract/components'

export const differences = (before: unknown, after: unknown, path = ''): Change[] =>
  compare(before as JsonValue, after as JsonValue, path)

function compare(before: JsonValue, after: JsonValue, path: string): Change[] {
  if (Array.isArray(before) && Array.isArray(after)) return compareLists(before, after, path)
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return names.flatMap((name) => compareOne(own(before, name), own(after, name), fieldOf(path, name)))
  }
  return before === after ? [] : [{ path, kind: 'changed', before, after }]
}

function compareLists(before: JsonValue[], after: JsonValue[], path: string): Change[] {
  const [old, young] = [keyed(before), keyed(after)]
  if (!old || !young) {
    const places = Array.from({ length: Math.max(before.length, after.length) }, (_, i) => i)
    return places.flatMap((i) => compareOne(before[i], after[i], `${path}[${i}]`))
  }
  const keys = [...new Set([...old.keys(), ...young.keys()])]
  const changes = keys.flatMap((key) => compareOne(old.get(key), young.get(key), `${path}[${key}]`))
  const stayed = [...old.keys()].filter((key) => young.has(key))
  const now = [...young.keys()].filter((key) => old.has(key))
  const isMoved = stayed.some((key, i) => key !== now[i])
  return isMoved ? [...changes, { path, kind: 'moved', before: stayed, after: now }] : changes
}

function compareOne(before: JsonValue | undefined, after: JsonValue | undefined, path: string): Change[] {
  if (before === undefined) return after === undefined ? [] : [{ path, kind: 'added', after }]
  return after === undefined ? [{ path, kind: 'removed', before }] : compare(before, after, path)
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
