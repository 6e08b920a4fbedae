/** Which adapter speaks with which kind of provider. */

import { anthropic } from './anthropic.ts'
import { flow } from './flow.ts'
import { gemini } from './gemini.ts'
import type { Adapter, ProviderKind } from './provider.ts'

export const adapters: Partial<Record<ProviderKind, Adapter>> = {
  anthropic,
  gemini,
  openai: { ...flow, kind: 'openai' },
}
