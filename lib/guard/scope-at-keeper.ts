/** One scope at one keeper: what a subprocess that is started there needs of its scope. */

import type { ChildProcess } from 'node:child_process'
import { SubprocessError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { LaunchLimits } from '../platform/current.js'
import type { ExceededLimit } from '../scope-limits.js'
import { endReleasedCommand } from '../subprocess/end-released-command.js'
import type { EventHold } from '../subprocess/event-hold.js'
import type { Command } from '../subprocess/resolve-command.js'
import type { SubprocessOwner } from '../subprocess/subprocess-owner.js'
import { type TerminationReport, terminationReport } from '../subprocess/termination-report.js'
import type { EndedProcess, LaunchFailure } from '../wire/messages.js'
import { errorOfSurvivors } from './log-scope-end.js'
import type { ProcessRegistry } from './process-registry.js'
import { scopeClosedError } from './scope-closed-error.js'
import type { ScopeContext } from './scope-context.js'
import type { ScopeState } from './scope-state.js'

/** What all keepers of a scope share. */
export interface OwningScope {
  readonly id: string
  readonly context: ScopeContext
  readonly state: ScopeState
  readonly processes: ProcessRegistry
  readonly hold: EventHold
  /** Resolves when every process of the scope is gone or reported as a survivor. */
  readonly ended: Promise<readonly EndedProcess[]>
  /** Closes the scope, whose processes have exceeded a limit. */
  closeExceeded(): void
  logError(error: Error, child: ChildProcess): void
  /** Returns a function that closes the scope, unless it is called before. */
  limitExceeded(exceeded: ExceededLimit): () => void
}

export class ScopeAtKeeper implements SubprocessOwner {
  readonly link: KeeperLink
  readonly keeperScope: number
  readonly #scope: OwningScope
  readonly #keepers: { forLaunch(): SubprocessOwner }

  constructor(
    link: KeeperLink,
    keeperScope: number,
    scope: OwningScope,
    keepers: { forLaunch(): SubprocessOwner }
  ) {
    this.link = link
    this.keeperScope = keeperScope
    this.#scope = scope
    this.#keepers = keepers
  }

  get launchLimits(): LaunchLimits | undefined {
    const { limits, noNewPrivileges } = this.#scope.context
    const { rlimits } = limits
    if (rlimits === undefined && !noNewPrivileges) return undefined
    return { rlimits: rlimits ?? {}, noNewPrivileges }
  }

  get hold(): EventHold {
    return this.#scope.hold
  }

  /** Ends one command. In a scope that is closing, the command ends with the scope. */
  async terminate(
    child: ChildProcess,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<TerminationReport> {
    const { id: scope, context, state, processes, ended } = this.#scope
    if (processes.isReleased(child)) {
      await endReleasedCommand(child, killSignal, context.graceMs)
      return terminationReport([])
    }
    const found = state.isOpen ? await this.link.terminate(this.keeperScope, command, killSignal) : undefined
    // Undefined also if the keeper was lost: then the scope closes.
    const report = terminationReport(found ?? (await ended))
    if (found !== undefined && report.survivors.length > 0) {
      const err = errorOfSurvivors(report.survivors)
      context.log.error({ err, scope, command: child.spawnfile, ...report }, 'a command could not be ended')
    }
    return report
  }

  errorOf(failure: LaunchFailure, command: Command): Error {
    return launchError(failure, command, this.link, this.#scope.state)
  }

  logError(error: Error, child: ChildProcess): void {
    this.#scope.logError(error, child)
  }

  heardAll(): Promise<void> | undefined {
    const { state, context } = this.#scope
    if (!state.isOpen || state.exceeded !== undefined || context.limits.scope === undefined) return undefined
    return this.link.heardAll()
  }

  subprocessEnding(): void {
    const { state, context } = this.#scope
    if (!state.isOpen) return
    // The keeper may have ended the process because of a limit or the deadline. Then close the scope for that reason
    // before the user sees the end of the process.
    if (state.exceeded !== undefined) this.#scope.closeExceeded()
    else context.deadline.expireIfDue()
  }

  subprocessEnded(child: ChildProcess): void {
    this.#scope.processes.leavePlace(child)
    // A lost keeper ends all its handles, although the processes may still be alive.
    if (this.link.isOpen) this.#scope.processes.delete(child)
  }

  ownerForLaunch(child: ChildProcess): SubprocessOwner {
    const { state, processes } = this.#scope
    // The end of the scope waits for a command that is to outlive it.
    if (!processes.isPendingRelease(child)) state.throwUnlessOpen()
    const next = this.#keepers.forLaunch()
    processes.move(child, next)
    return next
  }
}

/** The error that the user sees when a command could not be started. */
function launchError(
  failure: LaunchFailure,
  { file, program, args }: Command,
  link: KeeperLink,
  state: ScopeState
): Error {
  // The scope closed between the call and the start. If it is still open in the worker, the keeper closed it
  // at its deadline.
  if (failure.code === 'ECANCELED') return state.isOpen ? scopeClosedError('deadline') : state.closedError()
  if (failure.code === 'ERR_SUBPROCESS_KEEPER_LOST') {
    if (!link.isOpen) return scopeClosedError('keeper-lost')
    return new SubprocessError(failure.code, 'its socket was removed and could not be replaced yet')
  }
  // The user sees the command as it was given, and not the path that a policy has checked.
  const message = failure.message.replace(`spawn ${program} `, () => `spawn ${file} `)
  return Object.assign(new Error(message), {
    errno: failure.errno,
    code: failure.code,
    syscall: `spawn ${file}`,
    path: file,
    spawnargs: args.slice(1)
  })
}
