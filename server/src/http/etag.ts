/** Entity tags (RFC 9110, section 8.8.3): strong, a digest of the representation. */

import { createHash } from 'node:crypto'

export const etagOf = (representation: string): string =>
  `"${createHash('sha1').update(representation).digest('base64url')}"`

/** Whether a list of tags, as in `If-Match`, holds this one. A weak tag never matches strongly. */
export const matches = (header: string, etag: string): boolean =>
  header.trim() === '*' || header.split(',').some((tag) => tag.trim() === etag)

/** Whether `If-None-Match` holds this one; there the comparison is weak. */
export const isFresh = (header: string | null, etag: string): boolean =>
  header !== null && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
