/** Ends everything when the worker is gone or hung: closes all scopes, then ends what belongs to no scope. */

import { setImmediate as turn } from 'node:timers/promises'
import type { EndedProcess, KeeperReport } from '../wire/messages.js'
import type { ScopeCloser } from './close-scope.js'
import type { ScopeRegistry } from './scope-registry.js'
import type { UnscopedProcesses } from './unscoped-processes.js'

/** Reports each scope once: scopes that an earlier call reported are ended, but left out. */
export async function endEverything(
  scopes: ScopeRegistry,
  closer: ScopeCloser,
  unscoped: UnscopedProcesses,
  reason: 'worker-gone' | 'worker-hung'
): Promise<KeeperReport> {
  const unreported = scopes.all().filter((scope) => !scope.isReported)
  for (const scope of unreported) scope.isReported = true
  // All of them first: an orphan of unknown origin is ended at once when no open scope can have started it.
  for (const { record } of unreported) closer.beginClosing(record)
  const closing = unreported.map((scope) => closer.close(scope, { reason }))
  // The search for unscoped processes scans the whole machine. Send the first signals before that.
  await turn()
  await turn()
  // An earlier call for a hung worker may still be closing its scopes: wait for those, too.
  const others = scopes.all().flatMap(({ ending }) => ending ?? [])
  const reports = await Promise.all([...closing, unscoped.end()])
  await Promise.all(others)
  // Again, now that all scopes are closed. The worker may have died between starting a command and announcing
  // it, and a process with the mark of a scope belongs to that scope until the scope is closed.
  reports.push(await unscoped.end())
  const leftFolders = await closer.removeAllUnusedFolders()
  return {
    processes: withoutRepeatedSurvivors(reports.flatMap(({ processes }) => processes)),
    leftFolders: [...leftFolders, ...reports.flatMap(({ leftFolders }) => leftFolders)]
  }
}

/** The second `unscoped.end()` finds again what the first could not end. */
function withoutRepeatedSurvivors(processes: readonly EndedProcess[]): EndedProcess[] {
  const survivors = new Set<number>()
  return processes.filter(({ pid, ended }) => {
    if (ended !== 'survived') return true
    if (survivors.has(pid)) return false
    survivors.add(pid)
    return true
  })
}
