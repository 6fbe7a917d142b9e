/** What a subprocess needs of its scope. */

import type { ChildProcess } from 'node:child_process'
import type { KeeperLink } from '../link/keeper-link.js'
import type { LaunchLimits } from '../platform/current.js'
import type { LaunchFailure } from '../wire/messages.js'
import type { EventHold } from './event-hold.js'
import type { Command } from './resolve-command.js'
import type { TerminationReport } from './termination-report.js'

/** A scope at one keeper, as its subprocesses see it. */
export interface SubprocessOwner {
  readonly link: KeeperLink
  /** The keeper's number of the scope. */
  readonly keeperScope: number
  /** What a direct launch has to set; undefined if nothing. */
  readonly launchLimits: LaunchLimits | undefined
  /** Where events of the subprocess are held back while the scope closes. */
  readonly hold: EventHold
  /** Ends a started command, given its number, with its process tree. Never rejects. */
  terminate(subprocess: ChildProcess, command: number, killSignal: NodeJS.Signals): Promise<TerminationReport>
  /** The error that the user gets for a failed launch. */
  errorOf(failure: LaunchFailure, command: Command): Error
  /** Logs an `'error'` event that has no listener, which otherwise would end the server. */
  logError(error: Error, subprocess: ChildProcess): void
  /**
   * Resolves when all messages that the keeper has sent so far have been read. Undefined if none of them can change
   * why the scope closes.
   */
  heardAll(): Promise<void> | undefined
  /** The process, or one of its streams, has ended. Called before the user gets the event. */
  subprocessEnding(): void
  /** The process has ended, or was not started. */
  subprocessEnded(subprocess: ChildProcess): void
  /**
   * The owner to launch the subprocess now: after its wait for a place, or after this keeper refused it
   * because the worker's rights have changed. Throws if it must not start any more.
   */
  ownerForLaunch(subprocess: ChildProcess): SubprocessOwner
}
