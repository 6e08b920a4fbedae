/** A memory as stretches that hold something and stretches of zeros: those are written twice as fast. */

export type Stretch = { from: number; to: number; held: Uint8Array | undefined }

export function stretchesOf(memory: Uint8Array, page: number): Stretch[] {
  const isHeld = (at: number) => memory.subarray(at, at + page).some((byte) => byte !== 0)
  const stretches: Stretch[] = []
  for (let from = 0; from < memory.length; ) {
    const holds = isHeld(from)
    let to = from + page
    while (to < memory.length && isHeld(to) === holds) to += page
    stretches.push({ from, to, held: holds ? memory.subarray(from, to) : undefined })
    from = to
  }
  return stretches
}
