/** What a client has said, and where: by paths such as `messages[].content[].citations`, in which `[]` stands for each
 *  item of a list, and `[tool_use]` for each of that type. What is null, false or empty says nothing. */

import type { Json, JsonObject } from '../hub.ts'
import { isObject } from './checks.ts'

export function isSaid(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  return typeof value !== 'object' || Object.values(value).some(isSaid)
}

export const says = (body: JsonObject, path: string): boolean => saysFrom(body, path.split('.'), 0)

function saysFrom(value: Json | undefined, steps: string[], at: number): boolean {
  const step = steps[at]
  if (step === undefined) return isSaid(value)
  if (!isObject(value)) return false
  const bracket = step.indexOf('[')
  if (bracket < 0) return saysFrom(value[step], steps, at + 1)
  const items = value[step.slice(0, bracket)]
  const type = step.slice(bracket + 1, -1)
  if (!Array.isArray(items)) return false
  return items.some((item) => (type === '' || (isObject(item) && item.type === type)) && saysFrom(item, steps, at + 1))
}

/** Without types: as a client is told it. */
export const plainPath = (path: string): string => path.replace(/\[\w+\]/g, '[]')
