/** Makes the cgroup of a worker, after a trial that shows that processes can be started below it. */

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { levelToTry } from '../../../level-to-try.js'
import { CgroupError } from '../../cgroup-error.js'
import type { NativeCalls } from '../../platform.js'
import { readProc } from '../read-proc.js'
import { pidsIn, remove, write } from './cgroup-folder.js'
import { insideCgroup } from './enter-cgroup.js'
import { type OwnCgroup, ownCgroup } from './own-cgroup.js'

// Those by which the processes of a scope may be limited.
const usefulControllers = ['cpu', 'memory', 'pids']
// The trial needs no process that runs.
const noProgram = '/nonexistent'

const whySlow =
  'this C library cannot start a process in a cgroup (glibc can since 2.39); with ' +
  'SUBPROCESS_GUARD_CONTAINMENT=cgroup the keeper enters it for each start, which may take 15 ms'

/** Makes the cgroup and returns its directory. Throws an `Error` with the reason and the way out. */
export function makeWorkerCgroup(name: string, native: NativeCalls | undefined): string {
  const level = levelToTry()
  if (level === 'subreaper') throw new Error('SUBPROCESS_GUARD_CONTAINMENT is "subreaper"')
  if (level === undefined && native?.startsInCgroup !== true) throw new Error(whySlow)
  const own = ownCgroup()
  if (own === undefined) throw new Error('no cgroup of version 2 is mounted here')
  const folder = join(parentOf(own), name)
  try {
    makeFolder(folder)
    tryOut(folder, native)
    return folder
  } catch (error) {
    remove(folder)
    throw new Error(reasonOf(error as NodeJS.ErrnoException, own), { cause: error })
  }
}

/** Makes a cgroup in that of the worker, which is made again if something has removed it. */
export function makeScopeCgroup(folder: string): void {
  try {
    if (!existsSync(dirname(folder))) makeFolder(dirname(folder))
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new CgroupError(folder, error)
  }
}

function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true })
  passOnControllers(folder)
}

/**
 * Lets the cgroups below one have controllers, as far as it has them itself. The kernel wants no process to be
 * in a cgroup that does.
 */
function passOnControllers(folder: string): void {
  const available = (readProc(join(folder, 'cgroup.controllers')) ?? '').trim().split(' ')
  for (const controller of usefulControllers) {
    if (!available.includes(controller)) continue
    try {
      write(join(folder, 'cgroup.subtree_control'), `+${controller}`)
    } catch {
      // Then scopes cannot be limited by it. Nothing else needs the controller.
    }
  }
}

/**
 * The cgroup in which the worker's is made: its own one. Or the one above it, if that was given to this user
 * and has no process of its own, as with `DelegateSubgroup=` of systemd: only there controllers can be had.
 */
function parentOf({ folder, top }: OwnCgroup): string {
  const above = dirname(folder)
  const user = process.geteuid?.()
  if (folder === top || user === 0 || statSync(above).uid !== user) return folder
  return readProc(join(above, 'cgroup.procs')) === '' ? above : folder
}

/** Starts a process in a cgroup below. */
function tryOut(folder: string, native: NativeCalls | undefined): void {
  const trial = join(folder, `trial.${process.pid}`)
  mkdirSync(trial)
  try {
    if (!existsSync(join(trial, 'cgroup.freeze'))) throw new Error('this kernel is older than 5.2')
    if (native?.startsInCgroup === true) startNothing(trial, native)
    else if (!insideCgroup(trial, () => pidsIn(trial).includes(process.pid))) {
      throw new Error('a process that enters a cgroup is not in it')
    }
  } finally {
    remove(trial)
  }
}

/** A process is born in the cgroup, finds no program, and is gone. */
function startNothing(cgroup: string, { posixSpawn }: NativeCalls): void {
  const start = { path: noProgram, args: [noProgram], env: [], cwd: '/', stdio: [], group: undefined, cgroup }
  const result = posixSpawn?.(start)
  if (result !== -constants.errno.ENOENT) throw new Error(`no process starts in a cgroup (error ${result})`)
}

function reasonOf({ code, message }: NodeJS.ErrnoException, { path }: OwnCgroup): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `its cgroup ${path} is not delegated to this user (systemd: Delegate=yes)`
    case 'EROFS':
      return 'cgroups are mounted read-only here'
    default:
      return `the cgroup ${path} cannot be used: ${message}`
  }
}
