/** Which mouth speaks at which address. */

import type { MouthName } from '../hub.ts'
import { chat } from './chat.ts'
import { completions } from './completions.ts'
import { embeddings } from './embeddings.ts'
import { messages } from './messages.ts'
import type { ChatMouth, EmbeddingsMouth, RerankMouth } from './mouth.ts'
import { rerank } from './rerank.ts'
import { responses } from './responses.ts'

export const chatMouths: Partial<Record<MouthName, ChatMouth>> = { chat, completions, messages, responses }

export const flatMouths: { embeddings: EmbeddingsMouth; rerank: RerankMouth } = { embeddings, rerank }
