/** Which mouth speaks at which address. */

import type { MouthName } from '../hub.ts'
import { chat } from './chat.ts'
import type { ChatMouth } from './mouth.ts'

export const chatMouths: Partial<Record<MouthName, ChatMouth>> = { chat }
