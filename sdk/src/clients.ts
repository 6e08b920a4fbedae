/** The clients: the same operations, dressed for who calls. `FlowSDK` for code that Flow runs, `PlatformClient` for
 *  services beside it, `CLIClient` for people at a terminal. */

import { contract } from '@flow/contract'
import type { Component, ComponentType } from '@flow/contract/components'
import type { Output } from '@flow/contract/operation'
import { loadConfig, type StoredConfig } from './config-file.ts'
import { type GatewaySettings, gatewaySettings } from './gateway.ts'
import { GATEWAY_PATH, GatewayClient } from './gateway-client.ts'
import { type CallOptions, type Listing, type Methods, methodsOf } from './methods.ts'
import { createTransport, type Transport } from './transport.ts'

type Fetch = (request: Request) => Response | Promise<Response>

/** The components of one type, as a namespace of its own. */
export type Typed<Type extends ComponentType> = Omit<Methods<typeof contract.components>, 'create' | 'list'> & {
  create(
    input: Omit<Parameters<Methods<typeof contract.components>['create']>[0], 'type'>,
    options?: CallOptions,
  ): Promise<Of<Type>>
  list(
    input?: Omit<NonNullable<Parameters<Methods<typeof contract.components>['list']>[0]>, 'type'>,
    options?: CallOptions,
  ): Listing<Component>
}
type Of<Type extends ComponentType> = Extract<Component, { type: Type }>

function typed<Type extends ComponentType>(components: Methods<typeof contract.components>, type: Type): Typed<Type> {
  return {
    ...components,
    create: (input, options) => components.create({ ...input, type }, options) as Promise<Of<Type>>,
    list: (input, options) => components.list({ ...input, type }, options),
  }
}

type Defaults = () => { org_id?: string; workspace_id?: string }

/** Every domain of the contract as a namespace. */
class Namespaces {
  readonly audit: Methods<typeof contract.audit>
  readonly auth: Methods<typeof contract.auth>
  readonly billing: Methods<typeof contract.billing>
  readonly components: Methods<typeof contract.components>
  readonly codeBlocks: Typed<'code_block'>
  readonly models: Typed<'model'>
  readonly observability: Typed<'observability'>
  readonly prompts: Typed<'prompt'>
  readonly schemas: Typed<'schema'>
  readonly states: Typed<'state'>
  readonly tools: Typed<'tool'>
  readonly transforms: Typed<'transform'>
  readonly validations: Typed<'validation'>
  readonly gateway: GatewaySettings
  readonly organizations: Methods<typeof contract.organizations>
  readonly replays: Methods<typeof contract.replays>
  readonly secrets: Methods<typeof contract.secrets>
  readonly solutions: Methods<typeof contract.solutions>
  readonly state: Methods<typeof contract.state>
  readonly tasks: Methods<typeof contract.tasks>
  readonly triggers: Methods<typeof contract.triggers>
  readonly users: Methods<typeof contract.users>
  readonly webhooks: Methods<typeof contract.webhooks>
  readonly workflows: Methods<typeof contract.workflows>

  constructor(transport: Transport, defaults: Defaults) {
    this.audit = methodsOf(contract.audit, transport, defaults)
    this.auth = methodsOf(contract.auth, transport, defaults)
    this.billing = methodsOf(contract.billing, transport, defaults)
    this.components = methodsOf(contract.components, transport, defaults)
    this.codeBlocks = typed(this.components, 'code_block')
    this.models = typed(this.components, 'model')
    this.observability = typed(this.components, 'observability')
    this.prompts = typed(this.components, 'prompt')
    this.schemas = typed(this.components, 'schema')
    this.states = typed(this.components, 'state')
    this.tools = typed(this.components, 'tool')
    this.transforms = typed(this.components, 'transform')
    this.validations = typed(this.components, 'validation')
    this.gateway = gatewaySettings(transport)
    this.organizations = methodsOf(contract.organizations, transport, defaults)
    this.replays = methodsOf(contract.replays, transport, defaults)
    this.secrets = methodsOf(contract.secrets, transport, defaults)
    this.solutions = methodsOf(contract.solutions, transport, defaults)
    this.state = methodsOf(contract.state, transport, defaults)
    this.tasks = methodsOf(contract.tasks, transport, defaults)
    this.triggers = methodsOf(contract.triggers, transport, defaults)
    this.users = methodsOf(contract.users, transport, defaults)
    this.webhooks = methodsOf(contract.webhooks, transport, defaults)
    this.workflows = methodsOf(contract.workflows, transport, defaults)
  }
}

export type PlatformClientOptions = {
  base_url?: string
  /** An API key (`fl_…`) or an access token. */
  auth_token?: string
  org_id?: string
  workspace_id?: string
  /** Seconds; 300 by default. */
  timeout?: number
  max_retries?: number
  on_auth_token_refresh?: () => string | Promise<string>
  fetch?: Fetch
}

/** For a service beside the platform. `request` reaches any path; the namespaces are typed. */
export class PlatformClient extends Namespaces {
  readonly #transport: Transport
  readonly #closed = new AbortController()

