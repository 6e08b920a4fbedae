/** OpenAI's embeddings: `POST /embeddings`, as numbers or as base64 of 32-bit numbers, little-endian. */

import { endianness } from 'node:os'
import type { EmbeddingsAnswer, EmbeddingsRequest, Json, JsonObject } from '../hub.ts'
import { emptyArray, integerAt, othersOf, requiredText, textAt, tooLong, wordAt } from './checks.ts'
import type { About, EmbeddingsMouth } from './mouth.ts'
import { isIntegerWithin, missing, notInteger, refuse, wrongType } from './refuse.ts'

export const embeddings: EmbeddingsMouth = { read, answer }

const KNOWN = new Set(['model', 'input', 'dimensions', 'encoding_format', 'user', 'input_type'])
const INPUTS_MAX = 2048
const FORMATS = ['float', 'base64'] as const

function read(body: JsonObject): EmbeddingsRequest {
  const request: EmbeddingsRequest = { model: requiredText(body, 'model'), input: inputOf(body.input) }
  const dimensions = integerAt(body, 'dimensions', 1)
  const encoding_format = wordAt(body, 'encoding_format', FORMATS)
  const user = textAt(body, 'user')
  // Cohere's and Voyage's, which clients send in this format, too.
  const input_type = textAt(body, 'input_type')
  const others = othersOf(body, KNOWN)

  return {
    ...request,
    ...(dimensions !== undefined && { dimensions }),
    ...(encoding_format !== undefined && { encoding_format }),
    ...(user !== undefined && { user }),
    ...(input_type !== undefined && { input_type }),
    ...(others !== undefined && { others }),
  }
}

function inputOf(given: Json | undefined): string[] | number[][] {
  if (given === undefined || given === null) throw missing('input')
  if (typeof given === 'string') return [filledText(given, 'input')]
  if (!Array.isArray(given)) throw wrongType('input', 'one of a string, array of strings or array of token ids', given)
  const [first] = given
  if (first === undefined) throw emptyArray('input')
  if (typeof first === 'number') return [tokensOf(given, 'input')]
  if (given.length > INPUTS_MAX) throw tooLong('input', given.length, INPUTS_MAX)
  if (Array.isArray(first)) return given.map((item, i) => tokensOf(item, `input[${i}]`))

  return given.map((item, i) => {
    if (typeof item !== 'string') throw wrongType(`input[${i}]`, 'a string', item)
    return filledText(item, `input[${i}]`)
  })
}

function filledText(text: string, at: string): string {
  if (text !== '') return text
  throw refuse(`Invalid '${at}': input cannot be an empty string.`, at, 'empty_string')
}

const { MIN_SAFE_INTEGER, MAX_SAFE_INTEGER } = Number

function tokensOf(given: Json, at: string): number[] {
  if (!Array.isArray(given)) throw wrongType(at, 'an array of integers', given)
  if (given.length === 0) throw emptyArray(at)

  return given.map((token, i) => {
    if (isIntegerWithin(token, MIN_SAFE_INTEGER, MAX_SAFE_INTEGER)) return token
    throw notInteger(`${at}[${i}]`, token, MIN_SAFE_INTEGER, MAX_SAFE_INTEGER)
  })
}

function answer({ vectors, usage }: EmbeddingsAnswer, request: EmbeddingsRequest, about: About): JsonObject {
  const encode = request.encoding_format === 'base64' ? inBase64 : (vector: number[]) => vector
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: encode(vector) })),
    model: about.model,
    usage: { prompt_tokens: usage.input, total_tokens: usage.input },
  }
}

function inBase64(vector: number[]): string {
  const bytes = Buffer.from(Float32Array.from(vector).buffer)
  return (endianness() === 'LE' ? bytes : bytes.swap32()).toString('base64')
}
