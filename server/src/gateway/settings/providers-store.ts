/** The SQL of providers. A key goes in sealed and comes out for a test alone. */

import type { Page } from '@flow/contract/common'
import type { GatewayProvider, gatewayProviders } from '@flow/contract/gateway-providers'
import type { Parsed } from '@flow/contract/operation'
import { json, raw, sql } from '../../db/db.ts'
import { page } from '../../db/page.ts'
import type { At } from './changes.ts'

const columns =
  raw(`id, name, kind, base_url, key is not null as has_key, key_last_four, key_changed_at, headers, options,
  models, test_status, test_message, tested_at, created_by, created_at, updated_at`)

export const list = (at: At, parameters: Parsed<(typeof gatewayProviders)['list']>): Promise<Page<GatewayProvider>> =>
  page<GatewayProvider>(at.db, {
    select: columns,
    from: raw('gateway_providers'),
    where: [sql`organization_id = ${at.organization_id}`],
    sortable: { created_at: 'created_at', name: 'name' },
    id: 'id',
    parameters,
  })

export const find = (at: At, id: string): Promise<GatewayProvider | undefined> =>
  at.db.maybe<GatewayProvider>(sql`
    select ${columns} from gateway_providers where id = ${id} and organization_id = ${at.organization_id}`)

/** The key as it is stored, sealed. */
export const findSealed = (at: At, id: string): Promise<{ key: string | null } | undefined> =>
  at.db.maybe<{ key: string | null }>(sql`
    select key from gateway_providers where id = ${id} and organization_id = ${at.organization_id}`)

export const findProviderNamed = (at: At, name: string): Promise<{ id: string } | undefined> =>
  at.db.maybe<{ id: string }>(sql`
    select id from gateway_providers where name = ${name} and organization_id = ${at.organization_id}`)

export const modelsOfProviders = (at: At): Promise<{ name: string; models: string[] }[]> =>
  at.db.many<{ name: string; models: string[] }>(sql`
    select name, models from gateway_providers where organization_id = ${at.organization_id}`)

export const addresses = (at: At): Promise<{ name: string; base_url: string }[]> =>
  at.db.many<{ name: string; base_url: string }>(sql`
    select name, base_url from gateway_providers where organization_id = ${at.organization_id}`)

export type Key = { sealed: string; last_four: string | null }
export type Tested = Pick<GatewayProvider, 'test_status' | 'test_message' | 'tested_at'>
type Written = Pick<GatewayProvider, 'base_url' | 'headers' | 'options' | 'models'>
type New = Written & Tested & Pick<GatewayProvider, 'id' | 'name' | 'kind' | 'created_by' | 'created_at'>

export const insert = (at: At, it: New, key: Key | null): Promise<GatewayProvider> =>
  at.db.one<GatewayProvider>(sql`
    insert into gateway_providers (id, organization_id, name, kind, base_url, key, key_last_four, key_changed_at, headers,
      options, models, test_status, test_message, tested_at, created_by, created_at, updated_at)
    values (${it.id}, ${at.organization_id}, ${it.name}, ${it.kind}, ${it.base_url}, ${key?.sealed ?? null},
      ${key?.last_four ?? null}, ${key && it.created_at}, ${json(it.headers)}, ${json(it.options)}, ${it.models},
      ${it.test_status}, ${it.test_message}, ${it.tested_at}, ${it.created_by}, ${it.created_at}, ${it.created_at})
    returning ${columns}`)

export const replace = (at: At, it: Written & { id: string }, now: string): Promise<GatewayProvider> =>
  at.db.one<GatewayProvider>(sql`
    update gateway_providers set base_url = ${it.base_url}, headers = ${json(it.headers)},
      options = ${json(it.options)}, models = ${it.models}, updated_at = ${now}
    where id = ${it.id} and organization_id = ${at.organization_id}
    returning ${columns}`)

export const replaceKey = (at: At, id: string, key: Key, now: string): Promise<GatewayProvider> =>
  at.db.one<GatewayProvider>(sql`
    update gateway_providers set key = ${key.sealed}, key_last_four = ${key.last_four}, key_changed_at = ${now},
      updated_at = ${now}
    where id = ${id} and organization_id = ${at.organization_id}
    returning ${columns}`)

export const noteTest = (at: At, id: string, it: Tested): Promise<GatewayProvider> =>
  at.db.one<GatewayProvider>(sql`
    update gateway_providers set test_status = ${it.test_status}, test_message = ${it.test_message},
      tested_at = ${it.tested_at}
    where id = ${id} and organization_id = ${at.organization_id}
    returning ${columns}`)

export const remove = (at: At, id: string): Promise<number> =>
  at.db.run(sql`delete from gateway_providers where id = ${id} and organization_id = ${at.organization_id}`)
