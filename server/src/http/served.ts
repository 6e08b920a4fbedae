/** How a room serves its operations, by their types. */

import type { Domain, Operation, Output, Parsed } from '@flow/contract/operation'
import type { z } from 'zod'
import type { Redirect } from '../answer.ts'
import type { Context, PublicContext } from '../context.ts'
import type { StreamEvent } from './stream.ts'

type ContextOf<O extends Operation> = O extends { permission: 'public' } ? PublicContext : Context
type AnswerOf<O extends Operation> = O extends { streams: true }
  ? Promise<AsyncIterable<StreamEvent>>
  : O extends { downloads: string }
    ? AsyncIterable<string> | Promise<AsyncIterable<string>>
    : Promise<Output<O> | (O extends { permission: 'public' } ? Redirect : never)>

/** A room: one function for each operation of its domain, under the same name. */
export type Room<D extends Domain> = {
  [Name in keyof D]: (ctx: ContextOf<D[Name]>, input: Parsed<D[Name]>, prepared: never) => AnswerOf<D[Name]>
}

export type Served = {
  domain: string
  name: string
  operation: Operation
  schema: z.ZodType
  call: (ctx: Context, input: unknown, prepared?: unknown) => unknown
  own_transactions: boolean
  shares: boolean
  /** The GET that would answer the same now, so that the answer carries the thing's tag. */
  shown_by?: Operation | undefined
  prepare?: (ctx: Context, input: unknown) => Promise<unknown>
  wait?: (ctx: Context, answer: unknown) => Promise<unknown>
}

/** What a room says of its operations besides. */
export type Ways<D extends Domain> = {
  /** Those that open their own transactions, because they wait for something while they work. */
  own_transactions?: readonly (keyof D)[]
  /** Those that are asked for often and at the same time, and may share a transaction (see `sharedTransactions`). */
  shares?: readonly (keyof D)[]
  /** What takes its time and writes nothing that anybody else sees: it is done before the transaction begins, and what
   *  it gives is handed to the operation. */
  prepares?: { [Name in keyof D]?: (ctx: Context, input: Parsed<D[Name]>) => Promise<unknown> }
  /** What is waited for after the commit, for an answer given now or replayed: the answer in the end. */
  waits?: { [Name in keyof D]?: (ctx: Context, answer: Output<D[Name]>) => Promise<Output<D[Name]>> }
}
