/** The end of one scope or command: its scans, the signals that it gets, and the processes that end. */

import type { NativeCalls } from '../platform/current.js'
import type { Scanner } from './census.js'
import { EndedProcesses } from './ended-processes.js'
import { PidSafeSignals } from './pid-safe-signals.js'
import type { ScopeRecord } from './scope-record.js'
import { ScopeScans } from './scope-scans.js'

export class Ending {
  readonly scanner: Scanner
  readonly scope: ScopeRecord
  readonly scans: ScopeScans
  readonly signals: PidSafeSignals
  readonly processes: EndedProcesses

  constructor(scanner: Scanner, scope: ScopeRecord, native: NativeCalls | undefined) {
    this.scanner = scanner
    this.scope = scope
    this.scans = new ScopeScans(scanner, scope)
    this.signals = new PidSafeSignals(scanner, scope, native)
    this.processes = new EndedProcesses(scope)
  }
}
