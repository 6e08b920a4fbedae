/** What a model thought, in Anthropic's blocks. A block of thinking has a text and a signature, a sealed one its data; a
 *  thought of another provider may have a text, data and an id at once. The text and the data are then two blocks, and
 *  the id stands behind what is sealed: base64 has no bar. Clients hand all of it back as it came. */

import type { JsonObject, Reasoning } from '../hub.ts'

export const packed = (sealed: string, id: string | undefined): string =>
  id === undefined ? sealed : `${sealed}|${id}`

export function unpacked(sealed: string): { sealed: string; id: string | undefined } {
  const bar = sealed.lastIndexOf('|')
  return bar < 0 ? { sealed, id: undefined } : { sealed: sealed.slice(0, bar), id: sealed.slice(bar + 1) }
}

export function thoughtBlocks({ text, signature, data, id }: Reasoning): JsonObject[] {
  if (data === undefined) return [{ type: 'thinking', thinking: text, signature: signedBy(signature, id) }]
  const sealed = { type: 'redacted_thinking', data: packed(data, id) }
  return text === '' ? [sealed] : [{ type: 'thinking', thinking: text, signature: '' }, sealed]
}

/** Where nothing is sealed an id is of no use. */
export const signedBy = (signature: string | undefined, id: string | undefined): string =>
  signature === undefined ? '' : packed(signature, id)
