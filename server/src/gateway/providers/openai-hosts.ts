/** Where providers that speak OpenAI's API differ from OpenAI, by the host that is called. An unknown host is taken for
 *  one of the servers that people run themselves (vLLM, llama.cpp, Ollama, LM Studio …), which know the older names and
 *  let pass what they do not know. */

import type { JsonObject } from '../hub.ts'
import type { Account, ProviderKind } from './provider.ts'

export type Traits = {
  /** OpenAI itself, or Azure's copy of it. */
  isOpenai: boolean
  /** Fields that have another name here, so that what they say counts. */
  renames: readonly (readonly [from: string, to: string])[]
  /** Fields that are refused here. The client is told that they were left out, where a request is translated. */
  unknown: ReadonlySet<string>
  /** Usage comes at a stream's end without being asked for, and asking is refused. */
  tellsUsage: boolean
  /** How much is thought: `reasoning_effort`, OpenRouter's `reasoning`, DeepSeek's `thinking`, or no word for it. */
  effort: 'effort' | 'object' | 'switch' | 'none'
  /** Under which name a model's thoughts are handed back to it. */
  thoughts: 'reasoning_content' | 'reasoning_details' | 'none'
  /** A user may not follow a tool, and the names of calls have nine letters and digits. */
  isStrict: boolean
  /** Texts may come as a list in every role. */
  readsLists: boolean
  /** Marks of Anthropic's kind say what is cached. */
  hasMarks: boolean
  /** Formats that everybody else of this kind has, and this one has not. */
  lacks: readonly string[]
}

const OLD_NAMES = [['max_completion_tokens', 'max_tokens']] as const
const nobodyElses = ['metadata']

const usual: Traits = {
  isOpenai: false,
  renames: OLD_NAMES,
  unknown: new Set(nobodyElses),
  tellsUsage: false,
  effort: 'effort',
  thoughts: 'reasoning_content',
  isStrict: false,
  readsLists: false,
  hasMarks: false,
  lacks: ['responses'],
}

const openaiItself: Traits = {
  ...usual,
  isOpenai: true,
  renames: [],
  unknown: new Set(['top_k']),
  thoughts: 'none',
  readsLists: true,
  lacks: ['rerank'],
}

/** The built-in models read what concerns them, and let everything pass. */
const builtIn: Traits = { ...usual, renames: [], unknown: new Set(), readsLists: true }

/** https://docs.mistral.ai/api: a field that it does not know is a 422. */
const mistral: Traits = {
  ...usual,
  renames: [...OLD_NAMES, ['seed', 'random_seed']],
  unknown: new Set([...nobodyElses, 'user', 'name', 'logprobs', 'top_logprobs', 'logit_bias', 'top_k']),
  tellsUsage: true,
  isStrict: true,
  effort: 'none',
  thoughts: 'none',
  lacks: ['responses', 'completions', 'rerank'],
}

/** https://console.groq.com/docs/openai: these are a 400. */
const groq: Traits = {
  ...usual,
  unknown: new Set([...nobodyElses, 'logprobs', 'top_logprobs', 'logit_bias', 'top_k', 'n', 'name']),
  thoughts: 'none',
  lacks: ['responses', 'completions', 'rerank'],
}

/** https://api-docs.deepseek.com: thinking is switched on and off, and tool calls want their thoughts back. */
const deepseek: Traits = { ...usual, effort: 'switch', lacks: ['responses', 'rerank'] }

/** https://openrouter.ai/docs/use-cases/reasoning-tokens */
const openrouter: Traits = {
  ...usual,
  effort: 'object',
  thoughts: 'reasoning_details',
  hasMarks: true,
  lacks: ['responses', 'rerank'],
}

/** https://docs.x.ai/docs/api-reference */
const xai: Traits = {
  ...usual,
  unknown: new Set([...nobodyElses, 'top_k', 'logit_bias']),
  lacks: ['responses', 'rerank'],
}

const byHost: readonly (readonly [string, Traits])[] = [
  ['api.openai.com', openaiItself],
  ['mistral.ai', mistral],
  ['api.groq.com', groq],
  ['api.deepseek.com', deepseek],
  ['openrouter.ai', openrouter],
  ['api.x.ai', xai],
]

const byKind: Partial<Record<ProviderKind, Traits>> = { azure: openaiItself, flow: builtIn }

const known = new WeakMap<Account, Traits>()

/** Read once for each account. */
export function traitsOf(account: Account): Traits {
  const found = known.get(account)
  if (found) return found
  const traits = byKind[account.kind] ?? traitsAt(URL.parse(account.base_url)?.hostname ?? '')
  known.set(account, traits)
  return traits
}

const traitsAt = (host: string): Traits =>
  byHost.find(([name]) => host === name || host.endsWith(`.${name}`))?.[1] ?? usual

/** The formats besides chats that an account speaks by itself, as its options say or as its host is known for. */
export function speaks(account: Account, format: 'responses' | 'completions' | 'rerank'): boolean {
  const said = account.options[format]
  return said === undefined ? !traitsOf(account).lacks.includes(format) : said === 'native'
}

/** The same body under this host's names. */
export function renamed(traits: Traits, body: JsonObject): JsonObject {
  if (traits.renames.every(([from]) => body[from] === undefined)) return body
  const told = { ...body }
  for (const [from, to] of traits.renames) {
    const value = told[from]
    if (value === undefined) continue
    delete told[from]
    told[to] ??= value
  }
  return told
}
