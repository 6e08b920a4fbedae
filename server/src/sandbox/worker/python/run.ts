/** One run of Python: loaded, called, continued with each of the host's answers, ended once. */

import type { Fault } from '../../verdict.ts'
import type { Source } from '../engine.ts'
import { Answer } from '../guest.ts'
import { type Ending, OUT_OF_MEMORY, Run, STACK_OVERFLOW } from '../run.ts'
import { Exited, type Machine } from './machine.ts'

export class PythonRun extends Run<Machine> {
  /** Only then does the host answer: what is evaluated beforehand may be kept for other runs. */
  #isCalled = false
  isLoaded = false

  load({ text, packages = [] }: Source, entryPoint: string): Promise<void> {
    const order = { source: text, name: this.filename, entry_point: entryPoint, packages: packages.length }
    return this.#step(() => {
      this.#give(0, true, JSON.stringify(order))
      for (const wheel of packages) this.#give(0, true, Buffer.from(wheel, 'base64'))
      return this.machine.run('load()')
    })
  }

  start(input: string): Promise<void> {
    this.#isCalled = true
    return this.#step(() => {
      this.#give(0, true, input)
      return this.machine.run('call()')
    })
  }

  answer(call: number, isGood: boolean, value: string): Promise<void> {
    this.answered(call)
    return this.#step(() => {
      this.#give(call, isGood, value)
      return this.machine.goOn()
    })
  }

  /** Computes until it has ended or waits for the host. */
  async #step(work: () => Promise<'ended' | 'waiting'>): Promise<void> {
    const mark = this.enter()
    try {
      const state = await work()
      if (state === 'waiting' && !this.isWaiting) this.ending ??= { error: NEVER }
      if (state === 'ended' && (this.#isCalled || !this.isLoaded)) this.ending ??= { error: this.#silence() }
    } catch (error) {
      if (error instanceof Exited) this.ending ??= { error: EXITED }
      else if (this.machine.isStackUsedUp) this.ending ??= { error: STACK_OVERFLOW }
      else if (this.machine.hasAskedTooMuch) this.ending ??= { error: OUT_OF_MEMORY }
      this.broke(error)
    }
    this.leave(mark)
  }

  #give(call: number, isGood: boolean, value: string | Buffer): void {
    const text = Buffer.from(value)
    this.machine.give(Buffer.concat([Buffer.from(`${call} ${isGood ? 1 : 0} ${text.length}\n`), text]))
  }

  /** It came back without having said how it ended: it had no memory left for that, or has broken our part of it. */
  #silence(): Fault {
    if (this.machine.hasAskedTooMuch) return OUT_OF_MEMORY
    return { code: 'threw', message: 'It ended without a result.' }
  }

  override call(call: number, method: string, args: string): Answer {
    return this.#isCalled ? super.call(call, method, args) : Answer.not_yet
  }

  override sleep(call: number, ms: number): Answer {
    return this.#isCalled ? super.sleep(call, ms) : Answer.not_yet
  }

  override end(kind: string, value: string): Answer {
    if (kind !== 'loaded') return super.end(kind, value)
    if (!this.#isCalled) this.isLoaded = true
    return Answer.yes
  }

  protected override endingOf(kind: string, value: string): Ending {
    if (kind === 'syntax') return { error: { ...this.told(value), code: 'syntax' } }
    if (kind === 'lacks') return { error: lackOf(value) }
    return super.endingOf(kind, value)
  }

  protected override outputOf(value: string): Ending {
    const number = largeInteger(value)
    if (number === undefined) return { output: value }
    const message = `The result holds the integer ${number.slice(0, 40)}, which JSON's readers would round. Return it as text.`
    return { error: { code: 'not_json', message } }
  }
}

const NEVER: Fault = {
  code: 'never_resolves',
  message: 'It waits for something that never comes: nothing is left that could bring it.',
}
const EXITED: Fault = { code: 'threw', message: 'It ended its own process.' }

/** As the prelude tells it; every word of it is the guest's. */
function lackOf(told: string): Fault {
  const { entry_point, found, functions } = JSON.parse(told) as {
    entry_point: string
    found: string
    functions: string[]
  }
  const named = functions.slice(0, 20).join(', ')
  const offered = functions.length > 0 ? `It defines ${named}.` : 'It defines none.'
  const message = found
    ? `"${entry_point}" is no function but ${found}.`
    : `The code defines no function "${entry_point}". ${offered}`
  return { code: 'no_entry_point', message }
}

/** The first integer that a reader with 64-bit floats would take for another one. */
function largeInteger(json: string): string | undefined {
  if (!/\d{16}/.test(json)) return undefined
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/gs)) {
    if (/^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token))) return token
  }
  return undefined
}
