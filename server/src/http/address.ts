/** The caller's address. Behind a trusted proxy it is the last one that the proxy wrote; else the socket's. */
export function addressOf(request: Request, peer: string | undefined, trust_proxy: boolean): string {
  const forwarded = trust_proxy ? request.headers.get('x-forwarded-for')?.split(',').at(-1)?.trim() : undefined
  return (forwarded || peer || 'local').replace(/^::ffff:/, '')
}

/** The other end of the socket, where there is one. */
export const peerOf = (env: unknown): string | undefined =>
  (env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined)?.incoming?.socket?.remoteAddress
