/** What Anthropic's models of a name do and do not take, from the model overview and the pages on thinking, effort,
 *  structured outputs and tool choice (https://platform.claude.com/docs). Names of Claude that nobody knows yet are taken
 *  for the newest; other names, which other providers serve in this format, for the plainest. */

export type Traits = {
  /** The most tokens it writes, which is what it may write where the client does not say. */
  output_max: number
  /** How it is told to think: by a number of tokens, or by an effort while it decides itself. */
  thinks: 'never' | 'by budget' | 'by effort'
  /** A number of tokens is still understood. */
  takesBudget: boolean
  /** What comes nearest to not thinking. */
  least: 'disabled' | 'between_tools' | 'low effort'
  takesEffort: boolean
  takesXhigh: boolean
  /** Temperature, top_p and top_k. */
  takesSampling: boolean
  /** Answers by a schema, and tools whose input keeps to theirs. */
  takesFormat: boolean
  /** May be made to call a tool. */
  forcesTools: boolean
}

const plain: Traits = {
  output_max: 4_096,
  thinks: 'by budget',
  takesBudget: true,
  least: 'disabled',
  takesEffort: false,
  takesXhigh: false,
  takesSampling: true,
  takesFormat: false,
  forcesTools: true,
}
const adaptive: Traits = {
  ...plain,
  output_max: 128_000,
  thinks: 'by effort',
  takesEffort: true,
  takesFormat: true,
}
const newest: Traits = { ...adaptive, takesSampling: false, takesXhigh: true }

/** The first that fits counts. */
const byName: [RegExp, Traits][] = [
  [/claude-sonnet-5-5/, { ...newest, takesBudget: false, least: 'between_tools', forcesTools: false }],
  [/claude-(opus-5-5|fable-5-[12])/, { ...newest, takesBudget: false, least: 'low effort', forcesTools: false }],
  [/claude-haiku-5-5/, { ...newest, takesBudget: false }],
  [/claude-fable-5/, { ...newest, takesBudget: false, least: 'low effort' }],
  [/claude-(opus|sonnet)-4-6/, adaptive],
  [/claude-opus-4-5/, { ...plain, output_max: 64_000, takesEffort: true, takesFormat: true }],
  [/claude-(sonnet|haiku)-4-5/, { ...plain, output_max: 64_000, takesFormat: true }],
  [/claude-opus-4-1/, { ...plain, output_max: 32_000, takesFormat: true }],
  [/claude-sonnet-4(-0|-2025|@|$)/, { ...plain, output_max: 64_000 }],
  [/claude-opus-4(-0|-2025|@|$)/, { ...plain, output_max: 32_000 }],
  [/claude-3-7/, { ...plain, output_max: 64_000 }],
  [/claude-3-5/, { ...plain, output_max: 8_192, thinks: 'never' }],
  [/claude-(3|2|v2|instant)/, { ...plain, thinks: 'never' }],
  [/claude-/, newest],
]

export function traitsOf(model: string): Traits {
  const name = model.toLowerCase().replaceAll('.', '-')
  return byName.find(([pattern]) => pattern.test(name))?.[1] ?? plain
}
