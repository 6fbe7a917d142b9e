/** Ends the process of a released command. Its process tree is no longer known: it belongs to no scope. */

import type { ChildProcess } from 'node:child_process'

/** Sends the signal to this process only, and SIGKILL after the grace period. Resolves when it has ended. */
export function endReleasedCommand(
  child: ChildProcess,
  killSignal: NodeJS.Signals,
  graceMs: number
): Promise<void> {
  return new Promise((resolve) => {
    const isOver = child.exitCode !== null || child.signalCode !== null
    if (isOver || !child.kill(killSignal)) {
      resolve()
      return
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    // 'close' too: a process that could not be started emits no 'exit'.
    for (const event of ['exit', 'close']) {
      child.once(event, () => {
        clearTimeout(timer)
        resolve()
      })
    }
  })
}
