/** The cgroup of this process: the limits that it sets, and whether it could have groups of its own below. */

import { accessSync, constants } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { size } from '../format-units.js'
import type { Finding } from './finding.js'
import { type Mount, mounts } from './mounts.js'
import { textOf } from './text-of.js'

// Node has about ten threads, and so has each server process; the rest is for commands.
const roomyPids = 256

export function findCgroup(): Finding {
  const name = 'cgroup'
  const mount = mounts().findLast(({ type }) => type === 'cgroup2')
  const groups = textOf('/proc/self/cgroup') ?? ''
  const [, path] = /^0::(.*)$/m.exec(groups) ?? []
  const own = mount === undefined || path === undefined ? undefined : folderOf(path, mount)
  const isLimitedByVersion1 = /^\d+:.*\b(pids|memory)\b.*:/m.test(groups)
  if (isLimitedByVersion1 || mount === undefined || own === undefined || !isCgroup(own)) {
    const says = 'No limits of cgroup v2 are to be seen here; the guard itself needs no cgroup.'
    return { name, severity: 'ok', says }
  }
  const pids = leastOf('pids.max', own, mount)
  const memory = leastOf('memory.max', own, mount)
  const says =
    `Its cgroup is ${isWritable(own) ? '' : 'not '}delegated to this user, and limited to ` +
    `${Number.isFinite(pids) ? pids : 'any number of'} processes and threads and ` +
    `${Number.isFinite(memory) ? size(memory) : 'any amount'} of memory.`
  if (pids >= roomyPids) return { name, severity: 'ok', says }
  const toDo =
    'Raise pids.max, since a Node process has about ten threads and each counts: --pids-limit of Docker, ' +
    'podPidsLimit of the kubelet, TasksMax= of systemd.'
  return { name, severity: 'note', says, toDo }
}

/** The folder of a cgroup; undefined when it is outside of what is mounted. */
function folderOf(path: string, { root, path: mountedAt }: Mount): string | undefined {
  const below = relative(root, path)
  return below.startsWith('..') ? undefined : join(mountedAt, below)
}

function isCgroup(folder: string): boolean {
  return textOf(join(folder, 'cgroup.procs')) !== undefined
}

/** The limit that is reached first: its own, or that of a group above. */
function leastOf(file: string, own: string, mount: Mount): number {
  const limits: number[] = []
  for (let at = own; at.startsWith(mount.path) && at !== '/'; at = dirname(at)) {
    // The root has none, and no group has one whose controller is off.
    const text = textOf(join(at, file)) ?? 'max'
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
