/** Anthropic's messages: `POST /messages`. */

import { faultInAnthropic } from './anthropic.ts'
import { answerMessages } from './messages-answer.ts'
import { readMessages } from './messages-read.ts'
import { streamMessages } from './messages-stream.ts'
import type { ChatMouth } from './mouth.ts'

export const messages: ChatMouth = {
  name: 'messages',
  read: readMessages,
  answer: answerMessages,
  stream: (_request, about) => streamMessages(about),
  fault: (fault) => faultInAnthropic(fault, null),
}
