/** What can go wrong with an expression: a sentence for people, and where. */

export class ExpressionFault extends Error {
  /** The character of the expression it begins at, from 1; 0 where no place is to blame. */
  readonly column: number

  constructor(message: string, column = 0) {
    super(message)
    this.name = 'ExpressionFault'
    this.column = column
  }
}

/** What one evaluation may cost. A step is a node of the expression; what walks over something costs by its length,
 *  so that no expression can hold the thread it shares with everybody else. */
export class Budget {
  #left: number

  constructor(steps: number = limits.steps) {
    this.#left = steps
  }

  spend(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new TooCostly('The expression is too costly: it walks over too much.')
  }
}

/** The value is larger than it may be. */
export class TooLarge extends ExpressionFault {}

class TooCostly extends ExpressionFault {}

/** Whether nothing may go on after this, not even the other side of an `||`. */
export const isFinal = (error: unknown): boolean => error instanceof TooCostly || !(error instanceof ExpressionFault)

export const limits = {
  /** Characters of an expression. */
  source: 4000,
  depth: 60,
  /** About a tenth of a second. */
  steps: 2_000_000,
  /** Characters of JSON that one value may come to. */
  value: 4 * 1024 * 1024,
  value_depth: 128,
  pattern: 1000,
} as const
