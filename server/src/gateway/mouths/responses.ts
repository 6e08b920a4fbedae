/** OpenAI's responses: `POST /responses`, for models of every provider. A response is a list of items; the hub's one
 *  message becomes what was thought, what was said and what was called, in this order. Nothing is kept: an answer says
 *  `store: false`, and the next request brings the items again. */

import type { ChatMouth } from './mouth.ts'
import { faultInOpenai } from './openai.ts'
import { responseTo } from './responses-answer.ts'
import { readResponse } from './responses-read.ts'
import { ResponseWriter } from './responses-stream.ts'

export const responses: ChatMouth = {
  name: 'responses',
  read: readResponse,
  answer: responseTo,
  stream: (request, about) => new ResponseWriter(request, about),
  fault: faultInOpenai,
}
