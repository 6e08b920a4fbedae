/** Entity tags (RFC 9110, section 8.8.3): strong, a digest of the representation. Where some of its fields change by
 *  themselves, a digest of the others goes before it, with a dot between: `If-Match` asks whether somebody has changed the
 *  thing, and looks at that one. */

import { createHash } from 'node:crypto'

const digest = (text: string): string => createHash('sha1').update(text).digest('base64url')

/** Of a value that was written as this text; `moving` are its fields that change by themselves. */
export function etagOf(value: unknown, text: string, moving: readonly string[] = []): string {
  if (moving.length === 0) return `"${digest(text)}"`
  const others = Object.entries(value as object).filter(([field]) => !moving.includes(field))
  return `"${digest(JSON.stringify(others))}.${digest(text)}"`
}

/** Whether a list of tags, as in `If-Match`, holds this one. A weak tag never matches strongly. */
export const matches = (header: string, etag: string): boolean =>
  header.trim() === '*' || header.split(',').some((tag) => changedBySomebody(tag.trim()) === changedBySomebody(etag))

const changedBySomebody = (etag: string): string => etag.replace(/\.[^."]*"$/, '"')

/** Whether `If-None-Match` holds this one; there the comparison is weak. */
export const isFresh = (header: string | null, etag: string): boolean =>
  header !== null && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
