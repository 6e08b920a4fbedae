/** The secrets of this room, at the start. */

import type { Platform } from '../context.ts'
import { rewrap } from '../rewrap.ts'
import { jwks } from './tokens.ts'

/** How many secrets were wrapped again. Afterwards there is a key to sign access tokens with. */
export async function openSecrets(platform: Platform): Promise<number> {
  const wrapped = await rewrap(platform, [
    { table: 'signing_keys', key: 'id', column: 'private_sealed' },
    { table: 'sso_settings', key: 'organization_id', column: 'client_secret_sealed' },
  ])
  await jwks(platform)
  return wrapped
}
