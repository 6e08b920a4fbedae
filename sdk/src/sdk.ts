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
export type { CallOptions, Listing } from './methods.ts'
