/** What a guest can ask of its worker, whatever it is written in, and what the worker asks of a machine. */

/** The answer is one of a few small numbers. */
export type Guest = {
  call(call: number, method: string, args: string): Answer
  sleep(call: number, ms: number): Answer
  print(level: string, message: string): Answer
  end(kind: string, value: string): Answer
  /** Asked now and then while it computes: has somebody ended it from outside? */
  isCalledOff(): boolean
}
/** The preludes have the sentence for each. */
export const Answer = { yes: 0, no_host: 1, too_many: 2, too_large: 3, log_full: 4, not_yet: 5 } as const
export type Answer = (typeof Answer)[keyof typeof Answer]

/** Why a machine was interrupted. */
export type Interruption = 'deadline' | 'called off' | 'memory'

export interface GuestMachine {
  /** Whoever runs in it now. */
  guest: Guest | undefined
  /** On the clock of `performance.now`. */
  deadline: number
  readonly interruption: Interruption | undefined
  /** Its linear memory. */
  readonly bytes: number
}
