/** Templates: JSON in which a string that is exactly `{{ CEL }}` stands for the expression's value, with its type; in
 *  a longer string the value's text is put in. Compiled once, rendered often. What is rendered is bounded while it is:
 *  a few characters of a template can stand for as many megabytes. */

import { compileExpression, type Expression, ExpressionFault, type Known, type Variables } from './cel.ts'
import { Budget, limits, TooLarge } from './fault.ts'
import { toText } from './functions.ts'
import { jsonText, Room } from './size.ts'
import type { Value } from './values.ts'

export type Template = {
  /** Each with its place in the template, such as `.rows[2].name`. */
  expressions: readonly { place: string; expression: Expression }[]
  /** `characters_max`: how long the JSON of it may be; a `TooLarge` says that it is longer. */
  render(variables: Variables, characters_max?: number): unknown
}

/** A fault with the place in the template where it is, such as `.rows[2].name`. */
export type TemplateFault = { place: string; message: string; column: number }

/** What one rendering may cost, and how large it may become. */
type Means = { budget: Budget; room: Room }
type Render = (variables: Variables, means: Means) => unknown

/** Compiles a template. Faults are collected, so that all of them can be told at once. */
export function compileTemplate(template: unknown, known: Known): { template: Template; faults: TemplateFault[] } {
  const expressions: { place: string; expression: Expression }[] = []
  const faults: TemplateFault[] = []
  const compile = (source: string, place: string): Expression | undefined => {
    try {
      const expression = compileExpression(source, known)
      expressions.push({ place, expression })
      return expression
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      faults.push({ place, message: error.message, column: error.column })
    }
  }
  const render = build(template, '', 0, compile, faults)
  const compiled: Template = {
    expressions,
    render: (variables, characters_max = limits.value) =>
      render(variables, { budget: new Budget(), room: new Room(characters_max) }),
  }
  return { template: compiled, faults }
}

type Compile = (source: string, place: string) => Expression | undefined

function build(part: unknown, place: string, depth: number, compile: Compile, faults: TemplateFault[]): Render {
  if (depth > limits.value_depth) {
    faults.push({ place, message: 'The template is nested too deeply.', column: 0 })
    return () => null
  }
  if (typeof part === 'string') return buildText(part, place, compile, faults)
  if (Array.isArray(part)) {
    const items = part.map((item, i) => build(item, `${place}[${i}]`, depth + 1, compile, faults))
    return (variables, means) => {
      means.room.takePunctuation(items.length)
      return items.map((item) => item(variables, means))
    }
  }
  if (typeof part !== 'object' || part === null) return measured(() => part)
  const fields = Object.entries(part).map(
    ([key, value]) => [key, build(value, `${place}.${key}`, depth + 1, compile, faults)] as const,
  )
  return (variables, means) => {
    means.room.takePunctuation(fields.length)
    const rendered = fields.map(([key, render]) => {
      means.room.takeKey(key)
      return [key, render(variables, means)] as const
    })
    return Object.fromEntries(rendered)
  }
}

/** Counts what is put into the template. */
const measured =
  (render: Render): Render =>
  (variables, means) => {
    const value = render(variables, means)
    means.room.takeJson(value)
    return value
  }

function buildText(text: string, place: string, compile: Compile, faults: TemplateFault[]): Render {
  const parts = split(text)
  if (!parts) {
    faults.push({ place, message: 'A "{{" is not closed by "}}".', column: 0 })
    return () => null
  }
  const [only] = parts
  if (parts.length === 0) return measured(() => text)
  if (parts.length === 1 && only?.expression) {
    const expression = compile(only.text, place)
    return measured((variables, { budget }) => expression?.evaluate(variables, budget))
  }
  const pieces = parts.map((part) => (part.expression ? compile(part.text, place) : part.text))
  return measured((variables, { budget }) => {
    let left: number = limits.value
    const texts = pieces.map((piece) => {
      const written = typeof piece === 'object' ? textOf(piece.evaluate(variables, budget), left) : (piece ?? '')
      left -= written.length
      if (left < 0) throw new TooLarge('The text is longer than 4 MiB.')
      return written
    })
    return texts.join('')
  })
}

/** Inside of a longer string: scalars as text, objects and lists as JSON, null as nothing. */
function textOf(value: unknown, characters_max: number): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? jsonText(value, characters_max) : toText(value as Value)
}

type Part = { text: string; expression: boolean }

/** The text between and inside of `{{ }}`. A `}}` inside of a string of the expression does not end it, and neither
 *  does one that closes maps the expression has opened. Undefined where one is not closed. */
function split(text: string): Part[] | undefined {
  const parts: Part[] = []
  let from = 0
  for (let open = text.indexOf('{{'); open >= 0; open = text.indexOf('{{', from)) {
    const close = endOf(text, open + 2)
    if (close < 0) return undefined
    if (open > from) parts.push({ text: text.slice(from, open), expression: false })
    parts.push({ text: text.slice(open + 2, close).trim(), expression: true })
    from = close + 2
  }
  if (from > 0 && from < text.length) parts.push({ text: text.slice(from), expression: false })
  return parts
}

function endOf(text: string, from: number): number {
  let braces = 0
  let quote = ''
  for (let i = from; i < text.length; i++) {
    const char = text[i] ?? ''
    if (quote !== '') {
      if (char === '\\') i++
      else if (char === quote) quote = ''
      continue
    }
    if (char === '"' || char === "'") quote = char
    if (char === '{') braces++
    if (char !== '}') continue
    if (braces === 0) return text[i + 1] === '}' ? i : -1
    braces--
  }
  return -1
}
