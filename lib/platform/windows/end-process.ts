/** Ends processes by pid, without native calls. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'

/**
 * What Node.js can send on Windows: all of them end the process at once (TerminateProcess).
 * https://nodejs.org/api/process.html#signal-events
 */
const signals = new Set<NodeJS.Signals>(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGQUIT'])

export function supportsSignal(signal: NodeJS.Signals): boolean {
  return signals.has(signal)
}

/** Returns the error code, or undefined if the process was ended. */
export function signalByPid(pid: number, signal: NodeJS.Signals, isStill: () => boolean): string | undefined {
  if (!supportsSignal(signal)) return 'ENOSYS'
  try {
    if (!isStill()) return 'ESRCH'
    process.kill(pid, signal)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

/**
 * Ends a process with all processes that descend from it, as far as the parent of each still runs. Resolves when
 * that has been tried.
 */
export function killTree(pid: number): Promise<void> {
  const program = join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', 'taskkill.exe')
  return new Promise((resolve) => {
    // It fails if a process ends by itself meanwhile. The caller looks at what is left.
    execFile(program, ['/PID', String(pid), '/T', '/F'], { windowsHide: true }, () => resolve())
  })
}
