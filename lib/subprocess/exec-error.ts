/** The error that `execFile` and `exec` reject with. */

/**
 * How a command failed, with the fields of `child_process.execFile`. The message has only the program and
 * how it ended, so it may be shown to a client. The command line and the output are in fields of their own.
 */
export interface ExecError extends Error {
  /**
   * The exit status, or the code of the system call or check that failed; null if a signal ended the command.
   */
  readonly code: number | string | null
  /** The signal that ended the command, or null. */
  readonly signal: NodeJS.Signals | null
  /** Whether `timeout`, `maxBuffer` or `signal` ended the command. */
  readonly killed: boolean
  /** The command line. */
  readonly cmd: string
  /** The standard output until then. */
  readonly stdout: string | Buffer
  /** The standard error until then. */
  readonly stderr: string | Buffer
}

// Enough for the last lines of a command.
const loggedStderrBytes = 8 * 1024

/**
 * A copy of the error for the log, with only the end of stderr and no stdout, which may be many megabytes.
 */
export function abridgedForLog(error: unknown): unknown {
  if (!(error instanceof Error) || !('stdout' in error)) return error
  const { stdout, stderr, ...fields } = error as ExecError
  const abridged = Object.assign(new Error(error.message), fields)
  return Object.assign(abridged, { stack: error.stack, stderr: stderr.slice(-loggedStderrBytes).toString() })
}
