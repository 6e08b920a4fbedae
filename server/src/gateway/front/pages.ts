/** Pages of a list as Anthropic's API has them (https://platform.claude.com/docs/en/api/models/list): `limit` of them,
 *  behind the one with the id `after_id` or before the one with `before_id`. The list is sorted by id, so that a page
 *  goes on at its place when the model that it began at is gone. */

import { refuse } from '../mouths/refuse.ts'

type Item = { id: string }
/** `has_more`: in the direction that was asked for. */
export type Page<Of extends Item> = { items: Of[]; has_more: boolean }

const LIMIT_USUAL = 20
const LIMIT_MAX = 1_000

/** What the query asks for, of a list that is sorted by id. Throws a `Refusal`. */
export function pageOf(query: string): <Of extends Item>(all: Of[]) => Page<Of> {
  const asked = new URLSearchParams(query)
  const limit = limitOf(asked.get('limit'))
  const [after, before] = [asked.get('after_id'), asked.get('before_id')]
  if (after !== null && before !== null) throw refuse('Give after_id or before_id, and not both of them.', 'before_id')

  return (all) => {
    if (before === null) {
      const rest = after === null ? all : all.filter(({ id }) => id > after)
      return { items: rest.slice(0, limit), has_more: rest.length > limit }
    }
    const rest = all.filter(({ id }) => id < before)
    return { items: rest.slice(-limit), has_more: rest.length > limit }
  }
}

function limitOf(given: string | null): number {
  if (given === null) return LIMIT_USUAL
  const limit = /^\d{1,4}$/.test(given) ? Number(given) : 0
  if (limit >= 1 && limit <= LIMIT_MAX) return limit
  throw refuse(`Invalid 'limit': use a whole number from 1 to ${LIMIT_MAX}.`, 'limit', 'invalid_value')
}
