/** For formats whose results of tools are texts: images in a result are told by the user, behind all results of that
 *  turn. */

import type { ImagePart, Message, TextPart, UserPart } from '../hub.ts'

/** `at` is the place in what the client sent. */
export type Placed = { message: Message; at: number }

export function imagesShown(messages: Message[]): Placed[] {
  const placed: Placed[] = []
  let images: (TextPart | ImagePart)[] = []
  for (const [at, message] of messages.entries()) {
    if (message.role === 'tool') {
      const { content } = message
      const parts = typeof content === 'string' ? [] : content
      const own = parts.filter((part) => part.type === 'image_url')
      const texts = parts.filter((part) => part.type === 'text')
      placed.push({ message: own.length > 0 ? { ...message, content: texts } : message, at })
      if (own.length > 0)
        images.push({ type: 'text', text: `Images in the result of ${message.tool_call_id}:` }, ...own)
      continue
    }
    // Not every model reads two messages of a user one after the other.
    if (images.length > 0 && message.role === 'user') placed.push({ message: withImages(message, images), at })
    else placed.push(...shown(images, at - 1), { message, at })
    images = []
  }
  return [...placed, ...shown(images, messages.length - 1)]
}

const shown = (images: (TextPart | ImagePart)[], at: number): Placed[] =>
  images.length === 0 ? [] : [{ message: { role: 'user', content: images }, at }]

function withImages(message: Extract<Message, { role: 'user' }>, images: (TextPart | ImagePart)[]): Message {
  const { content } = message
  const own: UserPart[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  return { ...message, content: [...images, ...own] }
}
