/** Keys of providers: sealed, bound to their row, and shown by their last four characters. */

/** Long enough that its end tells nothing of the rest. */
const SHOWN_FROM = 12

export const boundTo = (organization_id: string, provider_id: string): string =>
  `gateway_provider:${organization_id}:${provider_id}`

export const lastFour = (key: string): string | null => (key.length < SHOWN_FROM ? null : key.slice(-4))
