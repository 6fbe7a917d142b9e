/** What the demo's processes agree on. Times in ms. */

import type { Program } from './program.js'

/** Deadline of `/report`, which the demo does not wait for. */
export const longTimeoutMs = 60_000
/** Between SIGTERM and SIGKILL. */
export const graceMs = 500
/** From the end of a request or worker until nothing of it may be alive: what the guard promises. */
export const goneWithinMs = graceMs + 250

/** What a worker is started with. */
export interface WorkerSettings {
  readonly isGuarded: boolean
  /** Deadline of `/primes`, with the guard and without. */
  readonly timeoutMs: number
  readonly program: Program
}

/** What a worker tells. */
export type WorkerMessage =
  | {
      readonly type: 'ready'
      readonly port: number
      readonly keeper: number | undefined
      readonly containment: string | undefined
    }
  | { readonly type: 'computing'; readonly request: string }
