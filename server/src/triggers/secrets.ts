/** The secrets of webhooks: sealed, each bound to its workflow, and wrapped again at the start when the master key is
 *  a new one. */

import { BadConfig } from '../config.ts'
import type { Platform } from '../context.ts'
import { CannotOpen } from '../seal.ts'
import * as store from './store.ts'

type Place = { organization_id: string; workflow_id: string }

export const sealSecret = ({ seal }: Platform, place: Place, secret: string): string =>
  seal.seal(secret, boundTo(place))

export const openSecret = ({ seal }: Platform, place: Place, sealed: string): string =>
  seal.open(sealed, boundTo(place))

const boundTo = ({ organization_id, workflow_id }: Place) => `workflow_trigger:${organization_id}:${workflow_id}`

/** Wraps what an older master key sealed under the newest one, and says how many there were. */
export async function wrapSecrets({ database, seal }: Pick<Platform, 'database' | 'seal'>): Promise<number> {
  let wrapped = 0
  for (const { workflow_id, secret } of await store.secrets(database.platform)) {
    const next = wrapAgain(seal, secret)
    // A secret that was set meanwhile is under the newest key already.
    if (next) wrapped += await store.replaceSecret(database.platform, workflow_id, secret, next)
  }
  return wrapped
}

function wrapAgain(seal: Platform['seal'], sealed: string): string | undefined {
  try {
    return seal.rewrap(sealed)
  } catch (error) {
    if (!(error instanceof CannotOpen)) throw error
    throw new BadConfig(`FLOW_MASTER_KEY: this is not the key of this database. ${error.message}`)
  }
}
