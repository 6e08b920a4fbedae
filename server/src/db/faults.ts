/** What can go wrong with a database, the same for both adapters. None of it is a caller's refusal: rooms that turn
 *  a fault into one (a name that is taken) look at its `code` and `constraint`. */

export type FaultReport = {
  /** The SQLSTATE, such as `23505` for a unique violation. */
  code: string
  message: string
  detail?: string
  hint?: string
  constraint?: string
  table?: string
  column?: string
  severity?: string
}

/** PostgreSQL refused a statement. Its message never holds parameters; `detail` may. */
export class DatabaseFault extends Error {
  readonly code: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly constraint: string | undefined
  readonly table: string | undefined
  readonly column: string | undefined
  readonly severity: string | undefined

  constructor(report: FaultReport) {
    super(report.message)
    this.name = 'DatabaseFault'
    this.code = report.code
    this.detail = report.detail
    this.hint = report.hint
    this.constraint = report.constraint
    this.table = report.table
    this.column = report.column
    this.severity = report.severity
  }
}

/** The database cannot be reached, is too busy or is going down. Whether a commit in flight happened is unknown. */
export class DatabaseUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DatabaseUnavailable'
  }
}

/** The database can't be opened as things are; the sentence says what to do about it. */
export class DatabaseRefused extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DatabaseRefused'
  }
}

/** Another process, or this one, has the data directory open already. */
export class DirectoryInUse extends DatabaseRefused {
  constructor(directory: string) {
    super(
      `The data directory ${directory} is in use by another Flow. Stop that one first, or start this one with ` +
        'another directory (FLOW_DATA_DIR). Several processes share one database only on PostgreSQL (DATABASE_URL).',
    )
    this.name = 'DirectoryInUse'
  }
}
