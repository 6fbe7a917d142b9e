/** Ends a process tree: first signal, grace period, SIGKILL, and the proof that no process is left. */

import { setImmediate as turn } from 'node:timers/promises'
import type { NativeCalls } from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import type { Scanner } from './census.js'
import { Ending } from './ending.js'
import { FirstSignal } from './first-signal.js'
import { killUntilGone } from './kill-until-gone.js'
import type { ScopeRecord, TerminateOptions } from './scope-record.js'

/**
 * Ends every process that the scanner finds in the scope. Resolves with how each process ended, when none is
 * left, or when the rest has withstood SIGKILL for 5 s. Those are reported as survivors, each with the
 * reason. Processes that could not be scanned are survivors, too: then `scope.scanFailure` says why. `how`
 * may differ from how the scope itself ends. Never rejects.
 */
export async function terminate(
  scanner: Scanner,
  scope: ScopeRecord,
  native: NativeCalls | undefined,
  how: TerminateOptions = scope
): Promise<EndedProcess[]> {
  const ending = new Ending(scanner, scope, native)
  // Callers in one turn of the event loop share a scan. An earlier scan may lack a newer process.
  await turn()
  try {
    await escalate(ending, how)
  } catch (error) {
    ending.processes.noteAllKnown(error as Error)
  }
  return ending.processes.report()
}

async function escalate(ending: Ending, { killSignal, graceMs }: TerminateOptions): Promise<void> {
  const { scanner, scope } = ending
  if (await ending.scans.isEmpty()) return
  if (killSignal !== 'SIGKILL') {
    await scanner.signalDescendants?.(scope, killSignal)
    // SIGTERM, unless `killSignal` is another one, and SIGCONT to stopped processes.
    const firstSignal = new FirstSignal(ending, killSignal)
    await ending.scans.whileFrozen(() => firstSignal.send())
    if (await firstSignal.isOverWithin(graceMs)) return
  }
  await scanner.signalDescendants?.(scope, 'SIGKILL')
  // SIGKILL, a scan, and again, until two scans in a row find nothing.
  await killUntilGone(ending)
}
