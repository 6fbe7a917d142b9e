/** The messages between a worker and its keeper; see `framing.ts` for how they are sent. */

import type { Containment } from '../containment-level.js'
import type { FirstSignalTo } from '../options.js'
import type { ProcessUsage, ScopeProcess } from '../platform/current.js'
import type { ResolvedPriority } from '../priority-options.js'
import type { ResolvedRlimits } from '../rlimit-options.js'
import type { ExceededLimit, ScopeLimits } from '../scope-limits.js'
import type { UsageSummary } from './usage.js'

/** Where a standard stream leads: to the connection of this number, the worker's own stream, or nowhere. */
export type StdioTarget = number | 'inherit' | 'ignore'

/** A command to launch. */
export interface LaunchRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  /** Default: the worker's environment, from its last `environment` message. */
  readonly env?: Readonly<Record<string, string>>
  readonly uid?: number
  readonly gid?: number
  readonly stdio: readonly [StdioTarget, StdioTarget, StdioTarget]
  /** Additional variables. They override those of `env`. */
  readonly variables?: Readonly<Record<string, string>>
  /** Default: that of the scope. */
  readonly firstSignalTo?: FirstSignalTo
  /** These have an effect on Windows only. Default: false. */
  readonly windowsHide?: boolean
  readonly windowsVerbatimArguments?: boolean
}

/** A command that the keeper did not start. */
export interface ExternalCommand {
  /** Unique among the commands of the worker. */
  readonly number: number
  /** Default: that of the scope. */
  readonly firstSignalTo?: FirstSignalTo | undefined
}

/** The fields of a failed system call, as in the `'error'` event of `child_process`. */
export interface LaunchFailure {
  readonly code: string
  readonly errno?: number
  readonly message: string
}

/** The identity of a process: its pid and start time together are unique (proc_pid_stat(5)). */
export interface ProcessName {
  readonly pid: number
  /** On the clock of `ticksNow`; 0 if unknown. */
  readonly startTick: number
  /** It is a child of the worker, which has not reaped it. Whoever needs its start has to read it. */
  readonly isUnread?: true | undefined
}

/** A directory to remove when all processes of its scope are gone. */
export interface ScopeFolder {
  readonly path: string
  /**
   * Only for a TMPDIR of commands: the uid of their user. Such a directory stays as long as released
   * processes may use it.
   */
  readonly user?: number | undefined
}

/** A directory of a scope that could not be removed. */
export interface LeftFolder {
  readonly path: string
  /** Why it could not be removed. */
  readonly why: string
}

/** How one process of a closed scope ended. */
export interface EndedProcess {
  readonly pid: number
  /** The command line, or the name of the program in brackets if the command line is unknown. */
  readonly command: string
  /** The last signal that was needed, or `survived` if the process could not be ended. */
  readonly ended: NodeJS.Signals | 'survived'
  /** Only for a survivor: why it could not be ended. */
  readonly why?: string
}

/** What the keeper found and did when it closed a scope. */
export interface KeeperReport {
  /** Why the keeper closed the scope itself. Absent if the worker asked for it. */
  readonly reason?: 'deadline' | 'limit' | 'worker-hung' | 'worker-gone'
  /** Only with the reason `limit`. */
  readonly exceeded?: ExceededLimit
  /** The processes that were alive when the scope closed. */
  readonly processes: readonly EndedProcess[]
  /** The directories of the scope that could not be removed. */
  readonly leftFolders: readonly LeftFolder[]
  /** What the processes of the scope have used. Absent if nothing of it is known. */
  readonly usage?: UsageSummary
}

/** The properties of a scope. */
export interface ScopeOpening {
  /** Identifies the scope in logs. */
  readonly id: string
  readonly route?: string | undefined
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** Default `'tree'`. */
  readonly firstSignalTo?: FirstSignalTo
  /** Undefined for the default. */
  readonly priority?: ResolvedPriority | undefined
  /** Of each command that is started. */
  readonly rlimits?: ResolvedRlimits | undefined
  /** In ms of the shared clock (`time/shared-clock.ts`). Undefined for no deadline. */
  readonly deadlineAt?: number | undefined
  readonly limits?: ScopeLimits | undefined
}

/** How the keeper treats the worker itself. */
export interface WorkerSettings {
  /** Time between the first signal and SIGKILL, for processes that the worker started outside any scope. */
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** How long the worker's event loop may be blocked, in ms. Undefined for no limit. */
  readonly workerTimeoutMs?: number | undefined
}

