/** The packages of Python that the operator has placed in a folder: wheels without compiled parts. Nothing is installed
 *  and nothing is fetched; a block names what it uses, what that uses in turn included, and gets those files into its
 *  machine. The folder is read once: a new wheel is there after a restart. */

import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from './limits.ts'

export type Wheel = { file: string; name: string; version: string; isPure: boolean }
/** `digest` tells equal contents; they are in base64, as they cross the pipe. */
export type Package = { digest: string; content: string }

export class Packages {
  readonly #folder: string | undefined
  readonly #wheels: Wheel[]
  readonly #read = new Map<string, Package>()

  private constructor(folder: string | undefined, wheels: Wheel[]) {
    this.#folder = folder
    this.#wheels = wheels
  }

  /** Throws when there is no such folder. */
  static open(folder: string | undefined): Packages {
    if (folder === undefined) return new Packages(folder, [])
    try {
      return new Packages(folder, readdirSync(folder).sort().flatMap(wheelOf))
    } catch (error) {
      throw new Error(`The folder of Python's packages, "${folder}", cannot be read.`, { cause: error })
    }
  }

  /** Of each that can't be had, a sentence with its name. */
  lacks(dependencies: string[]): { at: number; reason: string }[] {
    return dependencies.flatMap((dependency, at) => {
      const found = this.#find(dependency)
      return typeof found === 'string' ? [{ at, reason: found }] : []
    })
  }

  /** Throws with a sentence when they can't be had, or are too large together. */
  load(dependencies: string[]): Package[] {
    const packages = dependencies.map((dependency) => {
      const found = this.#find(dependency)
      if (typeof found === 'string') throw new Error(found)
      return this.#content(found)
    })
    const size = packages.reduce((sum, { content }) => sum + content.length, 0)
    if (size > limits.packages) throw new Error(`The packages have more than ${limits.packages} characters in base64.`)
    return packages
  }

  #find(dependency: string): Wheel | string {
    const [, name = '', version] = /^([a-z0-9][a-z0-9._-]*)(?:==([a-z0-9.+!_]+))?$/i.exec(dependency) ?? []
    if (name === '') return `"${dependency.slice(0, 100)}" is no package: write its name, or name==version.`
    if (this.#folder === undefined) return `The package "${name}" cannot be had: this Flow has no folder of packages.`
    const named = this.#wheels.filter((wheel) => wheel.name === normal(name))
    const pure = named.filter(({ isPure }) => isPure)
    const [wheel, ...others] = version === undefined ? pure : pure.filter((one) => one.version === version)
    if (wheel && others.length === 0) return wheel
    if (wheel) {
      const versions = [wheel, ...others].map((one) => one.version).join(' and ')
      return `Of the package "${name}" there are ${versions}: say which with ==.`
    }
    if (pure.length > 0)
      return `Of the package "${name}" there is ${pure.map((one) => one.version).join(' and ')} only.`
    if (named.length > 0) return `The package "${name}" has compiled parts, which the sandbox cannot run.`
    return `The package "${name}" is not in the folder of packages.`
  }

  #content({ file }: Wheel): Package {
    const kept = this.#read.get(file)
    if (kept) return kept
    const bytes = readFileSync(join(this.#folder ?? '', file))
    const read = { digest: hash('sha256', bytes, 'base64'), content: bytes.toString('base64') }
    this.#read.set(file, read)
    return read
  }
}

/** Names are compared as PEP 503 says. */
const normal = (name: string) => name.toLowerCase().replace(/[-_.]+/g, '-')

/** A wheel's name says what it is (PEP 427): name, version, perhaps a build, and three tags. */
function wheelOf(file: string): Wheel[] {
  const parts = /^(.+)\.whl$/.exec(file)?.[1]?.split('-') ?? []
  const [name, version] = parts
  if (!name || !version || parts.length < 5 || parts.length > 6) return []
  const [python = '', abi, platform] = parts.slice(-3)
  const isPure = python.split('.').includes('py3') && abi === 'none' && platform === 'any'
  return [{ file, name: normal(name), version, isPure }]
}
