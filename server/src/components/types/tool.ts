/** Tools: what a model may call. The arguments are checked before anything is done. */

import type { FieldError } from '@flow/contract/common'
import type { ComponentType } from '@flow/contract/components'
import type { ToolConfig } from '@flow/contract/components/tool'
import { Failure } from '../../failure.ts'
import {
  assertFits,
  callFunction,
  examplesOf,
  isObject,
  type Kind,
  type Means,
  RunFailure,
  schemaCheck,
  schemaFaults,
  splitFunction,
} from './kind.ts'

type Type = ToolConfig['implementation_type']

/** What `implementation_ref` names, where that is a component. */
const referred: Partial<Record<Type, ComponentType>> = {
  agent: 'agent',
  codeblock: 'code_block',
  function: 'code_block',
  workflow: 'workflow',
}

/** What cannot be called, and why. */
const missing: Partial<Record<Type, string>> = {
  agent: 'Tools that are agents can be kept, but not published: this platform has no runtime for agents.',
  connector_operation:
    'Tools that are operations of connectors can be kept, but not published: there are no connectors.',
  mcp: 'Tools of MCP servers can be kept, but not published: this platform has no client for them.',
}

const ANSWER_BYTES = 1024 * 1024

export const tool: Kind<ToolConfig> = {
  faults: ({ parameters, implementation_type, implementation_ref }) => [
    ...schemaFaults({ parameters }),
    ...objectFaults(parameters),
    ...refFaults(implementation_type, implementation_ref),
  ],
  references({ implementation_type, implementation_ref }) {
    const type = referred[implementation_type]
    if (!type) return []
    const ref = implementation_type === 'function' ? splitFunction(implementation_ref).ref : implementation_ref
    return [{ field: 'implementation_ref', ref, types: [type] }]
  },
  publishFaults({ implementation_type }) {
    const message = missing[implementation_type]
    return message ? [{ field: 'config.implementation_type', message }] : []
  },
  run: runTool,
  cannotRun({ implementation_type }) {
    if (implementation_type !== 'workflow') return missing[implementation_type]
    return 'A tool that is a workflow runs as an execution, which is recorded: start the workflow itself to try it.'
  },
  examples: ({ examples }) => examplesOf(examples),
}

export async function runTool(config: ToolConfig, input: unknown, means: Means): Promise<unknown> {
  const { implementation_type, implementation_ref: ref, timeout_seconds } = config
  const refusal = missing[implementation_type]
  if (refusal) throw new RunFailure('NOT_AVAILABLE', refusal)
  assertArguments(config, input)
  if (implementation_type === 'api_endpoint') return callEndpoint(config, input, means)
  return callFunction(means, ref, { input: input ?? {}, timeout_seconds })
}

export const assertArguments = ({ parameters }: ToolConfig, input: unknown): void =>
  assertFits(schemaCheck(parameters), input ?? {}, 'INVALID_INPUT', 'The arguments do not fit the parameters')

const objectFaults = ({ type }: Record<string, unknown>): FieldError[] =>
  type === 'object' ? [] : [{ field: 'config.parameters.type', message: 'It must be "object": arguments have names.' }]

function refFaults(type: Type, ref: string): FieldError[] {
  const fault = (message: string) => [{ field: 'config.implementation_ref', message }]
  if (type === 'function' && !/^[^#]{3,}#[A-Za-z_$][A-Za-z0-9_$]{0,99}$/.test(ref)) {
    return fault('Name a function of a code block: `slug#function`.')
  }
  if (type !== 'function' && referred[type] && ref.includes('#')) return fault('Only a "function" has a "#" in it.')
  if (type !== 'api_endpoint' || endpointOf(ref)) return []
  return fault('Write a method and an http or https address: `GET https://api.example.com/orders/{id}`.')
}

type Endpoint = { method: string; url: string }

/** Arguments stand behind the host: which one is called is not theirs to say. */
function endpointOf(ref: string): Endpoint | undefined {
  const [, method = '', url = ''] = /^(GET|POST|PUT|PATCH|DELETE) +(https?:\/\/[^\s/{}]+\S*)$/.exec(ref) ?? []
  return URL.canParse(url.replace(/\{\w+\}/g, 'x')) ? { method, url } : undefined
}

async function callEndpoint(config: ToolConfig, input: unknown, means: Means): Promise<unknown> {
  const endpoint = endpointOf(config.implementation_ref)
  if (!endpoint) throw new RunFailure('ADDRESS_REFUSED', 'The "implementation_ref" is not an address.')
  const { url, body } = requestOf(endpoint, isObject(input) ? input : {})
  const limits = { timeout_seconds: config.timeout_seconds, bytes_max: ANSWER_BYTES }
  const headers = { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
  try {
    const sent = { method: endpoint.method, headers, body, limits, signal: means.signal }
    const response = await means.fetch(url, sent)
    const answer = bodyOf(response.headers.get('content-type'), await response.text())
    if (response.ok) return { status: response.status, body: answer }
    const is_final = response.status < 500 && response.status !== 429
    throw new RunFailure('HTTP_STATUS', `${new URL(url).host} answered ${response.status}.`, { is_final })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const code = error.code === 'BAD_REQUEST' ? 'ADDRESS_REFUSED' : error.code
    throw new RunFailure(code, error.message, { is_final: error.code === 'BAD_REQUEST' })
  }
}

/** An argument stands in one place: where the address names it, else in the query or in the body. */
function requestOf({ method, url }: Endpoint, given: Record<string, unknown>): { url: string; body?: string } {
  const left = { ...given }
  const filled = url.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = left[name]
    if (value === undefined || value === null || value === '') {
      throw new RunFailure('INVALID_INPUT', `The address needs the argument "${name}".`)
    }
    // A whole segment of dots would lead to another address than the one that is written.
    const text = textOf(value)
    if (/^\.\.?$/.test(text))
      throw new RunFailure('INVALID_INPUT', `The argument "${name}" cannot stand in an address.`)
    delete left[name]
    return encodeURIComponent(text)
  })
  if (method !== 'GET' && method !== 'DELETE') return { url: filled, body: JSON.stringify(left) }
  const address = new URL(filled)
  for (const [name, value] of Object.entries(left)) if (value !== null) address.searchParams.append(name, textOf(value))
  return { url: address.href }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function bodyOf(type: string | null, text: string): unknown {
  if (!/[/+]json\b/i.test(type ?? '')) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
