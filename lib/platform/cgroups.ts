/** What an operating system with cgroups offers: groups of processes that no process leaves by itself. */

import type { NativeCalls } from './platform.js'

export interface WorkerCgroupRequest {
  /** The name of its directory. */
  readonly name: string
  readonly native: NativeCalls | undefined
  /**
   * Whether this process may enter a cgroup to start a process there, if the C library cannot start one in a
   * cgroup. That may take 15 ms each time.
   */
  readonly mayEnter: boolean
}

/** The system refuses to have a process in a cgroup. Whatever else fails in the meantime is another error. */
export class CgroupError extends Error {
  constructor(folder: string, cause: unknown) {
    super(`a process cannot be started in the cgroup ${folder}: ${(cause as Error).message}`, { cause })
  }
}

/** A cgroup is named by its directory. */
export interface Cgroups {
  /**
   * Makes the cgroup of a worker below that of this process, or takes the one that exists, and tries to start
   * a process below it. Returns its directory. Throws an `Error` with the reason if that cannot be done.
   */
  makeWorkerCgroup(request: WorkerCgroupRequest): string
  /** Makes a cgroup in that of a worker. Throws a `CgroupError`. */
  makeScopeCgroup(folder: string): void
  /** The cgroups of this user whose names begin so, in all of the hierarchy. Parents before their children. */
  find(prefix: string): string[]
  /** The cgroups directly below one. Empty if it does not exist. */
  below(folder: string): string[]
  /** The path of the cgroup of a process, zombies included. Undefined if that is hidden. */
  pathOf(pid: number): string | undefined
  /** The pids of the living processes in a cgroup and in those below it. Empty if it does not exist. */
  pidsIn(folder: string): number[]
  /** Whether any of these is alive. False if the cgroup does not exist. */
  isPopulated(folder: string): boolean
  /**
   * Runs `act` while this process is in a cgroup, so that what it starts is born there. Throws a
   * `CgroupError` if it cannot enter. May take 15 ms.
   */
  inside<Result>(folder: string, act: () => Result): Result
  /** Moves a process to the cgroup of this process. Throws a system error. */
  moveOut(pid: number): void
  /** Stops all processes of a cgroup. Resolves when they have stopped, or after 50 ms. Rejects if it is gone. */
  freeze(folder: string): Promise<void>
  /** Lets them run again. Throws if it is gone. */
  thaw(folder: string): void
  /**
   * Kills all processes of a cgroup at once and returns their pids. Throws if it is gone, or if this process is
   * one of them.
   */
  kill(folder: string): number[]
  /** Removes a cgroup with those below it. Returns false if a process is in one of them. */
  remove(folder: string): boolean
}
