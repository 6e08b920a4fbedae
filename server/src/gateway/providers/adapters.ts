/** Which adapter speaks with which kind of provider. */

import { anthropic } from './anthropic.ts'
import { azure } from './azure.ts'
import { bedrock } from './bedrock.ts'
import { cohere } from './cohere.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Adapter, ProviderKind } from './provider.ts'

export const adapters: Partial<Record<ProviderKind, Adapter>> = { anthropic, azure, bedrock, cohere, gemini, openai }