  constructor(options: PlatformClientOptions = {}) {
    const { base_url = 'http://localhost:8080', timeout = 300, org_id, workspace_id } = options
    const transport = createTransport({ ...options, base_url, timeout })
    super(transport, () => ({ org_id, workspace_id }))
    this.#transport = transport
  }

  /** Calls any path below `/api/v1`; gives the parsed answer, or throws a `FlowError`. */
  async request<Answer = unknown>(
    method: string,
    path: string,
    more: {
      body?: unknown
      query?: Record<string, string>
      headers?: Record<string, string>
      signal?: AbortSignal
    } = {},
  ): Promise<Answer> {
    const query = more.query ? `?${new URLSearchParams(more.query)}` : ''
    const signal = more.signal ? AbortSignal.any([more.signal, this.#closed.signal]) : this.#closed.signal
    const headers: Record<string, string> = { ...more.headers }
    if (method === 'POST') headers['idempotency-key'] ??= crypto.randomUUID()
    const response = await this.#transport.send({
      method,
      path: `/api/v1${path}${query}`,
      body: more.body,
      headers,
      signal,
      repeatable: true,
    })
    const text = await response.text()
    return (text === '' ? undefined : JSON.parse(text)) as Answer
  }

  /** Ends what is under way; the client is of no use afterwards. */
  close(): void {
    this.#closed.abort(new Error('The client was closed.'))
  }
}
export type FlowSDKOptions = {
  org_id?: string
  workspace_id?: string
  auth_token?: string
  platform_url?: string
  gateway_url?: string
  service_id?: string
  execution_id?: string
  job_id?: string
  request_id?: string
  ring_id?: string
  fetch?: Fetch
}

/** For code that Flow runs. Every option falls back to its environment variable (`ORG_ID`, `WORKSPACE_ID`,
 *  `AUTH_TOKEN`, `PLATFORM_API_URL`, `GATEWAY_URL`, `SERVICE_ID`, `EXECUTION_ID`, `JOB_ID`, `REQUEST_ID`, `RING_ID`). */
export class FlowSDK extends Namespaces {
  /** Calls models, and has what the organization says about them. */
  override readonly gateway: GatewayClient & GatewaySettings
  readonly org_id: string | undefined
  readonly workspace_id: string | undefined
  readonly platform_url: string
  readonly gateway_url: string
  readonly service_id: string | undefined
  readonly execution_id: string | undefined
  readonly job_id: string | undefined
  readonly request_id: string | undefined
  readonly ring_id: string | undefined

  constructor(options: FlowSDKOptions = {}) {
    const { env } = process
    const org_id = options.org_id ?? env.ORG_ID
    const workspace_id = options.workspace_id ?? env.WORKSPACE_ID
    const base_url = options.platform_url ?? env.PLATFORM_API_URL ?? 'http://localhost:8080'
    const auth_token = options.auth_token ?? env.AUTH_TOKEN
    const transport = createTransport({ base_url, auth_token, workspace_id, timeout: 300, fetch: options.fetch })
    super(transport, () => ({ org_id, workspace_id }))

    this.org_id = org_id
    this.workspace_id = workspace_id
    this.platform_url = base_url
    this.gateway_url = options.gateway_url ?? env.GATEWAY_URL ?? `${base_url.replace(/\/+$/, '')}${GATEWAY_PATH}`
    const gateway = new GatewayClient({ base_url: this.gateway_url, auth_token, workspace_id, fetch: options.fetch })
    this.gateway = Object.assign(gateway, gatewaySettings(transport))
    this.service_id = options.service_id ?? env.SERVICE_ID
    this.execution_id = options.execution_id ?? env.EXECUTION_ID
    this.job_id = options.job_id ?? env.JOB_ID
    this.request_id = options.request_id ?? env.REQUEST_ID
    this.ring_id = options.ring_id ?? env.RING_ID
  }
}
export type CLIClientOptions = StoredConfig & { fetch?: Fetch }

/** For people at a terminal: 30 seconds of patience, and the settings of `~/.flow/config.json`. */
export class CLIClient extends Namespaces {
  readonly config: StoredConfig

  constructor(config: CLIClientOptions = {}) {
    const { fetch, ...stored } = config
    const { access_token: auth_token, org_id, workspace_id } = stored
    const base_url = stored.platform_url ?? 'http://localhost:8080'
    const transport = createTransport({ base_url, auth_token, workspace_id, timeout: 30, fetch })
    super(transport, () => ({ org_id, workspace_id }))
    this.config = stored
  }

  /** A client with the settings of `~/.flow/config.json`, or of the file that is named. */
  static async fromFile(path?: string): Promise<CLIClient> {
    return new CLIClient(await loadConfig(path))
  }

  getCurrentUser(): Promise<Output<typeof contract.users.me>> {
    return this.users.me()
  }

  /** Whether the credentials are good. Anything but a refusal of them is thrown. */
  async verifyCredentials(): Promise<boolean> {
    try {
      await this.auth.whoami()
      return true
    } catch (error) {
      if (error instanceof Error && 'status' in error && error.status === 401) return false
      throw error
    }
  }

  /** A client that acts with an access token, got for an API key. */
  async exchangeApiKey(api_key: string): Promise<CLIClient> {
    const { access_token } = await this.auth.token({ api_key })
    return new CLIClient({ ...this.config, access_token })
  }
}
