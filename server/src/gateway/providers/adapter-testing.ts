/** The tests that every adapter stands: what it sends and what it understands in each recorded exchange. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChatRequest, Fault } from '../hub.ts'
import { chunksOf, collected, type Exchange, understoodOf } from './exchanges-testing.ts'
import { type Account, type Adapter, ProviderFault } from './provider.ts'

export const about = { id: '0123456789abcdef01234567', now: 1_790_000_000 }
export const plainRequest: ChatRequest = { model: 'a-model', messages: [{ role: 'user', content: 'Hello' }] }

/** What is understood of an exchange that succeeds. */
export function answerOf(adapter: Adapter, exchange: Exchange) {
  assert.ok(adapter.chat)
  if (exchange.pieces) {
    const reader = adapter.chat.stream(exchange.request ?? plainRequest, about)
    return collected(chunksOf(reader, exchange.pieces))
  }
  return adapter.chat.answer(exchange.body ?? {}, about)
}

/** The fault of an exchange that does not. */
export function faultIn(adapter: Adapter, exchange: Exchange): Fault {
  if (exchange.status !== undefined)
    return adapter.fault(exchange.status, exchange.headers ?? {}, exchange.text ?? JSON.stringify(exchange.body))
  try {
    answerOf(adapter, exchange)
  } catch (error) {
    if (error instanceof ProviderFault) return error.fault
    throw error
  }
  assert.fail('It was understood, and is a fault.')
}

export function testExchanges(adapter: Adapter, usual: Account, exchanges: Exchange[]): void {
  for (const exchange of exchanges) {
    const { name, request, sent, means, fault } = exchange
    const account = { ...usual, base_url: exchange.base_url ?? usual.base_url }
    if (request && sent)
      test(`sent: ${name}`, () => {
        const outgoing = adapter.chat?.request(account, request.model, request)
        assert.equal(outgoing?.url, `${account.base_url}/${sent.path}`)
        assert.deepEqual(JSON.parse(outgoing?.body ?? ''), sent.body)
        assert.deepEqual(outgoing?.dropped, sent.dropped ?? [])
      })
    if (means)
      test(`understood: ${name}`, () => {
        const answer = answerOf(adapter, exchange)
        const { usage, ...first } = means
        assert.deepEqual(understoodOf(answer), [first, ...(exchange.others ?? [])])
        assert.deepEqual(answer.usage, usage)
      })
    if (fault)
      test(`a fault: ${name}`, () => {
        const told = faultIn(adapter, exchange)
        for (const [field, value] of Object.entries(fault)) assert.deepEqual(told[field as keyof Fault] ?? null, value)
        assert.ok(told.message)
      })
  }
}
