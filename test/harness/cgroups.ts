/** Reads and makes cgroups, independently of the code under test. */

import { chownSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { eventually } from './expectations.js'

const mount = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(readFileSync('/proc/self/mountinfo', 'utf8'))?.[1]
const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1]

/** The directory where they are mounted. */
const mountOfCgroups = mount ?? '/'
/** The directory of the cgroup of the tests. */
export const ownCgroup = folderOf(own ?? '/')

/** Why cgroups cannot be tested here; false if they can. */
export function whyNoCgroups(): string | false {
  if (process.getuid?.() !== 0)
    return 'only root can make cgroups without a service manager that delegates them'
  if (mount === undefined || own === undefined) return 'no cgroup v2 is mounted'
  try {
    const folder = join(ownCgroup, `test.${process.pid}`)
    mkdirSync(folder)
    rmdirSync(folder)
    return false
  } catch (error) {
    return `no cgroup can be made: ${(error as Error).message}`
  }
}

/** The cgroup of a process, as a directory. Undefined if the process is gone. */
export function cgroupOf(pid: number): string | undefined {
  try {
    const [, path] = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? []
    return path === undefined ? undefined : folderOf(path)
  } catch {
    return undefined
  }
}

/** The directories of all cgroups. Parents come before their children. */
export function allCgroups(): string[] {
  return mount === undefined ? [] : foldersBelow(mountOfCgroups)
}

/** The directories of the cgroup of a worker and of those below it, wherever they are. */
export function cgroupsOf(worker: number): string[] {
  const below = new RegExp(`/subprocess-guard\\.[^/]*\\.${worker}\\.[^/]*(/|$)`)
  return allCgroups().filter((folder) => below.test(folder))
}

let made = 0

/** A cgroup that a worker starts in. */
export class Cgroup {
  readonly folder: string

  constructor(folder = join(ownCgroup, `test.${process.pid}.${++made}`)) {
    this.folder = folder
    mkdirSync(folder)
  }

  below(name: string): Cgroup {
    return new Cgroup(join(this.folder, name))
  }

  /** Gives it to a user, as a service manager does. */
  delegateTo(user: number): this {
    const files = ['cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads']
    for (const path of [this.folder, ...files.map((file) => join(this.folder, file))])
      chownSync(path, user, user)
    return this
  }

  /** A command line that runs in it what is appended. */
  get within(): string[] {
    return ['sh', '-c', 'echo 0 >"$0/cgroup.procs" && exec "$@"', this.folder]
  }

  /**
   * Removes it with those below it and, up to that of the tests, those above it. A process may still be about
   * to end, and a keeper may remove some at the same time.
   */
  async remove(): Promise<void> {
    const above: string[] = []
    for (let at = dirname(this.folder); at !== ownCgroup; at = dirname(at)) above.push(at)
    await eventually(`${this.folder} is removed`, () =>
      [...[this.folder, ...foldersBelow(this.folder)].reverse(), ...above].every(isRemoved)
    )
  }
}

/** Removes a cgroup. Returns whether it is gone: not if a process or another cgroup is in it. */
export function isRemoved(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EBUSY' && code !== 'ENOENT') throw error
    return code === 'ENOENT'
  }
}

/** Parents come before their children. Other tests make and remove cgroups meanwhile. */
function foldersBelow(folder: string): string[] {
  const found: string[] = []
  const waiting = [folder]
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    for (const name of namesIn(at)) {
      found.push(join(at, name))
      waiting.push(join(at, name))
    }
  }
  return found
}

function namesIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** The directory of a cgroup, by its path in the hierarchy. */
function folderOf(path: string): string {
  return resolve(mountOfCgroups, `.${path}`)
}
