/** Providers that are known, so that nobody types their addresses; and the servers that people run themselves, with the
 *  ports that they listen at unless told otherwise. */

import type { GatewayProviderPreset, ProviderPreset } from '@flow/contract/gateway-providers'
import type { ProviderKind } from './provider.ts'

type Known = {
  title: string
  kind: Exclude<ProviderKind, 'flow'>
  base_url: string | null
  hint?: string
  port?: number
}

const known = (title: string, base_url: string, kind: Known['kind'] = 'openai'): Known => ({ title, kind, base_url })
const local = (title: string, port: number): Known => ({
  ...{ title, kind: 'openai', port },
  base_url: `http://localhost:${port}/v1`,
  hint: 'The operator allows its host by FLOW_ALLOWED_HOSTS. Give base_url, if it runs elsewhere.',
})

const table: Record<ProviderPreset, Known> = {
  openai: known('OpenAI', 'https://api.openai.com/v1'),
  anthropic: known('Anthropic', 'https://api.anthropic.com/v1', 'anthropic'),
  gemini: known('Google Gemini', 'https://generativelanguage.googleapis.com/v1beta', 'gemini'),
  azure: {
    ...{ title: 'Azure OpenAI', kind: 'azure', base_url: null },
    hint: 'Give base_url, such as https://NAME.openai.azure.com, and the names of your deployments in models.',
  },
  bedrock: {
    ...{ title: 'Amazon Bedrock', kind: 'bedrock', base_url: null },
    hint: 'Give base_url, such as https://bedrock-runtime.us-east-1.amazonaws.com, and the region in options.',
  },
  cohere: known('Cohere', 'https://api.cohere.com', 'cohere'),
  mistral: known('Mistral', 'https://api.mistral.ai/v1'),
  groq: known('Groq', 'https://api.groq.com/openai/v1'),
  deepseek: known('DeepSeek', 'https://api.deepseek.com/v1'),
  together: known('Together', 'https://api.together.xyz/v1'),
  openrouter: known('OpenRouter', 'https://openrouter.ai/api/v1'),
  xai: known('xAI', 'https://api.x.ai/v1'),
  fireworks: known('Fireworks', 'https://api.fireworks.ai/inference/v1'),
  cerebras: known('Cerebras', 'https://api.cerebras.ai/v1'),
  deepinfra: known('DeepInfra', 'https://api.deepinfra.com/v1/openai'),
  nvidia: known('NVIDIA', 'https://integrate.api.nvidia.com/v1'),
  sambanova: known('SambaNova', 'https://api.sambanova.ai/v1'),
  moonshot: known('Moonshot', 'https://api.moonshot.ai/v1'),
  qwen: known('Qwen (Alibaba Cloud)', 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1'),
  huggingface: known('Hugging Face', 'https://router.huggingface.co/v1'),
  ollama: local('Ollama', 11434),
  vllm: local('vLLM', 8000),
  'llama-cpp': local('llama.cpp', 8080),
  'lm-studio': local('LM Studio', 1234),
}

export const presets: GatewayProviderPreset[] = Object.entries(table).map(([preset, { port, hint = '', ...it }]) => ({
  // The table has exactly these keys.
  preset: preset as ProviderPreset,
  name: preset,
  ...it,
  needs_key: port === undefined,
  hint,
}))

export const presetOf = (preset: ProviderPreset): GatewayProviderPreset | undefined =>
  presets.find((one) => one.preset === preset)

export type LocalServer = { preset: ProviderPreset; port: number }

export const localServers: LocalServer[] = Object.entries(table).flatMap(([preset, { port }]) =>
  port === undefined ? [] : [{ preset: preset as ProviderPreset, port }],
)

/** Whom these servers say their models are owned by. */
export const owners: Record<string, ProviderPreset> = {
  library: 'ollama',
  vllm: 'vllm',
  llamacpp: 'llama-cpp',
  organization_owner: 'lm-studio',
}
