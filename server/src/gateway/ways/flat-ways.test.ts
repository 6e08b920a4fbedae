import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stop } from '../call/route.ts'
import type { EmbeddingsRequest, JsonObject } from '../hub.ts'
import type { EmbeddingsMouth } from '../mouths/mouth.ts'
import type { Adapter } from '../providers/provider.ts'
import { embeddingsWay } from './flat-ways.ts'
import type { Wish } from './ways.ts'

/** A mouth and an adapter that say what they are given. */
const mouth: EmbeddingsMouth = {
  read: (body) => ({ model: 'm', input: body.input as string[] }),
  answer: (answer) => ({ vectors: answer.vectors, usage: answer.usage }),
}
const adapter = (most?: number): NonNullable<Adapter['embeddings']> => ({
  ...(most === undefined ? {} : { inputsMax: () => most }),
  request: (_account, _model, { input }) => ({
    method: 'POST',
    url: '',
    headers: {},
    body: JSON.stringify(input),
    dropped: [],
  }),
  answer: (body: JsonObject, request: EmbeddingsRequest) => {
    assert.equal((body.lengths as number[]).length, request.input.length)
    const usage = { input: request.input.length, cached: 0, cache_written: 0, output: 0, reasoning: 0 }
    return { model: 'm', vectors: (body.lengths as number[]).map((length) => [length]), usage }
  },
})
const stop = { provider: { name: 'p' }, model: 'm' } as Stop
const wishOf = (input: string[]) =>
  ({ body: { input }, outline: { model: 'p/m' }, id: '', created: 0 }) as unknown as Wish

for (const most of [1, 2, 3, undefined]) {
  test(`texts are embedded ${most ?? 'all'} at a time, and come back in their order as one answer`, () => {
    const texts = ['a', 'bb', 'ccc', 'dddd', 'eeeee']
    const way = embeddingsWay(adapter(most), mouth, stop, wishOf(texts))
    const asked: string[][] = []
    const ask = (body: string) => {
      const part = JSON.parse(body) as string[]
      asked.push(part)
      return Buffer.from(JSON.stringify({ lengths: part.map(({ length }) => length) }))
    }
    let bytes = ask(way.outgoing.body)
    for (let next = way.next?.(bytes); next; next = way.next?.(bytes)) bytes = ask(next.body)
    const { body, usage } = way.answer(bytes)
    assert.deepEqual(asked.flat(), texts)
    assert.ok(asked.every(({ length }) => length <= (most ?? 5)))
    assert.deepEqual(JSON.parse(String(body)).vectors, [[1], [2], [3], [4], [5]])
    assert.equal(usage?.input, 5)
  })
}
