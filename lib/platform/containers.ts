/**
 * Containers: each holds one command with everything that it starts, on a system where the end of a process
 * tree is not made of signals.
 */

import type { Containment } from '../containment-level.js'
import type { ProcessStat, ProcessUsage } from './platform.js'

/** What to start in a container of its own. */
export interface ContainedCommand {
  readonly file: string
  /** The first one is the name of the command. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** For descriptors 0 to 2: a descriptor of this process, its own one of that number, or nothing. */
  readonly stdio: readonly (number | 'inherit' | 'ignore')[]
  readonly windowsHide: boolean
  readonly windowsVerbatimArguments: boolean
}

/** One of the two is called, once: `failed` if the command was not started, else `exited`. */
export interface ContainerEvents {
  /** With the fields of the `'error'` event of `child_process`. */
  failed(error: { readonly code: string; readonly errno?: number; readonly message: string }): void
  /** The leader has exited. */
  exited(code: number | null, signal: NodeJS.Signals | null, usage: ProcessUsage | undefined): void
}

/** One command, or one process that was adopted, with everything that it has started. */
export interface Container {
  /** The leader. Its pid is not reused before its exit has been reported. */
  readonly pid: number
  /** The processes that run, as far as the system tells. */
  members(): ProcessStat[]
  /** Whether none runs. Then the exit of the leader has been reported, too. */
  isEmpty(): boolean
  /**
   * What all its processes have used together up to now. The memory is the most that one of them had committed.
   * Undefined where the system does not tell.
   */
  usage(): ProcessUsage | undefined
  /** Asks the processes to end by themselves. Returns whether any of them could be asked. */
  requestEnd(): boolean
  /** Ends all processes. They are gone a moment later. */
  kill(): void
  /** The worker has reaped the leader, which was adopted: its pid may be reused. */
  leaderExited(): void
  /** Ends the leader alone. Its exit is reported with this signal. */
  killLeader(signal: NodeJS.Signals): void
  /** Lets the processes outlive this one. */
  release(): void
  /** The container is empty, or its processes are left to themselves. */
  close(): void
}

export interface Containers {
  readonly containment: Containment
  /** Why the containment is not the best one of this system. */
  readonly why?: string
  /**
   * Makes a named pipe for a single connection, which only this user can open. Returns a descriptor of the end
   * that listens, for a command to inherit. Throws a system error.
   */
  makePrivatePipe?(path: string): number
  /** This process is the keeper of that worker, and a child of it. */
  serve?(worker: number): void
  /** Starts a command. Undefined if that failed: `failed` is called before or after the return. */
  start(command: ContainedCommand, events: ContainerEvents): Container | undefined
  /**
   * Contains a process that runs already, with what it starts from now on. Undefined if it has ended or may
   * not be ended.
   */
  adopt(pid: number): Container | undefined
}
