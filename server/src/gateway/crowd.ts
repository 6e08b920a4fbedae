/** Those who are to be told of something, coming and going with every call. A `Set` could hold them; but V8 makes its table
 *  anew each time it is full, as old as the one before, which then keeps alive whoever was in it until the next full
 *  collection: calls that were over would pile up. Here nothing holds on to whoever has left. */

type Told<Word> = (word: Word) => void
type Member<Word> = { hear: Told<Word>; at: number }

export type Crowd<Word> = {
  readonly size: number
  /** Returns how to leave. */
  join(hear: Told<Word>): () => void
  tell(word: Word): void
}

export function newCrowd<Word>(): Crowd<Word> {
  const members: Member<Word>[] = []
  return {
    get size() {
      return members.length
    },
    join(hear) {
      const member = { hear, at: members.length }
      members.push(member)
      return () => {
        if (members[member.at] !== member) return
        // The last one takes the place that is free.
        const last = members.pop()
        if (!last || last === member) return
        members[member.at] = last
        last.at = member.at
      }
    },
    tell(word) {
      // Whoever is told may leave.
      for (const { hear } of [...members]) hear(word)
    },
  }
}
