/** Signals a process and its descendants by the package `tree-kill`: the last resort where no process can be listed. */

/**
 * Resolves when the signal was sent to every process that `tree-kill` has found below `pid`, and to `pid` itself.
 * Windows has no signals: there all of them are ended at once. Rejects if a process could not be signalled.
 *
 * `tree-kill` runs `taskkill` on Windows, `pgrep` on macOS and `ps` elsewhere. Where the latter two are missing, it
 * ends this process by an event that nobody hears: check that first (`mayKillTrees`).
 */
export async function killTree(pid: number, signal: NodeJS.Signals): Promise<void> {
  // Loaded here and not above: most systems never need it.
  const { default: treeKill } = await import('tree-kill')
  await new Promise<void>((resolve, reject) =>
    treeKill(pid, signal, (error) => (error ? reject(error) : resolve()))
  )
}
