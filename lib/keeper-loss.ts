/** What a lost keeper had running is ended by the worker, as one must without a subreaper: by mark, group and descent. */

import { ScopeRecord } from './containment/members.js'
import { noteRelease, noteReleasedProcess } from './containment/release-notes.js'
import { ScanCensus } from './containment/scan.js'
import { terminate } from './containment/terminate.js'
import type { EndedProcess, ProcessName } from './keeper/protocol.js'
import { workerIn } from './mark.js'
import { type Libc, loadLibc } from './platform/libc.js'
import { statOf } from './platform/linux.js'

/** What the worker knows of a scope whose keeper is lost. */
export interface LostScope {
  readonly mark: string
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** The processes that the keeper had started and of whose end it had not told. */
  readonly leaders: readonly number[]
  /** Those that the worker had started, or taken in. */
  readonly foreign: readonly ProcessName[]
  /** The commands that were let go. */
  readonly released: readonly number[]
  /** Those of what it had taken in that were let go. */
  readonly letGo: readonly ProcessName[]
}

// One for all scopes, which share its looks.
let census: ScanCensus | undefined
let loading: Promise<Libc | undefined> | undefined

/** Ends them, and resolves when none is left or what is left has withstood SIGKILL. */
export async function endWithoutKeeper(lost: LostScope): Promise<EndedProcess[]> {
  loading ??= loadLibc().then((libc) => (libc instanceof Error ? undefined : libc))
  const libc = await loading
  census ??= new ScanCensus()
  const record = new ScopeRecord(0, lost.mark, lost, libc)
  // Nothing of the scope is older than its worker.
  record.foreign.suspectSince(workerIn(lost.mark)?.startTick ?? 0)
  census.open(record)
  for (const pid of lost.released) census.release(record, pid)
  // The keeper may have been lost before it heard of the release.
  if (lost.released.length > 0) noteAgain(() => noteRelease(lost.mark))
  for (const process of lost.letGo) {
    if (statOf(process.pid)?.startTick !== process.startTick) continue
    census.letGo(record, process.pid)
    noteAgain(() => noteReleasedProcess(process))
  }
  for (const process of lost.foreign) record.foreign.adopt(process)
  for (const pid of lost.leaders) {
    const stat = statOf(pid)
    // The keeper makes each the leader of a session. Its number was held until the keeper's end, a moment ago.
    if (stat?.session === pid) record.foreign.adopt({ pid, startTick: stat.startTick })
  }
  const processes = await terminate(census, record, libc)
  census.forget(record)
  record.foreign.close()
  return processes
}

function noteAgain(note: () => void): void {
  try {
    note()
  } catch {
    // The keeper has said why, or will at the next release.
  }
}
