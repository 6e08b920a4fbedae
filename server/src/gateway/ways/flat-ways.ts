/** The ways of embeddings and of rerank through the hub. A provider that embeds only so many texts at once is asked
 *  several times, one after the other, and its vectors are put together: a client sees one call. */

import type { Stop } from '../call/route.ts'
import type { EmbeddingsAnswer, EmbeddingsRequest, Usage } from '../hub.ts'
import type { EmbeddingsMouth, RerankMouth } from '../mouths/mouth.ts'
import type { Adapter } from '../providers/provider.ts'
import { tokensOf } from '../used.ts'
import { objectIn, readable } from './hub-way.ts'
import type { Way, Wish } from './ways.ts'

/** What the client is told. Gemini tells no tokens of vectors, Cohere none of what it ranks: four bytes are about one. */
const toldOf = (usage: Usage, { outline }: Wish): Usage =>
  usage.input > 0 ? usage : { ...usage, input: tokensOf(outline.text_bytes) }

const aboutOf = (wish: Wish) => ({ id: wish.id, model: wish.outline.model, created: wish.created })

export function embeddingsWay(
  adapter: NonNullable<Adapter['embeddings']>,
  mouth: EmbeddingsMouth,
  stop: Stop,
  wish: Wish,
): Way {
  const asked = mouth.read(wish.body)
  const parts = partsOf(asked, adapter.inputsMax?.(stop.model) ?? asked.input.length)
  const answers: EmbeddingsAnswer[] = []
  const requestOf = (part: EmbeddingsRequest) => adapter.request(stop.provider, stop.model, part)
  const read = (bytes: Buffer) => {
    const part = parts[answers.length] ?? asked
    answers.push(readable(stop, () => adapter.answer(objectIn(stop, bytes), part)))
  }
  return {
    outgoing: requestOf(parts[0] ?? asked),
    next(bytes) {
      if (answers.length + 1 >= parts.length) return undefined
      read(bytes)
      const part = parts[answers.length]
      return part && requestOf(part)
    },
    answer(bytes) {
      read(bytes)
      const usage = answers.map((answer) => answer.usage).reduce(sumOf)
      const vectors = answers.flatMap((answer) => answer.vectors)
      const whole = { model: answers[0]?.model ?? '', vectors, usage: toldOf(usage, wish) }
      return { body: JSON.stringify(mouth.answer(whole, asked, aboutOf(wish))), usage, text_bytes: 0 }
    },
    stream: noStream,
  }
}

function partsOf(asked: EmbeddingsRequest, inputs_max: number): EmbeddingsRequest[] {
  const { input } = asked
  if (input.length <= inputs_max) return [asked]
  return Array.from({ length: Math.ceil(input.length / inputs_max) }, (_, i) => {
    const [from, to] = [i * inputs_max, (i + 1) * inputs_max]
    // A list is of texts, or of token ids: each half is of the same kind.
    return { ...asked, input: input.slice(from, to) as EmbeddingsRequest['input'] }
  })
}

const sumOf = (a: Usage, b: Usage): Usage => ({
  input: a.input + b.input,
  cached: a.cached + b.cached,
  cache_written: a.cache_written + b.cache_written,
  output: a.output + b.output,
  reasoning: a.reasoning + b.reasoning,
})

export function rerankWay(adapter: NonNullable<Adapter['rerank']>, mouth: RerankMouth, stop: Stop, wish: Wish): Way {
  const asked = mouth.read(wish.body)
  return {
    outgoing: adapter.request(stop.provider, stop.model, asked),
    answer(bytes) {
      const answer = readable(stop, () => adapter.answer(objectIn(stop, bytes), asked))
      const { usage } = answer
      const told = { ...answer, usage: toldOf(usage, wish) }
      return { body: JSON.stringify(mouth.answer(told, asked, aboutOf(wish))), usage, text_bytes: 0 }
    },
    stream: noStream,
  }
}

function noStream(): never {
  throw new Error('what has one answer does not stream')
}
