/** The secrets of webhooks: sealed, each bound to its workflow, and wrapped again at the start when the master key is
 *  a new one. */

import type { Platform } from '../context.ts'
import { rewrap } from '../rewrap.ts'

type Place = { organization_id: string; workflow_id: string }

export const sealSecret = ({ seal }: Platform, place: Place, secret: string): string =>
  seal.seal(secret, boundTo(place))

export const openSecret = ({ seal }: Platform, place: Place, sealed: string): string =>
  seal.open(sealed, boundTo(place))

const boundTo = ({ organization_id, workflow_id }: Place) => `workflow_trigger:${organization_id}:${workflow_id}`

/** Wraps what an older master key sealed under the newest one, and says how many there were. */
export const wrapSecrets = (platform: Pick<Platform, 'database' | 'seal'>): Promise<number> =>
  rewrap(platform, [{ table: 'workflow_triggers', key: 'workflow_id', column: 'secret' }])
