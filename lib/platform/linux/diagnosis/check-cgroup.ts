/** Checks the cgroup of this process: its limits, and whether this user may make cgroups below it. */

import { accessSync, constants } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Finding } from '../../platform.js'
import { cgroupMounts, folderOf } from '../cgroup/own-cgroup.js'
import type { Mount } from '../list-mounts.js'
import { readText } from './read-system-file.js'

// A server process has about ten threads, and each counts. The rest is for commands.
const recommendedPids = 256

export function checkCgroup(formatBytes: (bytes: number) => string): Finding {
  const name = 'cgroup'
  const [mount] = cgroupMounts()
  const groups = readText('/proc/self/cgroup') ?? ''
  const [, path] = /^0::(.*)$/m.exec(groups) ?? []
  const cgroup = mount === undefined || path === undefined ? undefined : folderOf(path, mount)
  const isLimitedByVersion1 = /^\d+:.*\b(pids|memory)\b.*:/m.test(groups)
  if (isLimitedByVersion1 || mount === undefined || cgroup === undefined || !isCgroup(cgroup)) {
    const says = 'No limits of cgroup v2 are visible here; the guard itself needs no cgroup.'
    return { name, severity: 'ok', says }
  }
  const pids = lowestLimit('pids.max', cgroup, mount)
  const memory = lowestLimit('memory.max', cgroup, mount)
  const says =
    `Its cgroup is ${isWritable(cgroup) ? '' : 'not '}delegated to this user, and limited to ` +
    `${Number.isFinite(pids) ? pids : 'any number of'} processes and threads and ` +
    `${Number.isFinite(memory) ? formatBytes(memory) : 'any amount'} of memory.`
  if (pids >= recommendedPids) return { name, severity: 'ok', says }
  const toDo =
    'Raise pids.max, since a Node process has about ten threads and each counts: --pids-limit of Docker, ' +
    'podPidsLimit of the kubelet, TasksMax= of systemd.'
  return { name, severity: 'note', says, toDo }
}

function isCgroup(folder: string): boolean {
  return readText(join(folder, 'cgroup.procs')) !== undefined
}

/** The lowest of its own limit and those of the cgroups above. */
function lowestLimit(file: string, cgroup: string, mount: Mount): number {
  const limits: number[] = []
  for (let at = cgroup; at.startsWith(mount.path) && at !== '/'; at = dirname(at)) {
    // The root cgroup has no such file, and neither has a cgroup whose controller is off.
    const text = readText(join(at, file)) ?? 'max'
    limits.push(text === 'max' ? Number.POSITIVE_INFINITY : Number(text))
  }
  return Math.min(...limits)
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    accessSync(join(folder, 'cgroup.procs'), constants.W_OK)
    return true
  } catch {
    return false
  }
}
