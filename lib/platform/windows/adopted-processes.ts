/** A process that this one did not start, with those that it had started before it was adopted. */

import type { Container } from '../containers.js'
import type { ProcessStat, ProcessUsage } from '../platform.js'
import { childrenNow } from './process-list.js'

/** Each is in a container of its own: what a process has started before cannot join its job. */
export class AdoptedProcesses implements Container {
  readonly pid: number
  readonly #containers: readonly Container[]

  /** `contain` puts one process into a container. Undefined if there is no such process. */
  static adopt(root: number, contain: (pid: number) => Container | undefined): AdoptedProcesses | undefined {
    const containers: Container[] = []
    const pids = new Set([root])
    // The loop also visits what is added to the set during the loop.
    for (const pid of pids) {
      const container = contain(pid)
      if (container === undefined) continue
      containers.push(container)
      // From now on its children are in its container: look for the earlier ones only then.
      for (const child of childrenNow(pid)) pids.add(child)
    }
    return containers.length === 0 ? undefined : new AdoptedProcesses(root, containers)
  }

  private constructor(pid: number, containers: readonly Container[]) {
    this.pid = pid
    this.#containers = containers
  }

  members(): ProcessStat[] {
    return this.#containers.flatMap((container) => container.members())
  }

  isEmpty(): boolean {
    return this.#containers.every((container) => container.isEmpty())
  }

  usage(): ProcessUsage | undefined {
    const usages = this.#containers.flatMap((container) => container.usage() ?? [])
    return usages.length === 0 ? undefined : usages.reduce(together)
  }

  requestEnd(): boolean {
    // All of them, and not only up to the first that can be asked.
    return this.#containers.filter((container) => container.requestEnd()).length > 0
  }

  kill(): void {
    for (const container of this.#containers) container.kill()
  }

  killLeader(signal: NodeJS.Signals): void {
    this.#containers[0]?.killLeader(signal)
  }

  leaderExited(): void {}

  release(): void {
    for (const container of this.#containers) container.release()
  }

  close(): void {
    for (const container of this.#containers) container.close()
  }
}

function together(one: ProcessUsage, other: ProcessUsage): ProcessUsage {
  return {
    ...one,
    userUs: one.userUs + other.userUs,
    systemUs: one.systemUs + other.systemUs,
    minorFaults: one.minorFaults + other.minorFaults,
    maxRssKb: Math.max(one.maxRssKb, other.maxRssKb)
  }
}
