/** What a call of the gateway can throw, besides `FlowConnectionError` and `FlowTimeoutError`. Each refusal carries what
 *  the server said in OpenAI's words. */

/** What the gateway says of an error, in OpenAI's format. */
export type GatewayFault = { message: string; type?: string | null; param?: string | null; code?: string | null }

type Told = { request_id?: string; retry_after?: number }

/** The gateway refused, or the provider behind it failed. The classes below say which, where that matters to callers. */
export class GatewayError extends Error {
  readonly status: number
  readonly type: string | null
  /** The field that is wrong. */
  readonly param: string | null
  readonly code: string | null
  /** Finds the call in the server's traces and logs. */
  readonly request_id: string | undefined
  /** How long the server asks to wait, in seconds. */
  readonly retry_after: number | undefined

  constructor(status: number, fault: GatewayFault, { request_id, retry_after }: Told = {}) {
    super(fault.message)
    this.name = new.target.name
    this.status = status
    this.type = fault.type ?? null
    this.param = fault.param ?? null
    this.code = fault.code ?? null
    this.request_id = request_id
    this.retry_after = retry_after
  }
}

/** The key or token is unknown, expired or revoked (401), or may not call models (403). */
export class GatewayAuthError extends GatewayError {}

/** A budget is used up (402). */
export class GatewayBudgetError extends GatewayError {}

/** There is no such model, or the caller may not call it. */
export class GatewayModelNotFoundError extends GatewayError {}

/** The request is wrong; `param` names the field. */
export class GatewayRequestError extends GatewayError {}

/** A limit is reached, Flow's or the provider's; `retry_after` says when to come again. */
export class GatewayRateLimitError extends GatewayError {}

/** The provider failed or took too long, or nobody can be asked for now. */
export class GatewayUnavailableError extends GatewayError {}

/** A stream broke after it had begun: what came until then was said, and nothing follows. */
export class GatewayStreamError extends GatewayError {
  constructor(fault: GatewayFault, told: Told & { cause?: unknown } = {}) {
    super(200, fault, told)
    if (told.cause !== undefined) this.cause = told.cause
  }
}

export function gatewayErrorOf(status: number, text: string, told: Told): GatewayError {
  const fault = faultIn(text) ?? { message: `HTTP ${status}: ${text.slice(0, 300)}` }
  return new (classOf(status, fault.code))(status, fault, told)
}

function classOf(status: number, code: string | null | undefined): typeof GatewayError {
  if (status === 401 || status === 403) return GatewayAuthError
  if (status === 402) return GatewayBudgetError
  if (status === 404 && code === 'model_not_found') return GatewayModelNotFoundError
  if (status === 429) return GatewayRateLimitError
  if (status >= 500) return GatewayUnavailableError
  return GatewayRequestError
}

/** What `{"error": {…}}` says, or undefined where the text is none. */
export function faultIn(text: string): GatewayFault | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: GatewayFault }
    return typeof error?.message === 'string' ? error : undefined
  } catch {
    return undefined
  }
}
