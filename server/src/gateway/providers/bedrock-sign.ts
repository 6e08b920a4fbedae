/** How a call to Bedrock says whose it is: signed by Signature Version 4 with the two or three parts of an AWS key, or
 *  with an API key of Bedrock in a header (https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html). */

import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { faultOf } from './faults.ts'
import { type Account, type Outgoing, ProviderFault } from './provider.ts'

type SourceData = string | ArrayBuffer | ArrayBufferView

export async function sign(outgoing: Outgoing, account: Account, now: Date, service = 'bedrock'): Promise<Outgoing> {
  const { key } = account
  if (key === null) return outgoing
  if (!key.includes(':')) return { ...outgoing, headers: { ...outgoing.headers, authorization: `Bearer ${key}` } }
  const [accessKeyId = '', secretAccessKey = '', sessionToken] = key.split(':')
  if (!accessKeyId || !secretAccessKey) {
    throw new ProviderFault(faultOf(401, 'The key is not of the form access_key_id:secret_access_key[:session_token].'))
  }
  const signer = new SignatureV4({
    service,
    region: regionOf(account),
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
    sha256: Sha256,
    applyChecksum: false,
  })
  const { protocol, hostname, host, port, pathname, searchParams } = new URL(outgoing.url)
  const signed = await signer.sign(
    {
      method: outgoing.method,
      protocol,
      hostname,
      ...(port ? { port: Number(port) } : {}),
      path: pathname,
      query: Object.fromEntries(searchParams),
      headers: { ...outgoing.headers, host },
      body: outgoing.body,
    },
    { signingDate: now },
  )
  // Whoever sends it names the host, by the very same address.
  const { host: _, ...headers } = signed.headers
  return { ...outgoing, headers }
}

const regionOf = ({ options, base_url }: Account): string =>
  options.region ?? /bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\./.exec(base_url)?.[1] ?? 'us-east-1'

/** Node's own hash in the form that the signer asks for. */
class Sha256 {
  readonly #secret: SourceData | undefined
  #hash: Hash | Hmac

  constructor(secret?: SourceData) {
    this.#secret = secret
    this.#hash = begun(secret)
  }

  update(data: SourceData): void {
    this.#hash.update(bytesOf(data))
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest())
  }

  reset(): void {
    this.#hash = begun(this.#secret)
  }
}

const begun = (secret: SourceData | undefined): Hash | Hmac =>
  secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))

function bytesOf(data: SourceData): Uint8Array | string {
  if (typeof data === 'string') return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return new Uint8Array(data)
}