/** From the worker to its keeper. An answer has the `id`, or the `scope`, of its request. */
export type WorkerMessage =
  /**
   * The worker's rights at the start of the keeper. It is the first message, and absent if the worker has no
   * rights to lose.
   */
  | { type: 'rights'; rights: string }
  /**
   * The worker's rights have changed and another keeper has taken over. Commands of this one run until their
   * scope ends.
   */
  | { type: 'retire' }
  | { type: 'settings'; settings: WorkerSettings }
  /** The answer is `pong`, with the same `id`. A health check has none. */
  | { type: 'ping'; id?: number }
  /** The worker's event loop is not blocked. */
  | { type: 'heartbeat' }
  /** Loads a module of hooks; the answer is `hooks-added`. */
  | { type: 'add-hooks'; id: number; url: string }
  | { type: 'remove-hooks'; url: string }
  /**
   * Opens a scope. `isInherited`: a lost keeper had it, and may have started processes that are unknown to
   * the worker. `cgroup` is the directory of the cgroup that the lost keeper may have made for it.
   */
  | { type: 'open'; scope: number; opening: ScopeOpening; isInherited?: true; cgroup?: string | undefined }
  /** Changes the deadline of a scope. */
  | { type: 'deadline'; scope: number; deadlineAt?: number | undefined }
  /** The worker's own environment, for the launches that follow. */
  | { type: 'environment'; env: Readonly<Record<string, string>> }
  /** Launches a command. The answer is `spawned`, and later `exited`; or `failed`; or `refused`. */
  | { type: 'launch'; id: number; scope: number; request: LaunchRequest }
  /** Answers `pipes-made`: the worker has connected to the pipes. */
  | { type: 'pipes-connected'; id: number }
  /** A stdio connection of a launch failed with this code, or may be lost if there is no code. */
  | { type: 'stdio-lost'; id: number; code?: string | undefined }
  /** The socket file of the stdio server is gone; the answer is `stdio-server-reopened`. */
  | { type: 'reopen-stdio-server' }
  | { type: 'signal'; id: number; signal: NodeJS.Signals }
  /**
   * Ends one command and everything that it has started; the answer is `terminated`. `command` is the id of
   * its launch.
   */
  | { type: 'terminate'; id: number; scope: number; command: number; killSignal: NodeJS.Signals }
  /** Adds a process to the scope that the keeper did not start. */
  | { type: 'adopt'; scope: number; process: ProcessName; command: ExternalCommand }
  /** An adopted process has exited and the worker has reaped it: its pid may be reused. */
  | { type: 'reaped'; scope: number; pid: number }
  /** Releases a process that the keeper has started, with its descendants. */
  | { type: 'release'; scope: number; pid: number }
  /** Releases an adopted process, with its descendants. */
  | { type: 'release-adopted'; scope: number; process: ProcessName }
  | { type: 'add-folder'; scope: number; folder: ScopeFolder }
  /** Lists the living processes of a scope; the answer is `listed`. */
  | { type: 'list'; id: number; scope: number }
  /** Ends all processes of a scope; the answer is `closed`. */
  | { type: 'close'; scope: number }
  /** Answers `find-adopter`: the process that adopts the worker's orphans. Without a pid it is unknown. */
  | { type: 'adopter'; pid?: number | undefined }
  /** The worker needs its keeper no longer. If the socket closes without this message, it has died. */
  | { type: 'dismiss' }

/** Answers `list`. `why`: the processes could not be listed. */
export type ListedMessage =
  | { type: 'listed'; id: number; processes: readonly ScopeProcess[]; why?: undefined }
  | { type: 'listed'; id: number; why: { readonly code?: string | undefined; readonly message: string } }

/** From the keeper to its worker. */
export type KeeperMessage =
  /**
   * The first message. `why`: why the containment is not the best one of this system. `cgroup` is the directory
   * of the worker's cgroup. `path` and `secret` are those of the stdio server. `makesPipes`: the keeper makes the
   * pipes of each launch and says so (`pipes-made`), and the worker connects.
   */
  | {
      type: 'ready'
      containment: Containment
      why?: string | undefined
      cgroup?: string | undefined
      path: string
      secret: string
      makesPipes?: boolean
    }
  /** The keeper cannot serve, and exits. */
  | { type: 'start-failed'; why: string }
  /** The new path of the stdio server's socket, or why it could not be opened. */
  | { type: 'stdio-server-reopened'; path: string; why?: undefined }
  | { type: 'stdio-server-reopened'; path?: undefined; why: string }
  /** The pipes of this launch are there; the answer is `pipes-connected`. */
  | { type: 'pipes-made'; id: number }
  | { type: 'spawned'; id: number; pid: number }
  | { type: 'failed'; id: number; failure: LaunchFailure }
  /** The worker's rights differ from those at the start of this keeper: the launch is for the next keeper. */
  | { type: 'refused'; id: number }
  /** The keeper has found that the worker's rights have changed. */
  | { type: 'retired' }
  /** `usage`: what the command has used, with what it has waited for. */
  | {
      type: 'exited'
      id: number
      code: number | null
      signal: NodeJS.Signals | null
      usage?: ProcessUsage | undefined
    }
  | ListedMessage
  | { type: 'terminated'; id: number; processes: readonly EndedProcess[] }
  | { type: 'pong'; id?: number | undefined }
  /** The processes of a scope have exceeded a limit: the keeper ends them. */
  | { type: 'limit-exceeded'; scope: number; exceeded: ExceededLimit }
  /** Asks which process adopts the worker's orphans; the answer is `adopter`. */
  | { type: 'find-adopter' }
  /** A line for the worker's log. */
  | { type: 'log'; level: 'warn' | 'error'; fields: object; message: string }
  /** `why`: the hooks could not be loaded. */
  | { type: 'hooks-added'; id: number; why?: string }
  /** Without a report, the keeper does not have the scope. */
  | { type: 'closed'; scope: number; report?: KeeperReport }
