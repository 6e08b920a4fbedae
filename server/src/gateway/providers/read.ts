/** Reading what a provider sent without believing it: each returns what is asked for, or nothing. */

import type { Json, JsonObject } from '../hub.ts'

type Unknown = Json | undefined

export const objectOf = (value: Unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
export const listOf = (value: Unknown): Json[] => (Array.isArray(value) ? value : [])
export const objectsOf = (value: Unknown): JsonObject[] => listOf(value).map(objectOf)
export const textOf = (value: Unknown): string | undefined => (typeof value === 'string' ? value : undefined)
export const numberOf = (value: Unknown): number | undefined => (typeof value === 'number' ? value : undefined)
export const countOf = (value: Unknown): number => Math.max(0, numberOf(value) ?? 0)
export const vectorOf = (value: Unknown): number[] => listOf(value).filter((item) => typeof item === 'number')

/** Parsed, or undefined where it is no JSON. */
export function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A list of models as an object: Together's is the bare list. */
export function listingIn(text: string): JsonObject {
  const body = parsed(text)
  return Array.isArray(body) ? { data: body } : objectOf(body)
}

/** Without the fields that are undefined. */
export function filled(fields: { [key: string]: Json | undefined }): JsonObject {
  const kept: JsonObject = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value
  return kept
}

/** A `data:` URL taken apart; undefined where it is none or not base64. */
export function mediaOf(url: string): { type: string; data: string } | undefined {
  if (!url.startsWith('data:')) return undefined
  const comma = url.indexOf(',')
  const head = url.slice(5, comma)
  if (comma < 0 || !head.endsWith(';base64')) return undefined
  return { type: head.slice(0, -7).split(';')[0] || 'text/plain', data: url.slice(comma + 1) }
}
