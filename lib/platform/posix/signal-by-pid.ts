/** Sends a signal by pid, without a descriptor that holds the process. */

/**
 * `isStill` confirms a moment before that the pid still means the same process. Returns the error code, or
 * undefined if the signal was sent.
 */
export function signalByPid(pid: number, signal: NodeJS.Signals, isStill: () => boolean): string | undefined {
  if (!isStill()) return 'ESRCH'
  try {
    process.kill(pid, signal)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}
