/** `map`: calls a code block once for each item of a list, some at a time. The results come in the order of the items.
 *  What is recorded of an item is not run again; a failed item fails the node, or leaves `null` in its place. */

import { setTimeout as sleep } from 'node:timers/promises'
import { backoffOf } from '../rules.ts'
import type { Items } from '../store.ts'
import { outputText, runCode } from './code.ts'
import { type Ending, evaluated, INPUT_MAX, type NodeCall, NodeFailure, nodeOf, OUTPUT_MAX } from './node.ts'

export const ITEMS_MAX = 10_000
/** How often is told how far it is. */
const TELL_MS = 500

export async function performMap(call: NodeCall): Promise<Ending> {
  const node = nodeOf(call, 'map')
  const list = listOf(call)
  const outputs: unknown[] = new Array(list.length).fill(null)
  const items: Items = { total: list.length, completed: 0, failed: 0 }
  const done = new Set<number>()
  let size = 0
  const count = (index: number, isGood: boolean, characters: number) => {
    done.add(index)
    items[isGood ? 'completed' : 'failed'] += 1
    size += characters
    if (items.failed > (node.max_failed_items ?? ITEMS_MAX)) {
      const message = `More than ${node.max_failed_items} of the ${list.length} items failed.`
      throw new NodeFailure('ITEMS_FAILED', message, { is_final: true })
    }
    if (size > OUTPUT_MAX) {
      const message = `The outputs of the items have more than ${OUTPUT_MAX} characters of JSON together.`
      throw new NodeFailure('OUTPUT_TOO_LARGE', message, { is_final: true })
    }
  }
  for (const { index, output, error } of await call.recordedItems()) {
    outputs[index] = output
    count(index, error === null, 0)
  }

  const one = async (index: number) => {
    const { output, text, failure } = await attemptItem(call, list[index], index, node.on_item_error === 'skip')
    outputs[index] = output
    const error = failure && { code: failure.code, message: failure.message, node_id: node.id }
    call.keepItem({ index, output: text, error: error ?? null })
    count(index, !failure, text?.length ?? 4)
  }
  await overAll(list.length, done, node.concurrency, call.signal, one, () => call.tellItems({ ...items }))
  return { output: outputs, items }
}

function listOf(call: NodeCall): unknown[] {
  const list = evaluated('The items', () => call.at.items?.evaluate(call.variables))
  if (!Array.isArray(list)) throw new NodeFailure('NOT_A_LIST', 'The items are not a list.', { is_final: true })
  if (list.length <= ITEMS_MAX) return list
  throw new NodeFailure('TOO_MANY_ITEMS', `There are ${list.length} items; a map takes ${ITEMS_MAX}.`, {
    is_final: true,
  })
}

type ItemEnd = { output: unknown; text: string | null; failure?: NodeFailure }

/** One item, in as many attempts as the node grants each. */
async function attemptItem(call: NodeCall, item: unknown, index: number, mayFail: boolean): Promise<ItemEnd> {
  const { at, variables } = call
  const attempts = at.node.retry?.max_attempts ?? 1
  for (let attempt = 1; ; attempt++) {
    try {
      const input = evaluated('The input', () =>
        at.input ? at.input.render({ ...variables, item, index }, INPUT_MAX) : item,
      )
      const output = await runCode({ ...call, attempt }, input, index)
      return { output, text: outputText(output) }
    } catch (error) {
      call.signal.throwIfAborted()
      if (!(error instanceof NodeFailure)) throw error
      if (attempt < attempts && !error.is_final) {
        await sleep(backoffOf(at, attempt) * 1000, undefined, { signal: call.signal })
        continue
      }
      if (mayFail) return { output: null, text: null, failure: error }
      throw new NodeFailure(error.code, `Item ${index}: ${error.message}`, { is_final: true, cause: error.cause })
    }
  }
}

/** Calls `one` for every index that is not done, a few at a time; the first that fails ends it. */
async function overAll(
  total: number,
  done: ReadonlySet<number>,
  concurrency: number,
  signal: AbortSignal,
  one: (index: number) => Promise<void>,
  tell: () => void,
): Promise<void> {
  const timer = setInterval(tell, TELL_MS)
  let next = 0
  let hasFailed = false
  const lane = async () => {
    while (next < total && !hasFailed) {
      const index = next++
      if (done.has(index)) continue
      signal.throwIfAborted()
      await one(index)
    }
  }
  try {
    const lanes = Array.from({ length: Math.min(concurrency, total) }, () =>
      lane().catch((error: unknown) => {
        hasFailed = true
        throw error
      }),
    )
    await Promise.all(lanes)
  } finally {
    clearInterval(timer)
  }
}
