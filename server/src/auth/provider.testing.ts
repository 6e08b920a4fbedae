/** A real OpenID Connect provider on a port of this machine, and a browser that signs in at it: plain requests with
 *  cookies through the provider's own pages. `bend` changes what its token endpoint answers, signed with its true key,
 *  as a hostile or broken provider would. */

import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, decodeProtectedHeader, type JWTPayload, SignJWT } from 'jose'
import { Provider } from 'oidc-provider'

export type Claims = { email?: string; email_verified?: unknown; name?: string }
export type Bend = (
  claims: JWTPayload,
  signed: (claims: JWTPayload, key?: KeyObject) => Promise<string>,
) => Promise<string> | string

export type TestProvider = Awaited<ReturnType<typeof startProvider>>

export async function startProvider(redirect_uris: string[]) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const accounts = new Map<string, Claims>()
  const clients = ['flow', 'another'].map((client_id) => ({
    client_id,
    client_secret: randomBytes(24).toString('hex'),
    redirect_uris,
  }))
  const hooks: { bend?: Bend; code_seconds: number; last_id_token?: string } = { code_seconds: 60 }

  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'provider', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    findAccount: (_: unknown, sub: string) => {
      const claims = accounts.get(sub)
      return claims && { accountId: sub, claims: () => ({ sub, ...claims }) }
    },
    ttl: {
      AuthorizationCode: () => hooks.code_seconds,
      Session: 600,
      Interaction: 600,
      Grant: 600,
      AccessToken: 600,
      IdToken: 600,
    },
  })
  provider.use(async (ctx, next) => {
    await next()
    const { body } = ctx
    if (ctx.path !== '/token' || !body?.id_token) return
    const header = decodeProtectedHeader(body.id_token)
    const signed = (claims: JWTPayload, key = privateKey) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: header.kid }).sign(key)
    if (hooks.bend) body.id_token = await hooks.bend(decodeJwt(body.id_token), signed)
    hooks.last_id_token = body.id_token
  })
  server.on('request', provider.callback())

  /** Signs in there and gives the address that the browser is sent back to, without going there. */
  async function signIn(authorization_url: string, login: string): Promise<URL> {
    const cookies = new Map<string, string>()
    let url = new URL(authorization_url)
    let form: URLSearchParams | undefined
    for (let steps = 0; steps < 20; steps += 1) {
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
        ...(form ? { method: 'POST', body: form } : {}),
      })
      for (const cookie of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
        cookies.set(name, value)
      }
      form = undefined
      const location = response.headers.get('location')
      const text = await response.text()
      if (location) {
        url = new URL(location, url)
        if (url.origin !== issuer) return url
        continue
      }
      const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1]
      const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1]
      if (!action || !prompt) throw new Error(`the provider shows no form: ${response.status} ${text.slice(0, 500)}`)
      url = new URL(action, url)
      form = new URLSearchParams({ prompt, ...(prompt === 'login' ? { login, password: 'any' } : {}) })
    }
    throw new Error('the provider goes round in circles')
  }

  const [client] = clients
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return {
    issuer,
    client_id: client?.client_id ?? '',
    client_secret: client?.client_secret ?? '',
    accounts,
    hooks,
    signIn,
    close,
  }
}
