/** What can be done with a cgroup by the files of its directory (cgroup-v2.rst in the kernel's documentation). */

import { closeSync, constants, openSync, readdirSync, rmdirSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { signalByPid } from '../../posix/signal-by-pid.js'
import { readProc, withDescriptor } from '../read-proc.js'

// Nearly all cgroups are frozen within a tenth of a millisecond.
const frozenSoonMs = 0.3
// A process in uninterruptible sleep cannot be frozen.
const frozenWithinMs = 50

/** The pids of all living processes in a cgroup and in those below it. Empty if it does not exist. */
export function pidsIn(folder: string): number[] {
  const pids: number[] = []
  visit(folder, (at) => {
    for (const pid of readPids(at)) pids.push(pid)
  })
  return pids
}

/** Whether a process of the cgroup, or of one below it, is alive. */
export function isPopulated(folder: string): boolean {
  return eventOf(folder, 'populated') === '1'
}

/**
 * Stops all processes of a cgroup, so that none is born or becomes another program. Resolves when they have
 * stopped; after 50 ms also if one has not.
 */
export async function freeze(folder: string): Promise<void> {
  write(join(folder, 'cgroup.freeze'), '1')
  const startedAt = performance.now()
  while (eventOf(folder, 'frozen') === '0') {
    const waitedMs = performance.now() - startedAt
    if (waitedMs > frozenWithinMs) return
    if (waitedMs > frozenSoonMs) await pause(1)
  }
}

/** Lets its processes run again. */
export function thaw(folder: string): void {
  write(join(folder, 'cgroup.freeze'), '0')
}

/**
 * Kills all processes of a cgroup at once, so that no fork escapes, and returns their pids. Throws if this
 * process is one of them.
 */
export function kill(folder: string): number[] {
  const pids = pidsIn(folder)
  if (pids.includes(process.pid)) throw new Error(`this process is in the cgroup ${folder}`)
  try {
    write(join(folder, 'cgroup.kill'), '1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    killOneByOne(folder)
  }
  return pids
}

/** Removes a cgroup and those below it. Returns false if a process is in one of them. */
export function remove(folder: string): boolean {
  if (isPopulated(folder)) return false
  const folders: string[] = []
  visit(folder, (at) => folders.push(at))
  try {
    for (const at of folders.toReversed()) rmdirSync(at)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** The directories of the cgroups directly below one. Empty if it does not exist. */
export function cgroupsBelow(folder: string): string[] {
  // A directory has a link for itself, one from its parent, and one from each directory in it. Most cgroups
  // have none below them, and reading their fifty files takes ten times as long.
  const links = statSync(folder, { throwIfNoEntry: false })?.nlink ?? 0
  if (links <= 2) return []
  try {
    const entries = withDescriptor(() => readdirSync(folder, { withFileTypes: true }))
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  } catch (error) {
    // It was removed meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Writes to an existing file of a cgroup. */
export function write(path: string, text: string): void {
  withDescriptor(() => {
    const descriptor = openSync(path, constants.O_WRONLY)
    try {
      writeSync(descriptor, text)
    } finally {
      closeSync(descriptor)
    }
  })
}

/** Parents come before their children. */
function visit(folder: string, act: (folder: string) => void): void {
  const waiting = [folder]
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    act(at)
    waiting.push(...cgroupsBelow(at))
  }
}

function readPids(folder: string): number[] {
  try {
    const text = readProc(join(folder, 'cgroup.procs')) ?? ''
    // 0 stands for a process that has no pid in the PID namespace of this one.
    return text
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0)
  } catch (error) {
    // A cgroup of threads: their processes are listed in a cgroup above it.
    if ((error as NodeJS.ErrnoException).code === 'EOPNOTSUPP') return []
    throw error
  }
}

/** The value of a line of `cgroup.events`. Undefined if the cgroup does not exist. */
function eventOf(folder: string, name: string): string | undefined {
  const text = readProc(join(folder, 'cgroup.events')) ?? ''
  return new RegExp(`^${name} (\\d)$`, 'm').exec(text)?.[1]
}

/** Kernels before 5.14 have no `cgroup.kill`. While the cgroup is frozen, none of its processes can fork. */
function killOneByOne(folder: string): void {
  write(join(folder, 'cgroup.freeze'), '1')
  const killed = new Set<number>()
  try {
    // Until nothing new is found: a fork may have been in progress.
    for (;;) {
      const pids = pidsIn(folder).filter((pid) => !killed.has(pid))
      if (pids.length === 0) break
      for (const pid of pids) {
        killed.add(pid)
        signalByPid(pid, 'SIGKILL', () => true)
      }
    }
  } finally {
    thaw(folder)
  }
}
