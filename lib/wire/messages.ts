/** The messages between a worker and its keeper: one line of JSON each, over one socket. */

import type { FirstSignalTo } from '../options.js'
import type { ScopeProcess } from '../platform/current.js'

/** How the processes of a scope are found; see `docs/architecture.md`. */
export type Containment = 'subreaper' | 'marks'

/** Where a standard stream of a subprocess leads: a connection of that number, the worker's own, or nowhere. */
export type StdioTarget = number | 'inherit' | 'ignore'

export interface LaunchRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  /** Undefined for the worker's, as it was last told. */
  readonly env?: Readonly<Record<string, string>>
  readonly uid?: number
  readonly gid?: number
  readonly stdio: readonly [StdioTarget, StdioTarget, StdioTarget]
  /** Variables that stand above those of `env`. */
  readonly variables?: Readonly<Record<string, string>>
  /** Undefined for that of the scope. */
  readonly firstSignalTo?: FirstSignalTo
}

/** A command that the keeper did not start, as it was told of it. */
export interface ExternalCommand {
  /** No other command of the worker has it. */
  readonly number: number
  /** Undefined for that of the scope. */
  readonly firstSignalTo?: FirstSignalTo | undefined
}

/** The fields of a failed system call that Node's `'error'` event carries. */
export interface LaunchFailure {
  readonly code: string
  readonly errno?: number
  readonly message: string
}

/** One process, by number and start time: together they name it (proc_pid_stat(5)). */
export interface ProcessName {
  readonly pid: number
  /** In clock ticks since boot. */
  readonly startTick: number
}

/** A folder to remove when every process of its scope is gone. */
export interface ScopeFolder {
  readonly path: string
  /** For the TMPDIR of commands, the user of these: what was released keeps it. Undefined for any other folder. */
  readonly user?: number | undefined
}

/** A folder of a scope that could not be removed. */
export interface LeftFolder {
  readonly path: string
  readonly why: string
}

/** How one process of a closed scope ended. */
export interface EndedProcess {
  readonly pid: number
  readonly command: string
  /** The last signal that was needed, or `survived`. */
  readonly ended: NodeJS.Signals | 'survived'
  /** For a survivor: why it could not be ended. */
  readonly why?: string
}

/** What the keeper found and did when it closed a scope. */
export interface KeeperReport {
  /** Why the keeper had closed the scope by itself, when it had: the worker's event loop was blocked. */
  readonly reason?: 'deadline' | 'worker-hung' | 'worker-gone'
  /** The processes that were alive when the scope closed. */
  readonly processes: readonly EndedProcess[]
  /** The folders of the scope that could not be removed. */
  readonly leftFolders: readonly LeftFolder[]
}

/** What the keeper is told of a scope. */
export interface ScopeOpening {
  /** Names the scope in logs. */
  readonly id: string
  readonly route?: string | undefined
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** Default `'tree'`. */
  readonly firstSignalTo?: FirstSignalTo
  /** By the clock that all processes share (`time/shared-clock.ts`), in ms; undefined without a deadline. */
  readonly deadlineAt?: number | undefined
}

/** How the keeper treats the worker itself. */
export interface WorkerSettings {
  /** Between the first signal and SIGKILL, for what the worker started behind the guard's back. */
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** How long its event loop may be blocked, in ms; undefined for any time. */
  readonly workerTimeoutMs?: number | undefined
}

export type WorkerMessage =
  /** The rights that the worker had when it started the keeper. It comes first, where there are any to give up. */
  | { type: 'rights'; rights: string }
  /** The worker has other rights now, and another keeper. What runs here ends with its scope. */
  | { type: 'retire' }
  | { type: 'settings'; settings: WorkerSettings }
  /** Asks for a sign of life. */
  | { type: 'ping' }
  /** The worker's event loop is not blocked. */
  | { type: 'heartbeat' }
  | { type: 'add-hooks'; id: number; url: string }
  | { type: 'remove-hooks'; url: string }
  /** `isInherited`: a keeper that is lost had it, and may have started processes that nobody knows of. */
  | { type: 'open'; scope: number; opening: ScopeOpening; isInherited?: true }
  | { type: 'deadline'; scope: number; deadlineAt?: number | undefined }
  /** The worker's own environment, for the launches that follow. */
  | { type: 'environment'; env: Readonly<Record<string, string>> }
  | { type: 'launch'; id: number; scope: number; request: LaunchRequest }
  /** A connection cannot be had, with that code; without one it may have been lost. */
  | { type: 'stdio-lost'; id: number; code?: string | undefined }
  /** The keeper's socket is gone. */
  | { type: 'reopen-stdio-server' }
  | { type: 'signal'; id: number; signal: NodeJS.Signals }
  /** Ends one command with all that it has started. It has the number of its launch. */
  | { type: 'terminate'; id: number; scope: number; command: number; killSignal: NodeJS.Signals }
  | { type: 'adopt'; scope: number; process: ProcessName; command: ExternalCommand }
  | { type: 'reaped'; scope: number; pid: number }
  | { type: 'release'; scope: number; pid: number }
  /** The same for a process that the scope was told to take in. */
  | { type: 'release-adopted'; scope: number; process: ProcessName }
  | { type: 'add-folder'; scope: number; folder: ScopeFolder }
  | { type: 'list'; id: number; scope: number }
  | { type: 'close'; scope: number }
  /** Who takes in the worker's orphans; without a number it cannot be told. */
  | { type: 'adopter'; pid?: number | undefined }
  /** The worker needs its keeper no more. An end of the socket without it is the worker's death. */
  | { type: 'dismiss' }

/** `why`: they could not be looked at. */
export type ListedMessage =
  | { type: 'listed'; id: number; processes: readonly ScopeProcess[]; why?: undefined }
  | { type: 'listed'; id: number; why: { readonly code?: string | undefined; readonly message: string } }

export type KeeperMessage =
  | {
      type: 'ready'
      containment: Containment
      why?: string
      path: string
      secret: string
    }
  /** The keeper cannot serve, and ends. */
  | { type: 'start-failed'; why: string }
  /** Where the socket is now; or why there is none. */
  | { type: 'stdio-server-reopened'; path: string; why?: undefined }
  | { type: 'stdio-server-reopened'; path?: undefined; why: string }
  | { type: 'spawned'; id: number; pid: number }
  | { type: 'failed'; id: number; failure: LaunchFailure }
  /** The worker has other rights than the keeper was started with: a launch is for the next keeper. */
  | { type: 'refused'; id: number }
  | { type: 'retired' }
  | { type: 'exited'; id: number; code: number | null; signal: NodeJS.Signals | null }
  | ListedMessage
  | { type: 'terminated'; id: number; processes: readonly EndedProcess[] }
  | { type: 'pong' }
  /** Asks who takes in the worker's orphans. */
  | { type: 'find-adopter' }
  /** Something for the worker's log. */
  | { type: 'log'; level: 'warn' | 'error'; fields: object; message: string }
  | { type: 'hooks-added'; id: number; why?: string }
  /** Without a report the keeper does not have the scope. */
  | { type: 'closed'; scope: number; report?: KeeperReport }
