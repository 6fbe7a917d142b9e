/** The settings that the demo's processes share. Times are in ms. */

import { hasProc } from './processes.js'
import type { Program } from './program.js'

/** The deadline of `/report`. The demo does not wait for it. */
export const longTimeoutMs = 60_000
/** The time between SIGTERM and SIGKILL. */
export const graceMs = 500
/**
 * How long processes may be alive after the end of their request or worker: the guard signals them at once. Where
 * there is no `/proc`, it has to run other programs for that.
 */
export const goneWithinMs = graceMs + (hasProc ? 250 : 2_000)

/** The argument of a worker. */
export interface WorkerSettings {
  readonly isGuarded: boolean
  /** The deadline of `/primes`, with and without the guard. */
  readonly timeoutMs: number
  readonly program: Program
}

/** A message from a worker. */
export type WorkerMessage =
  | {
      readonly type: 'ready'
      readonly port: number
      readonly keeper: number | undefined
      readonly containment: string | undefined
    }
  | { readonly type: 'computing'; readonly request: string }
