/** The ways through a provider: what is sent to it for a client's request, and how what comes back becomes what the
 *  client reads. Where the client's format is the provider's own, bytes pass, and are looked at only where a cheap look
 *  says that there is something to see; otherwise the hub is in the middle. Nothing here opens, waits or decides. */

import type { Stop } from '../call/route.ts'
import type { Fault, JsonObject, MouthName, Usage } from '../hub.ts'
import { chatMouths, flatMouths } from '../mouths/mouths.ts'
import type { Outline } from '../mouths/outline.ts'
import { adapters } from '../providers/adapters.ts'
import { flow } from '../providers/flow.ts'
import { type Adapter, type Outgoing, ProviderFault } from '../providers/provider.ts'
import { embeddingsWay, rerankWay } from './flat-ways.ts'
import { chatWay } from './hub-way.ts'
import { nativeWay } from './native-way.ts'

/** A client's request, read once. */
export type Wish = {
  mouth: MouthName
  body: JsonObject
  outline: Outline
  /** The client's, in lower case. */
  headers: Record<string, string | undefined>
  /** Of the call, without a mouth's prefix. */
  id: string
  /** Seconds since 1970. */
  created: number
}

export type Answered = { body: string | Buffer; usage: Usage | undefined; text_bytes: number }

/** A stream on its way from the provider to the client. */
export type Passage = {
  /** What the client is told for this chunk; often nothing. Throws a `ProviderFault`. */
  push(chunk: Buffer): string | Buffer
  /** What is still owed when the provider has closed. Throws a `ProviderFault` when it was not complete. */
  end(): string | Buffer
  /** Ends the client's stream in the middle. */
  fail(fault: Fault): string
  /** Why the provider broke off, when it said so behind what `push` has given. */
  fault: Fault | undefined
  /** What the provider has told so far. */
  usage: Partial<Usage> | undefined
  /** What was written so far, as it is counted when nobody tells. */
  output_tokens: number
}

export type Way = {
  outgoing: Outgoing
  /** What is to be asked besides, now that this has been answered: providers take only so much at once. */
  next?(bytes: Buffer): Outgoing | undefined
  answer(bytes: Buffer): Answered
  stream(): Passage
}

export const adapterOf = (stop: Stop): Adapter => {
  const adapter = stop.provider.kind === 'flow' ? flow : adapters[stop.provider.kind]
  if (adapter) return adapter
  throw unable(`Flow cannot speak with providers of the kind "${stop.provider.kind}".`)
}

/** Throws a `ProviderFault` where this target cannot do what is wished. */
export function wayTo(stop: Stop, wish: Wish, output_tokens_max: number | null): Way {
  const adapter = adapterOf(stop)
  const native = adapter.native[wish.mouth]
  const mouth = chatMouths[wish.mouth]
  // The built-in models leave the checking to the mouth; a provider does it itself.
  if (native && adapter.kind === 'flow') (mouth ?? flatMouths.embeddings).read(wish.body)
  if (native && (native.speaks?.(stop.provider) ?? true)) return nativeWay(native, stop, wish, output_tokens_max)
  if (mouth && adapter.chat) return chatWay(adapter, adapter.chat, mouth, stop, wish, output_tokens_max)
  if (wish.mouth === 'embeddings' && adapter.embeddings) {
    return embeddingsWay(adapter.embeddings, flatMouths.embeddings, stop, wish)
  }
  if (wish.mouth === 'rerank' && adapter.rerank) return rerankWay(adapter.rerank, flatMouths.rerank, stop, wish)
  throw unable(`The models of "${stop.provider.name}" cannot be asked at this address.`)
}

const unable = (message: string) =>
  new ProviderFault({ status: 400, type: 'invalid_request_error', code: 'unsupported', message, is_retryable: false })
