/** The options of the soak, and what its processes share. */

import { parseArgs } from 'node:util'

export interface Settings {
  /** The duration of the load, including the warm-up. */
  readonly seconds: number
  /** False for the negative control: the same load with plain `child_process`. */
  readonly isGuarded: boolean
  readonly killsKeepers: boolean
}

/** The argument of a worker. */
export interface WorkerSettings {
  readonly isGuarded: boolean
}

/** A message from a worker to the primary. */
export type WorkerMessage =
  | {
      readonly type: 'ready'
      readonly port: number
      readonly keeper: number | undefined
      readonly containment: string | undefined
    }
  /** The worker has another keeper now. */
  | { readonly type: 'keeper'; readonly keeper: number }

/** A message from the primary to a worker. */
export interface PrimaryMessage {
  readonly type: 'close'
}

/** The environment variable that identifies every process of one soak. */
export const markName = 'SOAK'
/** The environment variable with the request in which a program was started: number and route. */
export const requestName = 'SOAK_REQUEST'

export const workerCount = 4
/** This worker and its keeper are never killed, so that their memory can be compared over time. */
export const sparedSlot = 1
/**
 * The keepers of these workers are killed. Only the keeper can find a daemon that has cleared its
 * environment, so no such daemon is started here.
 */
export const keeperKillSlots: readonly number[] = [2, 3]

/** The time between the first signal and SIGKILL. */
export const graceMs = 300
/** The deadline of requests that are meant to exceed it. */
export const shortTimeoutMs = 500
/** The deadline of all other requests: far more than they take, even on a slow machine. */
export const longTimeoutMs = 15_000

const defaultSeconds = 600
const fewestSeconds = 5

/** Parses the command line. Throws a `TypeError` that names the wrong option. */
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
    throw new TypeError(
      `--seconds ${values.seconds} must be a whole number of seconds, at least ${fewestSeconds}`
    )
  }
  const isGuarded = !values['no-guard']
  return { seconds, isGuarded, killsKeepers: isGuarded && !values['no-keeper-kills'] }
}
