/** The error of a `CommandStream` whose command failed, and how a failure is described in messages. */

import { SubprocessError } from '../errors.js'
import type { Subprocess } from './subprocess.js'

/** Why a stream was destroyed: its command failed or was ended. */
export interface CommandFailure extends SubprocessError {
  /** The exit status; null if a signal ended the command, or if it was not started. */
  readonly exitCode: number | null
  /** The signal that ended the command, or null. */
  readonly signal: NodeJS.Signals | null
  /** The command line. */
  readonly cmd: string
  /** The last 8 KiB of its standard error. */
  readonly stderr: string
}

/** What a `CommandFailure` is made of. */
interface FailedCommand {
  readonly child: Subprocess
  readonly cmd: string
  /** The error of a command that was not started. */
  readonly startError: Error | undefined
  readonly stderr: string
  readonly statusCode: number
}

/** The `ERR_SUBPROCESS_FAILED` of the command, or the reason why its scope closed before it was started. */
export function commandFailure({
  child,
  cmd,
  startError,
  stderr,
  statusCode
}: FailedCommand): SubprocessError {
  if (startError instanceof SubprocessError) return startError
  const { exitCode, signalCode } = child
  const code = (startError as NodeJS.ErrnoException | undefined)?.code
  const end = code ?? describeEnd(exitCode, signalCode)
  // The message may be sent to a client, so it has no arguments and no output.
  const error = new SubprocessError('ERR_SUBPROCESS_FAILED', `${child.spawnfile}: ${end}`, startError)
  return Object.assign(error, {
    statusCode,
    exitCode: startError === undefined ? exitCode : null,
    signal: signalCode,
    cmd,
    stderr
  })
}

/** How a failed command ended, in words. */
export function describeEnd(exitCode: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `ended by ${signal}`
  return exitCode === null ? 'its output was not read to the end' : `status ${exitCode}`
}
