/** Ends the process of a command alone: that of one which was released, and belongs to no scope any more. */

import type { ChildProcess } from 'node:child_process'

/** Sends the signal, and SIGKILL after the grace. Resolves at its `'exit'`. */
export function endAlone(child: ChildProcess, killSignal: NodeJS.Signals, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const isOver = child.exitCode !== null || child.signalCode !== null
    if (isOver || !child.kill(killSignal)) {
      resolve()
      return
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    // Not 'error': a process that could not be started has 'close' and no 'exit'.
    for (const event of ['exit', 'close']) {
      child.once(event, () => {
        clearTimeout(timer)
        resolve()
      })
    }
  })
}
