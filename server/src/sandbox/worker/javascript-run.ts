/** One run of JavaScript: loaded, called, continued with each of the host's answers, ended once. */

import type { Fault, Module } from '../verdict.ts'
import { faultOf } from './faults.ts'
import type { Ground, Machine } from './machine.ts'
import { OUT_OF_MEMORY, Run } from './run.ts'

export class JavaScriptRun extends Run<Machine> {
  readonly #ground: Ground
  readonly #modules: Module[]

  constructor(ground: Ground, modules: Module[], ...rest: ConstructorParameters<typeof Run<Machine>>) {
    super(...rest)
    this.#ground = ground
    this.#modules = modules
  }

  /** Computes until nothing is ready any more. */
  step(work: () => void): void {
    const { machine } = this
    const mark = this.enter()
    try {
      work()
      if (!machine.settle(() => this.ending !== undefined) && !this.ending) this.ending = { error: this.interrupted() }
    } catch (error) {
      this.broke(error)
    }
    this.leave(mark)
  }

  /** Evaluates the module; gives where its namespace is, if it has come that far. */
  load(source: string): number | undefined {
    const loaded = this.machine.evaluate(source, this.filename)
    if (loaded.state === 'loaded') return loaded.at
    if (loaded.state === 'pending') {
      const message = 'The module waits at its top level for something that never comes.'
      this.ending = { error: { code: 'never_resolves', message } }
      return undefined
    }
    const fault = this.#failedImport(source) ?? this.describe(loaded.at)
    const isSyntax = loaded.state === 'unread' && fault.code === 'threw'
    this.ending = { error: isSyntax ? { ...fault, code: 'syntax' } : fault }
    return undefined
  }

  /** What was looked for first and is not there is what is wrong. */
  #failedImport(source: string): Fault | undefined {
    const name = this.machine.wantedImport
    if (name === undefined) return undefined
    const at = Math.max(source.indexOf(`'${name}'`), source.indexOf(`"${name}"`))
    const line = at < 0 ? undefined : source.slice(0, at).split('\n').length
    const message = `"${name.slice(0, 200)}" can't be imported: it is none of the block's modules.`
    return { code: 'import_refused', message, line }
  }

  adopt(namespace: number, entryPoint: string): boolean {
    const { machine } = this
    const lack = machine.read(machine.call(this.#ground.functions.adopt, namespace, machine.string(entryPoint)))
    if (lack !== '') this.ending = { error: lackOf(lack, entryPoint) }
    return lack === ''
  }

  describe(thrown: number): Fault {
    const { machine } = this
    const told = machine.call(this.#ground.functions.describe, thrown)
    if (machine.isException(told)) return { code: 'threw', message: 'It threw something that cannot be read.' }
    return this.told(machine.read(told))
  }

  /** Without memory left even for the error, the engine throws null. */
  protected override told(description: string): Fault {
    const fault = faultOf(description, this.filename, this.#modules)
    return this.isNearlyFull && fault.message === 'It threw null.' ? OUT_OF_MEMORY : fault
  }

  start(entryPoint: string, input: string): void {
    const { machine } = this
    machine.call(this.#ground.functions.run, machine.string(entryPoint), machine.string(input))
  }

  answer(call: number, isGood: boolean, value: string): void {
    const { machine } = this
    this.answered(call)
    this.step(() => {
      const args = [machine.number(call), machine.boolean(isGood), machine.string(value)]
      machine.call(this.#ground.functions.answer, ...args)
    })
  }
}

function lackOf(told: string, entryPoint: string): Fault {
  const { found, exports } = JSON.parse(told) as { found: string; exports: string[] }
  const offered = exports.length > 0 ? `It exports ${exports.slice(0, 20).join(', ')}.` : 'It exports nothing.'
  const message =
    found === 'undefined'
      ? `The code exports no function "${entryPoint}". ${offered}`
      : `The export "${entryPoint}" is no function but ${found}.`
  return { code: 'no_entry_point', message }
}
