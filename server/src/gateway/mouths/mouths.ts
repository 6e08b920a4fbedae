/** Which mouth speaks at which address. */

import type { MouthName } from '../hub.ts'
import { chat } from './chat.ts'
import type { ChatMouth, EmbeddingsMouth, RerankMouth } from './mouth.ts'
import { responses } from './responses.ts'

export const chatMouths: Partial<Record<MouthName, ChatMouth>> = { chat, responses }

export const flatMouths: { embeddings?: EmbeddingsMouth; rerank?: RerankMouth } = {}
