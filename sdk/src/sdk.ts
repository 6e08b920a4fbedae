/** What the package offers. */

export {
  CLIClient,
  type CLIClientOptions,
  FlowSDK,
  type FlowSDKOptions,
  PlatformClient,
  type PlatformClientOptions,
} from './clients.ts'
export { loadConfig, type StoredConfig, saveConfig } from './config-file.ts'
export { FlowConnectionError, FlowError, FlowTimeoutError } from './errors.ts'
export type { FlowEvent } from './events.ts'
export { type GatewayCallOptions, GatewayClient, type GatewayClientOptions } from './gateway-client.ts'
export {
  GatewayAuthError,
  GatewayBudgetError,
  GatewayError,
  GatewayModelNotFoundError,
  GatewayRateLimitError,
  GatewayRequestError,
  GatewayStreamError,
  GatewayUnavailableError,
} from './gateway-errors.ts'
export type * from './gateway-types.ts'
export type { CallOptions, Listing } from './methods.ts'
