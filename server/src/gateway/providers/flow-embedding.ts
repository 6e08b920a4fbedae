/** `flow/hash-embedding-384`: vectors by feature hashing, without a model. Words and the three-character pieces of
 *  words are each hashed to one of 384 places and a sign; how often they occur counts by its square root; the sum has
 *  the length 1. Texts that share words, or parts of words, are near each other; nothing is known of meaning: "car"
 *  and "automobile" are strangers. The same text has the same vector for ever, on every machine.
 *
 *  The idea is Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009). */

export const HASH_DIMENSIONS = 384
const WEIGHT_OF_WORD = 1
const WEIGHT_OF_PIECE = 0.4

export function hashEmbedding(text: string): number[] {
  const counts = new Map<string, number>()
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  for (const word of words) {
    count(counts, `w ${word}`)
    const edged = `<${word}>`
    for (let i = 0; i + 3 <= edged.length; i += 1) count(counts, `p ${edged.slice(i, i + 3)}`)
  }
  const vector = new Array<number>(HASH_DIMENSIONS).fill(0)
  for (const [feature, times] of counts) {
    const hashed = fnv1a(feature)
    const place = (hashed >>> 1) % HASH_DIMENSIONS
    const weight = (feature.startsWith('w') ? WEIGHT_OF_WORD : WEIGHT_OF_PIECE) * Math.sqrt(times)
    vector[place] = (vector[place] ?? 0) + (hashed & 1 ? weight : -weight)
  }
  return normalized(vector)
}

const count = (counts: Map<string, number>, feature: string) => counts.set(feature, (counts.get(feature) ?? 0) + 1)

/** A text without words points in the first direction: a vector without a length has no neighbours. */
function normalized(vector: number[]): number[] {
  const length = Math.hypot(...vector)
  if (length === 0) return vector.map((_, i) => (i === 0 ? 1 : 0))
  return vector.map((value) => value / length)
}

/** FNV-1a with 32 bits, and a last mix so that near words lie far apart. */
function fnv1a(text: string): number {
  let hashed = 0x811c9dc5
  for (const byte of Buffer.from(text)) hashed = Math.imul(hashed ^ byte, 0x01000193)
  hashed = Math.imul(hashed ^ (hashed >>> 16), 0x85ebca6b)
  return (hashed ^ (hashed >>> 13)) >>> 0
}
