/** Signals a process and its descendants by the package `tree-kill`: the last resort where processes cannot be listed. */

import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'

/**
 * Resolves when the signal was sent to every process that `tree-kill` has found below `pid`, and to `pid` itself.
 * Windows has no signals: there all of them are ended at once. Rejects if a process could not be signalled.
 */
export async function killTree(pid: number, signal: NodeJS.Signals): Promise<void> {
  // Loaded here and not above: most systems never need it.
  const { default: treeKill } = await import('tree-kill')
  subscribe('child_process', ignoreErrors)
  try {
    await new Promise<void>((resolve, reject) =>
      treeKill(pid, signal, (error) => (error ? reject(error) : resolve()))
    )
  } finally {
    unsubscribe('child_process', ignoreErrors)
  }
}

/** `tree-kill` does not listen for the 'error' of the programs that it runs, which would end this process. */
function ignoreErrors(message: unknown): void {
  const { process: child } = message as { process: ChildProcess }
  child.on('error', () => {})
}
