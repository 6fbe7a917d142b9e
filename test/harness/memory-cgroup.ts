/** A cgroup with little memory, to fill it up: of either version, wherever this user may make one. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRemoved } from './cgroups.js'
import { eventually } from './expectations.js'

interface Version {
  /** How `/proc/self/mountinfo` shows its mount. */
  readonly mount: RegExp
  /** How `/proc/self/cgroup` shows the own one. */
  readonly own: RegExp
  readonly limitFile: string
  readonly eventFile: string
}

const versions: readonly Version[] = [
  {
    mount: /^\S+ \S+ \S+ \/ (\S+) .* - cgroup \S+ \S*\bmemory\b/m,
    own: /^\d+:(?:\S+,)?memory:(\S+)/m,
    limitFile: 'memory.limit_in_bytes',
    eventFile: 'memory.oom_control'
  },
  {
    mount: /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m,
    own: /^0::(\S+)/m,
    limitFile: 'memory.max',
    eventFile: 'memory.events'
  }
]

let made = 0

export class MemoryCgroup {
  readonly #folder: string
  readonly #eventFile: string

  /** Throws if none can be made. */
  constructor(bytes: number) {
    const [folder, version] = found()
    this.#folder = join(folder, `full.${process.pid}.${++made}`)
    this.#eventFile = version.eventFile
    mkdirSync(this.#folder)
    try {
      writeFileSync(join(this.#folder, version.limitFile), `${bytes}`)
    } catch (error) {
      isRemoved(this.#folder)
      throw error
    }
  }

  /** A command line that runs in it what is appended. */
  get within(): string[] {
    return ['sh', '-c', 'echo 0 >"$0/cgroup.procs" && exec "$@"', this.#folder]
  }

  /** How many processes the kernel has killed because it was full. */
  get kills(): number {
    const text = readFileSync(join(this.#folder, this.#eventFile), 'utf8')
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1])
  }

  async remove(): Promise<void> {
    await eventually(`${this.#folder} is removed`, () => isRemoved(this.#folder))
  }
}

/** Why none can be made here; false if one can. */
export async function whyNoMemoryCgroup(): Promise<string | false> {
  if (process.getuid?.() !== 0)
    return 'only root can make cgroups without a service manager that delegates them'
  try {
    await new MemoryCgroup(1 << 30).remove()
    return false
  } catch (error) {
    return `no cgroup with a memory limit can be made: ${(error as Error).message}`
  }
}

function found(): [folder: string, version: Version] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const own = readFileSync('/proc/self/cgroup', 'utf8')
  for (const version of versions) {
    const [, mount] = version.mount.exec(mounts) ?? []
    const [, path] = version.own.exec(own) ?? []
    if (mount !== undefined && path !== undefined) return [join(mount, path), version]
  }
  throw new Error('no cgroup of the controller memory is mounted')
}
