/** For formats whose results of tools are texts: images in a result are told by the user, behind all results of that
 *  turn. */

import type { ImagePart, Message, TextPart } from '../hub.ts'

/** `at` is the place in what the client sent. */
export type Placed = { message: Message; at: number }

export function imagesShown(messages: Message[]): Placed[] {
  const placed: Placed[] = []
  let images: (TextPart | ImagePart)[] = []
  const show = (at: number) => {
    if (images.length > 0) placed.push({ message: { role: 'user', content: images }, at })
    images = []
  }
  for (const [at, message] of messages.entries()) {
    if (message.role !== 'tool') show(at - 1)
    if (message.role !== 'tool' || typeof message.content === 'string') {
      placed.push({ message, at })
      continue
    }
    const texts = message.content.filter((part) => part.type === 'text')
    const own = message.content.filter((part) => part.type === 'image_url')
    placed.push({ message: { ...message, content: texts }, at })
    if (own.length > 0) images.push({ type: 'text', text: `Images in the result of ${message.tool_call_id}:` }, ...own)
  }
  show(messages.length - 1)
  return placed
}
