/** What the soak is asked to do, and what its processes agree on. */

import { parseArgs } from 'node:util'

export interface Settings {
  /** How long there is load, the warm-up included. */
  readonly seconds: number
  /** False for the negative control: the same load by plain `child_process`. */
  readonly isGuarded: boolean
  readonly killsKeepers: boolean
}

/** What a worker is started with. */
export interface WorkerSettings {
  readonly isGuarded: boolean
}

/** What a worker tells the primary. */
export type WorkerMessage =
  | {
      readonly type: 'ready'
      readonly port: number
      readonly keeper: number | undefined
      readonly containment: string | undefined
    }
  /** It has another keeper than before. */
  | { readonly type: 'keeper'; readonly keeper: number }

/** What the primary tells a worker. */
export interface PrimaryMessage {
  readonly type: 'close'
}

/** The variable by which every process of one soak is known. */
export const markName = 'SOAK'
/** The variable that names the request in which a program was started, by number and route. */
export const requestName = 'SOAK_REQUEST'

export const workerCount = 4
/** No signal is sent to this worker, nor to its keeper, so that its memory over time can be seen. */
export const sparedSlot = 1
/**
 * Keepers of these are killed. A daemon that emptied its environment is known to its keeper alone, so that no such
 * daemon is started here.
 */
export const keeperKillSlots: readonly number[] = [2, 3]

/** Between the first signal and SIGKILL. */
export const graceMs = 300
/** Deadline of the requests that are to pass it. */
export const shortTimeoutMs = 500
/** Deadline of all other requests: far more than they take, on a slow machine too. */
export const longTimeoutMs = 15_000

const defaultSeconds = 600
const fewestSeconds = 5

/** Reads the command line. Throws a TypeError that says what is wrong with it. */
export function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: String(defaultSeconds) },
      'no-guard': { type: 'boolean', default: false },
      'no-keeper-kills': { type: 'boolean', default: false }
    }
  })
  const seconds = Number(values.seconds)
  if (!Number.isInteger(seconds) || seconds < fewestSeconds) {
    throw new TypeError(`--seconds ${values.seconds}: give a whole number of seconds from ${fewestSeconds}`)
  }
  const isGuarded = !values['no-guard']
  return { seconds, isGuarded, killsKeepers: isGuarded && !values['no-keeper-kills'] }
}
