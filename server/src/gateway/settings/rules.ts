/** Decisions about settings, without I/O: which models a provider allows, which routes and guardrails make sense. */

import type { FieldError } from '@flow/contract/common'
import type { GatewayGuardrail, GatewayRoute } from '@flow/contract/gateway-routes'
import { compileJsonSchema, ExpressionFault, patternOf, streamPatternOf } from '../../expressions/expressions.ts'
import type { ProviderKind } from '../providers/provider.ts'

/** Whether a provider's list of models has this one. An empty list has all. */
export const allows = (models: readonly string[], model: string): boolean =>
  models.length === 0 || models.some((one) => (one.endsWith('*') ? model.startsWith(one.slice(0, -1)) : one === model))

/** Options without which no call can be made. */
const needed: Partial<Record<ProviderKind, string[]>> = { bedrock: ['region'] }

const SPEAKS: Choices = { pattern: /^(native|none)$/, message: 'Say "native" or "none".' }
const VERSION: Choices = {
  pattern: /^(v1|preview|\d{4}-\d\d-\d\d(-preview)?)$/,
  message: 'Give a date such as 2024-10-21, or "preview"; leave it out for the API without versions.',
}
type Choices = { pattern: RegExp; message: string }
const choices: Partial<Record<ProviderKind, Record<string, Choices>>> = {
  openai: { responses: SPEAKS, completions: SPEAKS, rerank: SPEAKS },
  azure: { responses: SPEAKS, completions: SPEAKS, api_version: VERSION },
}

/** What each kind can be told. */
const optionsOf = (kind: ProviderKind): string[] => [...(needed[kind] ?? []), ...Object.keys(choices[kind] ?? {})]

export function faultsOfOptions(kind: ProviderKind, options: Record<string, string>): FieldError[] {
  const allowed = optionsOf(kind)
  const unknown = Object.keys(options).filter((name) => !allowed.includes(name))
  const missing = (needed[kind] ?? []).filter((name) => !options[name])
  const wrong = Object.entries(choices[kind] ?? {}).filter(([name, { pattern }]) => {
    const value = options[name]
    return value !== undefined && !pattern.test(value)
  })
  const listed = allowed.length === 0 ? 'none' : allowed.map((name) => `"${name}"`).join(', ')
  return [
    ...unknown.map((name) => ({
      field: `options.${name}`,
      message: `A provider of the kind "${kind}" has no such option. It knows: ${listed}.`,
    })),
    ...missing.map((name) => ({
      field: `options.${name}`,
      message: `A provider of the kind "${kind}" needs it.`,
    })),
    ...wrong.map(([name, { message }]) => ({ field: `options.${name}`, message })),
  ]
}

type Routing = Pick<GatewayRoute, 'strategy' | 'targets' | 'timeouts_ms' | 'hedge_after_ms' | 'guardrails'>

/** `modelsOf` gives the models of each provider that there is. */
export function faultsOfRoute(route: Routing, modelsOf: ReadonlyMap<string, readonly string[]>): FieldError[] {
  const { targets, timeouts_ms } = route
  const faults = targets.flatMap(({ provider, model }, i): FieldError[] => {
    const field = `targets[${i}]`
    const models = modelsOf.get(provider)
    if (!models)
      return [{ field: `${field}.provider`, message: `There is no provider "${provider}". Set it up first.` }]
    if (!allows(models, model)) {
      return [{ field: `${field}.model`, message: `The provider "${provider}" does not allow the model "${model}".` }]
    }
    const first = targets.findIndex((other) => other.provider === provider && other.model === model)
    return first === i ? [] : [{ field, message: `It is the same as targets[${first}].` }]
  })
  if (route.strategy === 'weighted' && targets.every(({ weight }) => weight === 0)) {
    faults.push({ field: 'targets', message: 'Give at least one target a weight above 0.' })
  }
  if (route.hedge_after_ms !== null && targets.length < 2) {
    faults.push({ field: 'hedge_after_ms', message: 'A second target is needed that can be asked, too.' })
  }
  if (timeouts_ms.first_chunk > timeouts_ms.total) {
    faults.push({ field: 'timeouts_ms.first_chunk', message: 'It is more than `total`, which would end it before.' })
  }
  return faults
}

type Guarding = Pick<GatewayGuardrail, 'rule' | 'action' | 'side'>

/** What is wrong with a guardrail, as far as it shows without looking anything up. */
export function faultsOfGuardrail({ rule, action }: Guarding): FieldError[] {
  const faults: FieldError[] = []
  if (action === 'redact' && (rule.type === 'json_schema' || rule.type === 'topics')) {
    const message = `A rule of the type "${rule.type}" is about the text as a whole: use "block" or "flag".`
    faults.push({ field: 'action', message })
  }
  if (rule.type === 'regex') {
    for (const [i, pattern] of rule.patterns.entries()) {
      faults.push(...faultOf(`rule.patterns[${i}]`, () => patternOf(pattern)))
    }
    if (faults.length === 0) faults.push(...faultOf('rule.patterns', () => streamPatternOf(rule.patterns)))
  }
  if (rule.type === 'json_schema') faults.push(...faultOf('rule.schema', () => compileJsonSchema(rule.schema)))
  return faults
}

function faultOf(field: string, compile: () => unknown): FieldError[] {
  try {
    compile()
    return []
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return [{ field, message: error.message }]
  }
}
