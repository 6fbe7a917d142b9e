/** How a process is started in the keeper: by posix_spawn, where the keeper collects its children itself, else by Node. */

import type { Socket } from 'node:net'
import type { LaunchFailure, LaunchRequest } from '../wire/messages.js'

/** What is to be started. */
export interface StartOrder
  extends Omit<Required<LaunchRequest>, 'stdio' | 'uid' | 'gid' | 'firstSignalTo' | 'variables'> {
  readonly uid?: number
  readonly gid?: number
  /** The mark that it carries, whatever mark is in its environment. */
  readonly mark: string
  /** The number of the command in its scope. */
  readonly command: number
  /** The three standard streams: a connection, the keeper's own, or nothing. */
  readonly stdio: readonly (Socket | 'inherit' | 'ignore')[]
}

/** What becomes of it. `failed` is called where nothing was started, and `exited` where something was. */
export interface StartEvents {
  failed(failure: LaunchFailure): void
  exited(code: number | null, signal: NodeJS.Signals | null): void
}

/** A process that was started. Until it has exited its number is its own. */
export interface Started {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
}

/** Starts it, in a session of its own, or where it begins one itself, in a group that it does not lead. Undefined where it failed, of which `failed` tells, now or soon. */
export type Start = (order: StartOrder, events: StartEvents) => Started | undefined
