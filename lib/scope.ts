/** One scope: the subprocesses of one request, from its first spawn to the proof that all are gone. */

import type { CloseReason } from './close-reason.js'
import { type Command, resolveCommand, type SpawnOptions } from './command.js'
import { SubprocessError, type SubprocessErrorCode } from './errors.js'
import type { KeeperLink } from './keeper/link.js'
import type { EndedProcess, LaunchFailure } from './keeper/protocol.js'
import { Subprocess, type SubprocessOwner } from './subprocess.js'

/** What the guard needs of a logger. Fastify's `request.log` is one. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What a scope is opened with. */
export interface ScopeContext {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly log: Logger
  /** The route as it was declared, for the log. */
  readonly route: string | undefined
}

/** What became of a scope. */
export interface ScopeReport {
  readonly scope: string
  readonly route: string | undefined
  readonly reason: CloseReason
  /** How long the scope was open, in ms. */
  readonly openMs: number
  /** How long it took from then until every process was proven gone, in ms. */
  readonly closeMs: number
  /** The processes that were alive when the scope closed, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** Those of them that could not be ended. */
  readonly survivors: readonly EndedProcess[]
}

type State = { readonly name: 'open' } | { readonly name: 'closing' | 'closed'; readonly reason: CloseReason }

const mostProcessesLogged = 50

const codeByReason: Partial<Record<CloseReason, SubprocessErrorCode>> = {
  deadline: 'ERR_SUBPROCESS_DEADLINE',
  disconnected: 'ERR_SUBPROCESS_DISCONNECTED',
  shutdown: 'ERR_SUBPROCESS_SHUTDOWN',
  'keeper-lost': 'ERR_SUBPROCESS_KEEPER_LOST'
}

/** The error that says to a request why its scope has closed. */
export function errorOfReason(reason: CloseReason, detail?: string, cause?: unknown): SubprocessError {
  return new SubprocessError(codeByReason[reason] ?? 'ERR_SUBPROCESS_SCOPE_CLOSED', detail, cause)
}

/**
 * The subprocesses of one request. When the scope closes, every process of it ends, with all that these have
 * started. See the README for what each containment level finds.
 */
export class Scope {
  /** Names the scope in logs, by worker and number. */
  readonly id: string
  /** Resolves with what became of the scope, when every process of it is gone or named as a survivor. */
  readonly closed: Promise<ScopeReport>
  readonly #context: ScopeContext
  readonly #link: KeeperLink
  readonly #owner: SubprocessOwner
  readonly #running = new Set<Subprocess>()
  readonly #openedAt = performance.now()
  #state: State = { name: 'open' }
  #resolveClosed!: (report: ScopeReport) => void

