/** Providers of models, as an organization has set them up: whom to call, with which key. A key is written, tested,
 *  sealed and never read again. Management operations; the calls themselves are in gateway.ts. */

import { z } from 'zod'
import { Id, listParameters, Page, Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

export const ProviderKind = z
  .enum(['openai', 'azure', 'anthropic', 'gemini', 'bedrock', 'cohere'])
  .describe('Whose API it speaks. `openai` is everything that speaks OpenAI’s: Mistral, Groq, vLLM, Ollama …')
export type ProviderKind = z.infer<typeof ProviderKind>

export const ProviderName = z
  .string()
  .regex(/^[a-z0-9]+(?:[-_][a-z0-9]+)*$/, 'Use lowercase letters, digits, and single hyphens or underscores between.')
  .max(63)
  .describe('The first part of its models’ ids, such as `openai` in `openai/gpt-5`. It never changes.')

export const ProviderPreset = z
  .enum([
    'openai',
    'anthropic',
    'gemini',
    'azure',
    'bedrock',
    'cohere',
    'mistral',
    'groq',
    'deepseek',
    'together',
    'openrouter',
    'xai',
    'fireworks',
    'cerebras',
    'deepinfra',
    'nvidia',
    'sambanova',
    'moonshot',
    'qwen',
    'huggingface',
    'ollama',
    'vllm',
    'llama-cpp',
    'lm-studio',
  ])
  .describe('A provider that is known: its name, kind and base URL need not be given.')
export type ProviderPreset = z.infer<typeof ProviderPreset>

/** A model as its provider calls it, which may have slashes in it. */
export const ModelName = z
  .string()
  .regex(/^[^\s\p{Cc}*]+$/u, 'A model’s name has no white space and no *.')
  .max(200)
const ModelPattern = z
  .string()
  .regex(/^[^\s\p{Cc}*]*\*?$/u, 'Give a model’s name; * may stand at its end.')
  .min(1)
  .max(200)

const BaseUrl = z
  .url({ protocol: /^https?$/, error: 'Use a URL such as https://api.example.com/v1.' })
  .max(2000)
  .refine((url) => !/[?#]|\/\/[^/]*@/.test(url), 'Give it without a query, a fragment and credentials.')
  .transform((url) => url.replace(/\/+$/, ''))
  .describe('What the API’s paths are appended to. On the public internet; an operator can allow other hosts by name.')

const Key = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'A key has no white space and no special characters.')
  .max(10_000)
  .describe(
    'Written, never read again. For Bedrock `access_key_id:secret_access_key`, a session token behind another colon, ' +
      'or an API key of Bedrock.',
  )

const ours =
  /^(?:authorization|x-api-key|api-key|x-goog-api-key|host|connection|content-.*|transfer-encoding|te|upgrade|cookie|accept-encoding|x-amz-.*|proxy-.*)$/
const Headers = z
  .record(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/, 'Write a header’s name in lower case.')
      .max(100)
      .refine((name) => !ours.test(name), 'This header is set by Flow; a key goes into `key`.'),
    z
      .string()
      .regex(/^[\x20-\x7e]*$/, 'A header has printable ASCII only.')
      .max(2000),
  )
  .refine((headers) => Object.keys(headers).length <= 20, 'Give at most 20 headers.')
  .describe('Sent along with every call. They are shown to whoever may read this; a secret goes into `key`.')

const Options = z
  .record(
    z
      .string()
      .regex(/^[a-z][a-z0-9_]*$/)
      .max(50),
    z.string().min(1).max(500),
  )
  .refine((options) => Object.keys(options).length <= 20, 'Give at most 20 options.')
  .describe(
    'What the kind needs besides: `api_version` of Azure, `region` of Bedrock. `responses`, `completions` and `rerank` ' +
      'of `openai` are `native` or `none`: whether the server speaks that format, where Flow does not know it.',
  )

const Models = z.array(ModelPattern).max(500).describe('Models that may be called; `*` for any ending. Empty: all.')
const SkipTest = z.boolean().default(false).describe('Saves it without asking the provider whether the key works.')

export const GatewayProvider = z
  .object({
    id: Id,
    name: z.string(),
    kind: ProviderKind,
    base_url: z.string(),
    has_key: z.boolean(),
    key_last_four: z.string().nullable().describe('Null of a key of fewer than 12 characters.'),
    key_changed_at: Timestamp.nullable(),
    headers: z.record(z.string(), z.string()),
    options: z.record(z.string(), z.string()),
    models: z.array(z.string()),
    test_status: z.enum(['pending', 'success', 'failed']).describe('`pending`: the test was skipped.'),
    test_message: z.string(),
    tested_at: Timestamp.nullable(),
    created_by: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'GatewayProvider' })
export type GatewayProvider = z.infer<typeof GatewayProvider>

export const GatewayProviderTest = z
  .object({
    status: z.enum(['success', 'failed']),
    message: z.string().describe('What the provider said, or why it could not be asked.'),
    models: z.array(z.string()).describe('The models that the key may call, as the provider lists them; at most 1000.'),
    duration_ms: z.int(),
    tested_at: Timestamp,
  })
  .meta({ id: 'GatewayProviderTest' })
export type GatewayProviderTest = z.infer<typeof GatewayProviderTest>

export const GatewayProviderPreset = z
  .object({
    preset: ProviderPreset,
    title: z.string().describe('As people call it.'),
    name: z.string(),
    kind: ProviderKind,
    base_url: z.string().nullable().describe('Null where each customer has an address of their own: see `hint`.'),
    needs_key: z.boolean(),
    hint: z.string().describe('What is to be given besides, and where; empty: nothing.'),
  })
  .meta({ id: 'GatewayProviderPreset' })
export type GatewayProviderPreset = z.infer<typeof GatewayProviderPreset>

export const DiscoveredProvider = z
  .object({
    preset: ProviderPreset.describe('Which server it is, as far as it tells; else the one whose usual port it has.'),
    name: z.string().describe('A name that no provider has.'),
    kind: ProviderKind,
    base_url: z.string(),
    needs_key: z.boolean().describe('It answers only to who has a key.'),
    models: z.array(z.string()).describe('At most 1000.'),
    provider: z.string().nullable().describe('The provider that is set up with this address already.'),
  })
  .meta({ id: 'DiscoveredProvider' })
export type DiscoveredProvider = z.infer<typeof DiscoveredProvider>

const provider_id = Id
const written = { base_url: BaseUrl, headers: Headers, options: Options, models: Models }
const REFUSED =
  'VALIDATION_ERROR: the provider refuses the key, or the address is not one that Flow calls; `details` says which.'
const FAILED = 'UPSTREAM_FAILED: the provider could not be asked. With `skip_test` it is saved all the same.'

export const gatewayProviders = {
  list: {
    method: 'GET',
    path: '/gateway/providers',
    permission: 'solutions.read',
    summary: 'List the providers.',
    description: 'The built-in provider `flow` is always there and not listed.',
    input: z.object(z.object(listParameters(['created_at', 'name'])).omit({ search: true }).shape),
    output: Page(GatewayProvider),
  },
  create: {
    method: 'POST',
    path: '/gateway/providers',
    permission: 'organization.write',
    summary: 'Set up a provider. Its models can be called at once.',
    description:
      'Give `name`, `kind` and `base_url`, or a `preset` that has them; what is given besides goes first. The key is ' +
      'tested by asking for the list of models, then sealed; it is never answered.',
    creates: '/gateway/providers/{provider_id}',
    input: z.object({
      preset: ProviderPreset.optional(),
      name: ProviderName.optional(),
      kind: ProviderKind.optional(),
      base_url: BaseUrl.optional(),
      key: Key.optional(),
      headers: Headers.default({}),
      options: Options.default({}),
      models: Models.default([]),
      skip_test: SkipTest,
    }),
    output: GatewayProvider,
    refusals: ['CONFLICT: the name is taken, by a provider or by a route.', REFUSED, FAILED],
  },
  presets: {
    method: 'GET',
    path: '/gateway/provider-presets',
    permission: 'solutions.read',
    summary: 'List the providers that are known, so that nobody types addresses.',
    input: z.object({}),
    output: z.object({ items: z.array(GatewayProviderPreset) }),
  },
  discover: {
    method: 'POST',
    path: '/gateway/providers/discover',
    permission: 'organization.write',
    summary: 'Look for model servers at their usual addresses: Ollama, vLLM, llama.cpp, LM Studio.',
    description:
      'Only hosts that the operator has allowed by name (`FLOW_ALLOWED_HOSTS`) are asked, at the ports 11434, 8000, ' +
      '8080 and 1234. What is found can be sent to `POST /gateway/providers` as it is: `name`, `kind`, `base_url`.',
    input: z.object({}),
    output: z.object({
      servers: z.array(DiscoveredProvider),
      asked: z.array(z.string()).describe('The addresses that were asked; none: no such host is allowed.'),
    }),
  },
  get: {
    method: 'GET',
    path: '/gateway/providers/{provider_id}',
    permission: 'solutions.read',
    summary: 'Read a provider.',
    input: z.object({ provider_id }),
    output: GatewayProvider,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/providers/{provider_id}',
    permission: 'organization.write',
    summary: 'Change a provider: what is sent replaces, what is not sent stays.',
    description: 'A key goes to no other host than the one it was given for: with another host, send the key, too.',
    input: z.object({ provider_id, ...z.object({ ...written, key: Key }).partial().shape, skip_test: SkipTest }),
    output: GatewayProvider,
    refusals: ['CONFLICT: a route or a guardrail calls a model that would no longer be allowed.', REFUSED, FAILED],
  },
  remove: {
    method: 'DELETE',
    path: '/gateway/providers/{provider_id}',
    permission: 'organization.write',
    summary: 'Remove a provider with its key.',
    input: z.object({ provider_id }),
    refusals: ['CONFLICT: routes or guardrails call it; they are named.'],
  },
  rotateKey: {
    method: 'POST',
    path: '/gateway/providers/{provider_id}/rotate-key',
    permission: 'organization.write',
    summary: 'Put another key in place, without a gap.',
    description:
      'The new key is tested first. Calls under way end with the key they began with; every process of Flow uses the ' +
      'new one within a second. Revoke the old one at the provider when those calls are over.',
    input: z.object({ provider_id, key: Key, skip_test: SkipTest }),
    output: GatewayProvider,
    refusals: [REFUSED, FAILED],
  },
  test: {
    method: 'POST',
    path: '/gateway/providers/{provider_id}/test',
    permission: 'organization.write',
    summary: 'Ask the provider for its models, and so whether the key works.',
    input: z.object({ provider_id }),
    output: GatewayProviderTest,
  },
} as const satisfies Domain
