/** What is asked of the sandbox and what comes back. */

export type Language = 'javascript' | 'typescript' | 'python'

/** Calls a run makes to the host. The function decides with the rights of whoever started the run, never by what the
 *  guest says of itself; the message of what it throws is shown to the guest, and its `code` and `details`. */
export type HostCall = (method: string, args: unknown) => Promise<unknown>

/** A module of JavaScript that came with the code. */
export type Module = { name: string; code: string }

export type Job = {
  language: Language
  /** An ES module, which imports nothing but `modules`; or a module of Python. */
  code: string
  /** Of JavaScript and TypeScript: bundled ES modules that the code imports by these names. */
  modules?: Module[]
  /** Packages of Python, by name or name==version. */
  dependencies?: string[]
  /** The name of the exported function that is called; `default` for the default export. In Python, of a function. */
  entry_point: string
  /** JSON: the function's one argument. In Python an object names the parameters. */
  input: unknown
  /** Whose turn it is: tenants take turns, and each has a limit of runs at a time. */
  tenant: string
  /** How much other code waits for this run: of what a tenant may have, some is kept for the deeper ones. */
  depth?: number
  /** Runs of one kind, of which so many at most are at work at a time. */
  group?: { key: string; runs_max: number }
  timeout_ms: number
  memory_mb: number
  /** Aborting it ends the run as `cancelled`. */
  signal?: AbortSignal
  /** Without it the guest's host calls are refused. */
  host?: HostCall
}

export const FAULT_CODES = [
  'syntax',
  'source_too_large',
  'import_refused',
  'no_entry_point',
  'threw',
  'input_not_json',
  'input_too_large',
  'not_json',
  'output_too_large',
  'timeout',
  'out_of_memory',
  'stack_overflow',
  'never_resolves',
  'crashed',
  'cancelled',
] as const
export type FaultCode = (typeof FAULT_CODES)[number]

/** What is told to the author of the code: places and frames are in their own source. */
export type Fault = { code: FaultCode; message: string; line?: number; column?: number; stack?: string }

export type LogEntry = { level: 'debug' | 'info' | 'warn' | 'error'; message: string; at_ms: number }

export const levelOf = (level: unknown): LogEntry['level'] =>
  level === 'debug' || level === 'warn' || level === 'error' ? level : 'info'

export type Spent = {
  /** At most 256 KiB; a last entry says so when there was more. */
  logs: LogEntry[]
  /** From its start in a worker to its end, waiting included; the wait for a turn is not. */
  duration_ms: number
  cpu_ms?: number
  /** The machine's linear memory at its largest. */
  memory_bytes?: number
}

export type Verdict = ({ status: 'success'; output: unknown } & Spent) | ({ status: 'error'; error: Fault } & Spent)