  /** @internal */
  constructor(id: string, link: KeeperLink, context: ScopeContext) {
    this.id = id
    this.#link = link
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#owner = {
      link,
      keeperScope: link.openScope(context.graceMs, context.killSignal),
      errorOf: (failure, command) => this.#errorOf(failure, command),
      logError: (err, { spawnfile: command, pid }) => {
        // That a command was not started since its scope had closed is no fault of anybody.
        const level = err instanceof SubprocessError ? 'info' : 'error'
        context.log[level](
          { err, scope: id, command, pid },
          'a subprocess failed and nobody listens to its error'
        )
      },
      subprocessEnded: (subprocess) => this.#running.delete(subprocess)
    }
  }

  /**
   * Starts a command, as `child_process.spawn` does. It ends with the scope, with all that it has started.
   *
   * @throws {TypeError} for an argument or option of the wrong shape.
   * @throws {SubprocessError} when the scope is closed: `ERR_SUBPROCESS_DEADLINE`,
   *   `ERR_SUBPROCESS_DISCONNECTED`, `ERR_SUBPROCESS_SHUTDOWN`, `ERR_SUBPROCESS_KEEPER_LOST` or
   *   `ERR_SUBPROCESS_SCOPE_CLOSED`.
   */
  spawn(command: string, args?: readonly string[], options?: SpawnOptions): Subprocess
  spawn(command: string, options?: SpawnOptions): Subprocess
  spawn(
    command: string,
    argsOrOptions?: readonly string[] | SpawnOptions,
    options?: SpawnOptions
  ): Subprocess {
    if (this.#state.name !== 'open') throw errorOfReason(this.#state.reason)
    const [args, given] = isOptions(argsOrOptions) ? [[], argsOrOptions] : [argsOrOptions, options]
    const subprocess = new Subprocess(resolveCommand(this.#link.rights, command, args, given), this.#owner)
    this.#running.add(subprocess)
    return subprocess
  }

  /** Why the scope closes or has closed; undefined while it is open. */
  get reason(): CloseReason | undefined {
    return this.#state.name === 'open' ? undefined : this.#state.reason
  }

  /**
   * Ends every process of the scope: `killSignal`, then SIGKILL after `grace`. Nothing can be spawned any
   * more. Resolves as `closed` does. The first reason wins.
   */
  close(reason: CloseReason = 'closed'): Promise<ScopeReport> {
    if (this.#state.name === 'open') {
      this.#state = { name: 'closing', reason }
      void this.#end(reason)
    }
    return this.closed
  }

  async #end(reason: CloseReason): Promise<void> {
    const closingAt = performance.now()
    const unaccounted = this.#unaccounted()
    const found = await this.#link.closeScope(this.#owner.keeperScope)
    const processes = found?.processes ?? unaccounted
    this.#state = { name: 'closed', reason }
    const report: ScopeReport = {
      scope: this.id,
      route: this.#context.route,
      reason,
      openMs: Math.round(closingAt - this.#openedAt),
      closeMs: Math.round(performance.now() - closingAt),
      processes,
      survivors: processes.filter(({ ended }) => ended === 'survived')
    }
    this.#logEnd(report)
    this.#resolveClosed(report)
  }

  /** What runs: with the keeper lost, nobody could prove that it has ended. */
  #unaccounted(): EndedProcess[] {
    return [...this.#running].flatMap(({ pid, spawnargs }) =>
      pid === undefined
        ? []
        : [
            {
              pid,
              command: spawnargs.join(' '),
              ended: 'survived',
              why: 'the keeper that could end it is lost'
            }
          ]
    )
  }

  #logEnd({ processes, survivors, ...report }: ScopeReport): void {
    if (processes.length === 0) return
    const fields = { ...report, processes: processes.slice(0, mostProcessesLogged) }
    const ended = processes.length - survivors.length
    const message = `scope closed (${report.reason}): ended ${ended} processes, ${survivors.length} survived`
    if (survivors.length > 0) {
      const named = survivors.map(({ pid, command, why }) => `${pid} ${command} (${why})`).join('; ')
      const err = new SubprocessError('ERR_SUBPROCESS_SURVIVORS', named)
      this.#context.log.error({ ...fields, survivors, err }, message)
    } else if (report.reason === 'deadline' || report.reason === 'failed' || report.reason === 'finished') {
      this.#context.log.warn(fields, message)
    } else {
      this.#context.log.info(fields, message)
    }
  }

  #errorOf(failure: LaunchFailure, { file, args }: Command): Error {
    // The scope closed between the call and the start.
    if (failure.code === 'ECANCELED' && this.#state.name !== 'open') return errorOfReason(this.#state.reason)
    if (failure.code === 'ERR_SUBPROCESS_KEEPER_LOST') return errorOfReason('keeper-lost')
    return Object.assign(new Error(failure.message), {
      errno: failure.errno,
      code: failure.code,
      syscall: `spawn ${file}`,
      path: file,
      spawnargs: args.slice(1)
    })
  }
}

function isOptions(value: unknown): value is SpawnOptions {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
