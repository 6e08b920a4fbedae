/** Whom a limit or a budget is about: that there is such a one. */

import type { GatewayLimit } from '@flow/contract/gateway-limits'
import { invalid } from '../../failure.ts'
import type { At } from './changes.ts'
import * as store from './limits-store.ts'
import { findProviderNamed } from './providers-store.ts'

type Subject = GatewayLimit['subject']

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export async function assertSubject(at: At, { kind, id }: Subject): Promise<Subject> {
  if (id === null) return { kind, id }
  // There is one organization, and it is this one.
  if (kind === 'organization' && id === at.organization_id) return { kind, id: null }
  if (await isThere(at, kind, id)) return { kind, id }
  throw invalid([{ field: 'subject.id', message: `There is no ${nounOf[kind]} "${id}" in this organization.` }])
}

const nounOf = { organization: 'organization', workspace: 'workspace', user: 'user', key: 'API key', model: 'model' }

async function isThere(at: At, kind: Subject['kind'], id: string): Promise<boolean> {
  if (kind === 'model') {
    const [provider = '', ...model] = id.split('/')
    return model.join('/') !== '' && (provider === 'flow' || (await findProviderNamed(at, provider)) !== undefined)
  }
  if (kind === 'organization' || !UUID.test(id)) return false
  const find = { workspace: store.hasWorkspace, user: store.hasUser, key: store.hasKey }[kind]
  return (await find(at, id)) !== undefined
}
